#include "agent/nft.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "base/fd.h"

extern "C" {
#include <nftables/libnftables.h>
}

namespace merino {

namespace {

constexpr unsigned kPatienceSeconds = 30;
constexpr int kRefused = 2;  // exit code: the text is nft's complaint

struct ContextCloser {
  void operator()(nft_ctx* context) const { nft_ctx_free(context); }
};

// What a child leaves for its parent; it is not read before the child has ended.
class Note {
 public:
  static Result<Note> make(const std::string& purpose) {
    Fd fd(::memfd_create("nftables", MFD_CLOEXEC));
    if (!fd) return fail_errno(errno, "{}: make a memory file for the answer", purpose);
    return Note(std::move(fd));
  }

  // Standard error goes there, too.
  void take_errors() const { (void)::dup2(fd_.get(), STDERR_FILENO); }

  // In place of all that was written. False: there is no memory for it.
  [[nodiscard]] bool write(const char* text) const {
    const std::string_view all = text == nullptr ? "" : text;
    return ::ftruncate(fd_.get(), 0) == 0 && ::pwrite(fd_.get(), all.data(), all.size(), 0) == static_cast<ssize_t>(all.size());
  }

  [[nodiscard]] Result<std::string> read(const std::string& purpose) const {
    const off_t size = ::lseek(fd_.get(), 0, SEEK_END);
    if (size < 0) return fail_errno(errno, "{}: measure nftables' answer", purpose);
    std::string text(static_cast<size_t>(size), '\0');
    if (::pread(fd_.get(), text.data(), text.size(), 0) != size) return fail_errno(errno, "{}: read nftables' answer", purpose);
    return text;
  }

 private:
  explicit Note(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// A fresh context for each run: a context caches the ruleset, and somebody else may have changed it.
[[noreturn]] void work(const Note& note, NftFormat format, const std::string& commands) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::alarm(kPatienceSeconds);  // ends it
  note.take_errors();
  const std::unique_ptr<nft_ctx, ContextCloser> context(nft_ctx_new(NFT_CTX_DEFAULT));
  if (!context || nft_ctx_buffer_output(context.get()) != 0 || nft_ctx_buffer_error(context.get()) != 0) ::_exit(EXIT_FAILURE);
  const unsigned flags = NFT_CTX_OUTPUT_STATELESS | (format == NftFormat::json ? NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_HANDLE : 0U);
  nft_ctx_output_set_flags(context.get(), flags);
  const bool done = nft_run_cmd_from_buffer(context.get(), commands.c_str()) == 0;
  const char* text = done ? nft_ctx_get_output_buffer(context.get()) : nft_ctx_get_error_buffer(context.get());
  const bool written = note.write(text);
  ::_exit(!written ? EXIT_FAILURE : done ? EXIT_SUCCESS : kRefused);
}

// Waits for the child's end and says how it ended, as waitpid() does.
Result<int> end_of(pid_t child, const std::string& purpose) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return fail_errno(errno, "{}: wait for nftables", purpose);
  }
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
    return fail(ErrorKind::unavailable, "{}: nftables did not answer within {} s", purpose, kPatienceSeconds);
  }
  return status;
}

// nft prints the command below its complaint; the first line says it all.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

// In a child: libnftables ends the process that it works in when it gets no memory or no socket, or an answer that it cannot read (its
// mnl.c and utils.c). The child has one thread, and of the C library it uses what is safe after fork().
Result<std::string> run_nft(NftFormat format, const std::string& commands, const std::string& purpose) {
  const Note note = TRY(Note::make(purpose));
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, "{}: start a process for nftables", purpose);
  if (child == 0) work(note, format, commands);
  const int status = TRY(end_of(child, purpose));
  std::string text = TRY(note.read(purpose));
  if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS) return text;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kRefused) {
    return with_remedy(fail(ErrorKind::system, "{}: {}", purpose, first_line(text)), "the kernel needs nf_tables (modprobe nf_tables)");
  }
  return fail(ErrorKind::system, "{}: nftables broke off: {}", purpose,
              text.empty() ? fmt::format("wait status {:#x}", status) : first_line(text));
}

const char* nft_protocol(Family family) { return family == Family::v4 ? "ip" : "ip6"; }

}  // namespace merino
