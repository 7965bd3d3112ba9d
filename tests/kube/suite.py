#!/usr/bin/env python3
"""Runs the cases on one cluster. Called by tests/kube/run, in namespaces that are new."""
import argparse
import importlib
import re
import sys
import time

from cluster import Cluster, Lab
from harness import run_cases

# In the order in which they run: each leaves the cluster as it found it.
for part in ('start', 'pods', 'restart', 'nodes', 'api', 'end', 'plain'):
    importlib.import_module(f'cases_{part}')


def hold():
    print('The cluster is up until Enter is pressed. From another terminal:')
    print('  tests/kube/run --in node1 merinoctl status')
    print('  tests/kube/run --in control kubectl get pods -A -o wide', flush=True)
    sys.stdin.readline()


def main():
    parser = argparse.ArgumentParser()
    for name in ('name', 'state', 'cache'):
        parser.add_argument(f'--{name}', required=True)
    parser.add_argument('--only', type=re.compile)
    parser.add_argument('--keep', action='store_true')
    options = parser.parse_args()

    started = time.monotonic()
    lab = Lab(options.name, options.state, options.cache)
    lab.lay_wire()
    cluster = Cluster(lab)
    passed, failed = run_cases(cluster, options.only)
    print(f'kube: took {time.monotonic() - started:.0f} s')
    if options.keep:
        hold()
    cluster.shut_down()
    for title in failed:
        print(f'FAILED: kube {title}')
    print(f'kube: {passed} passed, {len(failed)} failed', flush=True)
    sys.exit(1 if failed or passed == 0 else 0)


main()
