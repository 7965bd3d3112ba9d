"""Manual pages and completion: made from the programs' --help, so that they say what the programs know."""
import os
import pathlib
import re
import shlex
import subprocess
import unittest

import places

BUILD = pathlib.Path(os.environ.get('MERINO_BUILD', places.ROOT / 'build' / 'release'))
BINARIES = [BUILD / 'userspace' / 'agent', BUILD / 'userspace' / 'ctl']
COMPLETION = places.DEPLOY / 'completion'
COMMANDS = ['status', 'pods', 'peers', 'leases', 'counters', 'drops', 'trace', 'route', 'check', 'bugtool']


def help_of(*command):
    program = next(path / command[0] for path in BINARIES if (path / command[0]).exists())
    return places.run(program, *command[1:], '--help').stdout


def flags_of(*command):
    return set(re.findall(r'(?:^  |,)(--[a-z0-9_-]+)', help_of(*command), re.MULTILINE))


def page(name):
    return places.run(places.ROOT / 'scripts' / 'man-page', places.DEPLOY / 'man' / f'{name}.8', *BINARIES).stdout


class Pages(unittest.TestCase):
    def shown(self, name):
        """As a reader sees it; mandoc's complaints are errors."""
        lint = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning'], input=page(name), capture_output=True, text=True)
        self.assertEqual([line for line in lint.stdout.splitlines() if 'missing date' not in line], [], name)
        return places.run('mandoc', '-T', 'ascii', input=page(name)).stdout.replace('\b', '')

    def test_every_flag_has_its_entry(self):
        for name, commands in (('merinod', [['merinod'], ['merinod', 'install-cni']]), ('merinoctl', [['merinoctl', each] for each in COMMANDS])):
            text = page(name).replace('\\', '')
            for command in commands:
                flags = flags_of(*command)
                self.assertTrue(flags, command)
                for flag in flags - {'--help'}:
                    self.assertIn(flag, text, command)

    def test_pages_are_well_formed(self):
        for name in ('merino', 'merinod', 'merinoctl'):
            self.assertIn(f'{name.upper()}(8)', self.shown(name))

    def test_every_command_is_in_the_page(self):
        listed = re.findall(r'^  ([a-z-]+) +\S', help_of('merinoctl').split('Subcommands:')[1], re.MULTILINE)
        self.assertEqual(listed, COMMANDS)
        self.assertEqual(sorted(re.findall(r'^\.SS (\S+)', page('merinoctl'), re.MULTILINE)), sorted(COMMANDS))

    def test_a_program_that_is_missing_is_an_error(self):
        done = subprocess.run([places.ROOT / 'scripts' / 'man-page', places.DEPLOY / 'man' / 'merinod.8', '/nowhere'], capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('there is no merinod in /nowhere', done.stderr)


class Completion(unittest.TestCase):
    def complete(self, line):
        """What <Tab> offers at the end of the line."""
        words = line.split(' ')
        script = '\n'.join([
            'source /usr/share/bash-completion/bash_completion',
            f'source {COMPLETION / words[0]}',
            f'COMP_WORDS=({" ".join(shlex.quote(word) for word in words)})',
            f'COMP_CWORD={len(words) - 1}', f'COMP_LINE={shlex.quote(line)}', f'COMP_POINT={len(line)}',
            f'_{words[0]}', 'printf "%s\\n" "${COMPREPLY[@]}"'])
        path = os.pathsep.join([*map(str, BINARIES), os.environ['PATH']])
        done = subprocess.run(['bash', '-c', script], capture_output=True, text=True, env={**os.environ, 'PATH': path}, timeout=60)
        return set(done.stdout.split())

    def test_commands(self):
        self.assertEqual(self.complete('merinoctl '), set(COMMANDS))
        self.assertEqual(self.complete('merinoctl p'), {'pods', 'peers'})
        self.assertEqual(self.complete('merinod '), {'install-cni'})

    def test_every_flag_is_offered(self):
        for command in [['merinod'], ['merinod', 'install-cni'], *(['merinoctl', each] for each in COMMANDS)]:
            self.assertEqual(flags_of(*command) - self.complete(' '.join([*command, '--'])), set(), command)

    def test_every_choice_of_a_value_is_offered(self):
        """{a,b} behind a flag of --help."""
        for command in [['merinod'], *(['merinoctl', each] for each in COMMANDS)]:
            for flag, choices in re.findall(r'^  (?:-\w,)?(--[a-z-]+) (?:TEXT)?:\{([^}]*)\}', help_of(*command), re.MULTILINE):
                self.assertEqual(self.complete(' '.join([*command, flag, ''])), set(choices.split(',')), [*command, flag])

    def test_options_and_values(self):
        self.assertIn('--dport', self.complete('merinoctl route --'))
        self.assertNotIn('--dport', self.complete('merinoctl status --'))
        self.assertEqual(self.complete('merinoctl pods -o '), {'table', 'wide', 'json', 'yaml'})
        self.assertEqual(self.complete('merinoctl route --proto '), {'tcp', 'udp', 'icmp'})
        self.assertEqual(self.complete('merinod --metrics'), {'--metrics-ip', '--metrics-port'})
        self.assertEqual(self.complete('merinod install-cni --conf-'), {'--conf-dir', '--conf-name', '--conf-only'})
        self.assertEqual(self.complete('merinod --log-format j'), {'json'})


if __name__ == '__main__':
    unittest.main()
