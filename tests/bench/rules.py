"""What flanneld and kube-proxy put into iptables, for iptables-restore --noflush."""

NETWORK = '10.244.0.0/16'

FLANNEL = '''*nat
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s {subnet} -d {network} -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s {network} -d {subnet} -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG ! -s {network} -d {subnet} -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s {network} ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s {network} -d {network} -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
COMMIT
*filter
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s {network} -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d {network} -m comment --comment "flanneld forward" -j ACCEPT
COMMIT
'''

# kube-proxy's iptables mode (Kubernetes 1.27 to 1.31): what is there for any services.
KUBE_PROXY = '''*filter
:KUBE-SERVICES - [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
-I INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-I INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-I FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
-I PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
COMMIT
'''


def service(name, cluster_ip, port, backend, local_network):
    """A ClusterIP service with one endpoint. `local_network`: whose clients are not masqueraded (--cluster-cidr)."""
    target = f'{backend}:{port}'
    return f''':KUBE-SVC-{name} - [0:0]
:KUBE-SEP-{name} - [0:0]
-A KUBE-SERVICES -d {cluster_ip}/32 -p tcp -m comment --comment "default/{name} cluster IP" -m tcp --dport {port} -j KUBE-SVC-{name}
-A KUBE-SVC-{name} ! -s {local_network} -d {cluster_ip}/32 -p tcp -m comment --comment "default/{name} cluster IP" -m tcp --dport {port} -j KUBE-MARK-MASQ
-A KUBE-SVC-{name} -m comment --comment "default/{name} -> {target}" -j KUBE-SEP-{name}
-A KUBE-SEP-{name} -s {backend}/32 -m comment --comment "default/{name}" -j KUBE-MARK-MASQ
-A KUBE-SEP-{name} -p tcp -m comment --comment "default/{name}" -m tcp -j DNAT --to-destination {target}
'''


def other_services(first, count):
    """Services numbered from `first`, whose backends are elsewhere in the pod network."""
    return ''.join(service(f'OTHER{i}', f'10.{96 + (i >> 16)}.{i >> 8 & 255}.{i & 255}', 80, f'10.244.{200 + i % 50}.{2 + i % 250}', NETWORK)
                   for i in range(first, first + count))


def in_nat(rules):
    return f'*nat\n{rules}COMMIT\n'
