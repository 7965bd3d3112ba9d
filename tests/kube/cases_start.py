"""From nothing to a cluster whose nodes are ready."""
from api import condition
from harness import case, expect, wait_until

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
        wait_until('the node says that it is not ready', lambda node=node: condition(cluster.api.node(node.name), 'Ready')['status'] == 'False')
        message = condition(cluster.api.node(node.name), 'Ready')['message']
        expect('cni' in message, f'{node.name} is not ready for another reason: {message}')


@case('merino makes the nodes ready')
def merino(cluster):
    cluster.merino.install()
    for node in cluster.up_nodes():
        wait_until(f'{node.name} is ready', lambda node=node: cluster.node_ready(node.name))
