"""What the measurements were taken on."""
import os
import platform
import re
import subprocess


def _first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return 'not installed'
    return (done.stdout or done.stderr).strip().splitlines()[0]


def _cpu():
    with open('/proc/cpuinfo') as file:
        found = re.search(r'^model name\s*:\s*(.*)$', file.read(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def _release():
    with open('/etc/os-release') as file:
        return re.search(r'^PRETTY_NAME="?([^"\n]*)', file.read(), re.MULTILINE).group(1)


def _virtual():
    return _first_line('systemd-detect-virt')


def describe(root):
    """Facts for the report. `load` at the start says whether the machine was quiet."""
    return {
        'cpu': _cpu(),
        'cpus': os.cpu_count(),
        'virtualization': _virtual(),
        'memory_gib': round(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30, 1),
        'kernel': platform.release(),
        'system': _release(),
        'iptables': _first_line('iptables', '--version'),
        'iperf3': _first_line('iperf3', '--version'),
        'commit': _first_line('git', '-c', 'safe.directory=*', '-C', str(root), 'describe', '--always', '--dirty', '--abbrev=12'),
        'load': round(os.getloadavg()[0], 2),
    }
