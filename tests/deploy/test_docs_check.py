"""scripts/check-docs finds what it is there for."""
import pathlib
import subprocess
import tempfile
import unittest

import places


def check(text):
    with tempfile.TemporaryDirectory() as directory:
        page = pathlib.Path(directory) / 'page.md'
        page.write_text(text)
        return subprocess.run([places.ROOT / 'scripts' / 'check-docs', page], capture_output=True, text=True)


class CheckDocs(unittest.TestCase):
    def test_what_is_wrong_is_named(self):
        for text, problem in (
                ('[x](nowhere.md)', 'the link nowhere.md leads nowhere'),
                ('# A\n[x](#b)', 'page.md has no heading for #b'),
                ('`merinoctl dance now`', 'merinoctl has no command dance'),
                ('`merinoctl pods --flu`', 'merinoctl pods has no --flu'),
                ('`merinod --leese-dir=/x`', 'merinod has no --leese-dir'),
                ('`merinod install-cni --nothing`', 'merinod install-cni has no --nothing'),
                ('`scripts/nothing now`', 'scripts/nothing does not exist'),
                ('```console\n# bpftool map dump pinned /sys/fs/bpf/merino/nothing\n```', 'there is no map nothing'),
                ('```console\n# bpftool map dump pinned /sys/fs/bpf/merino/nodes\n"underlay": {"bytes": []}, "age": 1\n```',
                 'of the map nodes: age too much, subnets missing'),
                ('`merino_nothing_total`', 'there is no metric merino_nothing_total'),
                ('the alert MerinoNothing', 'there is no alert MerinoNothing'),
                ('```sh\nnosuchprogram --x\n```', 'there is no program nosuchprogram')):
            done = check(text)
            self.assertEqual((done.returncode, done.stdout), (1, f'page.md: {problem}\n'), text)

    def test_what_is_right_passes(self):
        done = check('# A b\n[x](#a-b) [y](https://example.org/z) `merinoctl status|pods -o json` `merinod --ip-masq=false` `scripts/demo --keep`\n\n'
                     '```sh\nsudo merinoctl counters --watch | head -3   # rates\nkubectl get nodes\n```\n\n```\nanything at all\n```\n')
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ''))

    def test_a_command_that_nobody_runs_is_named(self):
        (places.ROOT / 'build').mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile('w', suffix='.md', dir=places.ROOT / 'build') as page:
            page.write('```\nsudo ip netns add pod1   # as in the README\nsudo ip netns add pod2\nREASON   PACKETS\n```\n')
            page.flush()
            done = subprocess.run([places.ROOT / 'scripts' / 'check-docs', page.name], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (1, f'{pathlib.Path(page.name).name}: docs/commands.md does not say what runs: sudo ip netns add pod2\n'))

    def test_names_of_metrics_and_alerts_pass(self):
        done = check('`merino_peers` `merino_step_duration_seconds_bucket` MerinoPoolLeaks\n')
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ''))


if __name__ == '__main__':
    unittest.main()
