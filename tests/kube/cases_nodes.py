"""Nodes that join, fail, come back, move and go; the API server away; annotations that are wrong."""
import json

from cases_pods import SERVICE, address_of, fetch, fetch_often, name_of, web_and_clients
from cases_restart import flows
from harness import case, expect, wait_until


def client_of(cluster, node):
    """The client pod of a node, once it is ready."""
    return cluster.ready_pods_of('app=client', node)[0]


def expect_reached(cluster, node):
    """A node's client pod reaches the web pods everywhere, and is reached from everywhere."""
    client = client_of(cluster, node)
    webs, clients = web_and_clients(cluster)
    for web in webs:
        expect(fetch(cluster, client, address_of(web))[0] == name_of(web), f'{node.name} to {name_of(web)}')
    for other in clients:
        cluster.in_pod(other, 'ping', '-n', '-q', '-c', '2', '-i', '0.2', '-W', '3', address_of(client))
    answers = fetch_often(cluster, client, SERVICE, 20)
    expect({answer[0] for answer in answers} <= {name_of(web) for web in webs}, f'{node.name} to the service: {answers}')


def peers(node):
    """What a node knows of the others: their subnets by their addresses."""
    return {peer['node']: peer['subnet'] for peer in json.loads(node.run(['merinoctl', 'peers', '-o', 'json']).stdout)}


@case('a third node joins while pods talk')
def join(cluster):
    third = cluster.nodes['node3']
    with flows(cluster) as traffic:
        cluster.boot(third)
        wait_until('node3 is ready', lambda: cluster.node_ready('node3'), 90)
        expect_reached(cluster, third)
        lost = traffic.stop('while node3 joined')
    expect(lost == 0, f'{lost} pings lost')


@case('a node loses its power and comes back')
def power(cluster):
    third = cluster.nodes['node3']
    before = address_of(client_of(cluster, third))
    with flows(cluster) as traffic:
        third.switch_off()
        silent = cluster.nodes['node1'].run(['ping', '-n', '-c', '1', '-W', '1', before], check=False)
        expect(silent.returncode != 0, f'{before} answers although its node is off')
        cluster.boot(third)
        wait_until('node3 is ready', lambda: cluster.node_ready('node3'), 90)
        expect_reached(cluster, third)
        lost = traffic.stop('while node3 was away')
    expect(lost == 0, f'{lost} pings lost')
    cluster.expect_only_pods()


@case('a node\'s address changes')
def new_address(cluster):
    third = cluster.nodes['node3']
    subnet, address = cluster.subnet_of(third), '192.168.78.113'
    with flows(cluster) as traffic:
        cluster.move(third, address)
        for node in cluster.up_nodes():
            if node is not third:
                wait_until(f'{node.name} knows node3 as {address}', lambda node=node: peers(node).get(address, '').startswith(subnet))
                expect(len(peers(node)) == 2, f'{node.name} knows {peers(node)}')
        expect_reached(cluster, third)
        lost = traffic.stop('while node3 moved')
    expect(lost == 0, f'{lost} pings lost')


@case('a node that is deleted is forgotten, and joins again')
def delete_node(cluster):
    third = cluster.nodes['node3']
    with flows(cluster) as traffic:
        cluster.remove(third)
        for node in cluster.up_nodes():
            wait_until(f'{node.name} has forgotten node3', lambda node=node: third.address not in peers(node))
            expect(len(peers(node)) == 1, f'{node.name} knows {peers(node)}')
        wait_until('the pods of node3 are gone', lambda: all(pod['spec']['nodeName'] != 'node3' for pod in cluster.api.pods()), 90)
        web_and_clients(cluster)
        cluster.boot(third)
        wait_until('node3 is ready', lambda: cluster.node_ready('node3'), 90)
        expect_reached(cluster, third)
        lost = traffic.stop('while node3 was deleted and joined again')
    expect(lost == 0, f'{lost} pings lost')
