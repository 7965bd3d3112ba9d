"""Traffic between pods that goes on while things happen, and what was lost of it."""
import json
import os
import re
import signal
import subprocess
from pathlib import Path

from harness import Failed, expect, note
from machine import HERE, only_child

PORT = 7007


class Program:
    """A program in a pod's network namespace, entered from the node: it needs neither kubelet nor containerd to go on."""

    def __init__(self, cluster, pod, argv):
        node = cluster.nodes[pod['spec']['nodeName']]
        inner = ['nsenter', '--target', str(cluster.process_of(pod)), '--net', '--']
        self.what = f'{node.name}: {" ".join(map(str, argv[-3:]))}'
        words = [str(word) for word in [*node.enter(), *inner, *argv]]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        start_new_session=True)

    def end(self, how):
        """Signals the program itself, behind nsenter, and returns what it printed."""
        pid = self.process.pid
        while Path(f'/proc/{pid}').exists() and (child := only_child(pid)) is not None:
            pid = child
        if pid != self.process.pid:
            os.kill(pid, how)
        return self.process.communicate(timeout=40)[0]


class Flows:
    """Pings each way and one TCP connection between pods of two nodes, and a ping between two pods of one node; 5 ms between packets.
    As a context: leaves nothing running."""

    def __init__(self, cluster, here, beside, there):
        self.cluster, self.here, self.beside, self.there = cluster, here, beside, there

    def __enter__(self):
        address = {name: pod['status']['podIP'] for name, pod in (('here', self.here), ('beside', self.beside), ('there', self.there))}
        self.server = Program(self.cluster, self.there, ['python3', HERE / 'stream.py', 'serve', PORT])
        self.expect_line(self.server, 'listening')
        self.stream = Program(self.cluster, self.here, ['python3', HERE / 'stream.py', 'connect', address['there'], PORT])
        self.expect_line(self.stream, 'connected')
        ping = ['ping', '-n', '-q', '-i', '0.005']
        self.pings = [Program(self.cluster, pod, [*ping, target]) for pod, target in (
            (self.here, address['there']), (self.there, address['here']), (self.here, address['beside']))]
        return self

    @staticmethod
    def expect_line(program, word):
        line = program.process.stdout.readline()
        expect(line == f'{word}\n', f'{program.what}: {line!r}')

    def __exit__(self, *_):
        for program in [*self.pings, self.stream, self.server]:
            if program.process.poll() is None:
                program.end(signal.SIGKILL)

    def stop(self, what):
        """Ends the traffic and says what was lost. Fails if the connection broke. Returns the number of lost pings."""
        lost, counts = 0, []
        for ping in self.pings:
            numbers = re.search(r'(\d+) packets transmitted, (\d+) received', output := ping.end(signal.SIGINT))
            if not numbers:
                raise Failed(f'{ping.what}: {output}')
            sent, received = map(int, numbers.groups())
            expect(sent > 0, f'{ping.what}: nothing was sent')
            lost += sent - received
            counts.append(f'{sent - received} of {sent}')
        result = json.loads(self.stream.end(signal.SIGTERM).splitlines()[-1])
        note(f'{what}: lost pings {", ".join(counts)}; TCP: {result["received"]} lines, longest gap {result["longest_gap_ms"]} ms')
        expect(not result['error'] and result['received'] > 0, f'{what}: the TCP connection broke: {result}')
        return lost
