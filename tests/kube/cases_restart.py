"""The node's daemons restart while pods talk; pods come and go."""
import signal

from harness import case, expect, note, together, wait_until
from cases_pods import name_of, wait_settled, web_and_clients
from traffic import Flows


def flows(cluster):
    """Between the client pods of node1 and node2, and a web pod of node1."""
    clients = {pod['spec']['nodeName']: pod for pod in cluster.api.pods('app=client')}
    beside = [pod for pod in cluster.api.pods('app=web') if pod['spec']['nodeName'] == 'node1'][0]
    return Flows(cluster, clients['node1'], beside, clients['node2'])


def lives(cluster):
    """What changes when a pod is made anew or a container is started again."""
    return {pod['metadata']['uid']: [status['restartCount'] for status in pod['status']['containerStatuses']] for pod in cluster.api.pods()}


@case('merinod restarts, and is killed, while pods talk: nothing is lost')
def restart_merinod(cluster):
    for how in (signal.SIGTERM, signal.SIGKILL):
        with flows(cluster) as traffic:
            together(lambda node, how=how: cluster.merino.restart(node, how), cluster.up_nodes())
            lost = traffic.stop(f'merinod of both nodes, {how.name}')
        expect(lost == 0, f'{lost} pings lost')


@case('kubelet, containerd and kube-proxy restart while pods talk: nothing is lost, no pod is restarted')
def restart_daemons(cluster):
    web_and_clients(cluster)
    before = lives(cluster)
    with flows(cluster) as traffic:
        for node in cluster.up_nodes():
            health = ['curl', '-sSf', 'http://127.0.0.1:10248/healthz']
            node.restart('kube-proxy', signal.SIGTERM)
            node.restart('kubelet', signal.SIGTERM)
            # A kubelet that finds no containerd when it starts ends, and there is no systemd here that would start it again.
            wait_until(f'kubelet of {node.name} answers', lambda node=node, health=health: node.run(health), 60)
            for how in (signal.SIGTERM, signal.SIGKILL):
                node.restart('containerd', how)
                wait_until(f'containerd of {node.name} answers', lambda node=node: node.run(['ctr', 'version']), 60)
            wait_until(f'kubelet of {node.name} answers', lambda node=node, health=health: node.run(health), 60)
        for node in cluster.up_nodes():
            wait_until(f'{node.name} is ready', lambda node=node: cluster.node_ready(node.name))
        lost = traffic.stop('kubelet, containerd and kube-proxy of both nodes')
    expect(lost == 0, f'{lost} pings lost')
    web_and_clients(cluster)
    expect(lives(cluster) == before, f'pods were restarted: {before} became {lives(cluster)}')


@case('pods churn while others talk')
def churn(cluster):
    webs, clients = web_and_clients(cluster)
    first = {name_of(web) for web in webs}
    with flows(cluster) as traffic:
        for replicas in (8, 2, 8, 4):
            cluster.api.kubectl('scale', 'deployment/web', f'--replicas={replicas}')
            cluster.ready_pods('app=web', replicas, 120)
        lost = traffic.stop('10 pods made, 10 deleted')
    expect(lost == 0, f'{lost} pings lost')
    webs, _ = web_and_clients(cluster)
    note(f'{len(first - {name_of(web) for web in webs})} of the first 4 pods were replaced')
    cluster.expect_only_pods()
    for client in clients:
        wait_settled(cluster, client, webs)
