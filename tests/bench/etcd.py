"""A real etcd in a node of its own, with leases as flannel writes them; and a way to it that takes longer."""
import base64
import http.client
import json
import pathlib
import socket
import subprocess
import sys
import threading
import time

import lab

PREFIX = '/coreos.com/network'
PORT = 2379
BATCH = 1000
# Each flannel node has an etcd lease of its own. With each put etcd looks at every key that hangs on its lease (does the user own all of
# them?), so one for all would make etcd slower with each node. A thousand would take long to grant; a few for each is near enough.
KEYS_OF_A_LEASE = 20
TTL = 86400


def _text(value):
    return base64.b64encode(value.encode()).decode()


def subnet_of(index):
    """The /24 of lease `index` in 10.0.0.0/8. The first 256 are left to merinod."""
    return f'10.{1 + index // 256}.{index % 256}.0'


def _key(index):
    return f'{PREFIX}/subnets/{subnet_of(index)}-24'


def _value(index, version):
    mac = f'02:{version & 255:02x}:{index >> 24 & 255:02x}:{index >> 16 & 255:02x}:{index >> 8 & 255:02x}:{index & 255:02x}'
    return json.dumps({'PublicIP': f'172.{16 + (index >> 16)}.{index >> 8 & 255}.{index & 255}', 'PublicIPv6': None, 'BackendType': 'vxlan',
                       'BackendData': {'VNI': 1, 'VtepMAC': mac}}, separators=(',', ':'))


class Etcd:
    """Client and server share the lab's network: the server listens on an address of its own there."""

    def __init__(self, address):
        self.url = f'http://{address}:{PORT}'
        self._address = address
        here = lab.Place('etcd', [])
        here.start('etcd', '--data-dir', lab.LAB / 'etcd', '--listen-client-urls', self.url, '--advertise-client-urls', self.url,
                   '--max-txn-ops', BATCH, '--max-request-bytes', 16 << 20, '--logger', 'zap', '--log-level', 'error')
        self._connection = http.client.HTTPConnection(address, PORT, timeout=60)
        lab.wait_until('etcd answers', self._answers)
        self.call('kv/put', {'key': _text(f'{PREFIX}/config'), 'value': _text('{"Network": "10.0.0.0/8", "SubnetLen": 24, "Backend": {"Type": "vxlan"}}')})
        self._leases = []
        self.count = 0

    def _answers(self):
        try:
            return self.call('maintenance/status', {})
        except OSError:
            self._connection.close()
            return None

    def call(self, what, body):
        self._connection.request('POST', f'/v3/{what}', json.dumps(body))
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise lab.Failed(f'etcd: {what}: {text.decode()[:300]}')
        return json.loads(text)

    def _grant(self):
        return self.call('lease/grant', {'TTL': TTL})['ID']

    def _put(self, index, version):
        return {'key': _text(_key(index)), 'value': _text(_value(index, version)), 'lease': self._leases[index]}

    def grow(self, count):
        """Until there are `count` leases of other nodes."""
        while self.count < count:
            end = min(count, self.count + BATCH)
            while len(self._leases) < end:
                self._leases += [self._grant()] * KEYS_OF_A_LEASE
            self.call('kv/txn', {'success': [{'requestPut': self._put(i, 0)} for i in range(self.count, end)]})
            self.count = end
        del self._leases[self.count:]

    def prepare_one(self):
        """What a new node does before it puts its lease; the lease's subnet."""
        self._leases.append(self._grant())
        return f'{subnet_of(self.count)}/24'

    def add_one(self):
        """Puts the lease that was prepared."""
        self.call('kv/put', self._put(self.count, 0))
        self.count += 1

    def watch(self):
        """A client that does nothing but see leases change: watch_etcd.py."""
        directory = f'{PREFIX}/subnets'
        request = json.dumps({'create_request': {'key': _text(directory + '/'), 'range_end': _text(directory + '0')}})
        watcher = subprocess.Popen([sys.executable, '-B', pathlib.Path(__file__).with_name('watch_etcd.py'), self._address, str(PORT), request],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if watcher.stdout.readline().strip() != 'ready':
            raise lab.Failed('etcd does not let its keys be watched')
        return watcher

    def change(self, index, version):
        """Another VTEP MAC for one lease, as if its node's device had been made anew."""
        self.call('kv/put', self._put(index, version))


class SlowWay:
    """A port that leads to etcd; what a client sends arrives `delay` seconds later."""

    def __init__(self, address, port, delay):
        self.url = f'http://{address}:{port}'
        self._target = (address, PORT)
        self._delay = delay
        self._listener = socket.create_server((address, port), backlog=128)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(self._target)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pump, args=(client, server, self._delay), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, 0), daemon=True).start()

    @staticmethod
    def _pump(source, target, delay):
        try:
            while data := source.recv(1 << 20):
                if delay:
                    time.sleep(delay)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # the other side is gone
            pass
