"""Daemons, and nodes: machines in namespaces with a disk, that can be switched off and on."""
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness import Failed, wait_until

HERE = Path(__file__).resolve().parent


def run(argv, check=True, timeout=60, **options):
    """Runs a command to its end; its output is text. A failure names the command and what it said."""
    result = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=timeout, **options)
    if check and result.returncode != 0:
        raise Failed(f'{" ".join(map(str, argv))}: exit code {result.returncode}: {(result.stderr or result.stdout).strip()[-800:]}')
    return result


def only_child(pid):
    children = Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    return int(children[0]) if children else None


class Daemon:
    """A process that is started, stopped and killed by name. `enter` are the words before its command, such as nsenter's."""

    def __init__(self, name, log_directory, argv, enter=()):
        self.name, self.argv, self.enter = name, [str(word) for word in argv], list(enter)
        self.log = Path(log_directory) / f'{name}.log'
        self.process = None

    def start(self):
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(self.enter + self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def pid(self):
        """The process id here: nsenter stays in between."""
        return wait_until(f'{self.name} has a process', lambda: only_child(self.process.pid), 5) if self.enter else self.process.pid

    def stop(self, how=signal.SIGTERM, seconds=20):
        if not self.alive():
            return
        os.kill(self.pid(), how)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(self.pid(), signal.SIGKILL)
            self.process.wait(seconds)

    def tail(self, lines=15):
        if not self.log.exists():
            return ''
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-lines:])


class Node:
    """A machine: namespaces that its first process holds, a disk that outlives them, a cable to the bridge of this network namespace."""

    def __init__(self, lab, number):
        self.lab, self.number, self.name = lab, number, f'node{number}'
        self.address = lab.node_address(number)
        self.disk = lab.state / 'disks' / self.name
        self.cgroup = f'{lab.name}-{self.name}'
        self.holder = None
        self.init = None
        self.switched_on = ''
        self.daemons = {}

    def switch_on(self):
        self.disk.mkdir(parents=True, exist_ok=True)
        ready = self.lab.state / f'{self.name}.ready'
        ready.unlink(missing_ok=True)
        with open(self.lab.logs / f'{self.name}.log', 'ab') as log:
            self.holder = subprocess.Popen(
                ['unshare', '--net', '--mount', '--uts', '--ipc', '--pid', '--fork', '--kill-child=KILL', '--propagation', 'private',
                 HERE / 'node-init', self.name, self.disk, self.cgroup, ready], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        wait_until(f'{self.name} is up', ready.exists, 20, 0.05)
        self.init = int(ready.read_text())
        self.switched_on = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
        mtu = ['mtu', self.lab.mtu]
        run(['ip', 'link', 'add', self.name, *mtu, 'type', 'veth', 'peer', 'name', 'eth0', *mtu, 'netns', self.init])
        run(['ip', 'link', 'set', self.name, 'master', self.lab.bridge, 'up'])
        self.run(['ip', 'link', 'set', 'eth0', 'up'])
        self.set_address(self.address)

    def set_address(self, address):
        self.run(['ip', 'address', 'flush', 'dev', 'eth0'])
        self.run(['ip', 'address', 'add', f'{address}/24', 'dev', 'eth0'])
        self.run(['ip', 'route', 'replace', 'default', 'via', self.lab.address])
        self.address = address

    def switch_off(self):
        """As if the power failed: nothing ends in order. The disk stays."""
        os.kill(self.init, signal.SIGKILL)
        self.holder.wait(20)
        for daemon in self.daemons.values():
            daemon.process.wait(20)
        self.daemons.clear()
        self.init = None
        self.drop_cgroups()
        # The kernel takes its time to end the network namespace, and the other end of the cable with it.
        run(['ip', 'link', 'delete', self.name], check=False)

    def drop_cgroups(self):
        for top in self.lab.cgroup_directories(self.cgroup):
            for _ in range(20):
                for directory, _, _ in os.walk(top, topdown=False):
                    try:
                        os.rmdir(directory)
                    except OSError:
                        pass
                if not os.path.exists(top):
                    break
                time.sleep(0.1)

    def wipe(self):
        shutil.rmtree(self.disk)

    def enter(self, *more):
        return ['nsenter', '--target', str(self.init), '--mount', '--uts', '--ipc', '--net', '--pid', '--wd=/', *more, '--']

    def run(self, argv, **options):
        return run(self.enter() + [str(word) for word in argv], **options)

    def write(self, path, content):
        self.run(['tee', path], input=content)

    def read(self, path):
        return self.run(['cat', path]).stdout

    def start(self, name, argv):
        daemon = self.daemons.get(name)
        if daemon is None:
            daemon = Daemon(f'{self.name}-{name}', self.lab.logs, argv, self.enter())
            self.daemons[name] = daemon
        daemon.start()
        return daemon

    def restart(self, name, how=signal.SIGTERM):
        self.daemons[name].stop(how)
        self.daemons[name].start()
