#include "agent/agent.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "agent/health.h"
#include "agent/lease_report.h"
#include "agent/memory.h"
#include "agent/metrics.h"
#include "agent/notices.h"
#include "agent/privileges.h"
#include "agent/service.h"
#include "agent/start.h"
#include "agent/steps.h"
#include "agent/version.h"
#include "agent/watches.h"
#include "base/clocks.h"
#include "base/file.h"

namespace merino {

namespace {

using Clock = Reconciler::Clock;
using std::chrono::milliseconds;

// kube-proxy may change its rules all the time; ours are looked at this long after.
constexpr milliseconds kRulesPause{1000};
// Events come in bursts: one pass for all of them. Only a lease is looked at without waiting for more: its node's pods are not reached
// until then, and nobody is working on it at the same moment, as the CNI plugin is on a pod. A busy host's bursts never end; passes then
// take at most a tenth of a CPU, by the shorter one of the last two, so that a single long pass (programs loaded) does not make the next
// event wait.
constexpr milliseconds kShortestPause{20};
constexpr milliseconds kLongestPause{2000};
constexpr int kPauseFactor = 9;
constexpr milliseconds kStartRetry{1000};  // as flanneld

// Signals that end the agent arrive as readable data; every thread that is started later inherits the mask.
Result<Fd> block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  if (const int error = pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) return fail_errno(error, "block signals");
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno(errno, "open signalfd");
  return fd;
}

// The steps' names alone.
std::string names_of(const std::vector<std::string>& missing) {
  std::vector<std::string> names;
  for (const std::string& text : missing) names.push_back(text.substr(0, text.find(':')));
  return fmt::format("{}", fmt::join(names, ", "));
}

void log_step(const StepState& now, StepCondition before) {
  if (now.condition == StepCondition::failed) spdlog::error("{}: {}", now.name, now.error);
  if (now.condition == StepCondition::waiting) spdlog::info("{} {}", now.name, now.error);
  if (now.condition == StepCondition::ok && before == StepCondition::failed) spdlog::info("{}: in order again", now.name);
  if (now.condition == StepCondition::ok && before == StepCondition::waiting) spdlog::debug("{}: in order", now.name);
}

// What is said to the threads that answer others.
struct Boards {
  HealthBoard health;
  MetricsBoard metrics;
};

class Agent {
 public:
  Agent(Node node, LeaseStore& store, Netlink& netlink, NetlinkEvents& events, const Fd& signals, Boards& boards)
      : node_(std::move(node)), site_{node_, store, netlink}, events_(events), signals_(signals), boards_(boards), reconciler_(log_step) {}

  Status open();
  Status run();

 private:
  [[nodiscard]] Status watch(int fd) const;
  [[nodiscard]] Clock::time_point next_deadline() const;
  Status wait();
  Status take_events();
  void take_time(Clock::time_point now);
  void pass(Clock::time_point now);
  void publish();
  [[nodiscard]] AgentMetrics metrics_of(const AgentStatus& status, const std::vector<OperatorNotice>& notices) const;
  void request(unsigned cause, Clock::time_point now);

  Node node_;
  Site site_;
  NetlinkEvents& events_;
  std::optional<NetlinkEvents> neighbour_events_;  // where peers without a tunnel are possible
  std::optional<HostWatches> watches_;
  const Fd& signals_;
  Boards& boards_;
  Fd epoll_;
  Reconciler reconciler_;
  ServiceManager service_;
  LeaseReporter lease_reporter_;
  NoticeTeller notice_teller_;

