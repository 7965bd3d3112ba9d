#include "cluster/remote_store.h"

#include <fmt/chrono.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>

namespace merino {

namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

// One thing at a time for the writer thread; its owner asks for it again until the answer is there.
template <class Wish, class Answer>
struct Errand {
  std::optional<Wish> wanted;     // handed over, not begun
  std::optional<Wish> under_way;  // or ended: the wish that `answer` belongs to
  std::optional<Answer> answer;
};

class RemoteStore final : public LeaseStore {
 public:
  RemoteStore(std::unique_ptr<LeaseSource> source, std::unique_ptr<StopSignal> stop, const RemoteStoreTiming& timing, Fd event)
      : source_(std::move(source)), stop_(std::move(stop)), timing_(timing), event_(std::move(event)) {
    writer_ = std::thread([this] { write(); });
    watcher_ = std::thread([this] { watch(); });
  }
  RemoteStore(const RemoteStore&) = delete;
  RemoteStore& operator=(const RemoteStore&) = delete;
  ~RemoteStore() override;

  Result<NetConf> load_conf(const std::string& path) override {
    const std::lock_guard one_at_a_time(source_lock_);
    return source_->load_conf(path);
  }
  Result<NodeHints> hints() override {
    const std::lock_guard one_at_a_time(source_lock_);
    return source_->hints();
  }
  Result<Lease> acquire(const NetConf& conf, const LeaseRequest& request) override {
    const std::lock_guard one_at_a_time(source_lock_);
    return source_->acquire(conf, request);
  }
  Result<LeaseSet> list() override;
  Result<Lease> renew(const Lease& lease) override { return ask(renewal_, lease, "the renewal of the lease"); }
  Status mark_ready() override { return ask(readiness_, true, "saying that the network is up"); }
  void tell(const OperatorNotice& notice) override;
  [[nodiscard]] StoreState state() const override {
    const std::lock_guard guard(lock_);
    return state_;
  }
  [[nodiscard]] int event_fd() const override { return event_.get(); }
  bool drain_events() override;

 private:
  template <class Wish, class Answer>
  Answer ask(Errand<Wish, Answer>& errand, const Wish& wish, const char* what);
  template <class Wish, class Answer, class Work>
  bool run_errand(std::unique_lock<std::mutex>& lock, Errand<Wish, Answer>& errand, const Work& work);
  bool tell_one(std::unique_lock<std::mutex>& lock);
  void write();
  void watch();
  void publish(LeaseSet set);
  Result<Lease> carry_out(const Lease& lease);
  void lose(Error error);
  bool pause(milliseconds backoff);
  void wake() const;

  std::unique_ptr<LeaseSource> source_;
  std::unique_ptr<StopSignal> stop_;
  RemoteStoreTiming timing_;
  Fd event_;
  std::mutex source_lock_;  // of everything in the source but follow()

  mutable std::mutex lock_;           // of what follows
  std::condition_variable answered_;  // what list() or ask() wait for
  std::condition_variable work_;      // what the writer waits for
  bool stopping_ = false;
  std::optional<LeaseSet> set_;
  std::optional<Error> problem_;  // why the set is not followed now
  system_clock::time_point lost_since_ = system_clock::now();
  StoreState state_;
  Errand<Lease, Result<Lease>> renewal_;
  Errand<bool, Status> readiness_;
  std::deque<OperatorNotice> notices_;  // to be told

  std::thread writer_;
  std::thread watcher_;
};

RemoteStore::~RemoteStore() {
  {
    const std::lock_guard guard(lock_);
    stopping_ = true;
  }
  stop_->raise();
  answered_.notify_all();
  work_.notify_all();
  writer_.join();
  watcher_.join();
}

void RemoteStore::wake() const {
  const uint64_t one = 1;
  if (::write(event_.get(), &one, sizeof(one)) < 0) return;  // full: readable all the same
}

bool RemoteStore::drain_events() {
  uint64_t count = 0;
  return ::read(event_.get(), &count, sizeof(count)) == sizeof(count);
}

Result<LeaseSet> RemoteStore::list() {
  std::unique_lock guard(lock_);
  if (!problem_ && !set_) {
    // At the start: the first answer is worth waiting for.
    answered_.wait_for(guard, timing_.patience, [this] { return problem_ || set_ || stopping_; });
  }
  if (problem_) {
    return fail(problem_->kind, "{} is away since {:%H:%M:%S} UTC{}: {}", source_->name(), fmt::gmtime(lost_since_),
                set_ ? ", the network goes on with what is known" : "", problem_->message());
  }
  if (!set_) return fail(ErrorKind::unavailable, "{} has not answered yet", source_->name());
  return *set_;
}

void RemoteStore::publish(LeaseSet set) {
  {
    const std::lock_guard guard(lock_);
    set_ = std::move(set);
    problem_.reset();
    state_.followed = true;
    state_.last_update = system_clock::now();
  }
  answered_.notify_all();
  wake();
}

void RemoteStore::lose(Error error) {
  {
    const std::lock_guard guard(lock_);
    if (!problem_) {
      lost_since_ = system_clock::now();
      ++state_.outages;
    }
    state_.followed = false;
    problem_ = std::move(error);
  }
  answered_.notify_all();
  wake();
}

// False if the store ends meanwhile.
bool RemoteStore::pause(milliseconds backoff) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  const milliseconds jittered = with_jitter(backoff, static_cast<unsigned>(random()));
  pollfd stop_fd{.fd = stop_->fd(), .events = POLLIN, .revents = 0};
  return ::poll(&stop_fd, 1, static_cast<int>(jittered.count())) <= 0;
}

