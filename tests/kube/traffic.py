#!/usr/bin/env python3
"""Traffic that goes on while things happen. As a program (it runs in a pod's network namespace):
  traffic.py serve PORT            sends back what comes in, on each connection
  traffic.py stream ADDRESS PORT   numbered lines over one connection, one each 5 ms; on SIGTERM tells how many came back and the longest gap
As a module: Ping and Stream between pods, started and stopped by the suite."""
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time

INTERVAL = 0.005


def serve(port):
    listener = socket.create_server(('', port))
    print('listening', flush=True)

    def echo(connection):
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    while True:
        threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()


def stream(address, port):
    result = {'sent': 0, 'received': 0, 'longest_gap_ms': 0, 'error': ''}
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    connection = socket.create_connection((address, port), timeout=10)
    connection.settimeout(30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print('connected', flush=True)
    last = time.monotonic()
    try:
        with connection, connection.makefile('rb') as lines:
            while not stopped.is_set():
                connection.sendall(b'%d\n' % result['sent'])
                result['sent'] += 1
                if int(lines.readline()) != result['received']:
                    raise ValueError('a line came back out of order')
                result['received'] += 1
                now = time.monotonic()
                result['longest_gap_ms'] = max(result['longest_gap_ms'], round((now - last) * 1000))
                last = now
                time.sleep(INTERVAL)
    except (OSError, ValueError) as error:
        result['error'] = str(error) or type(error).__name__
    print(json.dumps(result), flush=True)


class Traffic:
    """A program in a pod's network namespace. The namespace is entered from the node: neither kubelet nor containerd is needed for it to go on."""

    def __init__(self, cluster, pod, argv):
        node = cluster.nodes[pod['spec']['nodeName']]
        pid = cluster.process_of(pod)
        self.process = subprocess.Popen(node.enter() + ['nsenter', '--target', str(pid), '--net', '--'] + [str(word) for word in argv],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.node = node

    def end(self, how):
        """Signals the program itself, behind both nsenter, and returns what it printed."""
        from machine import only_child
        pid = self.process.pid
        while (child := only_child(pid)) is not None:
            pid = child
        if pid != self.process.pid:
            import os
            os.kill(pid, how)
        output, _ = self.process.communicate(timeout=40)
        return output


class Ping(Traffic):
    def __init__(self, cluster, pod, address):
        super().__init__(cluster, pod, ['ping', '-n', '-q', '-i', INTERVAL, address])
        self.what = f'ping {pod["spec"]["nodeName"]} > {address}'

    def stop(self):
        """How many were sent, and how many answers were missed."""
        output = self.end(signal.SIGINT)
        numbers = re.search(r'(\d+) packets transmitted, (\d+) received', output)
        if not numbers:
            raise ValueError(f'{self.what}: {output}')
        sent, received = map(int, numbers.groups())
        return sent, sent - received


if __name__ == '__main__':
    if sys.argv[1] == 'serve':
        serve(int(sys.argv[2]))
    else:
        stream(sys.argv[2], int(sys.argv[3]))
