"""How long the CNI plugin takes, beside the kernel's own part of it and beside the plugins that flannel calls."""
import json
import statistics

import lab
import paths
from table import markdown

# Calls of each kind; others on the node; at once.
SITUATIONS = {'full': ((40, 0, 1), (100, 0, 100), (40, 250, 1), (100, 250, 100)), 'quick': ((15, 0, 1), (30, 0, 30)), 'smoke': ((2, 0, 1),)}


class Bench:
    """Two nodes, one of merino's and one of flannel's."""

    def __init__(self, build):
        self._tool = build / 'tests/bench/cni_cost'
        self._paths = [paths.MerinoPath(len(paths.PATHS), build), paths.FlannelPath(len(paths.PATHS) + 1, build)]
        self._merino, self._flannel = (path.nodes[0] for path in self._paths)
        self._plugins = {
            'merino': (self._merino, build / 'cni/merino', {'cniVersion': '1.0.0', 'name': 'cbr0', 'type': 'merino'}),
            'bridge, host-local': (self._flannel, '/usr/lib/cni/bridge', {
                'cniVersion': '1.0.0', 'name': 'cbr0', **paths.FlannelPath.bridge_conf(0)})}
        self._others = {}

    def end(self):
        for path in self._paths:
            path.end()

    def names(self, node, count):
        names = [f'n{index}' for index in range(count)]
        existing = node.run('ip', 'netns', 'list')
        missing = [name for name in names if f'{name} ' not in existing and f'{name}\n' not in existing]
        node.run('sh', '-c', ''.join(f'ip netns add {name}; ip -n {name} link set lo up;' for name in missing) or 'true')
        return names

    def fill(self, count):
        """Other pods on both nodes, until there are `count`."""
        for what in self._plugins:
            node = self._plugins[what][0]
            names = [f'o{index}' for index in range(self._others.get(what, 0), count)]
            if names:
                node.run('sh', '-c', ''.join(f'ip netns add {name};' for name in names))
                self._call_plugin(what, 'ADD', 4, names)
            self._others[what] = count

    def _times(self, node, *words):
        *each, together = [float(line) for line in node.run(self._tool, *words).split()]
        return each, together

    def _call_plugin(self, what, command, at_once, names):
        node, path, conf = self._plugins[what]
        file = lab.LAB / 'cni-cost.json'
        file.write_text(json.dumps(conf))
        return self._times(node, 'plugin', command, path, file, at_once, *names)

    def rows(self, count, at_once):
        """(what, command, median, 90th percentile, all together) in milliseconds."""
        calls = {what: (self._plugins[what][0], lambda command, names, what=what: self._call_plugin(what, command, at_once, names))
                 for what in self._plugins}
        for part, title in (('veth', 'kernel alone: veth, routes'), ('program', 'kernel alone: that and the program')):
            calls[title] = (self._merino, lambda command, names, part=part: self._times(self._merino, 'kernel', command, part, at_once, *names))
        rows = []
        for what, (node, call) in calls.items():
            names = self.names(node, count)
            for command in ('ADD', 'DEL'):
                each, together = call(command, names)
                rows.append({'what': what, 'command': command, 'median': statistics.median(each), 'p90': sorted(each)[int(0.9 * (len(each) - 1))],
                             'together': together, 'calls': count})
        return rows


def measure(options):
    """(text, data) for the report."""
    bench = Bench(options.build_dir)
    text, data = '## CNI plugin\n\nMilliseconds of a call, the start of its process included.\n', []
    for count, others, at_once in SITUATIONS[options.length]:
        bench.fill(others)
        rows = bench.rows(count, at_once)
        data.append({'others': others, 'at_once': at_once, 'rows': rows})
        title = f'{count} pods, {"one after the other" if at_once == 1 else f"{at_once} at once"}, on a node with {others} others'
        text += f'\n### {title}\n\n' + markdown(
            ['what', 'call', 'median', '90 %', 'a pod, all together'],
            [[row['what'], row['command'], f'{row["median"]:.2f}', f'{row["p90"]:.2f}', f'{row["together"] / row["calls"]:.2f}'] for row in rows], left=2)
        print(f'  {title}', flush=True)
    bench.end()
    return text, data
