#include "agent/nft.h"

#include "base/process.h"

namespace merino {

namespace {

// A node with thousands of services has long lists.
constexpr size_t kMaxListing = 64U << 20U;

// nft prints the command below its complaint; the first line says it all.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

// The program and not its library: that ends the process that it works in when it gets no memory or no socket, or an answer that it cannot
// read (libnftables' mnl.c and utils.c).
Result<std::string> run_nft(NftFormat format, const std::string& commands, const std::string& purpose) {
  ProcessRequest request;
  request.argv = {"nft", "--stateless", "--file", "-"};
  if (format == NftFormat::json) request.argv.emplace_back("--json");
  request.input = commands;
  request.max_output_bytes = kMaxListing;
  auto output = run_process(request);
  if (!output) {
    const bool missing = output.error().kind == ErrorKind::not_found;
    auto failure = in_context(std::move(output).error(), purpose);
    return missing ? with_remedy(std::move(failure), "install nftables") : failure;
  }
  if (output->succeeded()) return std::move(output->out);
  const std::string complaint = first_line(output->err);
  return with_remedy(fail(ErrorKind::system, "{}: nft: {}", purpose, complaint.empty() ? output->outcome() : complaint),
                     "the kernel needs nf_tables (modprobe nf_tables)");
}

const char* nft_protocol(Family family) { return family == Family::v4 ? "ip" : "ip6"; }

}  // namespace merino
