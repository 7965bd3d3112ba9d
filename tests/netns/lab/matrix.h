// Every protocol in every size between two places.
#pragma once

#include <string>

#include "lab/place.h"

namespace merino::lab {

struct MatrixOptions {
  int mtu = 1450;              // of the path: the largest packet that passes whole
  uint64_t bulk = 20'000'000;  // bytes of TCP each way
};

// Sends what is too large until `from` has heard from the network what fits, and says that; `mtu` if nothing was said.
int learn_path_mtu(const Place& from, const std::string& address, int mtu);

// No router cuts IPv6: who sends packets larger than the way loses the first, and hears what fits. A server hears it by its answers: asks
// it for large ones. `target` is an endpoint; nothing is done for IPv4.
void let_the_other_side_learn(const Place& from, const std::string& target, int size);

// ICMP, UDP and TCP, payloads of one byte, of exactly the MTU, of several fragments, and bulk that is sent in 64 KiB packets where the
// devices can. Adds a test failure for each that does not come through whole. The server is started in `to`, reached at `address`.
void expect_matrix(const Place& from, const Place& to, const std::string& address, const MatrixOptions& options = {});

// One of each protocol and size: where the way is known, and it is asked whether all of it works from here too.
void expect_small_matrix(const Place& from, const Place& to, const std::string& address, int mtu);

}  // namespace merino::lab
