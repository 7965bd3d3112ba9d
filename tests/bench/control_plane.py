"""merinod with thousands of leases in a real etcd, and of Nodes in Kubernetes: how long it takes, what it needs."""
import pathlib
import statistics
import subprocess
import time

import etcd
import kube
import lab
from table import markdown

SIZES = {'full': (1000, 5000, 20000, 65000), 'quick': (1000, 5000), 'smoke': (100,)}
KUBE_NODES = {'full': 5000, 'quick': 1000, 'smoke': 100}
STARTS = {'full': 5, 'quick': 3, 'smoke': 1}
LEASES_ONE_BY_ONE = {'full': 30, 'quick': 10, 'smoke': 2}
SECONDS = {'full': 10, 'quick': 3, 'smoke': 1}
CHANGES_A_SECOND = 100
DELAY = 0.003
WIRE = '192.168.50'


class Agent:
    """One merinod on a new node. `known_at`: seconds from its start until all peers are in the map."""

    def __init__(self, number, build, store, peers):
        """`store`: the words that say where the leases are, environment first."""
        self._build = build
        self.node = lab.Node(f'scale{number}')
        self._wire = f'wire{number}'
        subprocess.run(['ip', 'link', 'add', self._wire, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', str(self.node.pid)], check=True)
        subprocess.run(['ip', 'link', 'set', self._wire, 'master', 'wire', 'up'], check=True)
        self.node.ip(f'addr add {WIRE}.2/24 dev eth0', 'link set eth0 up', f'route add default via {WIRE}.1')
        self._log = lab.LAB / f'{self.node.name}.log'
        self._store = store
        self.start(peers)

    def start(self, peers):
        began = self._log.stat().st_size if self._log.exists() else 0
        started = time.monotonic()
        environment, arguments = self._store
        self._process = self.node.start('env', *environment, self._build / 'userspace/agent/merinod', '--iface=eth0', *arguments)
        lab.wait_until(f'{peers} peers', lambda: self._says(began, f'peers: {peers} in all', 'ready: '), 60)
        self.known_at = time.monotonic() - started

    def _says(self, began, *texts):
        with open(self._log) as log:
            log.seek(began)
            said = log.read()
        return any(text in said for text in texts)

    def stop(self):
        self._process.terminate()
        self._process.wait()

    def resident(self):
        """MiB: of the process's own; of files; both; and the most there was."""
        lines = pathlib.Path(f'/proc/{self._process.pid}/status').read_text().splitlines()
        fields = dict(line.split(':', 1) for line in lines)
        return [int(fields[name].split()[0]) / 1024 for name in ('RssAnon', 'RssFile', 'VmRSS', 'VmHWM')]

    def cpu_seconds(self):
        fields = pathlib.Path(f'/proc/{self._process.pid}/stat').read_text().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def watcher(self):
        return subprocess.Popen(self.node.command([self._build / 'tests/bench/peer_watch']), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                text=True)

    def remove(self):
        self.stop()
        self.node.end()


def _new_leases(store, count, watcher, announce):
    """Milliseconds from the moment that each new lease is put until `watcher` prints that it has come, and when."""
    delays = []
    for _ in range(count):
        announce(store.prepare_one())
        time.sleep(0.1)  # not into the pass of the one before
        asked = time.monotonic_ns()
        store.add_one()
        delays.append((int(watcher.stdout.readline()) - asked) / 1e6)
    return delays


def _lease_to_map(agent, store, count):
    """Until the peer is in the map."""
    watcher = agent.watcher()
    watcher.stdout.readline()
    delays = _new_leases(store, count, watcher, lambda subnet: print(subnet, file=watcher.stdin, flush=True))
    watcher.stdin.close()
    watcher.wait()
    return delays


def _lease_to_client(store, count):
    """Until etcd's event has reached a client, whatever that does with it."""
    watcher = store.watch()
    delays = _new_leases(store, count, watcher, lambda subnet: None)
    watcher.kill()
    watcher.wait()
    return delays


def _cpu_share(agent, seconds, work=lambda index: None):
    """Share of one CPU while `work` is called 100 times a second."""
    before, began = agent.cpu_seconds(), time.monotonic()
    for index in range(seconds * CHANGES_A_SECOND):
        pause = began + index / CHANGES_A_SECOND - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        work(index)
    return (agent.cpu_seconds() - before) / (time.monotonic() - began)


def _in_etcd(url):
    return [], [f'--etcd-endpoints={url}']


def _measure_size(options, store, slow, size, numbers):
    store.grow(size)
    result = {'leases': size}
    for name, url in (('start_local', store.url), ('start_slow', slow.url)):
        seconds = []
        for _ in range(STARTS[options.length]):
            agent = Agent(next(numbers), options.build_dir, _in_etcd(url), size)
            seconds.append(agent.known_at)
            agent.remove()
        result[name] = statistics.median(seconds)
    agent = Agent(next(numbers), options.build_dir, _in_etcd(store.url), size)
    lab.wait_until('ready', lambda: agent._says(0, 'ready: '))
    result['idle'] = _cpu_share(agent, SECONDS[options.length])
    result['resident'] = agent.resident()
    result['changing'] = _cpu_share(agent, SECONDS[options.length], lambda index: store.change(index % store.count, index // store.count + 1))
    result['resident_after_changes'] = agent.resident()
    result['lease_to_map'] = _lease_to_map(agent, store, LEASES_ONE_BY_ONE[options.length])
    agent.stop()
    agent.start(store.count)
    result['restart'] = agent.known_at
    agent.remove()
    result['lease_to_client'] = _lease_to_client(store, LEASES_ONE_BY_ONE[options.length])
    result['sync'] = _sync_cost(options, size, next(numbers))
    return result


def _measure_kube(options, numbers):
    api = kube.ApiServer(f'{WIRE}.1', KUBE_NODES[options.length])
    conf = lab.LAB / 'net-conf.json'
    conf.write_text('{"Network": "10.0.0.0/8", "Backend": {"Type": "vxlan"}}')
    where = [f'NODE_NAME={kube.OWN}'], ['--kube-subnet-mgr', f'--kube-api-url={api.url}', f'--net-config-path={conf}']
    seconds = []
    for _ in range(STARTS[options.length]):
        agent = Agent(next(numbers), options.build_dir, where, api.count)
        seconds.append(agent.known_at)
        agent.remove()
    agent = Agent(next(numbers), options.build_dir, where, api.count)
    lab.wait_until('ready', lambda: agent._says(0, 'ready: '))
    time.sleep(SECONDS[options.length])
    result = {'nodes': api.count, 'start': statistics.median(seconds), 'resident': agent.resident(),
              'lease_to_map': _lease_to_map(agent, api, LEASES_ONE_BY_ONE[options.length])}
    agent.remove()
    return result


def _sync_cost(options, size, number):
    """Milliseconds of CPU for writing the peers into the maps: all new, none changed, one changed, all removed."""
    node = lab.Node(f'sync{number}')
    try:
        return [float(line) for line in node.run(options.build_dir / 'tests/bench/peer_sync', size).split()]
    finally:
        node.end()


def _times(result):
    delays = sorted(result['lease_to_map'])
    return [f'{result["leases"]:,}', f'{result["start_local"]:.2f}', f'{result["start_slow"]:.2f}', f'{result["restart"]:.2f}',
            f'{statistics.median(delays):.1f}', f'{delays[-1]:.1f}', f'{statistics.median(result["lease_to_client"]):.1f}',
            f'{result["idle"]:.1%}', f'{result["changing"]:.1%}']


def _memory(result):
    own, file, resident, most = result['resident']
    return [f'{result["leases"]:,}', *(f'{mib:.1f}' for mib in (resident, own, file, most, *result['resident_after_changes'][:3:2]))]


def _kube_row(result):
    own, file, resident, most = result['resident']
    return [f'{result["nodes"]:,}', f'{result["start"]:.2f}', f'{statistics.median(result["lease_to_map"]):.1f}',
            *(f'{mib:.1f}' for mib in (resident, own, file, most))]


def measure(options):
    """(text, data) for the report."""
    subprocess.run(['ip', '-batch', '-'], input=f'link add wire type bridge\naddr add {WIRE}.1/24 dev wire\nlink set wire up\n', text=True, check=True)
    store = etcd.Etcd(f'{WIRE}.1')
    slow = etcd.SlowWay(f'{WIRE}.1', 2380 + 9, DELAY)
    numbers = iter(range(1, 1000))
    results = []
    for size in SIZES[options.length]:
        results.append(_measure_size(options, store, slow, size, numbers))
        print(f'  {size} leases: {results[-1]["start_local"]:.2f} s, {results[-1]["start_slow"]:.2f} s with {DELAY * 1000:.0f} ms a request, '
              f'{results[-1]["resident"][2]:.1f} MiB', flush=True)
    in_kube = _measure_kube(options, numbers)
    print(f'  {in_kube["nodes"]} Nodes of Kubernetes: {in_kube["start"]:.2f} s, {in_kube["resident"][2]:.1f} MiB', flush=True)
    text = ('## Control plane\n\nmerinod on a node of its own, leases of other nodes in a real etcd (of one member, in memory). Seconds from the start of the '
            f'process until all peers are in the map, on new nodes (medians of {STARTS[options.length]}) with etcd near and with {DELAY * 1000:.0f} ms added to '
            'each request, and on one that has them already; milliseconds from the put of a new lease to its entry in the map (median, '
            f'maximum of {LEASES_ONE_BY_ONE[options.length]}), and to a client that does nothing but watch etcd, without merinod; CPU of one while nothing '
            f'happens, and while {CHANGES_A_SECOND} leases a second change.\n\n')
    text += markdown(['leases', 'start, s', '+3 ms, s', 'restart, s', 'lease to map, ms', 'max', 'lease to a client', 'CPU idle', 'CPU changing'],
                     [_times(result) for result in results], left=0)
    text += ('\nIts resident memory in MiB: all, the process\'s own, the pages of program and libraries that it shares with the page cache; the most there was; '
             'own and all after the changes.\n\n')
    text += markdown(['leases', 'resident', 'own', 'of files', 'at most', 'own, after changes', 'all'], [_memory(result) for result in results], left=0)
    text += (f'\nThe same with Kubernetes, Nodes of {kube.NODE_BYTES:,} bytes in pages of {kube.PAGE}, without TLS:\n\n')
    text += markdown(['nodes', 'start, s', 'lease to map, ms', 'resident', 'own', 'of files', 'at most'], [_kube_row(in_kube)], left=0)
    text += '\nMilliseconds of CPU of the one function that brings the maps to the peers that should be there:\n\n'
    text += markdown(['peers', 'all new', 'none changed', 'one changed', 'all removed'],
                     [[f'{result["leases"]:,}', *(f'{value:.1f}' for value in result['sync'])] for result in results], left=0)
    return text, {'etcd': results, 'kubernetes': in_kube}
