"""A machine that boots: systemd as the first process of namespaces of its own, on a root file system of its own, with an uplink."""
import pathlib
import subprocess
import tempfile
import time

import places

CGROUPS = pathlib.Path('/sys/fs/cgroup')
# Its cgroups are below one of its own: systemd's named hierarchy, or all of them where there is only one.
IS_UNIFIED = (CGROUPS / 'cgroup.controllers').exists()
HIERARCHY = CGROUPS if IS_UNIFIED else CGROUPS / 'systemd'

ENTER = 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"'
BOOT = '''
root=$1
mount --make-rprivate /
hostname machine
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
for device in null zero full random urandom tty; do touch "$root/dev/$device" && mount --bind "/dev/$device" "$root/dev/$device"; done
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
if [ "$2" = True ]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
  mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
  mkdir "$root/sys/fs/cgroup/systemd"
  mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
fi
mount -t bpf bpf "$root/sys/fs/bpf"
ip link set lo up
ip link add eth0 type veth peer name wire
ip link set eth0 up
ip link set wire up
ip address add 192.168.77.9/24 dev eth0
ip route add default via 192.168.77.1
cd "$root"
mkdir -p .old
pivot_root . .old
umount -l .old
rmdir .old
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=console
'''


class Machine:
    def __init__(self, root, name):
        self.cgroup = HIERARCHY / name
        self.cgroup.mkdir()
        self.log = tempfile.TemporaryFile(mode='w+')
        boot = ['unshare', '--mount', '--net', '--pid', '--uts', '--ipc', '--cgroup', '--fork', '--kill-child', '--', 'bash', '-euc', BOOT, 'boot', root, IS_UNIFIED]
        self.unshare = subprocess.Popen(['bash', '-euc', ENTER, 'enter', self.cgroup, *map(str, boot)], stdout=self.log, stderr=subprocess.STDOUT)
        try:
            self.first = self._wait(self._first_process)
            self._wait(lambda: self.run('systemctl', 'is-system-running', check=False).stdout.strip() in ('running', 'degraded'))
        except BaseException:
            self.close()
            raise

    def _wait(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.unshare.poll() is None:
            found = condition()
            if found:
                return found
            time.sleep(0.1)
        self.log.seek(0)
        raise AssertionError(f'the machine does not boot; this test needs root, namespaces and cgroups:\n{self.log.read()}')

    def _first_process(self):
        found = places.run('ps', '-o', 'pid=,comm=', '--ppid', self.unshare.pid, check=False).stdout.split()
        return found[0] if found[1:] == ['systemd'] else None

    def close(self):
        self.unshare.kill()
        self.unshare.wait()
        self.log.close()
        end = time.monotonic() + 30
        # What it ran is being killed.
        while self.cgroup.exists() and time.monotonic() < end:
            for each in sorted(self.cgroup.glob('**/'), reverse=True):
                try:
                    each.rmdir()
                except OSError:
                    time.sleep(0.1)

    def run(self, *words, **options):
        """With the machine's own programs."""
        return places.run('nsenter', f'--target={self.first}', '--all', '--', 'env', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', *words, **options)

    def look(self, *words, **options):
        """At its network, with this machine's programs."""
        return places.run('nsenter', f'--target={self.first}', '--net', '--', *words, **options)

    def path(self, path):
        return pathlib.Path(f'/proc/{self.first}/root/{path.lstrip("/")}')
