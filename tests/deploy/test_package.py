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

import node
import places
import pod

NET_CONF = '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}'
IN_ROOT = places.ROOT / 'scripts' / 'lib' / 'in-root'
LINKS_OF_THE_IMAGE = ('opt/bin', 'flannel')


def setUpModule():
    """Clean Debian, the package and the image's links, once for all tests."""
    global WORK, IMAGE_ROOT, IMAGE
    if os.geteuid() != 0:
        raise AssertionError('these tests make root file systems and namespaces: run them as root')
    (places.ROOT / 'build').mkdir(exist_ok=True)
    WORK = pathlib.Path(tempfile.mkdtemp(prefix='deploy-test-', dir=places.ROOT / 'build'))
    WORK.chmod(0o755)
    IMAGE_ROOT, IMAGE = WORK / 'image-root', WORK / 'image.tar'
    try:
        places.run(places.ROOT / 'scripts' / 'image', '--name', 'merino:test', '--root', IMAGE_ROOT, IMAGE)
    except BaseException:
        shutil.rmtree(WORK)
        raise


def tearDownModule():
    shutil.rmtree(WORK)


def programs(of):
    """The numbers of the pinned programs."""
    pins = of.run('sh', '-c', 'ls -d /sys/fs/bpf/merino/programs/*').stdout.split()
    return [of.run('bpftool', '--json', 'prog', 'show', 'pinned', each).stdout for each in pins]


def is_ready(of):
    return of.run('curl', '--silent', 'http://127.0.0.1:8081/readyz', check=False).stdout.strip().endswith('is ready')


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
        self.assertRegex(full, 'write /tmp/small/.merino.*No space left.*make room on the file system of /tmp/small')
        self.assertRegex(read_only, 'Read-only file system.*/tmp/small is read-only here: mount it writable')


