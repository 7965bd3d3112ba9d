"""What is measured, and how one sample is taken."""
import dataclasses
import json

import lab
import paths

# Where client and server run: on one CPU the rate says what the whole path costs, on two what a user sees.
ONE_CPU = (0, 0)
TWO_CPUS = (0, 1)


@dataclasses.dataclass(frozen=True)
class Stage:
    """A state of the nodes in which cases are measured."""
    name: str
    offloads: tuple
    services: int = 0


GSO = Stage('64 KiB packets on the wire (TSO, GSO)', ('tso', 'on', 'gso', 'on', 'gro', 'off'))
MTU_SIZED = Stage('MTU-sized frames, GRO', ('tso', 'off', 'gso', 'off', 'gro', 'on'))
SERVICES_1000 = dataclasses.replace(GSO, name="rules of 1,000 services on each node", services=1000)
SERVICES_10000 = dataclasses.replace(GSO, name="rules of 10,000 services on each node", services=10000)


@dataclasses.dataclass(frozen=True)
class Case:
    stage: Stage
    kind: str           # tcp_rr, tcp_crr, udp_rr, udp_flood: netload's; tcp_stream: iperf3's
    target: str         # remote, local (the same node), service
    cpus: tuple
    flows: int = 1
    # Targets: at least this share of host's median, and this multiple of flannel's.
    to_host: float | None = None
    to_flannel: float | None = None

    @property
    def unit(self):
        return 'Gbit/s' if self.kind == 'tcp_stream' else '1/s'

    @property
    def title(self):
        names = {'tcp_rr': 'TCP request/response', 'tcp_crr': 'TCP connect/request/response', 'udp_rr': 'UDP request/response',
                 'udp_flood': 'UDP 64 B delivered', 'tcp_stream': 'TCP throughput'}
        where = {'remote': '', 'local': ', same node', 'service': ', by service address'}[self.target]
        flows = '' if self.flows == 1 and self.kind != 'tcp_stream' else f', {self.flows} {"flow" if self.flows == 1 else "flows"}'
        return f'{names[self.kind]}{flows}{where}, {"one CPU" if self.cpus == ONE_CPU else "two CPUs"}'

    def sample(self, path, milliseconds):
        server = {'remote': path.remote.address, 'local': path.local.address, 'service': paths.SERVICE_IP}[self.target]
        client_cpu, server_cpu = self.cpus
        path.forget_flows()
        if self.kind == 'tcp_stream':
            return self._stream(path, server, client_cpu, server_cpu, milliseconds)
        return float(path.client.run(path.build / 'tests/bench/netload', self.kind, server, paths.LOAD_PORT[server_cpu], milliseconds,
                                     self.flows, 64, cpu=client_cpu))

    def _stream(self, path, server, client_cpu, server_cpu, milliseconds):
        seconds = max(1, round(milliseconds / 1000))
        report = json.loads(path.client.run('iperf3', '--client', server, '--port', paths.IPERF_PORT[server_cpu], '--time', seconds,
                                            '--parallel', self.flows, '--json', cpu=client_cpu))
        if 'error' in report:
            raise lab.Failed(f'iperf3: {report["error"]}')
        return report['end']['sum_received']['bits_per_second'] / 1e9


def _plain(stage):
    cases = []
    for cpus in (ONE_CPU, TWO_CPUS):
        pinned = cpus == ONE_CPU
        cases += [Case(stage, 'tcp_rr', 'remote', cpus, 1, *((0.98, 1.8) if pinned else ())),
                  Case(stage, 'tcp_crr', 'remote', cpus, 1, *((0.98, 1.8) if pinned else ())),
                  Case(stage, 'udp_rr', 'remote', cpus, 1, *((0.93, 1.8) if pinned else ())),
                  Case(stage, 'udp_flood', 'remote', cpus, 1, *((0.93, 1.6) if pinned else ()))]
    return cases


def _flows(stage):
    return [Case(stage, kind, 'remote', cpus, flows, 0.95, 1.5)
            for kind in ('tcp_rr', 'udp_rr') for flows in (16, 32) for cpus in (ONE_CPU, TWO_CPUS)]


def _streams(stage, to_host, to_flannel):
    return [Case(stage, 'tcp_stream', 'remote', TWO_CPUS, 1, to_host, to_flannel)] + [
        Case(stage, 'tcp_stream', 'remote', cpus, flows)
        for flows, cpus in ((1, ONE_CPU), (4, TWO_CPUS), (16, TWO_CPUS), (32, TWO_CPUS))]


def _same_node(stage):
    return [Case(stage, kind, 'local', cpus, 1, None, 1.25) for kind in ('tcp_rr', 'udp_rr') for cpus in (ONE_CPU, TWO_CPUS)] + [
        Case(stage, 'tcp_stream', 'local', TWO_CPUS)]


def _services(stage):
    return [Case(stage, kind, 'service', ONE_CPU) for kind in ('tcp_rr', 'tcp_crr')]


def _among_services(stage):
    return [Case(stage, kind, 'remote', ONE_CPU, 1, 1.0) for kind in ('tcp_rr', 'tcp_crr', 'udp_rr')] + [
        Case(stage, 'tcp_stream', 'remote', TWO_CPUS, 1, 1.0)] + _services(stage)


def full():
    return (_plain(GSO) + _flows(GSO) + _streams(GSO, 0.97, 1.25) + _same_node(GSO) + _services(GSO) +
            _streams(MTU_SIZED, 0.85, 1.2) + _among_services(SERVICES_1000) + _among_services(SERVICES_10000))


def quick():
    """The pinned cases and one stream of each kind."""
    return ([case for case in _plain(GSO) if case.cpus == ONE_CPU] + [Case(GSO, 'tcp_rr', 'remote', ONE_CPU, 16, 0.95, 1.5)] +
            _streams(GSO, 0.97, 1.25)[:1] + _same_node(GSO)[:1] + _services(GSO)[1:] + _streams(MTU_SIZED, 0.85, 1.2)[:1] +
            _among_services(SERVICES_1000)[1:2])


def smoke():
    """One case: does all of it work?"""
    return [Case(GSO, 'tcp_rr', 'remote', ONE_CPU)]
