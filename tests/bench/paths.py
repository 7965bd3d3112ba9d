"""The three ways from a client to a server that are compared: the same underlay and MTU, nodes of the same kind."""
import json

import lab
import rules

UNDERLAY_MTU = 1500
# Room for more pods on a node than a /24 has.
SUBNET_LEN = 22
SERVICE_IP = '10.96.0.1'
# Where the servers of each CPU listen: netload on four ports, iperf3 on one.
LOAD_PORT = {0: 7000, 1: 7010}
IPERF_PORT = {0: 5201, 1: 5202}


def subnet_start(index):
    return f'10.244.{4 * (index + 1)}.0'


class Path:
    """Two nodes; a client and a server on the other node and on the client's own. Subclasses say what they are and make them."""
    name = ''
    what = ''

    def __init__(self, number, build):
        self.build = build
        self.number = number
        self.nodes = [lab.Node(f'{self.name}{number}{i}') for i in (1, 2)]
        lab.connect(*self.nodes, f'192.168.{10 + number}')
        for node in self.nodes:
            node.sysctl('net.ipv4.ip_forward=1', 'net.bridge.bridge-nf-call-iptables=1')
            node.run('iptables-restore', '--noflush', text=rules.KUBE_PROXY)
        self.services = 0
        self.set_up()
        for place in (self.client, self.remote, self.local):
            place.sysctl('net.ipv4.ip_local_port_range=1024 65535', 'net.ipv4.ip_local_reserved_ports=5201,5202,7000-7020',
                         # No TIME_WAIT: a connection by the service address would meet that of a direct one with the same ports.
                         'net.ipv4.tcp_max_tw_buckets=0')
        self._start_servers()
        self._add_services()

    def set_up(self):
        raise NotImplementedError

    def end(self):
        for place in dict.fromkeys((self.client, self.remote, self.local, *self.nodes)):
            place.end()

    def _start_servers(self):
        for place in dict.fromkeys((self.remote, self.local)):
            for cpu, port in LOAD_PORT.items():
                place.start(self.build / 'tests/bench/netload', 'serve', place.address, port, cpu=cpu, ready='ready')
                place.start('iperf3', '--server', '--port', IPERF_PORT[cpu], cpu=cpu)

    # The measured services, one for each port; the others come before and behind them.
    def _add_services(self):
        text = ''.join(rules.service(f'BENCH{port}', SERVICE_IP, port, self.remote.address, self.client_network)
                       for base in LOAD_PORT.values() for port in (base, base + 1))
        self.nodes[0].run('iptables-restore', '--noflush', text=rules.in_nat(text))

    def grow_services(self, count):
        """Until `count` services stand in each node's rules, the measured ones in the middle."""
        half = (count - self.services) // 2
        before, behind = rules.other_services(self.services, half), rules.other_services(self.services + half, half)
        # As kube-proxy: the chains and their rules at once. -A of KUBE-SERVICES becomes -I for those before.
        before = before.replace('-A KUBE-SERVICES', '-I KUBE-SERVICES')
        for node in self.nodes:
            node.run('iptables-restore', '--noflush', text=rules.in_nat(before + behind))
        self.services = count

    def forget_flows(self):
        """Empties conntrack's tables. A sample must not find the connections of the one before: translation then looks for free ports."""
        for node in self.nodes:
            node.run('conntrack', '--flush')

    def set_offloads(self, *features):
        for node in self.nodes:
            node.run('ethtool', '-K', 'eth0', *features)


class HostPath(Path):
    name = 'host'
    what = 'host process to host process, no overlay'
    client_network = '192.168.0.0/16'

    def set_up(self):
        self.client, self.remote = self.nodes
        self.local = self.client


