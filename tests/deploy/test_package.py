"""The Debian package in a clean Debian, and the image made of it: installed, run as the unit and as the DaemonSet run it, removed, purged."""
import json
import os
import pathlib
import shutil
import signal
import tarfile
import tempfile
import unittest

import yaml

import machine
import node
import places
import pod

NET_CONF = '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}'
IN_ROOT = places.ROOT / 'scripts' / 'lib' / 'in-root'
LINKS_OF_THE_IMAGE = ('opt/bin', 'flannel')


def setUpModule():
    """Clean Debian, the package and the image's links, once for all tests."""
    global WORK, IMAGE_ROOT, IMAGE, PACKAGE_ROOT
    if os.geteuid() != 0:
        raise AssertionError('these tests make root file systems and namespaces: run them as root')
    (places.ROOT / 'build').mkdir(exist_ok=True)
    WORK = pathlib.Path(tempfile.mkdtemp(prefix='deploy-test-', dir=places.ROOT / 'build'))
    WORK.chmod(0o755)
    IMAGE_ROOT, IMAGE, PACKAGE_ROOT = WORK / 'image-root', WORK / 'image.tar', WORK / 'package-root'
    try:
        places.run(places.ROOT / 'scripts' / 'image', '--name', 'merino:test', '--root', IMAGE_ROOT, IMAGE)
        # Of its own: runc makes mount points in the other.
        places.run('cp', '--archive', '--reflink=auto', IMAGE_ROOT, PACKAGE_ROOT)
    except BaseException:
        shutil.rmtree(WORK)
        raise


def tearDownModule():
    shutil.rmtree(WORK)


def programs(run, directory='/sys/fs/bpf/merino/programs'):
    """The numbers of the pinned programs. `run` runs a command where they are."""
    pins = run('ls', directory).stdout.split()
    return {each: json.loads(run('bpftool', '--json', 'prog', 'show', 'pinned', f'{directory}/{each}').stdout)['id'] for each in pins}


def is_ready(run):
    return run('curl', '--silent', 'http://127.0.0.1:8081/readyz', check=False).stdout.strip().endswith('is ready')


class Image(unittest.TestCase):
    def test_is_an_archive_that_runtimes_import(self):
        with tarfile.open(IMAGE) as archive:
            manifest, = json.load(archive.extractfile('manifest.json'))
            self.assertEqual(manifest['RepoTags'], ['merino:test'])
            config = json.load(archive.extractfile(manifest['Config']))
            self.assertEqual(config['config']['Entrypoint'], ['/opt/bin/merinod'])
            layer, = manifest['Layers']
            self.assertEqual(config['rootfs']['diff_ids'], ['sha256:' + layer.removesuffix('.tar')])
            with tarfile.open(fileobj=archive.extractfile(layer)) as files:
                names = set(files.getnames())
        self.assertLessEqual({'usr/sbin/merinod', 'usr/lib/cni/merino', 'opt/bin/flanneld', 'flannel'}, names)
        self.assertFalse([each for each in names if each.startswith(('tmp/', 'var/lib/apt/lists/'))], 'what only the installation needed')

    def test_has_the_paths_that_flannels_manifests_name(self):
        script = '''
            /opt/bin/flanneld --version
            mkdir /tmp/bin /tmp/net.d && cp -f /flannel /tmp/bin/flannel && cmp /tmp/bin/flannel /usr/lib/cni/merino
            /opt/bin/install-conf /usr/share/merino/10-merino.conflist /tmp/net.d/10-flannel.conflist
            cmp /usr/share/merino/10-merino.conflist /tmp/net.d/10-flannel.conflist && ls /tmp/net.d
            /opt/bin/mk-docker-opts.sh -h >/dev/null && /opt/bin/merinoctl --help >/dev/null
            rm -r /tmp/bin /tmp/net.d'''
        done = places.run(IN_ROOT, IMAGE_ROOT, 'sh', '-euc', script)
        self.assertEqual(done.stdout, 'installed /tmp/net.d/10-flannel.conflist\n10-flannel.conflist\n')
        self.assertIn('merinod ', done.stderr)

    def test_full_and_read_only_file_systems_are_named(self):
        script = '''
            mkdir /tmp/small && mount -t tmpfs -o size=1m tmpfs /tmp/small
            merinod install-cni --bin-dir=/tmp/small && exit 1
            ls -A /tmp/small
            mount -o remount,ro /tmp/small
            merinod install-cni --bin-dir=/tmp/small && exit 1
            umount /tmp/small && rmdir /tmp/small'''
        done = places.run(IN_ROOT, IMAGE_ROOT, 'sh', '-uc', script)
        self.assertEqual(done.stdout, '', 'no half file is left')
        full, read_only = done.stderr.splitlines()
        self.assertRegex(full, 'write /tmp/small/merino: No space left.*make room on the file system of /tmp/small')
        self.assertRegex(read_only, 'Read-only file system.*/tmp/small is read-only here: mount it writable')


