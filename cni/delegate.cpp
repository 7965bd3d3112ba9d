#include "cni/delegate.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cni/commands.h"
#include "cni/json_fields.h"
#include "cni/plugin_exec.h"
#include "netlink/netlink.h"

namespace merino::cni {
namespace {

constexpr const char* kRole = "delegate plugin";

PluginCall call_of(const char* command, const Environment& environment, const DelegateConf& delegate) {
  return {kRole, delegate.type, command, environment.attachment(), environment.netns, delegate.text};
}

Outcome<DelegateConf> rendered(const NetworkConf& conf, Code code_without_env) {
  const auto env = load_subnet_env(conf.subnet_file);
  if (!env) {
    Failure failure(env.error());
    failure.code = code_without_env;
    return tl::unexpected(std::move(failure));
  }
  return render_delegate(conf.text, *env);
}

// The bridge plugin would masquerade each pod itself; here the agent does it for all of them, or nobody.
void warn_of_masquerade(const DelegateConf& delegate) {
  const auto json = parse_object(delegate.text, "the delegate's configuration");
  const Json* masquerade = json ? find_field(*json, "ipMasq") : nullptr;
  if (masquerade == nullptr || *masquerade != true) return;
  std::fprintf(stderr, "merino: \"ipMasq\" is the agent's: start merinod with --ip-masq, or pods do not reach the outside\n");
}

Outcome<NetworkConf> bridge_conf(const Environment& environment, const NetworkConf& conf, const DelegateConf& delegate, Command command) {
  NetworkConf own = TRY(parse_bridge_conf(delegate.text, environment, command));
  own.subnet_file = conf.subnet_file;
  own.data_dir = conf.data_dir;
  own.has_prev_result = conf.has_prev_result;
  if (conf.delivery != Delivery::peer) own.delivery = conf.delivery;
  if (own.dns.empty()) own.dns = conf.dns;
  return own;
}

Outcome<std::string> add_bridged(const Environment& environment, const NetworkConf& conf, const DelegateConf& delegate) {
  const NetworkConf own = TRY(bridge_conf(environment, conf, delegate, Command::add));
  warn_of_masquerade(delegate);
  const AddResult result = TRY(add(environment, own));
  // Last: an ADD that fails leaves alone what is there of another interface of the pod.
  if (const auto kept = write_delegate_file(conf.data_dir, environment.container_id, delegate.text); !kept) {
    (void)del(environment, own);
    return tl::unexpected(Failure(kept.error()));
  }
  return format_result(result, conf.version);
}

// nullopt: no network namespace is there any more.
Result<std::optional<Fd>> pod_namespace(const std::string& path) {
  if (path.empty()) return std::nullopt;
  auto fd = open_network_namespace(path);
  if (fd) return std::optional<Fd>(std::move(*fd));
  if (fd.error().kind == ErrorKind::not_found) return std::nullopt;
  return tl::unexpected(std::move(fd.error()));
}

}  // namespace

Outcome<std::string> add_delegated(const Environment& environment, const NetworkConf& conf) {
  // Written by the agent when it has its lease; even a broken one is replaced then.
  const DelegateConf delegate = TRY(rendered(conf, Code::try_again_later));
  if (delegate.type == "bridge") return add_bridged(environment, conf, delegate);
  TRY(find_plugin(kRole, delegate.type, environment.path));
  TRY(write_delegate_file(conf.data_dir, environment.container_id, delegate.text));
  return call_plugin(call_of("ADD", environment, delegate), environment.path);
}

Outcome<std::string> add_own(const Environment& environment, const NetworkConf& conf) {
  std::string result = format_result(TRY(add(environment, conf)), conf.version);
  if (const auto delegate = rendered(conf, Code::try_again_later)) {
    (void)write_delegate_file(conf.data_dir, environment.container_id, delegate->text);
  }
  return result;
}

Outcome<void> status_delegated(const Environment& environment, const NetworkConf& conf) {
  const DelegateConf delegate = TRY(rendered(conf, Code::not_available));
  if (delegate.type == "bridge") return status(environment, TRY(bridge_conf(environment, conf, delegate, Command::status)));
  if (const auto found = find_plugin(kRole, delegate.type, environment.path); !found) {
    return fail_with(Code::not_available, found.error().msg, found.error().details);
  }
  TRY(call_plugin(call_of("STATUS", environment, delegate), environment.path));
  return {};
}

Result<std::optional<DelegateConf>> kept_delegate(const NetworkConf& conf, const std::string& container_id) {
  const auto text = TRY(read_delegate_file(conf.data_dir, container_id));
  if (!text) return std::nullopt;
  const auto json = parse_object(*text, "the delegate's configuration");
  if (!json || string_field(*json, "name").value_or("") != conf.name) return std::nullopt;
  auto delegate = parse_delegate(*text);
  if (!delegate) return std::nullopt;
  return *std::move(delegate);
}

Status forget_delegate(const NetworkConf& conf, const std::string& container_id) {
  const auto text = TRY(read_delegate_file(conf.data_dir, container_id));
  if (!text) return ok();
  const auto json = parse_object(*text, "the delegate's configuration");
  const std::string name = json ? string_field(*json, "name").value_or("") : "";
  if (!name.empty() && name != conf.name) return ok();
  return remove_delegate_file(conf.data_dir, container_id);
}

NetworkConf with_ipam_of(const DelegateConf& delegate, NetworkConf conf, const Environment& environment) {
  auto kept = parse_network_conf(delegate.text, environment, Command::del);
  if (!kept) return conf;
  conf.ipam_type = std::move(kept->ipam_type);
  conf.host_local = std::move(kept->host_local);
  conf.text = std::move(kept->text);
  return conf;
}

Outcome<void> delete_foreign(const Environment& environment, const DelegateConf& delegate) {
  if (find_plugin(kRole, delegate.type, environment.path)) {
    const auto done = call_plugin(call_of("DEL", environment, delegate), environment.path);
    if (done) return {};
    if (delegate.type != "bridge") return tl::unexpected(done.error());
  }
  const std::optional<Fd> netns = TRY(pod_namespace(environment.netns));
  if (!netns) return {};
  Netlink netlink = TRY(in_network_namespace(netns->get(), Netlink::open));
  if (const auto link = TRY(netlink.link_by_name(environment.ifname))) TRY(netlink.delete_link(link->index));
  return {};
}

Outcome<void> check_foreign(const Environment& environment, const DelegateConf& delegate, const NetworkConf& conf) {
  if (const auto found = find_plugin(kRole, delegate.type, environment.path); !found) {
    return fail_with(Code::not_available, found.error().msg, found.error().details);
  }
  Json json = TRY(parse_object(delegate.text, "the delegate's configuration"));
  const Json given = TRY(parse_object(conf.text, "the network configuration"));
  if (const Json* prev_result = find_field(given, "prevResult")) json["prevResult"] = *prev_result;
  PluginCall call = call_of("CHECK", environment, delegate);
  call.conf = json.dump();
  TRY(call_plugin(call, environment.path));
  return {};
}

}  // namespace merino::cni
