// The CNI result: what ADD gives back, what an IPAM plugin gives to it, and what comes in again as prevResult.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "cni/protocol.h"

namespace merino::cni {

struct ResultInterface {
  std::string name;
  std::string mac;
  int mtu = 0;
  std::string sandbox;  // empty for interfaces of the host

  bool operator==(const ResultInterface&) const = default;
};

struct ResultAddress {
  Prefix address;
  std::optional<IpAddress> gateway;
  std::optional<size_t> interface;  // index into interfaces

  bool operator==(const ResultAddress&) const = default;
};

struct ResultRoute {
  Prefix destination;
  std::optional<IpAddress> gateway;
  int mtu = 0;

  bool operator==(const ResultRoute&) const = default;
};

struct Dns {
  std::vector<std::string> nameservers;
  std::string domain;
  std::vector<std::string> search;
  std::vector<std::string> options;

  [[nodiscard]] bool empty() const { return *this == Dns{}; }
  bool operator==(const Dns&) const = default;
};

struct AddResult {
  std::vector<ResultInterface> interfaces;
  std::vector<ResultAddress> addresses;
  std::vector<ResultRoute> routes;
  Dns dns;

  bool operator==(const AddResult&) const = default;
};

// Addresses carry their family before 1.0.0; MTUs are there from 1.1.0 on.
std::string format_result(const AddResult& result, SpecVersion version);

// A result of 0.3.0 or later. Errors name the key.
Result<AddResult> parse_result(const nlohmann::json& json);

// The parts of it that occur elsewhere too: {"dns": ...} and {"routes": ...}. A route with a table, scope, priority or advmss is
// invalid: it would not be honoured.
Result<Dns> parse_dns(const nlohmann::json& object);
Result<std::vector<ResultRoute>> parse_routes(const nlohmann::json& object);

}  // namespace merino::cni
