"""All is deleted."""
import leftovers
from harness import case, expect, wait_until
from machine import HERE


@case('when all pods are deleted, nothing of them is left on any node')
def nothing_left(cluster):
    for name in ('web', 'client'):
        cluster.api.kubectl('delete', '-f', HERE / 'manifests' / f'{name}.yml', '--wait=false')
    wait_until('all pods are gone', lambda: not cluster.api.pods(), 90)
    cluster.expect_only_pods()
    for node in cluster.up_nodes():
        expect(not (wrong := leftovers.difference(node, [])), f'{node.name}: {wrong}')