class DaemonSetPod(unittest.TestCase):
    def setUp(self):
        self.node = node.Node()
        self.addCleanup(self.node.close)
        directory = tempfile.TemporaryDirectory(dir=WORK)
        self.addCleanup(directory.cleanup)
        objects = {each['kind']: each for each in yaml.safe_load_all(places.MANIFEST.read_text()) if each}
        self.pod = pod.Pod(objects['DaemonSet'], objects['ConfigMap'], IMAGE_ROOT, self.node, directory.name)
        self.installer, = self.pod.spec['initContainers']
        self.agent, = self.pod.spec['containers']

    def start_agent(self, **how):
        """In place of the API server, a directory of leases."""
        self.assertIn('--kube-subnet-mgr', self.agent['args'])
        arguments = ['--lease-dir=/run/flannel/leases' if each == '--kube-subnet-mgr' else each for each in self.agent['args']]
        daemon = self.pod.start(self.agent, arguments=arguments, **how)
        self.addCleanup(daemon.stop, signal.SIGKILL)
        return daemon

    def test_installer_puts_plugin_and_configuration(self):
        self.assertEqual(self.pod.start(self.installer).wait(), 0)
        plugins = self.pod.host('/opt/cni/bin')
        self.assertEqual(sorted(each.name for each in plugins.iterdir()), ['flannel', 'merino'])
        self.assertIn('supportedVersions', places.run(plugins / 'flannel', env={'CNI_COMMAND': 'VERSION'}, input='{"cniVersion":"1.0.0"}').stdout)
        configurations = self.pod.host('/etc/cni/net.d')
        self.assertEqual([each.name for each in configurations.iterdir()], ['10-flannel.conflist'])
        self.assertEqual((configurations / '10-flannel.conflist').read_text(), (self.pod.sources['flannel-cfg'] / 'cni-conf.json').read_text())

    def test_installer_refuses_a_node_without_bpffs(self):
        self.node.run('umount', '/sys/fs/bpf')
        daemon = self.pod.start(self.installer)
        self.assertEqual(daemon.wait(), 1)
        self.assertIn('/sys/fs/bpf of this node is not a BPF file system; mount it on the node', daemon.text())
        self.assertEqual(list(self.pod.host('/opt/cni/bin').iterdir()), [])

    def test_agent_works_with_the_manifests_capabilities_and_mounts(self):
        self.node.run('sysctl', '-qw', 'net.ipv4.ip_forward=0')
        agent = self.start_agent()
        node.eventually(lambda: is_ready(self.node), agent)
        self.assertEqual(self.node.run('sysctl', '-n', 'net.ipv4.ip_forward').stdout, '1\n', '/proc/sys is read-only in the container')
        self.assertIn('FLANNEL_NETWORK=10.244.0.0/16\n', self.pod.host('/run/flannel/subnet.env').read_text())
        self.assertIn('table ip merino', self.node.run('nft', 'list', 'tables').stdout)
        before = programs(self.node)
        self.assertEqual(len(before), 4)
        self.assertEqual(agent.stop(signal.SIGTERM), 0)

        again = self.start_agent()
        node.eventually(lambda: is_ready(self.node), again)
        self.assertEqual(programs(self.node), before, 'a restart finds the programs by their number, and leaves them')

    def test_agent_lacks_nothing_of_the_fast_path(self):
        agent = self.start_agent()
        node.eventually(lambda: is_ready(self.node), agent)
        status = json.loads(self.pod.host('/run/merino/status.json').read_text())
        self.assertEqual(status['fast_path'], {'on': True, 'why': ''})

    def test_capabilities_are_needed(self):
        given = self.agent['securityContext']['capabilities']['add']
        agent = self.start_agent(capabilities=[each for each in given if each not in ('PERFMON', 'SYS_ADMIN')])
        node.eventually(lambda: 'programs: load the BPF programs' in agent.text(), agent)
        self.assertFalse(is_ready(self.node))


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = WORK / 'package-root'
        places.run('cp', '--archive', '--reflink=auto', IMAGE_ROOT, cls.root)
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
            '/etc/default/merino', '/lib/systemd/system/merino.service', '/usr/bin/merinoctl', '/usr/lib/cni/merino', '/usr/sbin/merinod',
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

    def test_3_runs_as_the_unit_says_and_is_removed_and_purged(self):
        unit = (self.root / 'lib/systemd/system/merino.service').read_text()
        settings = dict(line.split('=', 1) for line in unit.splitlines() if '=' in line and not line.startswith('#'))
        self.assertEqual(settings['Type'], 'notify')
        here = node.Node()
        self.addCleanup(here.close)
        here.run('mount', '--rbind', self.root, self.root)
        for each in ('proc', 'sys', 'run', 'dev'):
            here.run('mount', '--rbind', f'/{each}', self.root / each)
        (self.root / 'etc/kube-flannel').mkdir(exist_ok=True)
        (self.root / 'etc/kube-flannel/net-conf.json').write_text(NET_CONF)

        environment = dict(line.split('=', 1) for line in (self.root / 'etc/default/merino').read_text().splitlines() if '=' in line and not line.startswith('#'))
        environment['MERINOD_OPTIONS'] = '--lease-dir=/run/leases'
        command = [environment.get(word[1:], word) if word.startswith('$') else word for word in settings['ExecStart'].split()]
        bounds = ','.join(['-all'] + ['+' + each.removeprefix('CAP_').lower() for each in settings['CapabilityBoundingSet'].split()])
        agent = here.start('chroot', self.root, 'setpriv', f'--bounding-set={bounds}', f'--inh-caps={bounds}', '--no-new-privs', *command,
                           env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', **environment})
        self.addCleanup(agent.stop, signal.SIGKILL)
        node.eventually(lambda: is_ready(here), agent)
        self.assertEqual(agent.stop(signal.SIGTERM), 0)

        def dpkg(action):
            return here.run('chroot', self.root, 'env', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'dpkg', action, 'merino')

        dpkg('--remove')
        self.assertIn('merino0', here.run('ip', 'link').stdout, 'the network outlives the package')
        self.assertTrue((self.root / 'etc/default/merino').exists())
        dpkg('--purge')
        self.assertNotIn('merino0', here.run('ip', 'link').stdout)
        self.assertEqual(here.run('nft', 'list', 'ruleset').stdout, '')
        self.assertEqual(here.run('ls', '-A', '/sys/fs/bpf', '/run/merino', check=False).stdout.strip(), '/sys/fs/bpf:')
        self.assertEqual(self.traces(), [])


if __name__ == '__main__':
    unittest.main()
