"""Alert rules, scrape configurations and dashboard. That the metrics exist is tests/netns/metrics_test.cpp's matter."""
import json
import pathlib
import re
import subprocess
import tempfile
import unittest

import yaml

import places

MONITORING = places.DEPLOY / 'monitoring'
RULE_TESTS = pathlib.Path(__file__).parent / 'alerts_test.yml'


def promtool(*arguments):
    return subprocess.run(['promtool', *map(str, arguments)], capture_output=True, text=True, timeout=60)


class Monitoring(unittest.TestCase):
    def assert_taken(self, done):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_promtool_takes_the_rules(self):
        self.assert_taken(promtool('check', 'rules', MONITORING / 'alerts.yml'))

    def test_rules_fire_when_they_should_and_only_then(self):
        self.assert_taken(promtool('test', 'rules', RULE_TESTS))

    def test_every_rule_has_its_test(self):
        rules = yaml.safe_load((MONITORING / 'alerts.yml').read_text())['groups'][0]['rules']
        healthy, broken = yaml.safe_load(RULE_TESTS.read_text())['tests']
        names = sorted(rule['alert'] for rule in rules)
        self.assertEqual(sorted(case['alertname'] for case in healthy['alert_rule_test']), names)
        samples = broken['promql_expr_test'][0]['exp_samples']
        self.assertEqual(sorted(re.search(r'alertname="(\w+)"', sample['labels'])[1] for sample in samples), names)

    def test_promtool_takes_the_scrape_configuration(self):
        self.assert_taken(promtool('check', 'config', '--syntax-only', MONITORING / 'scrape.yml'))

    def test_the_daemonsets_pods_are_found(self):
        # Debian's Prometheus is built without Kubernetes' discovery: the rules are read as Prometheus reads them.
        job = yaml.safe_load((MONITORING / 'scrape-kubernetes.yml').read_text())['scrape_configs'][0]
        daemon_set = next(each for each in yaml.safe_load_all(places.MANIFEST.read_text()) if each and each['kind'] == 'DaemonSet')
        self.assertEqual(job['job_name'], 'merino')
        self.assertEqual(job['kubernetes_sd_configs'][0]['namespaces']['names'], [daemon_set['metadata']['namespace']])
        pod = daemon_set['spec']['template']
        seen = ';'.join([pod['metadata']['labels']['app'], pod['spec']['containers'][0]['name'], 'false'])
        self.assertTrue(re.fullmatch(job['relabel_configs'][0]['regex'], seen), seen)

    def test_a_wrong_rule_is_found(self):
        with tempfile.NamedTemporaryFile('w', suffix='.yml') as wrong:
            wrong.write((MONITORING / 'alerts.yml').read_text().replace('merino_ready == 0', 'merino_ready === 0'))
            wrong.flush()
            self.assertNotEqual(promtool('check', 'rules', wrong.name).returncode, 0)

    def test_dashboard_is_whole(self):
        dashboard = json.loads((MONITORING / 'dashboard.json').read_text())
        panels = dashboard['panels']
        self.assertEqual(len({panel['id'] for panel in panels}), len(panels))
        variables = {variable['name'] for variable in dashboard['templating']['list']}
        for panel in panels:
            self.assertTrue(panel['title'])
            self.assertTrue(panel['targets'], panel['title'])
            for name in re.findall(r'\$\{?(\w+)', json.dumps(panel)):
                self.assertIn(name, variables | {'__rate_interval'}, panel['title'])
            place = panel['gridPos']
            self.assertLessEqual(place['x'] + place['w'], 24, panel['title'])


if __name__ == '__main__':
    unittest.main()
