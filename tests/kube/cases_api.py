"""The API server is away, forgets, or carries nonsense: the network goes on."""
import json
import signal
import time

from cases_nodes import expect_reached, peers
from cases_restart import flows
from cases_start import PREFIX
from harness import case, expect, wait_until


def backend_data(cluster, name):
    return cluster.api.node(name)['metadata']['annotations'][PREFIX + 'backend-data']


def others(cluster):
    return [node for node in cluster.up_nodes() if node.name != 'node3']


def status_of(node):
    """What merinoctl says, healthy or not."""
    return json.loads(node.run(['merinoctl', 'status', '-o', 'json'], check=False).stdout)


@case('annotations of one node are broken by hand: the others go on, and name it')
def broken_annotations(cluster):
    third = cluster.nodes['node3']
    broken = {'backend-data': '{"VNI":1,"VtepMAC":"zz:top"}', 'public-ip': '224.0.0.1', 'backend-type': '\u0000\u202e' + 'x' * 70000}
    # Its own agent would put them right at once.
    cluster.merino.freeze(third, signal.SIGSTOP)
    good = {PREFIX + key: cluster.api.node('node3')['metadata']['annotations'][PREFIX + key] for key in broken}
    try:
        with flows(cluster) as traffic:
            for key, value in broken.items():
                cluster.api.annotate('node3', {PREFIX + key: value})
                for node in others(cluster):
                    def named(node=node, key=key):
                        return any(lease['key'] == 'node3' for lease in status_of(node)['agent']['rejected_leases'])
                    if key != 'backend-type':
                        wait_until(f'{node.name} names node3 for its {key}', named, 30)
                        screen = node.run(['merinoctl', 'status'], check=False).stdout
                        expect('node3' in screen, f'merinoctl of {node.name} does not name node3: {screen}')
                    wait_until(f'{node.name} has no peer node3 for its {key}', lambda node=node: third.address not in peers(node), 30)
                    expect(len(peers(node)) == 1, f'{node.name} lost others too: {peers(node)}')
                cluster.api.annotate('node3', {PREFIX + key: good[PREFIX + key]})
                for node in others(cluster):
                    wait_until(f'{node.name} has its peer node3 again', lambda node=node: third.address in peers(node), 30)
            lost = traffic.stop('while node3 was annotated with nonsense')
        expect(lost == 0, f'{lost} pings lost')
        # Now with its agent: it keeps its own annotations right.
        cluster.api.annotate('node3', {PREFIX + 'backend-data': broken['backend-data']})
    finally:
        cluster.merino.freeze(third, signal.SIGCONT)
    wait_until('node3 has put its annotation right', lambda: backend_data(cluster, 'node3') == good[PREFIX + 'backend-data'], 60)
    for node in others(cluster):
        # What it says follows what it does; and it may not have seen the broken one yet.
        wait_until(f'{node.name} rejects no lease', lambda node=node: status_of(node)['agent']['rejected_leases'] == [], 30)
        wait_until(f'{node.name} has its peer node3 again', lambda node=node: third.address in peers(node), 30)
    expect_reached(cluster, third)


@case('the API server stops and starts while merinod is killed: nothing is lost, nothing is forgotten')
def api_server_away(cluster):
    server = cluster.control['kube-apiserver']
    before = {node.name: peers(node) for node in cluster.up_nodes()}
    with flows(cluster) as traffic:
        process = cluster.process_of(cluster.merino.pod(cluster.nodes['node1']))
        server.stop(signal.SIGKILL)  # at SIGTERM it waits for watches
        cluster.nodes['node1'].run(['kill', '-KILL', process])
        time.sleep(5)  # long enough for agents to try in vain
        for node in cluster.up_nodes():
            expect(peers(node) == before[node.name], f'{node.name} has forgotten its peers: {peers(node)}')
        server.start()
        wait_until('the API server is ready again', cluster.api.ready, 90)
        for node in cluster.up_nodes():
            cluster.merino.wait_ready(node, 120)
            wait_until(f'{node.name} has its peers', lambda node=node: peers(node) == before[node.name])
        lost = traffic.stop('while the API server was away')
    expect(lost == 0, f'{lost} pings lost')


@case('what a watch would have told was compacted away: it is learnt by a new list')
def watch_expired(cluster):
    first, third = cluster.nodes['node1'], cluster.nodes['node3']
    old, new = third.address, '192.168.78.199'
    server = cluster.control['kube-apiserver']
    cluster.merino.freeze(third, signal.SIGSTOP)
    cluster.merino.freeze(first, signal.SIGSTOP)
    known = cluster.api.get('/api/v1/nodes?limit=1')['metadata']['resourceVersion']
    try:
        for count in range(5):
            cluster.api.annotate('node2', {'merino.test/count': str(count)})
        cluster.api.annotate('node3', {PREFIX + 'public-ip': new})
        for count in range(5):
            cluster.api.annotate('node2', {'merino.test/count': str(count)})
        cluster.compact_etcd()
        # Its cache of the history goes with it.
        server.stop(signal.SIGKILL)
        server.start()
        wait_until('the API server is ready again', cluster.api.ready, 90)
        _, watched = cluster.api.request('GET', f'/api/v1/nodes?watch=true&resourceVersion={known}&timeoutSeconds=2')
        expect('"code":410' in watched, f'the API server still knows what happened since {known}: {watched[:300]}')
        expect(old in peers(first) and new not in peers(first), f'node1 knows already: {peers(first)}')
    finally:
        cluster.merino.freeze(first, signal.SIGCONT)
    wait_until('node1 has learnt it', lambda: new in peers(first) and old not in peers(first), 90)
    cluster.merino.freeze(third, signal.SIGCONT)
    wait_until('node3 has put it right', lambda: old in peers(first) and new not in peers(first), 90)
    for node in cluster.up_nodes():
        cluster.merino.wait_ready(node, 120)
    expect_reached(cluster, third)
