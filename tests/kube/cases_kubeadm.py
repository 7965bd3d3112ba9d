"""The README's section "With kubeadm", line by line."""
import re

from api import condition
from cases_pods import SERVICE, address_of, fetch, fetch_often, name_of, wait_settled, web_and_clients
from documents import command
from harness import case, expect, note, together, wait_until
from machine import HERE

CONTROL_PLANE = ('etcd-', 'kube-apiserver-', 'kube-controller-manager-', 'kube-scheduler-', 'kube-proxy-')
# What kubeadm asks for and nodes in namespaces cannot give: swap belongs to the whole machine, and so does the kernel, whose configuration
# may not be readable; and there is one image that cannot be had, CoreDNS.
IGNORED = '--ignore-preflight-errors=Swap,SystemVerification,ImagePull'
# kubeadm would ask the internet for a version. Debian has neither CoreDNS nor what it could be built from: pods here go by addresses.
OFFLINE = ('--kubernetes-version=v1.20.2', '--skip-phases=addon/coredns', IGNORED)


def bring_image(cluster, node):
    node.run(['bash', '-c', f'cd {cluster.lab.images} && {documented("ctr ")}'])


def documented(start):
    return command('README.md', 'With kubeadm', start)


@case('kubeadm init: the control plane runs, and the node waits for its network')
def init(cluster):
    first = cluster.nodes['node1']
    together(lambda node: (cluster.switch_on(node), bring_image(cluster, node)), cluster.nodes.values())
    said = cluster.kubeadm(first, *documented('kubeadm init').split()[1:], *OFFLINE)
    join_command = re.search(r'kubeadm (join \S+ --token \S+ \\\n\s+--discovery-token-ca-cert-hash \S+)', said).group(1)
    cluster.join_words = join_command.replace('\\', '').split()
    cluster.take_credentials(first)
    cluster.unlimit_proxy()
    cluster.system_pods_run(first, CONTROL_PLANE)
    ready = condition(cluster.api.node('node1'), 'Ready')
    expect(ready['status'] == 'False' and 'cni' in ready['message'], f'node1 is not waiting for its network: {ready}')


@case('kubectl apply of the manifest: the node is ready')
def apply_manifest(cluster):
    cluster.kubectl_as_written(documented('kubectl apply'))
    wait_until('node1 is ready', lambda: cluster.node_ready('node1'), 90)
    cluster.merino.wait_ready(cluster.nodes['node1'])


@case('kubeadm join: the second node becomes ready by itself')
def join(cluster):
    second = cluster.nodes['node2']
    expect(documented('kubeadm join') == 'kubeadm join …', 'the README says more than kubeadm init does')
    cluster.kubeadm(second, *cluster.join_words, IGNORED)
    wait_until('node2 is ready', lambda: cluster.node_ready('node2'), 120)
    cluster.merino.wait_ready(second)
    cluster.system_pods_run(second, ('kube-proxy-',))
    note(cluster.api.kubectl('get', 'nodes', '--no-headers').strip().replace('\n', '; '))


@case('merinoctl by kubectl exec, as documented: a node is well')
def look(cluster):
    said = cluster.kubectl_as_written(command('docs/kubernetes.md', 'kubeadm: join, and what happens on a joining node', 'kubectl -n kube-flannel exec'))
    expect(re.search(r'^health +healthy$', said, re.MULTILINE) and re.search(r'^peers +1$', said, re.MULTILINE), said)


@case('pods of both nodes reach each other and a service, by kubeadm\'s own kube-proxy')
def pods_talk(cluster):
    cluster.api.kubectl('taint', 'nodes', 'node1', 'node-role.kubernetes.io/master-')
    for name in ('web', 'client'):
        cluster.api.apply((HERE / 'manifests' / f'{name}.yml').read_text())
    webs, clients = web_and_clients(cluster)
    expect_all_reached(cluster, webs, clients)


def expect_all_reached(cluster, webs, clients):
    """Every web pod from every client pod, under the client's own address; every backend by the service."""
    for client in clients:
        for web in webs:
            name, node, seen = fetch(cluster, client, address_of(web))
            expect((name, node, seen) == (name_of(web), web['spec']['nodeName'], address_of(client)),
                   f'{name_of(client)} to {name_of(web)}: {name} on {node} saw {seen}')
        wait_settled(cluster, client, webs)
        seen = {answer[2] for answer in fetch_often(cluster, client, SERVICE, 20)}
        expect(seen == {address_of(client)}, f'{name_of(client)} is seen as {seen}')
