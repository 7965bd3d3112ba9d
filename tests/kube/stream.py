#!/usr/bin/env python3
"""A TCP connection that lives through what happens around it; run in a pod's network namespace.
  stream.py serve PORT              sends back what comes in, on each connection
  stream.py connect ADDRESS PORT    a numbered line each 5 ms over one connection; on SIGTERM tells how many came
                                    back and the longest gap"""
import json
import signal
import socket
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


def connect(address, port):
    result = {'sent': 0, 'received': 0, 'longest_gap_ms': 0, 'error': ''}
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    connection = socket.create_connection((address, port), timeout=30)
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


if sys.argv[1] == 'serve':
    serve(int(sys.argv[2]))
else:
    connect(sys.argv[2], int(sys.argv[3]))
