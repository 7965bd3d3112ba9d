"""A Kubernetes cluster on one machine: a control plane in this network namespace, nodes on its bridge."""
import glob
import json
import os
from pathlib import Path

from api import Api, condition
import agent
import leftovers
from harness import Failed, wait_until
from machine import HERE, Daemon, Node, run

POD_IMAGE = 'merino.test/pod:1'


class Lab:
    """Places, and the wire between the machines."""
    address = '192.168.78.1'
    bridge = 'wire'
    mtu = 1500

    def __init__(self, name, state, images, cache):
        self.name, self.state, self.images, self.programs = name, Path(state), Path(images), Path(cache) / 'bin'
        self.logs, self.pki = self.state / 'logs', self.state / 'pki'
        for directory in (self.logs, self.pki):
            directory.mkdir(parents=True, exist_ok=True)
        # merinod, merinoctl and the plugin as built; on the nodes too, for commands that are run there.
        os.environ['PATH'] = f'{self.state / "bin"}:{self.programs}:{os.environ["PATH"]}'

    @staticmethod
    def node_address(number):
        return f'192.168.78.{10 + number}'

    def lay_wire(self):
        run(['ip', 'link', 'set', 'lo', 'up'])
        run(['ip', 'link', 'add', self.bridge, 'mtu', self.mtu, 'type', 'bridge'])
        run(['ip', 'address', 'add', f'{self.address}/24', 'dev', self.bridge])
        run(['ip', 'link', 'set', self.bridge, 'up'])
        run(['sysctl', '-qw', 'net.ipv4.ip_forward=1'])

    @staticmethod
    def cgroup_directories(name):
        return glob.glob(f'/sys/fs/cgroup/{name}') + glob.glob(f'/sys/fs/cgroup/*/{name}')


