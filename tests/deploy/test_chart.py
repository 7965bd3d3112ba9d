"""The Helm chart, rendered by Go's template engine, and its schema. helm itself is not in Debian."""
import copy
import json
import os
import unittest

import jsonschema
import yaml

import places

# Debian's Go libraries, no modules from elsewhere.
GO = {'GO111MODULE': 'off', 'GOPATH': '/usr/share/gocode', 'GOFLAGS': ''}
CHARTS_OWN_LABELS = ('app.kubernetes.io/', 'helm.sh/')


def merged(base, changes):
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return copy.deepcopy(changes)
    result = copy.deepcopy(base)
    for key, value in changes.items():
        result[key] = merged(result.get(key), value)
    return result


def without_charts_labels(value):
    if isinstance(value, dict):
        return {key: without_charts_labels(each) for key, each in value.items()
                if not key.startswith(CHARTS_OWN_LABELS) and key != 'checksum/config'}
    if isinstance(value, list):
        return [without_charts_labels(each) for each in value]
    return value


class Chart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.values = yaml.safe_load((places.CHART / 'values.yaml').read_text())
        cls.schema = json.loads((places.CHART / 'values.schema.json').read_text())
        cls.about = yaml.safe_load((places.CHART / 'Chart.yaml').read_text())
        renderer = places.ROOT / 'build' / 'render-chart'
        renderer.parent.mkdir(exist_ok=True)
        places.run('go', 'build', '-o', renderer, places.ROOT / 'tests' / 'deploy' / 'render-chart.go', env={**os.environ, **GO})
        cls.renderer = renderer

    def render(self, changes=None):
        """The objects by kind."""
        values = merged(self.values, changes or {})
        jsonschema.validate(values, self.schema)
        context = {
            'Values': values,
            'Release': {'Name': 'merino', 'Namespace': 'kube-flannel', 'Service': 'Helm'},
            'Chart': {'Name': self.about['name'], 'Version': self.about['version'], 'AppVersion': self.about['appVersion']},
        }
        text = places.run(self.renderer, places.CHART, input=json.dumps(context)).stdout
        return {each['kind']: each for each in yaml.safe_load_all(text) if each}

    def refused(self, changes):
        with self.assertRaises(jsonschema.ValidationError, msg=str(changes)) as caught:
            jsonschema.validate(merged(self.values, changes), self.schema)
        return caught.exception

    @staticmethod
    def pod(objects):
        return objects['DaemonSet']['spec']['template']['spec']

    def net_conf(self, changes):
        return json.loads(self.render(changes)['ConfigMap']['data']['net-conf.json'])

    def test_schema_is_one(self):
        jsonschema.Draft7Validator.check_schema(self.schema)

    def test_defaults_give_the_manifest(self):
        manifest = {each['kind']: each for each in yaml.safe_load_all(places.MANIFEST.read_text()) if each and each['kind'] != 'Namespace'}
        rendered = without_charts_labels(self.render())
        self.assertEqual(set(rendered), set(manifest))
        for kind, expected in manifest.items():
            got = rendered[kind]
            if kind == 'ConfigMap':
                got['data'] = {key: json.loads(text) for key, text in got['data'].items()}
                expected['data'] = {key: json.loads(text) for key, text in expected['data'].items()}
            self.assertEqual(got, expected, kind)

    def test_backend_keys(self):
        self.assertEqual(self.net_conf({}), {'Network': '10.244.0.0/16', 'Backend': {'Type': 'vxlan'}})
        self.assertEqual(
            self.net_conf({'podCidr': '10.42.0.0/16', 'flannel': {'backendPort': 4789, 'vni': 4096, 'mtu': 9000, 'fastPath': False}}),
            {'Network': '10.42.0.0/16', 'Backend': {'Type': 'vxlan', 'Port': 4789, 'VNI': 4096, 'MTU': 9000, 'FastPath': False}})
        self.assertEqual(self.net_conf({'flannel': {'directRouting': True}})['Backend'], {'Type': 'vxlan', 'DirectRouting': True})
        self.assertEqual(self.net_conf({'flannel': {'backend': 'host-gw'}})['Backend'], {'Type': 'host-gw'})
        self.assertEqual(self.net_conf({'flannel': {'vni': 0}})['Backend'], {'Type': 'vxlan', 'VNI': 0})

    def test_image_and_pull_secrets(self):
        pod = self.pod(self.render({'global': {'imagePullSecrets': [{'name': 's'}]}, 'flannel': {'image': {'repository': 'r.example/m', 'tag': '9'}}}))
        self.assertEqual({container['image'] for container in pod['initContainers'] + pod['containers']}, {'r.example/m:9'})
        self.assertEqual(pod['imagePullSecrets'], [{'name': 's'}])
        self.assertNotIn('imagePullSecrets', self.pod(self.render()))

    def test_configuration_from_elsewhere(self):
        arguments = self.pod(self.render({'flannel': {'skipCNIConfigInstallation': True}}))['initContainers'][0]['args']
        self.assertEqual(arguments, ['--name=merino', '--name=flannel', '--bpffs=/sys/fs/bpf'])

    def test_directories(self):
        volumes = {each['name']: each for each in self.pod(self.render({'flannel': {'cniBinDir': '/b', 'cniConfDir': '/c'}}))['volumes']}
        self.assertEqual((volumes['cni-plugin']['hostPath']['path'], volumes['cni']['hostPath']['path']), ('/b', '/c'))

    def test_health_checks(self):
        agent, = self.pod(self.render({'flannel': {'healthz': {'port': 9000, 'livenessProbe': {'periodSeconds': 7}}}}))['containers']
        self.assertIn('--healthz-port=9000', agent['args'])
        self.assertEqual((agent['ports'][0]['containerPort'], agent['livenessProbe']['periodSeconds']), (9000, 7))
        agent, = self.pod(self.render({'flannel': {'healthz': {'port': 0}}}))['containers']
        self.assertFalse({'ports', 'livenessProbe', 'readinessProbe'} & set(agent))
        self.assertFalse([each for each in agent['args'] if 'healthz' in each])

    def test_metrics(self):
        agent, = self.pod(self.render({'flannel': {'metrics': {'port': 9477}}}))['containers']
        self.assertIn('--metrics-port=9477', agent['args'])
        self.assertIn({'name': 'metrics', 'containerPort': 9477, 'protocol': 'TCP'}, agent['ports'])
        agent, = self.pod(self.render({'flannel': {'metrics': {'port': 9477}, 'healthz': {'port': 0}}}))['containers']
        self.assertEqual([port['name'] for port in agent['ports']], ['metrics'])
        self.assertFalse({'livenessProbe', 'readinessProbe'} & set(agent))
        agent, = self.pod(self.render())['containers']
        self.assertFalse([each for each in agent['args'] if 'metrics' in each])

    def test_scheduling_and_resources(self):
        pod = self.pod(self.render({'flannel': {
            'args': ['--kube-subnet-mgr', '--iface=eth1'], 'tolerations': [], 'nodeSelector': {'a': 'b'}, 'resources': {'limits': {'memory': '1Gi'}, 'requests': None}}}))
        self.assertEqual(pod['nodeSelector'], {'a': 'b'})
        self.assertNotIn('tolerations', pod)
        self.assertEqual(pod['containers'][0]['args'], ['--kube-subnet-mgr', '--iface=eth1', '--healthz-port=8081'])
        self.assertEqual(pod['containers'][0]['resources']['limits'], {'memory': '1Gi'})

    def test_pods_follow_the_configuration(self):
        def checksum(changes):
            return self.render(changes)['DaemonSet']['spec']['template']['metadata']['annotations']['checksum/config']
        self.assertEqual(checksum({}), checksum({}))
        self.assertNotEqual(checksum({}), checksum({'flannel': {'vni': 7}}))

    def test_flannels_values_without_effect_are_taken(self):
        self.assertEqual(self.render({'podCidrv6': '', 'netpol': {'enabled': False}, 'flannel': {
            'flannel_cni': {'image': {'repository': 'x', 'tag': 'y'}}, 'enableNFTables': True, 'GBP': False, 'directRouting': False}}), self.render())

    def test_what_merino_has_not_is_refused(self):
        for changes in ({'flannel': {'backend': 'wireguard'}}, {'flannel': {'GBP': True}}, {'flannel': {'directRouting': 'yes'}},
                        {'podCidrv6': 'fd00::/48'}, {'netpol': {'enabled': True}}, {'flannel': {'mtu': 100}}, {'flannel': {'vni': 1 << 24}},
                        {'podCidr': ''}, {'flannel': {'args': ['ip-masq']}}, {'flannel': {'cniBinDir': 'opt/cni/bin'}}, {'flannel': {'bakend': 'vxlan'}}):
            self.refused(changes)


if __name__ == '__main__':
    unittest.main()