class FlannelPath(Path):
    name = 'flannel'
    what = 'pod to pod as flannel 0.20 sets the kernel up: VXLAN device, FDB, ARP, routes, bridge cni0, iptables rules'
    client_network = rules.NETWORK
    macs = ('02:00:00:00:f1:01', '02:00:00:00:f1:02')

    def set_up(self):
        pods = []
        for index, node in enumerate(self.nodes):
            self._set_up_node(node, index)
            pods.append(node.add_pod('pod', self._conflist(index), '/usr/lib/cni:/opt/cni/bin'))
        self.client, self.remote = pods
        self.local = self.nodes[0].add_pod('pod2', self._conflist(0), '/usr/lib/cni:/opt/cni/bin')

    def _set_up_node(self, node, index):
        own, other = subnet_start(index), subnet_start(1 - index)
        node.ip(f'link add flannel.1 address {self.macs[index]} mtu {UNDERLAY_MTU - 50} type vxlan id 1 local {node.address} dev eth0 srcport 0 0 '
                'dstport 8472 nolearning ttl auto ageing 300 udpcsum noudp6zerocsumtx noudp6zerocsumrx',
                f'addr add {own}/32 dev flannel.1', 'link set flannel.1 up',
                f'neigh replace {other} lladdr {self.macs[1 - index]} dev flannel.1 nud permanent',
                f'route replace {other}/{SUBNET_LEN} via {other} dev flannel.1 onlink')
        node.run('bridge', 'fdb', 'replace', self.macs[1 - index], 'dev', 'flannel.1', 'dst', self.nodes[1 - index].address, 'self', 'permanent')
        node.run('iptables-restore', '--noflush', text=rules.FLANNEL.format(subnet=f'{own}/{SUBNET_LEN}', network=rules.NETWORK))

    @staticmethod
    def bridge_conf(index):
        """What flannel's plugin gives to the bridge plugin."""
        return {'type': 'bridge', 'bridge': 'cni0', 'mtu': UNDERLAY_MTU - 50, 'hairpinMode': True, 'ipMasq': False, 'isGateway': True,
                'isDefaultGateway': True, 'ipam': {'type': 'host-local', 'ranges': [[{'subnet': f'{subnet_start(index)}/{SUBNET_LEN}'}]],
                                                   'routes': [{'dst': rules.NETWORK}]}}

    def _conflist(self, index):
        return {'cniVersion': '0.3.1', 'name': 'cbr0', 'plugins': [self.bridge_conf(index)]}


class MerinoPath(Path):
    name = 'merino'
    what = 'pod to pod by merino: merinod and its CNI plugin as they are installed'
    client_network = rules.NETWORK

    def set_up(self):
        leases = lab.LAB / f'leases{self.number}'
        leases.mkdir(exist_ok=True)
        conf = lab.LAB / 'net-conf.json'
        conf.write_text(json.dumps({'Network': rules.NETWORK, 'SubnetLen': SUBNET_LEN, 'Backend': {'Type': 'vxlan'}}))
        for node in self.nodes:
            node.start(self.build / 'userspace/agent/merinod', f'--lease-dir={leases}', f'--net-config-path={conf}', '--iface=eth0', '--ip-masq')
        for node in self.nodes:
            lab.wait_until(f'{node.name} knows its peer', lambda node=node: self._peers(node) == 1)
        conflist = {'cniVersion': '1.0.0', 'name': 'cbr0', 'plugins': [{'type': 'merino'}]}
        pods = [node.add_pod('pod', conflist, self.build / 'cni') for node in self.nodes]
        self.client, self.remote = pods
        self.local = self.nodes[0].add_pod('pod2', conflist, self.build / 'cni')

    def _peers(self, node):
        try:
            node.run('test', '-e', '/run/flannel/subnet.env')
            return len(json.loads(node.run(self.build / 'userspace/ctl/merinoctl', 'peers', '-o', 'json')))
        except lab.Failed:  # not yet
            return 0

    def reasons(self):
        """What the programs of both nodes counted, by reason."""
        sums = {}
        for node in self.nodes:
            for entry in json.loads(node.run(self.build / 'userspace/ctl/merinoctl', 'counters', '-o', 'json')):
                sums[entry['reason']] = sums.get(entry['reason'], 0) + entry['packets']
        return sums


PATHS = (HostPath, FlannelPath, MerinoPath)
