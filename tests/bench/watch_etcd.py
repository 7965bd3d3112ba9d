"""watch_etcd.py HOST PORT REQUEST: watches etcd by its JSON gateway and prints when each change arrived, in nanoseconds of CLOCK_MONOTONIC.

As little as a client can do: what merinod's way from a change to the map is compared with. Says "ready" first.
"""
import socket
import sys
import time


def main():
    host, port, request = sys.argv[1:]
    connection = socket.create_connection((host, int(port)))
    connection.sendall(f'POST /v3/watch HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(request)}\r\n\r\n{request}'.encode())
    created = False
    while piece := connection.recv(1 << 16):
        arrived = time.monotonic_ns()
        if created:
            print(arrived, flush=True)
        elif b'"created":true' in piece:
            created = True
            print('ready', flush=True)


main()
