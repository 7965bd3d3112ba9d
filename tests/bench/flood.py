"""Forged VXLAN at rates up to what a CPU can put onto a wire, while a legitimate TCP stream runs: without wire_xdp, and with it in each mode.

The victim's uplink has one receive queue and a kernel thread of its own for it (threaded NAPI), as a network card with one queue: stream and
flood meet in it. Both come onto the wire at the switch's port as bare frames, so that the victim pays for making packets of them. The flood
and the stream's two ends share a CPU, so that the other one is the victim's.
"""
import json
import statistics
import subprocess

import lab
import rules
from table import markdown, number

SECONDS = {'full': 3, 'quick': 2, 'smoke': 1}
ROUNDS = {'full': 3, 'quick': 1, 'smoke': 1}
FULL_RATE = 0
RATES = {'full': (250_000, 500_000, 1_000_000, 1_500_000, 2_000_000, FULL_RATE), 'quick': (500_000, 1_000_000, 2_000_000, FULL_RATE),
         'smoke': (500_000,)}
FRAMES = {'on': '64 KiB packets (GSO)', 'off': 'MTU-sized frames, GRO'}
MODES = {'off': 'no XDP', 'generic': 'generic XDP', 'native': 'native XDP'}
FLOOD_CPU = 1
STRANGER = '192.168.30.99'
STREAM = '300M'  # far below what the victim takes without a flood


class Segment:
    """Two nodes on a bridge, which is a machine of its own."""

    def __init__(self, build):
        self.build = build
        self.bridge = lab.Node('fbridge')
        self.bridge.ip('link add lan0 type bridge', 'link set lan0 up')
        self.victim, self.client = (lab.Node(name) for name in ('fvictim', 'fclient'))
        for index, node in enumerate((self.victim, self.client), 1):
            subprocess.run(['ip', 'link', 'add', 'eth0', 'netns', str(node.pid), 'type', 'veth', 'peer', 'name', f'port{index}', 'netns',
                            str(self.bridge.pid)], check=True)
            self.bridge.ip(f'link set port{index} master lan0', f'link set port{index} up')
            node.address = f'192.168.30.{index}'
            node.ip(f'addr add {node.address}/24 dev eth0', 'link set eth0 up', 'route add default via 192.168.30.254')
        self.victim.run('ethtool', '-K', 'eth0', 'gro', 'on')
        self.mac = self.victim.run('cat', '/sys/class/net/eth0/address').strip()
        self.conf = lab.LAB / 'flood-net-conf.json'
        self.conf.write_text(json.dumps({'Network': rules.NETWORK, 'Backend': {'Type': 'vxlan'}}))
        (lab.LAB / 'flood-leases').mkdir()
        self.agents = {}
        for node in (self.victim, self.client):
            self.start_agent(node, 'off')
        conflist = {'cniVersion': '1.0.0', 'name': 'cbr0', 'plugins': [{'type': 'merino'}]}
        self.server, self.source = (node.add_pod('pod', conflist, build / 'cni') for node in (self.victim, self.client))
        self.server.start('iperf3', '--server', cpu=FLOOD_CPU)

    def start_agent(self, node, mode):
        """merinod with that mode of XDP, in place of the one that runs."""
        if node in self.agents:
            self.agents[node].terminate()
            self.agents[node].wait()
        self.agents[node] = node.start(self.build / 'userspace/agent/merinod', f'--lease-dir={lab.LAB}/flood-leases',
                                       f'--net-config-path={self.conf}', '--iface=eth0', '--ip-masq', f'--wire-xdp={mode}')
        lab.wait_until(f'{node.name} is set up', lambda: node.run('sh', '-c', 'cat /run/flannel/subnet.env 2>/dev/null || true'))

    def set_frames(self, state):
        """What comes over the wire to the victim: 64 KiB packets ('on') or MTU-sized frames ('off'), which meet a polled queue and GRO."""
        self.bridge.run('ethtool', '-K', 'port1', 'tso', state, 'gso', state)

    def be_a_network_card(self):
        """From here on the victim's queue has a thread of its own, waits 20 us for more, and gets the stream as bare frames, too: a veth would copy
        each packet for native XDP, which a network card need not. XDP knows no checksum that is still to be filled in."""
        self.client.run('ethtool', '-K', 'eth0', 'tx', 'off')
        self.bridge.start(self.build / 'tests/bench/flood', 'forward', 'port2', 'port1', ready='ready')
        self.victim.run('sh', '-c', 'cd /sys/class/net/eth0 && echo 1 >threaded && echo 1000 >napi_defer_hard_irqs && echo 20000 >gro_flush_timeout')

    def set_mode(self, mode):
        self.start_agent(self.victim, mode)
        shown = {'off': '', 'generic': 'xdpgeneric', 'native': 'xdp'}[mode]
        lab.wait_until(f'the victim has {MODES[mode]}', lambda: self._xdp() == shown)
        lab.wait_until('the client knows its peer', lambda: self._peers() == 1)

    def _xdp(self):
        words = self.victim.run('ip', 'link', 'show', 'eth0').split()
        return next((word for word in words if word in ('xdp', 'xdpgeneric')), '')

    def _peers(self):
        try:
            return len(json.loads(self.victim.run(self.build / 'userspace/ctl/merinoctl', 'peers', '-o', 'json')))
        except lab.Failed:
            return 0

    def refused(self):
        counters = json.loads(self.victim.run(self.build / 'userspace/ctl/merinoctl', 'counters', '-o', 'json'))
        return sum(entry['packets'] for entry in counters if entry['reason'] == 'unknown_sender')

    def stream(self, seconds, rate=STREAM):
        """Mbit/s that arrived, of `rate` ('0': as fast as it goes)."""
        words = ['iperf3', '--client', self.server.address, '--time', f'{seconds}', '--bitrate', rate, '--json']
        answer = json.loads(self.source.run(*words, cpu=FLOOD_CPU))
        return answer['end']['sum_received']['bits_per_second'] / 1e6

    def _flood(self, rate, seconds):
        words = [self.build / 'tests/bench/flood', 'port1', self.mac, STRANGER, self.victim.address, rate, int(seconds * 1000)]
        return subprocess.Popen(self.bridge.command(words, FLOOD_CPU), stdout=subprocess.PIPE, text=True)

    def flood_alone(self, seconds):
        """Packets a second that one CPU sends and refuses: the victim's queue is polled by the sender's CPU, so nothing is lost."""
        before = self.refused()
        sent = json.loads(self._flood(FULL_RATE, seconds).communicate()[0])
        return (self.refused() - before) / sent['seconds']

    def flooded_stream(self, rate, seconds):
        """What is left of the stream, and what becomes of the flood."""
        before = self.refused()
        flood = self._flood(rate, seconds + 0.5)
        try:
            stream = self.stream(seconds)
        finally:
            sent = json.loads(flood.communicate()[0])
        return {'stream': stream, 'sent': sent['sent'] / sent['seconds'], 'refused': (self.refused() - before) / sent['seconds']}

    def end(self):
        for place in (self.server, self.source, self.victim, self.client, self.bridge):
            place.end()


