"""A cluster that kubeadm makes: its control plane is static pods on node1."""
import base64
import os
import re
import shlex

from api import Api
from cluster import Cluster
from documents import ROOT
from harness import Failed, wait_until
from machine import HERE, run

KUBELET_FLAGS = ('--cgroup-root=/{cgroup} --node-ip={address} --fail-swap-on=false --volume-plugin-dir=/var/lib/kubelet/volumeplugins '
                 '--eviction-hard=memory.available<0%,nodefs.available<0%,imagefs.available<0% '
                 '--image-gc-high-threshold=100 --image-gc-low-threshold=99 --node-status-update-frequency=2s')
PROGRAMS = '/opt/node/bin'


class KubeadmCluster(Cluster):
    most_nodes = 2

    def switch_on(self, node):
        """A machine as one has it before kubeadm: containerd, a kubelet that waits for its configuration, and the images of Kubernetes."""
        node.switch_on()
        node.run(['mkdir', '-p', PROGRAMS, '/var/lib/etcd'])
        for program in sorted((HERE / 'node-bin').iterdir()):
            node.run(['cp', program, PROGRAMS])
        node.run(['mount', '-t', 'tmpfs', '-o', 'mode=0700', 'etcd', '/var/lib/etcd'])
        node.write('/etc/default/kubelet', f"KUBELET_EXTRA_ARGS='{KUBELET_FLAGS.format(cgroup=node.cgroup, address=node.address)}'\n")
        node.write('/etc/hosts', ''.join(f'{one.address} {one.name}\n' for one in self.nodes.values()) + '127.0.0.1 localhost\n')
        self.start_containerd(node)
        for image in ('kubernetes', 'flannel'):
            self.import_image(node, image)
        for name in self.kubeadm(node, 'config', 'images', 'list', '--kubernetes-version=v1.20.2').split():
            if 'coredns' not in name:
                ours = 'merino.test/pod:1' if 'pause' in name else 'merino.test/kubernetes:1'
                node.run(['ctr', '--namespace=k8s.io', 'images', 'tag', ours, name])
        node.start('kubelet', self.with_path([f'{PROGRAMS}/kubelet-service']))

    @staticmethod
    def with_path(argv):
        return ['env', f'PATH={PROGRAMS}:{os.environ["PATH"]}', *argv]

    def kubeadm(self, node, *words, timeout=300):
        result = node.run(self.with_path(['kubeadm', *words]), timeout=timeout, check=False)
        (self.lab.logs / f'{node.name}-kubeadm-{words[0]}.log').write_text(result.stdout + result.stderr)
        if result.returncode != 0:
            raise Failed(f'kubeadm {words[0]} on {node.name}: {result.returncode}: {result.stdout[-1500:]}{result.stderr[-1500:]}')
        return result.stdout

    def take_credentials(self, node):
        """The administrator's, from where kubeadm init leaves them."""
        conf = node.read('/etc/kubernetes/admin.conf')
        pki = self.lab.pki
        (pki / 'admin.conf').write_text(conf)
        for file, key in (('ca.crt', 'certificate-authority-data'), ('admin.crt', 'client-certificate-data'), ('admin.key', 'client-key-data')):
            (pki / file).write_bytes(base64.b64decode(re.search(rf'{key}: (\S+)', conf).group(1)))
        self.api = Api(pki, self.lab.programs, node.address)

    def kubectl_as_written(self, command, directory=ROOT):
        """Runs a documented kubectl command in a directory, with the administrator's credentials."""
        words = shlex.split(command)
        environment = {**os.environ, 'KUBECONFIG': str(self.lab.pki / 'admin.conf')}
        return run([self.lab.programs / words[0], *words[1:]], cwd=directory, timeout=300, env=environment).stdout

    def unlimit_proxy(self):
        """kube-proxy may not set the machine's limits of conntrack from inside a node: it is told to leave them, in its ConfigMap."""
        path = '/api/v1/namespaces/kube-system/configmaps/kube-proxy'
        config = self.api.get(path)['data']['config.conf']
        for key in ('maxPerCore', 'min', 'tcpCloseWaitTimeout', 'tcpEstablishedTimeout'):
            value = '0' if key in ('maxPerCore', 'min') else '0s'
            config = re.sub(rf'(?m)^(\s+{key}:) null$', rf'\1 {value}', config)
        self.api.call('PATCH', path, {'data': {'config.conf': config}}, 'application/merge-patch+json')
        self.api.kubectl('delete', 'pods', '-n', 'kube-system', '-l', 'k8s-app=kube-proxy', '--grace-period=1', '--wait=false')

    def system_pods_run(self, node, names):
        """Until these pods of kube-system run on a node and are ready."""
        def probe():
            pods = [pod for pod in self.api.pods('', 'kube-system') if pod['spec'].get('nodeName') == node.name]
            ready = [pod['metadata']['name'] for pod in pods if self.pod_ready(pod)]
            missing = [name for name in names if not any(one.startswith(name) for one in ready)]
            if missing:
                raise Failed(f'missing: {missing}')
            return True
        wait_until(f'{node.name} runs {", ".join(names)}', probe, 180)

    def shut_down(self):
        for node in self.up_nodes():
            node.switch_off()
