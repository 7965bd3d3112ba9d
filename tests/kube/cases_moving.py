"""docs/moving.md with kubectl, while pods talk: from merino to flannel, from flannel to merino, and back."""
import re
import shutil

from agent import NAMESPACE
from cases_kubeadm import expect_all_reached
from cases_pods import web_and_clients
from cases_restart import flows, lives
from cases_start import PREFIX
from documents import ROOT, block
from harness import case, expect, note, wait_until
from machine import HERE, run


def follow(cluster, heading, word, directory=ROOT):
    """Runs the commands of the block of docs/moving.md that has this word."""
    for line in block('docs/moving.md', heading, word).splitlines():
        if line.startswith('kubectl'):
            cluster.kubectl_as_written(line, directory)
        else:
            run(line.split(), cwd=directory)


def leases(cluster):
    return {name: {key: value for key, value in cluster.api.node(name)['metadata']['annotations'].items() if key.startswith(PREFIX)}
            for name in cluster.nodes}


def back_to_flannel(cluster):
    """As docs/moving.md says, with flannel's manifest where it says."""
    directory = cluster.lab.state / 'repository'
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(ROOT / 'deploy/back-to-flannel', directory / 'deploy/back-to-flannel')
    shutil.copy(HERE / 'manifests/kube-flannel.yml', directory)
    follow(cluster, 'Back', 'kubectl', directory)


def expect_flannel(cluster):
    """Every node is flannel's, and has nothing of merino's."""
    for node in cluster.up_nodes():
        expect(node.run(['ip', 'link', 'show', 'flannel.1'], check=False).returncode == 0, f'{node.name} has no flannel.1')
        expect(node.run(['ip', 'link', 'show', 'merino0'], check=False).returncode != 0, f'{node.name} still has merino0')
        expect(node.run(['ls', '-A', '/sys/fs/bpf/merino'], check=False).stdout == '', f'{node.name} still has pins')
        expect('merino' not in node.run(['nft', 'list', 'tables']).stdout, f'{node.name} still has the nftables table')


def expect_on_bridges(cluster, selector):
    """The pods with this label, and no others, are on their nodes' bridges."""
    for node in cluster.up_nodes():
        ports = len(node.run(['ls', '/sys/class/net/cni0/brif'], check=False).stdout.split())
        pods = sum(pod['spec']['nodeName'] == node.name for pod in cluster.api.pods(selector))
        expect(ports == pods, f'{node.name} has {ports} pods on cni0, and {pods} of flannel\'s')


def move(cluster, what, step):
    """Runs a step under traffic: no pod is restarted, no connection breaks, no lease changes. What was lost is printed."""
    before, leased = lives(cluster), leases(cluster)
    with flows(cluster) as traffic:
        step(cluster)
        lost = traffic.stop(what)
    expect(lives(cluster) == before, f'pods were restarted: {before} became {lives(cluster)}')
    expect(leases(cluster) == leased, f'leases changed: {leased} became {leases(cluster)}')
    expect_all_reached(cluster, *web_and_clients(cluster))
    return lost


def make_anew(cluster, *kinds):
    for kind in kinds:
        cluster.api.kubectl('rollout', 'restart', kind)
    for kind in kinds:
        cluster.api.kubectl('rollout', 'status', kind, '--timeout=120s', timeout=130)
    wait_until('the old pods are gone', lambda: not [pod for pod in cluster.api.pods() if 'deletionTimestamp' in pod['metadata']], 60)


@case('merino to flannel, node by node: pods that merino attached go on')
def leave(cluster):
    move(cluster, 'from merino to flannel', back_to_flannel)
    expect_flannel(cluster)


@case('pods made anew are on flannel\'s bridge')
def flannel_pods(cluster):
    make_anew(cluster, 'deployment/web', 'daemonset/client')
    expect_all_reached(cluster, *web_and_clients(cluster))
    expect_on_bridges(cluster, '')


@case('flannel to merino by a rolling update of flannel\'s DaemonSet: pods on bridges go on, the ConfigMap stays')
def take_over(cluster):
    path = f'/api/v1/namespaces/{NAMESPACE}/configmaps/kube-flannel-cfg'
    conf = cluster.api.get(path)['data']

    lost = move(cluster, 'from flannel to merino', lambda cluster: follow(cluster, 'There', 'kubectl'))
    expect(lost < 200, f'{lost} pings lost, 5 ms apart')
    expect(cluster.api.get(path)['data'] == conf, 'flannel\'s ConfigMap was changed')
    for node in cluster.up_nodes():
        cluster.merino.wait_ready(node)
        expect(node.run(['ip', 'link', 'show', 'flannel.1'], check=False).returncode != 0, f'{node.name} still has flannel.1')
        wait_until(f'{node.name} has none of flannel\'s rules', lambda node=node: 'FLANNEL' not in node.run(['iptables-save']).stdout, 30)
        taken = re.findall('.*taken over.*', cluster.merino.log(node))
        note(f'{node.name}: {" ".join(taken)}')


@case('pods made anew are merino\'s, by a configuration of type flannel, beside those on the bridge')
def mixed_pods(cluster):
    make_anew(cluster, 'deployment/web')
    expect_all_reached(cluster, *web_and_clients(cluster))
    expect_on_bridges(cluster, 'app=client')


@case('merino to flannel again, with pods of both kinds')
def leave_again(cluster):
    move(cluster, 'from merino to flannel, pods of both kinds', back_to_flannel)
    expect_flannel(cluster)


@case('when all pods are deleted, nothing of them is left on any node')
def nothing_left(cluster):
    for name in ('web', 'client'):
        cluster.api.kubectl('delete', '-f', HERE / 'manifests' / f'{name}.yml', '--wait=false')
    wait_until('all pods are gone', lambda: not cluster.api.pods(), 90)
    for node in cluster.up_nodes():
        def clean(node=node):
            names = node.run(['find', '/run/netns', '/var/lib/cni/networks/cbr0', '/var/lib/cni/results', '/var/lib/cni/flannel', '-type', 'f'],
                             check=False).stdout.split()
            left = [name for name in names if not re.search(r'/(lock|last_reserved_ip\.\d+)$', name)]
            left += re.findall(r'mr[0-9a-f]{12}|veth\w+', node.run(['ip', '-brief', 'link']).stdout)
            expect(not left, f'{left}')
            return True
        wait_until(f'{node.name} has nothing of pods', clean, 30)
