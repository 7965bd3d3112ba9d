"""From nothing to a cluster whose nodes are ready."""
from harness import case, expect, wait_until

CONFLIST = '''{"name": "cbr0", "cniVersion": "0.4.0", "plugins": [{"type": "merino"}, {"type": "portmap", "capabilities": {"portMappings": true}}]}'''


@case('the control plane starts')
def control_plane(cluster):
    cluster.start_control_plane()
    version = cluster.api.get('/version')['gitVersion']
    expect(version == 'v1.20.2', f'version is {version}')


@case('two nodes without a network register, get a podCIDR, and are not ready')
def nodes_without_network(cluster):
    nodes = [cluster.nodes['node1'], cluster.nodes['node2']]
    for node in nodes:
        cluster.boot(node)
    for node in nodes:
        cluster.start_proxy(node)
        wait_until('the node says that it is not ready', lambda node=node: not cluster.node_ready(node.name))
        message = [c['message'] for c in cluster.api.node(node.name)['status']['conditions'] if c['type'] == 'Ready'][0]
        expect('cni' in message, f'{node.name} is not ready for another reason: {message}')


@case('by hand')
def by_hand(cluster):
    for node in cluster.up_nodes():
        node.run(['cp', cluster.lab.state / 'bin/merino', '/opt/cni/bin/merino'])
        node.write('/run/net-conf.json', '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}')
        node.start('merinod', ['merinod', f'--lease-dir={cluster.lab.state}/leases', '--net-config-path=/run/net-conf.json', '--ip-masq'])
        node.write('/etc/cni/net.d/10-flannel.conflist', CONFLIST)
    for node in cluster.up_nodes():
        wait_until(f'{node.name} is ready', lambda node=node: cluster.node_ready(node.name))
