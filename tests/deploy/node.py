"""A node for a test: network and mount namespaces of its own with a BPF file system, a /run and an uplink, held by one process."""
import os
import subprocess
import tempfile
import time
import weakref

import places

SET_UP = '''
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
ip link add eth0 type veth peer name wire
ip link set eth0 up
ip link set wire up
ip address add 192.168.77.9/24 dev eth0
ip route add default via 192.168.77.1
mkdir -p /run/leases
echo ready
exec sleep infinity
'''


class Node:
    def __init__(self):
        self.holder = subprocess.Popen(['unshare', '--mount', '--net', '--', 'bash', '-euc', SET_UP], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        line = self.holder.stdout.readline()
        if line != 'ready\n':
            rest = line + self.holder.stdout.read()
            self.close()
            raise AssertionError(f'cannot make a node; this test needs root and namespaces: {rest}')

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()

    def command(self, *words):
        """What runs `words` on the node."""
        return ['nsenter', f'--target={self.holder.pid}', '--mount', '--net', '--', *map(str, words)]

    def run(self, *words, **options):
        return places.run(*self.command(*words), **options)

    def start(self, *words, **options):
        """A process on the node, its output kept; see Daemon."""
        return Daemon(self.command(*words), **options)


class Daemon:
    def __init__(self, command, **options):
        self.log = tempfile.TemporaryFile(mode='w+')
        weakref.finalize(self, self.log.close)
        # A session of its own: nsenter and runc are not the process itself, so a signal goes to all of it.
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True, **options)

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def wait(self):
        """Its exit code, when it ends by itself."""
        return self.process.wait(timeout=60)

    def stop(self, signal):
        """Its exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal)
        return self.wait()


def eventually(condition, daemon, seconds=60):
    """Waits until the condition gives something; fails with the daemon's log if it ends before, or never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        if daemon.process.poll() is not None:
            raise AssertionError(f'it ended with {daemon.process.returncode}:\n{daemon.text()}')
        time.sleep(0.1)
    raise AssertionError(f'not within {seconds} s:\n{daemon.text()}')
