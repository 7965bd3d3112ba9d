"""The DaemonSet's manifest: what an API server and an operator count on."""
import json
import unittest

import yaml

import places

# deploy/kube-merino.yml says beside each why. A new one is a decision, not a detail.
AGENT_CAPABILITIES = {'NET_ADMIN', 'NET_RAW', 'BPF', 'PERFMON', 'SYS_ADMIN'}


class Manifest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.objects = [document for document in yaml.safe_load_all(places.MANIFEST.read_text()) if document]

    def one(self, kind):
        found = [each for each in self.objects if each['kind'] == kind]
        self.assertEqual(len(found), 1, kind)
        return found[0]

    def pod(self):
        return self.one('DaemonSet')['spec']['template']['spec']

    def containers(self):
        return self.pod()['initContainers'] + self.pod()['containers']

    def test_has_flannels_names(self):
        names = {(each['kind'], each['metadata'].get('namespace', ''), each['metadata']['name']) for each in self.objects}
        self.assertEqual(names, {
            ('Namespace', '', 'kube-flannel'), ('ServiceAccount', 'kube-flannel', 'flannel'), ('ClusterRole', '', 'flannel'),
            ('ClusterRoleBinding', '', 'flannel'), ('ConfigMap', 'kube-flannel', 'kube-flannel-cfg'),
            ('DaemonSet', 'kube-flannel', 'kube-flannel-ds')})

    def test_selects_its_own_pods_as_flannels_daemonset_does(self):
        spec = self.one('DaemonSet')['spec']
        self.assertEqual(spec['selector']['matchLabels'], {'app': 'flannel', 'k8s-app': 'flannel'})
        self.assertLessEqual(spec['selector']['matchLabels'].items(), spec['template']['metadata']['labels'].items())

    def test_only_the_configuration_can_be_left_out_by_label(self):
        labelled = [each['kind'] for each in self.objects if each['metadata'].get('labels', {}).get('component') == 'network-config']
        self.assertEqual(labelled, ['ConfigMap'])

    def test_configuration_has_flannels_keys(self):
        data = self.one('ConfigMap')['data']
        self.assertEqual(set(data), {'cni-conf.json', 'net-conf.json'})
        self.assertEqual(json.loads(data['net-conf.json']), {'Network': '10.244.0.0/16', 'Backend': {'Type': 'vxlan'}})
        conf = json.loads(data['cni-conf.json'])
        self.assertEqual(conf['name'], 'cbr0', "the name is the directory of the pods' addresses: as flannel's")
        self.assertEqual([plugin['type'] for plugin in conf['plugins']], ['merino', 'portmap'])
        packaged = json.loads((places.DEPLOY / '10-merino.conflist').read_text())
        self.assertEqual(conf, packaged)

    def test_rights_are_exactly_these(self):
        self.assertEqual(self.one('ClusterRole')['rules'], [
            {'apiGroups': [''], 'resources': ['nodes'], 'verbs': ['get', 'list', 'watch']},
            {'apiGroups': [''], 'resources': ['nodes/status'], 'verbs': ['patch']},
            {'apiGroups': [''], 'resources': ['events'], 'verbs': ['create', 'patch']}])
        binding = self.one('ClusterRoleBinding')
        self.assertEqual(binding['roleRef'], {'apiGroup': 'rbac.authorization.k8s.io', 'kind': 'ClusterRole', 'name': 'flannel'})
        self.assertEqual(binding['subjects'], [{'kind': 'ServiceAccount', 'name': 'flannel', 'namespace': 'kube-flannel'}])
        self.assertEqual(self.pod()['serviceAccountName'], 'flannel')
        # Without the right to read pods, the node's name must come from here.
        environment = {each['name']: each for each in self.pod()['containers'][0]['env']}
        self.assertEqual(environment['NODE_NAME']['valueFrom']['fieldRef']['fieldPath'], 'spec.nodeName')

    def test_nothing_is_privileged(self):
        self.assertTrue(self.pod()['hostNetwork'])
        for key in ('hostPID', 'hostIPC'):
            self.assertFalse(self.pod().get(key, False))
        for container in self.containers():
            context = container['securityContext']
            self.assertIs(context['privileged'], False)
            self.assertTrue(context['readOnlyRootFilesystem'])
            self.assertEqual(context['capabilities']['drop'], ['ALL'])
            for mount in container['volumeMounts']:
                self.assertNotEqual(mount.get('mountPropagation'), 'Bidirectional', 'only privileged containers may have that')
        agent, = self.pod()['containers']
        installer, = self.pod()['initContainers']
        self.assertEqual(set(agent['securityContext']['capabilities']['add']), AGENT_CAPABILITIES)
        self.assertEqual(installer['securityContext']['capabilities']['add'], ['DAC_OVERRIDE'])

    def test_mounts_are_what_agent_and_plugin_share(self):
        volumes = {each['name']: each.get('hostPath', {}).get('path', each.get('configMap', {}).get('name')) for each in self.pod()['volumes']}
        used = set()
        writable = {}
        for container in self.containers():
            for mount in container['volumeMounts']:
                self.assertIn(mount['name'], volumes)
                used.add(mount['name'])
                if not mount.get('readOnly'):
                    writable.setdefault(container['name'], set()).add(volumes[mount['name']])
        self.assertEqual(used, set(volumes), 'a volume is not used')
        self.assertEqual(writable, {
            'install-cni': {'/opt/cni/bin', '/etc/cni/net.d'},
            'kube-flannel': {'/run/flannel', '/run/merino', '/sys/fs/bpf', '/proc/sys/net', '/var/lib/cni', '/run/xtables.lock'}})

    def test_runs_on_every_linux_node_and_is_updated_one_by_one(self):
        self.assertEqual(self.pod()['tolerations'], [{'operator': 'Exists', 'effect': 'NoExecute'}, {'operator': 'Exists', 'effect': 'NoSchedule'}])
        self.assertEqual(self.pod()['priorityClassName'], 'system-node-critical')
        self.assertEqual(self.one('DaemonSet')['spec']['updateStrategy'], {'type': 'RollingUpdate', 'rollingUpdate': {'maxUnavailable': 1}})

    def test_probes_ask_the_port_that_the_agent_serves(self):
        agent, = self.pod()['containers']
        port, = agent['ports']
        self.assertIn(f'--healthz-port={port["containerPort"]}', agent['args'])
        self.assertEqual((agent['livenessProbe']['httpGet']['path'], agent['readinessProbe']['httpGet']['path']), ('/healthz', '/readyz'))

    def test_image_has_the_projects_version(self):
        images = {container['image'] for container in self.containers()}
        cmake = (places.ROOT / 'CMakeLists.txt').read_text()
        version = cmake.split('project(merino VERSION ')[1].split()[0]
        self.assertEqual(images, {f'merino:{version}'})
        chart = yaml.safe_load((places.CHART / 'Chart.yaml').read_text())
        self.assertEqual((chart['version'], chart['appVersion']), (version, version))


if __name__ == '__main__':
    unittest.main()