  bool stop_ = false;
  unsigned pending_ = cause::kFull;
  Clock::time_point pass_due_ = Clock::now();
  Clock::time_point last_pass_end_;
  milliseconds last_pass_took_{0};
  milliseconds pause_ = kShortestPause;
  DurationHistogram pass_times_;
  DurationHistogram lease_change_times_;
  std::optional<Clock::time_point> leases_changed_;  // since when a change of leases waits for a pass
  Clock::time_point full_due_;
  Clock::time_point rules_due_;
  Clock::time_point alive_due_ = Clock::now();
  bool was_ready_ = false;
  bool started_ = false;
};

Status Agent::watch(int fd) const {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno(errno, "watch a file descriptor");
  return ok();
}

Status Agent::open() {
  epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return fail_errno(errno, "open epoll");
  TRY(watch(signals_.get()));
  TRY(watch(events_.fd()));
  TRY(watch(site_.store.event_fd()));
  if (node_.conf.has_direct_peers()) {
    neighbour_events_ = TRY(NetlinkEvents::open(NetlinkTopic::neighbours));
    TRY(watch(neighbour_events_->fd()));
  }
  watches_ = TRY(HostWatches::open(node_.options.subnet_file));
  TRY(watch(watches_->fd()));
  add_steps(reconciler_, site_);
  return ok();
}

Clock::time_point Agent::next_deadline() const {
  Clock::time_point next = std::min(full_due_, rules_due_);
  if (pending_ != 0) next = std::min(next, pass_due_);
  if (const auto retry = reconciler_.next_retry()) next = std::min(next, std::max(*retry, last_pass_end_ + kShortestPause));
  if (service_.watchdog_interval()) next = std::min(next, alive_due_);
  return next;
}

void Agent::request(unsigned cause, Clock::time_point now) {
  const auto gathering = cause == cause::kLeases ? milliseconds(0) : kShortestPause;
  const auto due = std::max(now + gathering, last_pass_end_ + pause_);
  pass_due_ = pending_ == 0 ? due : std::min(pass_due_, due);
  pending_ |= cause;
}

Status Agent::take_events() {
  const auto now = Clock::now();
  if (TRY(events_.drain())) request(cause::kNetwork, now);
  if (neighbour_events_ && TRY(neighbour_events_->drain())) request(cause::kNeighbours, now);
  if (site_.store.drain_events()) {
    request(cause::kLeases, now);
    if (!leases_changed_) leases_changed_ = now;
  }
  const unsigned causes = TRY(watches_->drain());
  if ((causes & cause::kRules) != 0) rules_due_ = std::min(rules_due_, now + kRulesPause);
  if ((causes & ~cause::kRules) != 0) request(causes & ~cause::kRules, now);
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    if (info.ssi_signo == SIGHUP) continue;
    spdlog::info("{} received: merinod ends, the network stays as it is", info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
    stop_ = true;
  }
  return ok();
}

Status Agent::wait() {
  const auto left = std::chrono::ceil<milliseconds>(next_deadline() - Clock::now());
  epoll_event events[4];
  const int count = ::epoll_wait(epoll_.get(), events, 4, static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60000)));
  if (count < 0 && errno != EINTR) return fail_errno(errno, "wait for events");
  return count > 0 ? take_events() : ok();
}

void Agent::take_time(Clock::time_point now) {
  boards_.health.beat(now);
  if (service_.watchdog_interval() && now >= alive_due_) {
    service_.alive();
    alive_due_ = now + *service_.watchdog_interval();
  }
  if (now >= rules_due_) {
    request(cause::kRules, now);
    rules_due_ = now + node_.options.rules_resync;
  }
  if (now >= full_due_) {
    request(cause::kFull, now);
    full_due_ = now + node_.options.full_check;
  }
}

void Agent::pass(Clock::time_point now) {
  const unsigned causes = std::exchange(pending_, 0);
  const auto cpu_before = thread_cpu_time();
  if ((causes & cause::kFull) != 0) site_.peer_table.forget();
  reconciler_.run(causes, now);
  watches_->renew();
  last_pass_end_ = Clock::now();
  pass_times_.add(last_pass_end_ - now);
  if (leases_changed_) lease_change_times_.add(last_pass_end_ - *std::exchange(leases_changed_, std::nullopt));
  const auto took = std::chrono::duration_cast<milliseconds>(thread_cpu_time() - cpu_before);
  const auto before = std::exchange(last_pass_took_, took);
  pause_ = std::clamp(std::min(took, before) * kPauseFactor, kShortestPause, kLongestPause);
  publish();
  // What a start, or a change of many leases, needed for a moment is not kept: a node has better uses for it.
  if ((causes & cause::kFull) != 0) give_back_heap();
  if (was_ready_ && !std::exchange(started_, true)) give_back_code();
}

// The file first: who is told "ready" by the others may read it.
void Agent::publish() {
  const AgentStatus status = make_status(node_, reconciler_.states(), site_.ignored_leases, site_.host_notices);
  const std::string missing = fmt::format("{}", fmt::join(status.missing, "; "));
  const std::string text = format_agent_status(status);
  const auto current = read_file(kAgentStatusPath);
  if (!current || *current != text) {
    if (const auto written = write_file_atomic(kAgentStatusPath, text); !written)
      spdlog::error("status file: {}", written.error().message());
  }
  if (const auto reported = lease_reporter_.report(node_, site_.ignored_leases, last_pass_end_); !reported)
    spdlog::error("lease report: {}", reported.error().message());
  if (status.ready != std::exchange(was_ready_, status.ready)) {
    if (status.ready) spdlog::info("ready: pods of {} reach the network", to_string(status.subnet));
    // What is wrong with each stands above.
    if (!status.ready) spdlog::warn("not ready any more, because of: {}", names_of(status.missing));
  }
  service_.status(status.ready ? fmt::format("ready, subnet {}", to_string(status.subnet)) : "not ready: " + missing);
  if (status.ready) service_.ready();
  const std::vector<OperatorNotice> notices =
      current_notices(node_, {site_.host_notices, site_.ignored_leases, reconciler_.states(), std::chrono::system_clock::now()});
  notice_teller_.tell(site_.store, notices, last_pass_end_);
  boards_.health.publish(status.missing);
  boards_.metrics.publish(metrics_of(status, notices));
}