class DaemonSetPod(unittest.TestCase):
    def setUp(self):
        self.node = node.Node()
        self.addCleanup(self.node.close)
        directory = tempfile.TemporaryDirectory(dir=WORK)
        self.addCleanup(directory.cleanup)
        objects = {each['kind']: each for each in yaml.safe_load_all(places.MANIFEST.read_text()) if each}
        self.pod = pod.Pod(objects['DaemonSet'], objects['ConfigMap'], IMAGE_ROOT, self.node, directory.name)
        self.addCleanup(self.pod.close)
        self.installer, = self.pod.spec['initContainers']
        self.agent, = self.pod.spec['containers']

    def start_agent(self, **how):
        """In place of the API server, a directory of leases."""
        self.assertIn('--kube-subnet-mgr', self.agent['args'])
        arguments = ['--lease-dir=/run/flannel/leases' if each == '--kube-subnet-mgr' else each for each in self.agent['args']]
        return self.pod.start(self.agent, arguments=arguments, **how)

    def test_installer_puts_plugin_and_configuration(self):
        self.assertEqual(self.pod.start(self.installer).wait(), 0)
        plugins = self.pod.host('/opt/cni/bin')
        self.assertEqual(sorted(each.name for each in plugins.iterdir()), ['flannel', 'merino'])
        self.assertIn('supportedVersions', places.run(plugins / 'flannel', env={'CNI_COMMAND': 'VERSION'}, input='{"cniVersion":"1.0.0"}').stdout)
        configurations = self.pod.host('/etc/cni/net.d')
        self.assertEqual([each.name for each in configurations.iterdir()], ['10-flannel.conflist'])
        self.assertEqual((configurations / '10-flannel.conflist').read_text(), (self.pod.sources['flannel-cfg'] / 'cni-conf.json').read_text())

    def test_installer_refuses_a_node_without_bpffs(self):
        # The node's own, and what the machine has below.
        self.node.run('sh', '-c', 'while mountpoint -q /sys/fs/bpf; do umount /sys/fs/bpf; done')
        daemon = self.pod.start(self.installer)
        self.assertEqual(daemon.wait(), 1)
        self.assertIn('/sys/fs/bpf of this node is not a BPF file system; mount it on the node', daemon.text())
        self.assertEqual(list(self.pod.host('/opt/cni/bin').iterdir()), [])

    def test_agent_works_with_the_manifests_capabilities_and_mounts(self):
        self.node.run('sysctl', '-qw', 'net.ipv4.ip_forward=0')
        agent = self.start_agent()
        node.eventually(lambda: is_ready(self.node.run), agent)
        self.assertEqual(self.node.run('sysctl', '-n', 'net.ipv4.ip_forward').stdout, '1\n', '/proc/sys is read-only in the container')
        self.assertIn('FLANNEL_NETWORK=10.244.0.0/16\n', self.pod.host('/run/flannel/subnet.env').read_text())
        self.assertIn('table ip merino', self.node.run('nft', 'list', 'tables').stdout)
        before = programs(self.node.run)
        self.assertEqual(len(before), 4)
        self.assertEqual(agent.stop(signal.SIGTERM), 0)

        again = self.start_agent()
        node.eventually(lambda: is_ready(self.node.run), again)
        self.assertEqual(programs(self.node.run), before, 'a restart finds the programs by their number, and leaves them')

    def test_agent_lacks_nothing_of_the_fast_path(self):
        agent = self.start_agent()
        node.eventually(lambda: is_ready(self.node.run), agent)
        status = json.loads(self.pod.host('/run/merino/status.json').read_text())
        self.assertEqual(status['fast_path'], {'on': True, 'why': ''})

    def test_capabilities_are_needed(self):
        given = self.agent['securityContext']['capabilities']['add']
        agent = self.start_agent(capabilities=[each for each in given if each not in ('PERFMON', 'SYS_ADMIN')])
        node.eventually(lambda: 'programs: load the BPF programs' in agent.text(), agent)
        self.assertFalse(is_ready(self.node.run))


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = PACKAGE_ROOT
        shutil.rmtree(cls.root / LINKS_OF_THE_IMAGE[0])
        (cls.root / LINKS_OF_THE_IMAGE[1]).unlink()

    def in_root(self, *command, **options):
        return places.run(IN_ROOT, self.root, *command, **options)

    def traces(self):
        found = places.run('find', self.root, '-xdev', '-iname', '*merino*', '-not', '-path', '*/proc/*').stdout.split()
        return sorted('/' + str(pathlib.Path(each).relative_to(self.root)) for each in found)

    def test_1_is_installed_whole_and_starts_nothing(self):
        self.assertEqual(self.in_root('dpkg', '--verify', 'merino').stdout.strip(), '')
        self.assertLessEqual({
            '/etc/default/merino', '/lib/systemd/system/merino.service', '/usr/sbin/merinoctl', '/usr/lib/cni/merino', '/usr/sbin/merinod',
            '/usr/share/merino'}, {each.replace('/usr/lib/systemd', '/lib/systemd') for each in self.traces()})
        self.assertFalse((self.root / 'etc/systemd/system/multi-user.target.wants/merino.service').exists(), 'the administrator enables it')
        conffiles = self.in_root('dpkg-query', '--show', '--showformat=${Conffiles}', 'merino').stdout.split()
        self.assertEqual(conffiles[0::2], ['/etc/default/merino'])

    def test_2_unit_is_sound_and_hardened(self):
        unit = WORK / 'merino.service'
        # systemd-analyze looks for the programs on this machine.
        unit.write_text((places.DEPLOY / 'merino.service').read_text().replace('/usr/sbin/merinod', '/bin/true'))
        done = places.run('systemd-analyze', 'verify', '--man=no', unit, check=False)
        self.assertEqual((done.returncode, [each for each in done.stderr.splitlines() if 'merino' in each]), (0, []))
        # The exposure level, in tenths: what it is now.
        places.run('systemd-analyze', 'security', '--offline=true', '--threshold=34', unit)

    # In one go, as on a machine that lives through all of it.
    def test_3_runs_under_systemd_and_is_upgraded_removed_and_purged(self):
        self.in_root('sh', '-euc', 'apt-get update -q && apt-get install -q -y --no-install-recommends systemd && rm -rf /var/lib/apt/lists/*')
        shutil.copy(places.ROOT / 'build' / 'package' / 'merino.deb', self.root / 'root' / 'new.deb')
        self.here = machine.Machine(self.root, f'merino-deploy-{os.getpid()}')
        self.addCleanup(self.here.close)
        self.assertEqual(self.here.run('systemctl', 'is-active', 'merino', check=False).stdout, 'inactive\n')
        self.check_install_cni()
        self.check_start()
        self.check_upgrade()
        self.check_removal()
        self.check_purge()

    def check_install_cni(self):
        done = self.here.run('merinod', 'install-cni', '--conf=/usr/share/merino/10-merino.conflist')
        self.assertEqual(done.stdout, 'installed /opt/cni/bin/merino\ninstalled /etc/cni/net.d/10-merino.conflist\n')
        self.assertIn('plugin portmap is not in /opt/cni/bin', done.stderr)

    def check_start(self):
        (self.root / 'etc/kube-flannel').mkdir()
        (self.root / 'etc/kube-flannel/net-conf.json').write_text(NET_CONF)
        (self.root / 'srv/leases').mkdir()
        with open(self.root / 'etc/default/merino', 'a') as defaults:
            defaults.write('MERINOD_OPTIONS=--lease-dir=/srv/leases\n')
        started = self.here.run('systemctl', 'enable', '--now', 'merino', check=False)
        self.assertEqual(started.returncode, 0, self.here.run('journalctl', '--unit=merino', '--no-pager', check=False).stdout)
        self.assertTrue(is_ready(self.here.look), 'systemctl returns when pods reach the network, and not before')
        self.assertIn('ready, subnet 10.244.', self.show('StatusText'))
        self.assertEqual(self.here.look('sysctl', '--values', 'net.ipv4.ip_forward').stdout, '1\n')
        process = self.here.path(f'/proc/{self.show("MainPID")}/status').read_text()
        self.assertRegex(process, r'Seccomp:\s+2\n', 'its system calls are filtered')
        self.assertRegex(process, r'NoNewPrivs:\s+1\n')

    def show(self, name):
        return self.here.run('systemctl', 'show', '--value', f'--property={name}', 'merino').stdout.strip()

    def programs(self):
        return programs(self.here.look, self.here.path('/sys/fs/bpf/merino/programs'))

    def check_upgrade(self):
        before = self.show('MainPID'), self.programs()
        self.here.run('dpkg', '--install', '/root/new.deb')
        self.assertNotEqual(self.show('MainPID'), before[0], 'the new program runs')
        self.assertEqual(self.show('ActiveState'), 'active')
        self.assertEqual(self.programs(), before[1], 'and left the packets alone')

    def check_removal(self):
        before = self.programs()
        self.here.run('dpkg', '--remove', 'merino')
        self.assertEqual(self.here.run('pgrep', 'merinod', check=False).stdout, '')
        self.assertIn('merino0', self.here.look('ip', 'link').stdout, 'the network outlives the package')
        self.assertEqual(self.programs(), before)
        self.assertTrue((self.root / 'etc/default/merino').exists())

    def check_purge(self):
        purged = self.here.run('dpkg', '--purge', 'merino')
        self.assertNotIn('merino0', self.here.look('ip', 'link').stdout, purged.stdout + purged.stderr)
        self.assertEqual(self.here.look('nft', 'list', 'ruleset').stdout, '')
        self.assertFalse(self.here.path('/sys/fs/bpf/merino').exists())
        self.assertFalse(self.here.path('/run/merino').exists())
        self.assertEqual(self.traces(), [])


if __name__ == '__main__':
    unittest.main()
