// Entries in the connection tracking table of a namespace, made with conntrack(8).
#pragma once

#include <cstdint>
#include <string>

#include "bpf/network.h"

namespace merino::test {

struct Tuple {
  std::string src;
  uint16_t sport;
  std::string dst;
  uint16_t dport;
};

// How the answer to a flow that nothing translates looks.
Tuple mirror(const Tuple& tuple);

// A connection whose first packet looks like `original`, and whose answers arrive as `reply`. protocol: "tcp" or "udp".
void add_connection(const Netns& netns, const std::string& protocol, const Tuple& original, const Tuple& reply);

}  // namespace merino::test
