"""The API server is away, forgets, or carries nonsense: the network goes on."""
import json

from cases_nodes import client_of, expect_reached, peers
from cases_restart import flows
from harness import case, expect, note, wait_until
from machine import run

PREFIX = 'flannel.alpha.coreos.com/'


def annotations(cluster, name):
    return cluster.api.node(name)['metadata'].get('annotations', {})


def set_public_ip(cluster, name, address):
    """A change of a lease that others must see; the node itself puts it right when merinod restarts."""
    cluster.api.annotate(name, {PREFIX + 'public-ip': address})


@case('the API server stops and starts: nothing is lost, and what changed meanwhile is learnt')
def api_server_away(cluster):
    server = cluster.control['kube-apiserver']
    with flows(cluster) as traffic:
        server.stop()
        for node in cluster.up_nodes():
            cluster.merino.kill(node)
        server.start()
        wait_until('the API server is ready again', cluster.api.ready, 90)
        for node in cluster.up_nodes():
            cluster.merino.wait_ready(node)
        lost = traffic.stop('while the API server was away')
    expect(lost == 0, f'{lost} pings lost')
    for node in cluster.up_nodes():
        wait_until(f'{node.name} is ready', lambda node=node: cluster.node_ready(node.name), 90)
