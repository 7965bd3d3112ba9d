"""merino as the manifest deploys it."""
import re
import signal

from harness import Failed, wait_until
from machine import HERE

MANIFEST = HERE.parent.parent / 'deploy' / 'kube-merino.yml'
NAMESPACE, SELECTOR, CONTAINER = 'kube-flannel', 'app=flannel', 'kube-flannel'


class Merino:
    def __init__(self, cluster):
        self.cluster = cluster

    def install(self):
        self.cluster.api.kubectl('apply', '-f', MANIFEST)

    def pod(self, node):
        """The agent's pod on a node."""
        pods = [pod for pod in self.cluster.api.pods(SELECTOR, NAMESPACE)
                if pod['spec'].get('nodeName') == node.name and 'deletionTimestamp' not in pod['metadata']]
        if len(pods) != 1:
            raise Failed(f'{node.name} has {len(pods)} agents')
        return pods[0]

    def wait_ready(self, node, seconds=90):
        """Until the pod on a node says that it is ready, and the node's merinoctl says that it is healthy."""
        def probe():
            return self.cluster.pod_ready(self.pod(node)) and node.run(['merinoctl', 'status'])
        wait_until(f'merinod of {node.name} is ready', probe, seconds)

    def restart(self, node, how=signal.SIGTERM):
        """SIGTERM: the pod is deleted, and the DaemonSet makes another. SIGKILL: its process is killed, and kubelet starts another.
        Returns when there is another one, and the node is healthy."""
        old = self.pod(node)
        name, process = old['metadata']['name'], self.cluster.process_of(old)
        if how == signal.SIGTERM:
            self.cluster.api.kubectl('delete', 'pod', '-n', NAMESPACE, name, '--wait=false')
        else:
            node.run(['kill', '-KILL', process])

        def another():
            return self.cluster.process_of(self.pod(node)) != process and node.run(['merinoctl', 'status'])
        wait_until(f'{node.name} has another merinod, and is healthy', another, 90)

    def freeze(self, node, how):
        """SIGSTOP, SIGCONT."""
        node.run(['kill', f'-{how.name}', self.cluster.process_of(self.pod(node))])

    def log(self, node):
        return self.cluster.api.kubectl('logs', '-n', NAMESPACE, self.pod(node)['metadata']['name'], '-c', CONTAINER)


def image_name():
    """The image that the manifest wants."""
    return re.search(r'image: (\S+)', MANIFEST.read_text()).group(1)
