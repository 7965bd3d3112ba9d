"""How merino comes onto the nodes."""
import signal

from harness import wait_until

CONFLIST = '{"name": "cbr0", "cniVersion": "0.4.0", "plugins": [{"type": "merino"}, {"type": "portmap", "capabilities": {"portMappings": true}}]}'


class ByHand:
    """merinod as a daemon of the node, with a directory of leases that the nodes share; binary and configuration copied."""

    def __init__(self, cluster):
        self.cluster = cluster

    def install(self):
        for node in self.cluster.up_nodes():
            self.install_on(node)

    def install_on(self, node):
        node.run(['cp', self.cluster.lab.state / 'bin/merino', '/opt/cni/bin/merino'])
        node.write('/run/net-conf.json', '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}')
        node.start('merinod', ['merinod', f'--lease-dir={self.cluster.lab.state}/leases', '--net-config-path=/run/net-conf.json', '--ip-masq'])
        node.write('/etc/cni/net.d/10-merino.conflist', CONFLIST)

    def booted(self, node):
        """After a node was switched on again with the disk that it had."""
        self.install_on(node)

    @staticmethod
    def restart(node, how=signal.SIGTERM):
        node.restart('merinod', how)
        wait_until(f'merinod of {node.name} is ready', lambda: node.run(['merinoctl', 'status']), 30)
