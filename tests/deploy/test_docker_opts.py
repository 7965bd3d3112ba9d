"""mk-docker-opts.sh: flannel's output, byte for byte."""
import os
import pathlib
import tempfile
import unittest

import places

SCRIPT = places.ROOT / 'scripts' / 'mk-docker-opts'
SUBNET_ENV = 'FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n'
BIP = 'DOCKER_OPT_BIP="--bip=10.1.74.1/24"\n'
MASQ = 'DOCKER_OPT_IPMASQ="--ip-masq=true"\n'
MTU = 'DOCKER_OPT_MTU="--mtu=1472"\n'
ALL = '" --bip=10.1.74.1/24 --ip-masq=true --mtu=1472"\n'


class DockerOptions(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.out = self.directory / 'docker_opts.env'

    def call(self, *flags, subnet_env=SUBNET_ENV, environment=None):
        (self.directory / 'subnet.env').write_text(subnet_env)
        return places.run(SCRIPT, '-f', self.directory / 'subnet.env', '-d', self.out, *flags, check=False,
                          env={'PATH': os.environ['PATH'], **(environment or {})})

    def output(self, *flags, **how):
        done = self.call(*flags, **how)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertEqual(sorted(each.name for each in self.directory.iterdir()), ['docker_opts.env', 'subnet.env'])
        return self.out.read_text()

    def test_each_combination(self):
        self.assertEqual(self.output(), BIP + MASQ + MTU + 'DOCKER_OPTS=' + ALL)
        self.assertEqual(self.output('-i', '-c'), BIP + MASQ + MTU + 'DOCKER_OPTS=' + ALL)
        self.assertEqual(self.output('-i'), BIP + MASQ + MTU)
        self.assertEqual(self.output('-c'), 'DOCKER_OPTS=' + ALL)
        self.assertEqual(self.output('-k', 'CUSTOM_KEY'), BIP + MASQ + MTU + 'CUSTOM_KEY=' + ALL)
        self.assertEqual(self.output('-m'), BIP + MTU + 'DOCKER_OPTS=" --bip=10.1.74.1/24 --mtu=1472"\n')

    def test_only_one_of_both_masquerades(self):
        self.assertIn('DOCKER_OPT_IPMASQ="--ip-masq=false"', self.output(subnet_env=SUBNET_ENV.replace('false', 'true')))
        self.assertNotIn('IPMASQ', self.output(subnet_env='FLANNEL_SUBNET=10.1.74.1/24\n'))

    def test_adds_to_the_environment(self):
        text = self.output('-c', environment={'DOCKER_OPTS': '--debug', 'DOCKER_OPT_LOG': '--log-level=warn'})
        self.assertEqual(text, 'DOCKER_OPTS="--debug  --bip=10.1.74.1/24 --ip-masq=true --log-level=warn --mtu=1472"\n')

    def test_is_read_by_a_shell_as_systemd_reads_it(self):
        self.output()
        self.assertEqual(places.run('sh', '-c', f'. {self.out}; echo $DOCKER_OPTS').stdout, '--bip=10.1.74.1/24 --ip-masq=true --mtu=1472\n')

    def test_subnet_env_is_not_executed(self):
        self.output(subnet_env=SUBNET_ENV + f'X=$(touch {self.directory}/executed)\n')

    def test_refusals_leave_what_is_there(self):
        self.out.write_text('before')
        for flags, subnet_env in ((('-k', 'A;B'), SUBNET_ENV), (('-x',), SUBNET_ENV), ((), 'FLANNEL_IPMASQ=maybe\n')):
            done = self.call(*flags, subnet_env=subnet_env)
            self.assertEqual(done.returncode, 1)
            self.assertNotEqual(done.stderr, '')
        missing = places.run(SCRIPT, '-f', self.directory / 'missing', '-d', self.out, check=False)
        self.assertEqual(missing.returncode, 1)
        self.assertIn('is the agent running and ready?', missing.stderr)
        self.assertEqual(self.out.read_text(), 'before')


if __name__ == '__main__':
    unittest.main()
