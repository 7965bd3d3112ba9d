"""Nanoseconds and instructions of the BPF programs by themselves."""
import json
import re

import lab
import plot
from table import markdown

RUNS = {'full': 5000, 'quick': 1000, 'smoke': 50}


def measure(options):
    """(text, data) for the report."""
    here = lab.Place('programs', [])
    data = json.loads(here.run(options.build_dir / 'tests/bench/program_cost', RUNS[options.length]))
    text = ('## The BPF programs by themselves\n\nNanoseconds for one packet, on a fresh packet each time (BPF_PROG_TEST_RUN, one run a call), beyond '
            'those of a program that does nothing; everything is in the caches. What the kernel does with the verdict is not among them.\n\n')
    text += markdown(['program', 'packet', 'reason', 'ns'], [[cost['program'], cost['packet'], cost['reason'], f'{cost["ns"]:.0f}']
                                                             for cost in data['costs']], left=3)
    text += '\n' + markdown(['program', 'instructions', 'walked through by the verifier'],
                            [[size['program'], f'{size["instructions"]:,}', f'{size["verified"]:,}'] for size in data['sizes']])
    series = [(name, [(int(found.group(1)), cost['ns']) for cost in data['costs'] if (found := re.match(pattern, cost['packet']))])
              for name, pattern in (('at random', r'to one of (\d+) peers'), ('always the same', r'to the same one of (\d+) peers'))]
    plot.lines(options.output / 'peers.svg', 'from_pod, 64 B to a peer', 'peers', 'ns a packet', series)
    return text + '\n![Cost by number of peers](peers.svg)\n', data