AgentMetrics Agent::metrics_of(const AgentStatus& status, const std::vector<OperatorNotice>& notices) const {
  AgentMetrics metrics;
  metrics.node_labels = {{"backend", status.backend}, {"uplink", status.uplink}};
  for (const Family family : kFamilies) {
    const std::string suffix = family == Family::v4 ? "" : "_ipv6";
    if (status.public_ip[family]) metrics.node_labels.emplace_back("public_ip" + suffix, status.public_ip[family]->to_string());
    if (!status.subnet[family]) continue;
    metrics.node_labels.emplace_back("subnet" + suffix, status.subnet[family]->to_string());
    metrics.subnets.push_back(*status.subnet[family]);
  }
  metrics.ready = status.ready;
  metrics.fast_path = status.fast_path;
  metrics.lease_expires = status.lease_expires;
  metrics.leases = node_.leases.leases.size();
  metrics.rejected_leases = site_.ignored_leases.size();
  metrics.off_segment = site_.peer_selector.off_segment();
  for (const char* reason : kNoticeReasons) metrics.notices.emplace_back(reason, 0);
  for (const OperatorNotice& notice : notices) {
    for (auto& [reason, count] : metrics.notices) count += reason == notice.reason ? 1 : 0;
  }
  metrics.store = site_.store.state();
  metrics.steps = reconciler_.states();
  metrics.passes = pass_times_;
  metrics.lease_changes = lease_change_times_;
  return metrics;
}

Status Agent::run() {
  while (!stop_) {
    const auto now = Clock::now();
    take_time(now);
    const auto retry = reconciler_.next_retry();
    const bool retry_due = retry && now >= *retry && now >= last_pass_end_ + kShortestPause;
    if (retry_due || (pending_ != 0 && now >= pass_due_)) pass(now);
    TRY(wait());
  }
  service_.stopping();
  return ok();
}

Result<std::unique_ptr<HttpServer>> start_health(const AgentOptions& options, const HealthBoard& board) {
  if (options.healthz_port == 0) return std::unique_ptr<HttpServer>();
  auto server = TRY(start_health_server(options.healthz_ip, options.healthz_port, board));
  spdlog::info("/healthz and /readyz on {}:{}", options.healthz_ip, options.healthz_port);
  return server;
}

Result<std::unique_ptr<HttpServer>> start_metrics(const AgentOptions& options, const MetricsBoard& board) {
  if (options.metrics_port == 0) return std::unique_ptr<HttpServer>();
  auto server = TRY(start_metrics_server(options.metrics_ip, options.metrics_port, board));
  spdlog::info("/metrics on {}:{}", options.metrics_ip, options.metrics_port);
  return server;
}

// True if a signal asks to end before `patience` is over.
bool stop_requested(const Fd& signals, milliseconds patience) {
  pollfd readable{.fd = signals.get(), .events = POLLIN, .revents = 0};
  if (::poll(&readable, 1, static_cast<int>(patience.count())) <= 0) return false;
  signalfd_siginfo info{};
  return ::read(signals.get(), &info, sizeof(info)) == sizeof(info) && info.ssi_signo != SIGHUP;
}

// start_node() until the store answers, as long as it takes: a node that boots may be up before its etcd or API server. nullopt: a signal.
Result<std::optional<Node>> wait_for_node(const AgentOptions& options, Netlink& netlink, LeaseStore& store, const Fd& signals,
                                          HealthBoard& board) {
  std::string said;
  while (true) {
    auto node = start_node(options, netlink, store);
    if (node) return std::move(*node);
    if (node.error().kind != ErrorKind::unavailable) return tl::unexpected(std::move(node).error());
    const std::string problem = node.error().message();
    if (problem != std::exchange(said, problem)) spdlog::warn("waiting: {}", problem);
    board.beat(Clock::now());
    board.publish({"start: " + problem});
    if (stop_requested(signals, kStartRetry)) return std::nullopt;
  }
}

}  // namespace

Status run_agent(const AgentOptions& options) {
  if (::geteuid() != 0) {
    return with_remedy(fail(ErrorKind::invalid, "merinod runs as user {}, and it must be root", ::geteuid()),
                       "start it with sudo, or as a privileged container: it loads BPF programs and configures the network");
  }
  TRY(drop_privileges());
  spdlog::info("merinod {} starts", kVersion);
  limit_heap();
  const Fd instance = TRY(take_instance_lock(kAgentLockPath));
  const Fd signals = TRY(block_signals());
  Netlink netlink = TRY(Netlink::open());
  NetlinkEvents events = TRY(NetlinkEvents::open());
  Boards boards;
  const auto health = TRY(start_health(options, boards.health));
  const auto metrics = TRY(start_metrics(options, boards.metrics));
  const auto store = TRY(open_store(options));
  auto node = TRY(wait_for_node(options, netlink, *store, signals, boards.health));
  if (!node) return ok();
  Agent agent(*std::move(node), *store, netlink, events, signals, boards);
  TRY(agent.open());
  return agent.run();
}

}  // namespace merino
