"""Without Kubernetes: containerd's own client, with merinod by a directory of leases."""
import itertools
import json

import leftovers
from cases_nodes import peers
from cluster import POD_IMAGE
from harness import case, expect, wait_until
from machine import Node

# ctr leaves a container's network namespace to its process.
NO_NAMESPACES = ('network namespaces',)
exec_ids = itertools.count()
CONFLIST = '{"name": "cbr0", "cniVersion": "1.0.0", "plugins": [{"type": "merino"}]}'


def boot(cluster, number):
    node = Node(cluster.lab, number)
    node.switch_on()
    cluster.start_containerd(node, 'default')
    node.run(['cp', cluster.lab.state / 'bin/merino', '/opt/cni/bin/merino'])
    node.write('/etc/cni/net.d/10-merino.conflist', CONFLIST)
    node.write('/run/net-conf.json', '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}')
    node.start('merinod', ['merinod', f'--lease-dir={cluster.lab.state}/leases', '--net-config-path=/run/net-conf.json', '--ip-masq'])
    wait_until(f'{node.name} is healthy', lambda: node.run(['merinoctl', 'status']), 30)
    return node


def in_container(node, name, *words, **options):
    return node.run(['ctr', 'tasks', 'exec', '--exec-id', f'exec{next(exec_ids)}', name, *words], **options).stdout


def address_in(node, name):
    """The container's address, once it has one."""
    def probe():
        return json.loads(in_container(node, name, 'ip', '-json', '-4', 'address', 'show', 'dev', 'eth0'))[0]['addr_info'][0]['local']
    return wait_until(f'{name} of {node.name} has an address', probe, 30)


@case('without Kubernetes: containers of `ctr run --cni` on two hosts reach each other, and leave nothing')
def ctr_run(cluster):
    nodes = []
    try:
        for number in (7, 8):
            nodes.append(boot(cluster, number))
        for node in nodes:
            wait_until(f'{node.name} knows its peer', lambda node=node: len(peers(node)) == 1)
            for name in ('one', 'two'):
                # In the foreground: that one takes the network away when the container ends.
                node.start(name, ['ctr', 'run', '--rm', '--cni', POD_IMAGE, name, 'sleep', 'infinity'])
        addresses = {(node.name, name): address_in(node, name) for node in nodes for name in ('one', 'two')}
        for node in nodes:
            own = [address for (where, _), address in addresses.items() if where == node.name]
            for (where, name), address in addresses.items():
                answer = in_container(node, 'one', 'ping', '-n', '-c', '1', '-W', '3', address)
                expect(' 0% packet loss' in answer, f'{node.name} to {name} of {where}: {answer}')
            nobody = own[0].rpartition('.')[0] + '.200'
            answer = in_container(node, 'one', 'ping', '-n', '-c', '1', '-W', '1', nobody, check=False)
            expect('100% packet loss' in answer, f'an address that nobody has answers: {answer}')
            expect(not (wrong := leftovers.difference(node, own, NO_NAMESPACES)), f'{node.name}: {wrong}')
        for node in nodes:
            for name in ('one', 'two'):
                node.run(['ctr', 'tasks', 'kill', '--signal', 'KILL', name])
                node.daemons[name].process.wait(30)
            expect(not (wrong := leftovers.difference(node, [], NO_NAMESPACES)), f'{node.name}: left behind: {wrong}')
    finally:
        for node in nodes:
            node.switch_off()
            node.wipe()
