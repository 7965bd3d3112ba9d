#!/usr/bin/env python3
"""Runs the cases of a suite on one cluster. Called by tests/kube/run and tests/kube/kubeadm, in namespaces that are new."""
import argparse
import importlib
import re
import sys
import time

from cluster import Cluster, Lab
from harness import run_cases
from kubeadm_cluster import KubeadmCluster

# What makes the cluster, and the cases in the order in which they run: each leaves the cluster as it found it.
SUITES = {
    'run': (Cluster, ('start', 'pods', 'restart', 'nodes', 'api', 'end', 'plain', 'etcd')),
    'kubeadm': (KubeadmCluster, ('kubeadm', 'moving')),
}


def hold(suite):
    print('The cluster is up until Enter is pressed. From another terminal:')
    print(f'  tests/kube/{suite} --in node1 merinoctl status')
    print(f'  tests/kube/{suite} --in control kubectl get pods -A -o wide', flush=True)
    sys.stdin.readline()


def main():
    parser = argparse.ArgumentParser()
    for name in ('name', 'state', 'images', 'cache'):
        parser.add_argument(f'--{name}', required=True)
    parser.add_argument('--suite', choices=SUITES, default='run')
    parser.add_argument('--only', type=re.compile)
    parser.add_argument('--keep', action='store_true')
    options = parser.parse_args()

    started = time.monotonic()
    lab = Lab(options.name, options.state, options.images, options.cache)
    lab.lay_wire()
    make_cluster, parts = SUITES[options.suite]
    modules = [f'cases_{part}' for part in parts]
    for module in modules:
        importlib.import_module(module)
    cluster = make_cluster(lab)
    passed, failed = run_cases(cluster, options.only, modules)
    print(f'kube: took {time.monotonic() - started:.0f} s')
    if options.keep:
        hold(options.suite)
    cluster.shut_down()
    for title in failed:
        print(f'FAILED: kube {title}')
    print(f'kube: {passed} passed, {len(failed)} failed', flush=True)
    sys.exit(1 if failed or passed == 0 else 0)


main()
