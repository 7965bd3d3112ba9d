#include "bpf/conntrack.h"

#include <fmt/format.h>

namespace merino::test {

Tuple mirror(const Tuple& tuple) { return {tuple.dst, tuple.dport, tuple.src, tuple.sport}; }

void add_connection(const Netns& netns, const std::string& protocol, const Tuple& original, const Tuple& reply) {
  const std::string state = protocol == "tcp" ? "--state ESTABLISHED" : "";
  netns.run(fmt::format(
      "conntrack -I -p {} -t 120 {} -s {} --sport {} -d {} --dport {} --reply-src {} --reply-port-src {} --reply-dst {} "
      "--reply-port-dst {}",
      protocol, state, original.src, original.sport, original.dst, original.dport, reply.src, reply.sport, reply.dst, reply.dport));
}

}  // namespace merino::test
