"""Without Kubernetes: docs/etcd.md and the README's section on it, line by line, on a host with etcd and two with merinod."""
import json
import shlex

from cases_nodes import peers
from documents import ROOT, block, blocks, command
from harness import case, expect, wait_until
from machine import Node

DOCUMENT, BY_HAND, RESERVING = 'docs/etcd.md', 'A network by hand', 'Reserving a subnet'
# What the machines of the suite have not: a registry of packages, and systemd, which would run etcd with what /etc/default/etcd says.
MACHINE = '''set -e
apt-get() { dpkg --status "${@:2}" >/dev/null; }
systemctl() {
  [[ $* == 'restart etcd' ]]
  (set -a; ETCD_NAME=$HOSTNAME ETCD_DATA_DIR=/var/lib/etcd/default; . /etc/default/etcd; exec setsid etcd) >/var/log/etcd.log 2>&1 </dev/null &
}
'''


class ByHand:
    def __init__(self, cluster):
        self.host, self.first, self.second = self.nodes = [Node(cluster.lab, number) for number in (4, 5, 6)]
        self.export = self.here(block(DOCUMENT, BY_HAND, 'export ')).splitlines()[0]

    def here(self, text):
        """A document's commands, with the addresses of these machines."""
        return text.replace('192.168.88.12', self.second.address).replace('192.168.88.1:', f'{self.host.address}:')

    def shell(self, node, text):
        return node.run(['bash', '-c', f'{MACHINE}cd {ROOT}\n{text}']).stdout

    def etcd(self, text):
        return self.shell(self.host, f'{self.export}\n{self.here(text)}')

    def start_agent(self, node):
        node.start('merinod', shlex.split(self.here(command(DOCUMENT, BY_HAND, 'merinod '))))

    def subnet(self, node):
        return json.loads(node.run(['merinoctl', 'status', '-o', 'json'], check=False).stdout)['agent']['network']['subnet']

    def make_pod(self, node):
        """Its address."""
        for word in ('conflist', 'cni-run'):
            self.shell(node, block('README.md', 'By hand, with a shared directory', word))
        return json.loads(node.run(['merinoctl', 'pods', '-o', 'json']).stdout)[0]['address']


def follow(hand, cluster):
    hand.etcd(block(DOCUMENT, BY_HAND, 'systemctl restart etcd'))
    wait_until('etcd answers', lambda: hand.etcd('etcdctl endpoint health 2>&1'), 30)
    # "The order does not matter."
    hand.start_agent(hand.first)
    hand.etcd(block(DOCUMENT, BY_HAND, 'etcdctl put'))
    hand.start_agent(hand.second)
    for node in (hand.first, hand.second):
        node.run(['install', '-D', cluster.lab.state / 'bin/merino', '/opt/cni/bin/merino'])
        wait_until(f'{node.name} knows its peer', lambda node=node: len(peers(node)) == 1 and node.run(['merinoctl', 'status']), 30)
    seen = hand.etcd('etcdctl get --prefix /coreos.com/network/subnets/')
    expect(all(f'"PublicIP":"{node.address}"' in seen for node in (hand.first, hand.second)), f'the leases are {seen}')
    hand.make_pod(hand.first)
    answer = hand.first.run(['ip', 'netns', 'exec', 'pod1', 'ping', '-n', '-c', '3', '-i', '0.2', hand.make_pod(hand.second)]).stdout
    expect(' 0% packet loss' in answer, answer)


def reserve(hand):
    reserved = '10.244.7.0/24'
    hand.etcd(block(DOCUMENT, RESERVING, '{"PublicIP"'))
    # "To move a node to it …": the node's own key goes, and its agent is started without subnet.env.
    key = hand.subnet(hand.second).replace('/', '-')
    hand.second.daemons['merinod'].stop()
    hand.etcd(f'etcdctl del /coreos.com/network/subnets/{key}')
    hand.second.run(['rm', '/run/flannel/subnet.env'])
    hand.start_agent(hand.second)
    wait_until(f'{hand.second.name} has the reserved subnet', lambda: hand.subnet(hand.second) == reserved, 30)
    wait_until('its peer knows', lambda: peers(hand.first).get(hand.second.address) == reserved, 30)
    key = f'/coreos.com/network/subnets/{hand.subnet(hand.first).replace("/", "-")}'
    documented = '/coreos.com/network/subnets/10.244.98.0-24'
    hand.etcd(block(DOCUMENT, RESERVING, 'KEY=').replace(documented, key))
    for name in (key, '/coreos.com/network/subnets/10.244.7.0-24'):
        found = json.loads(hand.etcd(f'etcdctl get {name} -w json'))['kvs'][0]
        expect('lease' not in found, f'{name} ends with a lease: {found}')


@case('without Kubernetes: etcd by hand, as docs/etcd.md and the README say')
def etcd_by_hand(cluster):
    document = {line for one in blocks(DOCUMENT, BY_HAND) for line in one.splitlines()}
    readme = [line for one in blocks('README.md', 'By hand, with etcd') for line in one.splitlines() if line]
    expect(set(readme) <= document, f'the README has commands of its own: {readme}')
    hand = ByHand(cluster)
    try:
        for node in hand.nodes:
            node.switch_on()
        follow(hand, cluster)
        reserve(hand)
    finally:
        for node in hand.nodes:
            if node.init:
                node.switch_off()
                node.wipe()