class Cluster:
    pod_network = '10.244.0.0/16'
    service_network = '10.96.0.0/16'
    most_nodes = 3

    def __init__(self, lab):
        self.lab = lab
        self.nodes = {f'node{number}': Node(lab, number) for number in range(1, self.most_nodes + 1)}
        self.merino = agent.Merino(self)
        self.api = None
        self.control = {}

    def control_plane(self):
        pki, programs = self.lab.pki, self.lab.programs

        def part(name, *more):
            conf = pki / f'{name.removeprefix("kube-")}.conf'
            return name, [programs / name, f'--kubeconfig={conf}', f'--authentication-kubeconfig={conf}',
                          f'--authorization-kubeconfig={conf}', '--bind-address=127.0.0.1', '--leader-elect=false', *more]

        yield 'etcd', ['etcd', '--name=merino', f'--data-dir={self.lab.state / "etcd"}', '--listen-client-urls=http://127.0.0.1:2379',
                       '--advertise-client-urls=http://127.0.0.1:2379', '--listen-peer-urls=http://127.0.0.1:2380',
                       '--initial-advertise-peer-urls=http://127.0.0.1:2380', '--initial-cluster=merino=http://127.0.0.1:2380',
                       '--logger=zap', '--log-level=warn']
        yield 'kube-apiserver', [
            programs / 'kube-apiserver', '--bind-address=0.0.0.0', '--secure-port=6443', f'--advertise-address={self.lab.address}',
            '--etcd-servers=http://127.0.0.1:2379', f'--service-cluster-ip-range={self.service_network}',
            '--authorization-mode=Node,RBAC', '--enable-admission-plugins=NodeRestriction', '--allow-privileged=true',
            f'--client-ca-file={pki}/ca.crt', f'--tls-cert-file={pki}/apiserver.crt', f'--tls-private-key-file={pki}/apiserver.key',
            f'--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt', f'--kubelet-client-key={pki}/apiserver-kubelet-client.key',
            '--kubelet-preferred-address-types=InternalIP,Hostname', '--service-account-issuer=https://kubernetes.default.svc',
            f'--service-account-key-file={pki}/sa.pub', f'--service-account-signing-key-file={pki}/sa.key',
            f'--requestheader-client-ca-file={pki}/front-proxy-ca.crt', '--requestheader-allowed-names=front-proxy-client',
            '--requestheader-extra-headers-prefix=X-Remote-Extra-', '--requestheader-group-headers=X-Remote-Group',
            '--requestheader-username-headers=X-Remote-User', f'--proxy-client-cert-file={pki}/front-proxy-client.crt',
            f'--proxy-client-key-file={pki}/front-proxy-client.key', '--etcd-compaction-interval=0']
        yield part('kube-controller-manager', '--allocate-node-cidrs=true', f'--cluster-cidr={self.pod_network}',
                   f'--service-cluster-ip-range={self.service_network}', f'--root-ca-file={pki}/ca.crt', f'--client-ca-file={pki}/ca.crt',
                   f'--requestheader-client-ca-file={pki}/front-proxy-ca.crt', f'--service-account-private-key-file={pki}/sa.key',
                   '--use-service-account-credentials=true', '--node-monitor-period=2s', '--node-monitor-grace-period=20s')
        yield part('kube-scheduler')

    def start_control_plane(self):
        run([HERE / 'certificates', self.lab.pki, self.lab.address, *[f'{node.name}={node.address}' for node in self.nodes.values()]])
        self.api = Api(self.lab.pki, self.lab.programs)
        self.control = {name: Daemon(name, self.lab.logs, argv) for name, argv in self.control_plane()}
        self.control['etcd'].start()
        self.control['kube-apiserver'].start()
        wait_until('the API server is ready', self.api.ready, 90)
        self.control['kube-controller-manager'].start()
        self.control['kube-scheduler'].start()
        wait_until('there is a default service account', lambda: self.api.exists('/api/v1/namespaces/default/serviceaccounts/default'), 60)

    @staticmethod
    def etcdctl(*words):
        environment = {**os.environ, 'ETCDCTL_API': '3', 'ETCDCTL_ENDPOINTS': 'http://127.0.0.1:2379'}
        return run(['etcdctl', *words], env=environment).stdout

    def compact_etcd(self):
        """Makes etcd forget all history."""
        status = json.loads(self.etcdctl('endpoint', 'status', '--write-out=json'))
        self.etcdctl('compact', '--physical', status[0]['Status']['header']['revision'])

    def boot(self, node):
        """Switches a node on and starts containerd, kubelet and kube-proxy. It is registered then, not ready."""
        node.switch_on()
        pki = self.lab.pki
        for source, target in ((f'kubelet-{node.name}.conf', 'kubelet.conf'), ('kube-proxy.conf', 'kube-proxy.conf'), ('ca.crt', 'ca.crt'),
                               (f'kubelet-{node.name}-server.crt', 'kubelet.crt'), (f'kubelet-{node.name}-server.key', 'kubelet.key')):
            node.run(['cp', pki / source, f'/etc/kubernetes/{target}'])
        node.write('/etc/kubernetes/kubelet.yaml', (HERE / 'kubelet.yml').read_text().replace('CGROUP', node.cgroup))
        self.start_containerd(node)
        self.import_image(node, 'merino')
        node.start('kubelet', [
            self.lab.programs / 'kubelet', '--config=/etc/kubernetes/kubelet.yaml', '--kubeconfig=/etc/kubernetes/kubelet.conf',
            '--root-dir=/var/lib/kubelet', '--cert-dir=/var/lib/kubelet/pki', f'--hostname-override={node.name}',
            f'--node-ip={node.address}', '--container-runtime=remote', '--container-runtime-endpoint=unix:///run/containerd/containerd.sock'])
        self.start_proxy(node)

    def start_containerd(self, node, namespace='k8s.io'):
        node.run(['cp', '-a', '/usr/lib/cni/.', '/opt/cni/bin/'])
        node.write('/etc/containerd/config.toml', (HERE / 'containerd.toml').read_text())
        node.start('containerd', ['containerd', '--config', '/etc/containerd/config.toml', '--log-level', 'warn'])
        wait_until(f'containerd of {node.name} answers', lambda: node.run(['ctr', 'version']), 30)
        self.import_image(node, 'pod', namespace)

    def start_proxy(self, node):
        wait_until(f'{node.name} is registered and has a podCIDR', lambda: self.pod_cidr(node.name), 60)
        node.start('kube-proxy', [
            self.lab.programs / 'kube-proxy', '--kubeconfig=/etc/kubernetes/kube-proxy.conf', f'--hostname-override={node.name}',
            f'--cluster-cidr={self.pod_network}', '--proxy-mode=iptables', '--conntrack-max-per-core=0', '--conntrack-min=0',
            '--conntrack-tcp-timeout-established=0', '--conntrack-tcp-timeout-close-wait=0'])

    def import_image(self, node, name, namespace='k8s.io'):
        node.run(['ctr', f'--namespace={namespace}', 'images', 'import', self.lab.images / f'{name}.tar'])

    def up_nodes(self):
        return [node for node in self.nodes.values() if node.init]

    def pod_cidr(self, name):
        return self.api.node(name)['spec'].get('podCIDR')

    @staticmethod
    def subnet_of(node):
        """The node's subnet as subnet.env has it: '10.244.1.'"""
        for line in node.read('/run/flannel/subnet.env').splitlines():
            if line.startswith('FLANNEL_SUBNET='):
                return line.removeprefix('FLANNEL_SUBNET=').rsplit('.', 1)[0] + '.'
        return None

    def node_ready(self, name):
        """Whether the node has said so since it was switched on."""
        ready = condition(self.api.node(name), 'Ready')
        return ready['status'] == 'True' and ready['lastHeartbeatTime'] >= self.nodes[name].switched_on

    def pod_ready(self, pod):
        """Whether it is ready, with containers that were started since its node was switched on, and is not being deleted."""
        if condition(pod, 'Ready')['status'] != 'True' or 'deletionTimestamp' in pod['metadata']:
            return False
        started = [status['state']['running']['startedAt'] for status in pod['status']['containerStatuses']]
        return min(started) >= self.nodes[pod['spec']['nodeName']].switched_on

    def ready_pods(self, selector, count, seconds=60, namespace='default'):
        """Waits until exactly so many pods have this label and all are ready; returns them. Those that are being deleted do not count."""
        def probe():
            pods = [pod for pod in self.api.pods(selector, namespace) if 'deletionTimestamp' not in pod['metadata']]
            return pods if len(pods) == count and all(map(self.pod_ready, pods)) else None
        return wait_until(f'{count} pods {selector} are ready', probe, seconds)

    def process_of(self, pod):
        """The process id of a pod's first container, on its node."""
        def probe():
            # Read anew: a status may still name the container before the last restart.
            container = self.api.reread(pod)['status']['containerStatuses'][0]['containerID'].removeprefix('containerd://')
            for line in self.nodes[pod['spec']['nodeName']].run(['ctr', '--namespace=k8s.io', 'tasks', 'list']).stdout.splitlines():
                if line.startswith(container):
                    return int(line.split()[1])
            return None
        return wait_until(f'{pod["metadata"]["name"]} has a process', probe, 30)

    def expect_only_pods(self):
        """Each node has exactly what belongs to the pods that run on it."""
        def clean(node):
            wrong = leftovers.difference(node, [pod['status']['podIP'] for pod in self.api.pods() if pod['spec']['nodeName'] == node.name])
            if wrong:
                raise Failed(f'{wrong}')
            return True
        wait_until('deleted pods are gone', lambda: not [pod for pod in self.api.pods() if 'deletionTimestamp' in pod['metadata']], 90)
        for node in self.up_nodes():
            wait_until(f'{node.name} has what belongs to its pods, and nothing else', lambda node=node: clean(node), 30)

    def ready_pods_of(self, selector, node, seconds=90):
        """The pods of a node that have this label, once there are some and all are ready."""
        def probe():
            pods = [pod for pod in self.api.pods(selector) if pod['spec']['nodeName'] == node.name]
            return pods if pods and all(map(self.pod_ready, pods)) else None
        return wait_until(f'pods {selector} of {node.name} are ready', probe, seconds)

    def move(self, node, address):
        """A node gets another address, as if DHCP had given it one; its kubelet is told."""
        kubelet = node.daemons['kubelet']
        kubelet.argv = [word.replace(f'--node-ip={node.address}', f'--node-ip={address}') for word in kubelet.argv]
        node.set_address(address)
        node.restart('kubelet')
        wait_until(f'{node.name} says that it has {address}', lambda: address in str(self.api.node(node.name)['status']['addresses']))
        self.merino.restart(node)

    def remove(self, node):
        """Takes a node away for good: its machine, its disk, its object; its pods, which the cluster would miss for a minute."""
        node.switch_off()
        node.wipe()
        self.api.call('DELETE', f'/api/v1/nodes/{node.name}')
        self.api.kubectl('delete', 'pods', '-A', f'--field-selector=spec.nodeName={node.name}', '--force', '--grace-period=0')

    def gone_pods(self, selector, seconds=60, namespace='default'):
        wait_until(f'no pod {selector} is left', lambda: not self.api.pods(selector, namespace), seconds)

    def in_pod(self, pod, *words, timeout=60, check=True):
        """Runs a command in a pod's first container, by kubectl exec; returns what it printed."""
        name, namespace = pod['metadata']['name'], pod['metadata']['namespace']
        return self.api.kubectl('exec', '-n', namespace, name, '--', *words, timeout=timeout, check=check)

    def explain(self, out):
        """What one wants to see when a case failed."""
        for words in ('nodes -o wide', 'pods -A -o wide', 'events -A --sort-by=.lastTimestamp'):
            try:
                lines = self.api.kubectl('get', *words.split(), '--request-timeout=5s', check=False).splitlines()
                print(f'--- kubectl get {words}', *lines[:1], *lines[1:][-25:], sep='\n', file=out)
            except Exception as error:  # the API server may be what is broken
                print(f'--- kubectl get {words}: {error}', file=out)
        for node in self.up_nodes():
            for what in (['merinoctl', 'status'], ['sh', '-c', 'tail -qn 15 /var/log/pods/kube-flannel_*/kube-flannel/*.log']):
                result = node.run(what, check=False)
                print(f'--- {node.name}: {" ".join(what)}\n{result.stdout}{result.stderr}', file=out)
        print(f'--- more in {self.lab.logs}', file=out, flush=True)

    def shut_down(self):
        for node in self.up_nodes():
            node.switch_off()
        for name in reversed(list(self.control)):
            self.control[name].stop(seconds=5)
