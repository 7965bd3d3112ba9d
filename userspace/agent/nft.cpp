#include "agent/nft.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "base/fd.h"

extern "C" {
#include <nftables/libnftables.h>
}

namespace merino {

namespace {

struct ContextCloser {
  void operator()(nft_ctx* context) const { nft_ctx_free(context); }
};

// nft prints the command below its complaint; the first line says it all.
std::string first_line(const char* text) {
  const std::string whole = text == nullptr ? "" : text;
  return whole.substr(0, whole.find('\n'));
}

// libnftables ends the process if it gets no socket.
Status check_socket(const std::string& purpose) {
  const Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  return socket ? ok() : Status(fail_errno(errno, "{}: open nftables", purpose));
}

}  // namespace

// A fresh context for each run: a context caches the ruleset, and somebody else may have changed it.
Result<std::string> run_nft(NftFormat format, const std::string& commands, const std::string& purpose) {
  TRY(check_socket(purpose));
  const std::unique_ptr<nft_ctx, ContextCloser> context(nft_ctx_new(NFT_CTX_DEFAULT));
  if (!context || nft_ctx_buffer_output(context.get()) != 0 || nft_ctx_buffer_error(context.get()) != 0) {
    return fail_errno(ENOMEM, "{}: open nftables", purpose);
  }
  const unsigned flags = NFT_CTX_OUTPUT_STATELESS | (format == NftFormat::json ? NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_HANDLE : 0U);
  nft_ctx_output_set_flags(context.get(), flags);
  if (nft_run_cmd_from_buffer(context.get(), commands.c_str()) != 0) {
    return with_remedy(fail(ErrorKind::system, "{}: {}", purpose, first_line(nft_ctx_get_error_buffer(context.get()))),
                       "the kernel needs nf_tables (modprobe nf_tables)");
  }
  const char* output = nft_ctx_get_output_buffer(context.get());
  return std::string(output == nullptr ? "" : output);
}

const char* nft_protocol(Family family) { return family == Family::v4 ? "ip" : "ip6"; }

}  // namespace merino