// A connection that ends after it has given a set (a server restarted, history compacted) is taken up again at once, and only then lost.
void RemoteStore::watch() {
  milliseconds backoff{0};
  while (!stop_->is_raised()) {
    bool answered = false;
    auto ended = source_->follow([&](LeaseSet set) {
      answered = true;
      publish(std::move(set));
    });
    if (stop_->is_raised()) return;
    if (!answered && !ended) lose(std::move(ended).error());
    backoff = answered ? timing_.first_backoff : std::clamp(backoff * 2, timing_.first_backoff, timing_.longest_backoff);
    if (!pause(backoff)) return;
  }
}

template <class Wish, class Answer>
Answer RemoteStore::ask(Errand<Wish, Answer>& errand, const Wish& wish, const char* what) {
  std::unique_lock guard(lock_);
  if (errand.under_way != wish) errand.wanted = wish;
  work_.notify_all();
  const auto answered = [&] { return errand.under_way == wish && errand.answer; };
  if (!answered_.wait_for(guard, timing_.patience, answered)) {
    return fail(ErrorKind::unavailable, "{}: {} is not answered yet", source_->name(), what);
  }
  errand.under_way.reset();
  Answer answer = *std::exchange(errand.answer, std::nullopt);
  return answer;
}

template <class Wish, class Answer, class Work>
bool RemoteStore::run_errand(std::unique_lock<std::mutex>& lock, Errand<Wish, Answer>& errand, const Work& work) {
  if (!errand.wanted) return false;
  errand.under_way = std::exchange(errand.wanted, std::nullopt);
  errand.answer.reset();
  const Wish wish = *errand.under_way;
  lock.unlock();
  Answer answer = [&] {
    const std::lock_guard one_at_a_time(source_lock_);
    return work(wish);
  }();
  lock.lock();
  errand.answer = std::move(answer);
  answered_.notify_all();
  wake();
  return true;
}

// The set shows the renewed lease at once, whenever the watch may tell of it.
Result<Lease> RemoteStore::carry_out(const Lease& lease) {
  Lease renewed = TRY(source_->renew(lease));
  const std::lock_guard guard(lock_);
  // In the place of what it overlaps: the node's subnets may have changed.
  if (set_) set_->leases = set_->leases.with(renewed);
  return renewed;
}

void RemoteStore::tell(const OperatorNotice& notice) {
  constexpr size_t kWaiting = 100;
  {
    const std::lock_guard guard(lock_);
    if (notices_.size() == kWaiting) notices_.pop_front();
    notices_.push_back(notice);
  }
  work_.notify_all();
}

// The last of the writer's duties: nothing waits for it.
bool RemoteStore::tell_one(std::unique_lock<std::mutex>& lock) {
  if (notices_.empty()) return false;
  const OperatorNotice notice = std::move(notices_.front());
  notices_.pop_front();
  lock.unlock();
  {
    const std::lock_guard one_at_a_time(source_lock_);
    (void)source_->tell(notice);
  }
  lock.lock();
  return true;
}

void RemoteStore::write() {
  std::unique_lock guard(lock_);
  while (!stopping_) {
    bool worked = run_errand(guard, renewal_, [this](const Lease& lease) { return carry_out(lease); });
    worked = run_errand(guard, readiness_, [this](bool) { return source_->mark_ready(); }) || worked;
    if (!worked && !stopping_) worked = tell_one(guard);
    if (!worked && !stopping_) work_.wait(guard, [this] { return stopping_ || renewal_.wanted || readiness_.wanted || !notices_.empty(); });
  }
}

}  // namespace

milliseconds with_jitter(milliseconds backoff, unsigned random) {
  return backoff / 2 + milliseconds(random % static_cast<unsigned>(backoff.count() / 2 + 1));
}

Result<std::unique_ptr<LeaseStore>> open_remote_store(std::unique_ptr<LeaseSource> source, std::unique_ptr<StopSignal> stop,
                                                      const RemoteStoreTiming& timing) {
  Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return fail_errno(errno, "open eventfd");
  return std::make_unique<RemoteStore>(std::move(source), std::move(stop), timing, std::move(event));
}

}  // namespace merino
