"""scripts/bench inside of the namespaces that it made."""
import argparse
import datetime
import json
import pathlib
import subprocess
import sys
import time

import cases
import cni_latency
import control_plane
import flood
import lab
import machine
import path_report
import paths
import program_cost
import rounds

SECONDS = {'full': 1.0, 'quick': 0.3, 'smoke': 0.1}
ROUNDS = {'full': 7, 'quick': 3, 'smoke': 1}


def say(text):
    print(text, flush=True)


def parse(words):
    parser = argparse.ArgumentParser(prog='scripts/bench')
    parser.add_argument('--build-dir', type=pathlib.Path, required=True)
    parser.add_argument('--quick', dest='length', action='store_const', const='quick', default='full')
    parser.add_argument('--smoke', dest='length', action='store_const', const='smoke')
    parser.add_argument('--only', action='append', choices=sorted(PARTS))
    parser.add_argument('--rounds', type=int)
    parser.add_argument('--output', type=pathlib.Path)
    options = parser.parse_args(words)
    options.rounds = options.rounds or ROUNDS[options.length]
    options.output = options.output or lab.ROOT / ('docs/benchmarks' if options.length == 'full' else 'build/bench')
    return options


def open_lab():
    """Files in memory, and nothing of the host's /run."""
    subprocess.run(['mount', '-n', '-t', 'tmpfs', '-o', 'mode=0755', 'run', '/run'], check=True)
    lab.LAB.mkdir()
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)


def compare_paths(options):
    """Traffic on the three paths; (text, data) for the report."""
    chosen = {'full': cases.full, 'quick': cases.quick, 'smoke': cases.smoke}[options.length]()
    say(f'three pairs of nodes; {len(chosen)} cases, {options.rounds} rounds')
    all_paths = [make(number, options.build_dir) for number, make in enumerate(paths.PATHS)]
    comparisons, stage = [], None
    for case in chosen:
        if case.stage != stage:
            stage = case.stage
            say(f'\n{stage.name}')
            for path in all_paths:
                path.set_offloads(*stage.offloads)
                if stage.services > path.services:
                    path.grow_services(stage.services)
        comparison = rounds.interleave(case, all_paths, options.rounds, SECONDS[options.length] * 1000)
        comparisons.append(comparison)
        say(f'  {case.title:<62} {comparison.ratio("host"):5.2f} of host  {comparison.ratio("flannel"):5.2f} of flannel')
    for path in all_paths:
        path.end()
    path_report.write_csv(comparisons, options.output / 'paths.csv')
    plots = path_report.write_plots(comparisons, options.output)
    text = '## Traffic\n\n' + ''.join(f'* {path.name}: {path.what}\n' for path in paths.PATHS) + '\n'
    text += path_report.text(comparisons, options.rounds) + '\n' + ''.join(f'![{name}]({file})\n' for name, file in plots)
    return text, path_report.as_json(comparisons)


PARTS = {'paths': compare_paths, 'programs': program_cost.measure, 'cni': cni_latency.measure, 'control-plane': control_plane.measure,
         'flood': flood.measure}


def main():
    options = parse(sys.argv[1:])
    open_lab()
    options.output.mkdir(parents=True, exist_ok=True)
    facts = machine.describe(lab.ROOT)
    started = time.monotonic()
    texts, data = [], {'machine': facts, 'started': datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d %H:%M UTC')}
    for name in options.only or PARTS:
        say(f'==> {name}')
        text, data[name.replace('-', '_')] = PARTS[name](options)
        texts.append(text)
    data['seconds'] = round(time.monotonic() - started)
    head = (f'# Benchmark\n\nMade by `scripts/bench`, {data["started"]}, in {data["seconds"]} s. Do not edit: run it again.\n\n'
            f'Machine: {facts["cpu"]}, {facts["cpus"]} CPUs ({facts["virtualization"]}), {facts["memory_gib"]} GiB, Linux {facts["kernel"]}, '
            f'{facts["system"]}, {facts["iptables"]}, {facts["iperf3"]}; merino {facts["commit"]}; load at the start {facts["load"]}.\n\n')
    (options.output / 'report.md').write_text(head + '\n'.join(texts))
    (options.output / 'report.json').write_text(json.dumps(data, indent=1) + '\n')
    say('\n' + '\n'.join(texts) + f'\nbench: {data["seconds"]} s; the report is {options.output}/report.md')


if __name__ == '__main__':
    try:
        main()
    except (lab.Failed, subprocess.CalledProcessError) as error:
        sys.exit(f'bench: {error}')
