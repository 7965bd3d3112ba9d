"""From nothing to a cluster whose nodes are ready."""
import json

import agent
from api import condition
from harness import case, expect, note, together, wait_until

PREFIX = 'flannel.alpha.coreos.com/'


@case('the control plane starts')
def control_plane(cluster):
    cluster.start_control_plane()
    version = cluster.api.get('/version')['gitVersion']
    expect(version == 'v1.20.2', f'version is {version}')


@case('two nodes without a network register, get a podCIDR, and are not ready')
def nodes_without_network(cluster):
    nodes = [cluster.nodes['node1'], cluster.nodes['node2']]
    together(cluster.boot, nodes)
    for node in nodes:
        def not_ready(node=node):
            ready = condition(cluster.api.node(node.name), 'Ready')
            return ready['status'] == 'False' and ready['message']
        message = wait_until(f'{node.name} says that it is not ready', not_ready)
        expect('cni' in message, f'{node.name} is not ready for another reason: {message}')


@case('the manifest makes the nodes ready')
def manifest(cluster):
    cluster.merino.install()
    for node in cluster.up_nodes():
        wait_until(f'{node.name} is ready', lambda node=node: cluster.node_ready(node.name), 90)
    for node in cluster.up_nodes():
        cluster.merino.wait_ready(node)


@case('each node has flannel\'s annotations, its podCIDR as subnet, and the manifest\'s configuration')
def annotations(cluster):
    wanted_conf = cluster.api.get(f'/api/v1/namespaces/{agent.NAMESPACE}/configmaps/kube-flannel-cfg')['data']['cni-conf.json']
    for node in cluster.up_nodes():
        seen = cluster.api.node(node.name)
        mac = json.loads(node.run(['ip', '-json', 'link', 'show', 'merino0']).stdout)[0]['address']
        wanted = {'kube-subnet-manager': 'true', 'public-ip': node.address,
                  'backend-type': 'vxlan', 'backend-data': f'{{"VNI":1,"VtepMAC":"{mac}"}}'}
        found = {key.removeprefix(PREFIX): value for key, value in seen['metadata']['annotations'].items() if key.startswith(PREFIX)}
        expect(found == wanted, f'{node.name} is annotated with {found}')
        network = condition(seen, 'NetworkUnavailable')
        expect((network['status'], network.get('reason')) == ('False', 'FlannelIsUp'), f'{node.name}: {network}')
        base = seen['spec']['podCIDR'].removesuffix('.0/24')
        wanted = f'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET={base}.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n'
        expect(node.read('/run/flannel/subnet.env') == wanted, f'{node.name}: subnet.env is {node.read("/run/flannel/subnet.env")!r}')
        conf = node.read('/etc/cni/net.d/10-flannel.conflist')
        expect(conf == wanted_conf, f'{node.name}: the configuration is {conf}')


@case('the agent may do what the manifest\'s role says, and nothing else')
def rbac(cluster):
    account = f'system:serviceaccount:{agent.NAMESPACE}:flannel'

    def may(verb, resource, subresource=''):
        review = {'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SubjectAccessReview', 'spec': {
            'user': account, 'groups': ['system:serviceaccounts', f'system:serviceaccounts:{agent.NAMESPACE}', 'system:authenticated'],
            'resourceAttributes': {'verb': verb, 'resource': resource, 'subresource': subresource, 'namespace': agent.NAMESPACE}}}
        return cluster.api.call('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', review)['status']['allowed']

    role = cluster.api.get('/apis/rbac.authorization.k8s.io/v1/clusterroles/flannel')['rules']
    allowed = {(verb, resource) for rule in role for verb in rule['verbs'] for resource in rule['resources']}
    verbs = ('get', 'list', 'watch', 'patch', 'update', 'create', 'delete')
    for resource in ('nodes', 'nodes/status', 'pods', 'secrets', 'configmaps', 'namespaces', 'events'):
        for verb in verbs:
            expect(may(verb, *resource.split('/')) == ((verb, resource) in allowed), f'{verb} {resource}: not as the role says')
    too_much = {('get', 'secrets'), ('patch', 'nodes')}
    expect('*' not in str(role) and not too_much & allowed, f'the role is too wide: {role}')
    for node in cluster.up_nodes():
        log = cluster.merino.log(node)
        expect('forbidden' not in log.lower(), f'{node.name} was refused something: {log}')
    note(f'the role: {", ".join(sorted(f"{verb} {resource}" for verb, resource in allowed))}')