def one_at_a_time(segment, modes, seconds, rounds):
    """(text, data): one stream as fast as it goes, by what the wire brings and the mode; and nothing but a flood."""
    samples = {what: {mode: [] for mode in modes} for what in (*FRAMES, 'flood')}
    for mode in list(modes) * rounds:
        segment.set_mode(mode)
        for frames in FRAMES:
            segment.set_frames(frames)
            samples[frames][mode].append(segment.stream(seconds, '0'))
        samples['flood'][mode].append(segment.flood_alone(seconds))
    medians = {what: [number(statistics.median(of_mode) / 1000) for of_mode in by_mode.values()] for what, by_mode in samples.items()}
    text = '## XDP on the uplink\n\nOne TCP stream from pod to pod, Gbit/s; or forged tunnel packets that one CPU sends and refuses, 1000/s.\n\n'
    rows = [[f'stream: {name}', *medians[frames]] for frames, name in FRAMES.items()] + [['flood', *medians['flood']]]
    return text + markdown(['the wire brings', *modes.values()], rows), samples


def under_flood(segment, modes, seconds, rounds, rates):
    """(text, data): what is left of a stream, by the flood's rate and the mode."""
    alone = {mode: [] for mode in modes}
    samples = {rate: {mode: [] for mode in modes} for rate in rates}
    for index in range(rounds):
        turn = index % len(modes)
        for mode in list(modes)[turn:] + list(modes)[:turn]:
            segment.set_mode(mode)
            alone[mode].append(segment.stream(seconds))
            for rate in rates:
                samples[rate][mode].append(segment.flooded_stream(rate, seconds))

    def median(rate, mode, key):
        return statistics.median(sample[key] for sample in samples[rate][mode])

    rows = []
    for rate in rates:
        row = [number(statistics.median(median(rate, mode, 'sent') for mode in modes) / 1000)]
        row += [f'{100 * median(rate, mode, "stream") / statistics.median(alone[mode]):.0f} %' for mode in modes]
        row += [number(median(rate, mode, 'refused') / 1000) for mode in modes]
        rows.append(row)
    text = (f'## A flood of forged tunnel packets\n\nWhat is left of a TCP stream of {STREAM}bit/s from pod to pod while a host that is no peer floods '
            'the node with forged VXLAN, and how much of that is refused (the rest is lost in the full queue, with the stream). '
            'Thousands of packets a second; medians.\n\n')
    text += markdown(['flood'] + [f'stream, {name}' for name in modes.values()] + [f'refused, {name}' for name in modes.values()], rows)
    return text, {'alone': alone, 'samples': {str(rate): of_rate for rate, of_rate in samples.items()}}


def measure(options):
    """(text, data) for the report."""
    seconds, rounds = SECONDS[options.length], min(options.rounds, ROUNDS[options.length])
    modes = {mode: name for mode, name in MODES.items() if options.length != 'smoke' or mode != 'generic'}
    segment = Segment(options.build_dir)
    text, data = one_at_a_time(segment, modes, seconds, rounds)
    segment.set_frames('off')
    segment.be_a_network_card()
    flood_text, flood_data = under_flood(segment, modes, seconds, rounds, RATES[options.length])
    segment.end()
    return text + '\n' + flood_text, {'one_at_a_time': data, 'under_flood': flood_data}
