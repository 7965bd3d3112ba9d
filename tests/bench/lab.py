"""Nodes and pods in namespaces. All of it lives in the namespaces that scripts/bench made, and goes with them.

A node is a network namespace and a mount namespace with its own /run, /var/lib/cni, /sys and bpffs, so that merinod's and the plugins'
fixed paths are the node's own; a process holds them. A pod is a network namespace that CNI plugins attached.
"""
import json
import pathlib
import subprocess
import time

LAB = pathlib.Path('/run/lab')
ROOT = pathlib.Path(__file__).resolve().parents[2]

# Becomes the process that holds a node's namespaces.
HOLD = '''
set -e
run=/run/lab/$1.run
mkdir -p "$run"
mount -n -t tmpfs -o mode=0755 run "$run"
mkdir "$run/lab"
mount -n --bind /run/lab "$run/lab"
mount -n --move "$run" /run
if [ -d /var/lib/cni ]; then mount -n -t tmpfs cni /var/lib/cni; else mount -n -t tmpfs lib /var/lib; fi
mount -n -t sysfs sys /sys
mount -n -t bpf bpf /sys/fs/bpf
ip link set lo up
echo up
exec sleep infinity
'''


class Failed(Exception):
    """Something could not be set up or measured; says what."""


def wait_until(what, probe, seconds=30):
    end = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > end:
            raise Failed(f'{what}: not within {seconds} s')
        time.sleep(0.02)


class Place:
    """Where commands run: `enter` are the words in front of them."""

    def __init__(self, name, enter):
        self.name = name
        self.enter = enter
        self._started = []

    def command(self, arguments, cpu=None):
        pin = [] if cpu is None else ['taskset', '-c', str(cpu)]
        return self.enter + pin + [str(argument) for argument in arguments]

    def run(self, *arguments, cpu=None, text=None, environment=None):
        """The command's standard output; Failed with what it said if it fails."""
        words = self.command(arguments, cpu)
        if environment:
            words = self.enter + ['env'] + [f'{key}={value}' for key, value in environment.items()] + [str(a) for a in arguments]
        done = subprocess.run(words, input=text, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f'{self.name}: {" ".join(map(str, arguments))[:200]}: exit code {done.returncode}: {done.stderr.strip()[-600:]}')
        return done.stdout

    def start(self, *arguments, cpu=None, ready=None):
        """Leaves a command running. `ready`: a line to wait for."""
        with open(LAB / f'{self.name}.log', 'a') as log:
            process = subprocess.Popen(self.command(arguments, cpu), stdout=subprocess.PIPE if ready else log, stderr=log,
                                       stdin=subprocess.DEVNULL, text=True)
        if ready and process.stdout.readline().strip() != ready:
            raise Failed(f'{self.name}: {" ".join(map(str, arguments))} did not start')
        self._started.append(process)
        return process

    def end(self):
        """Ends what start() left running."""
        for process in self._started:
            process.kill()
            process.wait()
        self._started = []

    def ip(self, *lines):
        self.run('ip', '-batch', '-', text='\n'.join(lines) + '\n')

    def sysctl(self, *settings):
        """Each "net.name=value"."""
        self.run('sysctl', '-qw', *settings)


class Pod(Place):
    """A pod of a node, attached by the plugins of `conflist`."""

    def __init__(self, node, name, conflist, plugin_path):
        node.run('ip', 'netns', 'add', name)
        super().__init__(f'{node.name}-{name}', node.enter + ['nsenter', f'--net=/run/netns/{name}', '--'])
        self.run('ip', 'link', 'set', 'lo', 'up')
        result = json.loads(node.run(ROOT / 'scripts/cni-run', 'ADD', conflist, name, f'/run/netns/{name}',
                                     environment={'CNI_PATH': plugin_path}))
        self.address = result['ips'][0]['address'].split('/')[0]


class Node(Place):
    def __init__(self, name):
        with open(LAB / f'{name}-namespaces.log', 'w') as log:
            self._holder = subprocess.Popen(
                ['unshare', '--net', '--mount', '--propagation', 'private', '--', 'sh', '-c', HOLD, 'sh', name],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        if self._holder.stdout.readline().strip() != 'up':
            raise Failed(f'{name}: {(LAB / f"{name}-namespaces.log").read_text().strip()}')
        self.pid = self._holder.pid
        self.address = None
        super().__init__(name, ['nsenter', '--target', str(self.pid), '--mount', '--net', '--'])

    def end(self):
        """The node's namespaces go when nobody is in them any more."""
        super().end()
        self._holder.kill()
        self._holder.wait()

    def add_pod(self, name, conflist, plugin_path):
        path = LAB / f'{self.name}.conflist'
        path.write_text(json.dumps(conflist))
        return Pod(self, name, path, plugin_path)


def connect(first, second, prefix):
    """A wire between two nodes: eth0 of each, `prefix`.1 and `prefix`.2."""
    subprocess.run(['ip', 'link', 'add', 'eth0', 'netns', str(first.pid), 'type', 'veth', 'peer', 'name', 'eth0', 'netns', str(second.pid)],
                   check=True)
    for index, node in enumerate((first, second), 1):
        node.address = f'{prefix}.{index}'
        node.ip(f'addr add {node.address}/24 dev eth0', 'link set eth0 up', f'route add default via {prefix}.{3 - index}')
