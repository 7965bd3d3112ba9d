"""Pods and services, as users have them."""
from harness import Failed, case, expect, note, wait_until
from machine import HERE, run

SERVICE, NODE_PORT, HOST_PORT = '10.96.0.80', 30080, 8088


def fetch(cluster, client, address, port=80):
    """What a web pod answers to a client pod: its name, its node, the client that it saw."""
    return cluster.in_pod(client, 'curl', '-sS', '-m', '5', f'http://{address}:{port}/').split()


def fetch_often(cluster, client, address, times, port=80):
    script = f'for i in $(seq {times}); do curl -sS -m 5 http://{address}:{port}/ || echo - - failed; done'
    return [line.split() for line in cluster.in_pod(client, 'sh', '-c', script, timeout=200).splitlines()]


def wait_settled(cluster, client, webs):
    """Until the service has these backends and no others for a client's node: kube-proxy learns it from the API server like everybody."""
    everyone = {name_of(web) for web in webs}
    wait_until(f'the service has its backends and no others for {name_of(client)}',
               lambda: {answer[0] for answer in fetch_often(cluster, client, SERVICE, 40)} == everyone, 30)


def name_of(pod):
    return pod['metadata']['name']


def address_of(pod):
    return pod['status']['podIP']


def web_and_clients(cluster):
    return cluster.ready_pods('app=web', 4), cluster.ready_pods('app=client', len(cluster.up_nodes()))


@case('a Deployment and a DaemonSet become ready, their probes answered')
def deploy(cluster):
    for name in ('web', 'client'):
        cluster.api.apply((HERE / 'manifests' / f'{name}.yml').read_text())
    webs, clients = web_and_clients(cluster)
    per_node = [sum(pod['spec']['nodeName'] == node.name for pod in webs) for node in cluster.up_nodes()]
    expect(per_node == [2, 2], f'web pods per node: {per_node}')
    for pod in webs + clients:
        subnet = cluster.subnet_of(cluster.nodes[pod['spec']['nodeName']])
        expect(address_of(pod).startswith(subnet), f'{name_of(pod)} has {address_of(pod)}, its node has {subnet}')


@case('each pod is reached from each node, and sees the client\'s own address')
def pod_to_pod(cluster):
    webs, clients = web_and_clients(cluster)
    for client in clients:
        for web in webs:
            name, node, seen = fetch(cluster, client, address_of(web))
            expect((name, node) == (name_of(web), web['spec']['nodeName']), f'{name_of(web)}: {name} on {node} answered')
            expect(seen == address_of(client), f'{name} sees {seen}, not {address_of(client)}')
    for node in cluster.up_nodes():
        for web in webs:
            answer = node.run(['curl', '-sS', '-m', '5', f'http://{address_of(web)}/']).stdout.split()
            expect(answer[0] == name_of(web), f'{node.name} itself to {name_of(web)}: {answer}')
    silent = cluster.in_pod(clients[0], 'curl', '-sS', '-m', '2', f'http://{address_of(webs[0])}:81/', check=False)
    expect(silent == '', f'a port without a server answers: {silent}')


@case('a ClusterIP is answered by every backend, for pods on both nodes, for nodes, and for a backend itself')
def cluster_ip(cluster):
    webs, clients = web_and_clients(cluster)
    everyone = {name_of(web) for web in webs}
    for client in clients:
        wait_settled(cluster, client, webs)
        answers = fetch_often(cluster, client, SERVICE, 40)
        expect({answer[0] for answer in answers} == everyone, f'{name_of(client)}: answers {answers}')
        expect({answer[2] for answer in answers} == {address_of(client)}, f'{name_of(client)} is seen as another: {answers}')
    for node in cluster.up_nodes():
        answers = [node.run(['curl', '-sS', '-m', '5', f'http://{SERVICE}/']).stdout.split()[0] for _ in range(6)]
        expect(set(answers) <= everyone, f'{node.name} itself: {answers}')
    answers = fetch_often(cluster, webs[0], SERVICE, 40)
    expect({answer[0] for answer in answers} == everyone, f'a backend asking its own service: {answers}')


@case('a NodePort is answered on every node, for pods and for the world outside')
def node_port(cluster):
    webs, clients = web_and_clients(cluster)
    everyone = {name_of(web) for web in webs}
    for node in cluster.up_nodes():
        seen = {run(['curl', '-sS', '-m', '5', f'http://{node.address}:{NODE_PORT}/']).stdout.split()[0] for _ in range(12)}
        expect(seen <= everyone and len(seen) > 1, f'{node.name}: {seen} answer the world outside')
        for client in clients:
            answers = fetch_often(cluster, client, node.address, 6, NODE_PORT)
            expect({answer[0] for answer in answers} <= everyone, f'{node.name}, asked by {name_of(client)}: {answers}')
        nothing = run(['curl', '-sS', '-m', '2', f'http://{node.address}:{NODE_PORT + 1}/'], check=False)
        expect(nothing.returncode != 0, f'{node.name} answers at a port that no service has: {nothing.stdout}')


@case('a hostPort is answered on its node only, for pods and for the world outside')
def host_port(cluster):
    cluster.api.apply((HERE / 'manifests/hostport.yml').read_text())
    pod = cluster.ready_pods('app=hostport', 1)[0]
    home, other = cluster.nodes[pod['spec']['nodeName']], cluster.nodes['node1']
    expect(home is cluster.nodes['node2'], f'the pod is on {home.name}')
    answer = run(['curl', '-sS', '-m', '5', f'http://{home.address}:{HOST_PORT}/']).stdout.split()
    expect(answer == [name_of(pod), home.name, cluster.lab.address], f'the world outside: {answer}')
    for client in cluster.ready_pods('app=client', len(cluster.up_nodes())):
        answer = fetch(cluster, client, home.address, HOST_PORT)
        expect(answer[0] == name_of(pod), f'{name_of(client)}: {answer}')
    nothing = run(['curl', '-sS', '-m', '2', f'http://{other.address}:{HOST_PORT}/'], check=False)
    expect(nothing.returncode != 0, f'{other.name} answers too: {nothing.stdout}')
    cluster.api.kubectl('delete', '-f', HERE / 'manifests/hostport.yml', '--wait=false')
    cluster.gone_pods('app=hostport')
    nothing = run(['curl', '-sS', '-m', '2', f'http://{home.address}:{HOST_PORT}/'], check=False)
    expect(nothing.returncode != 0, f'the port answers after its pod is gone: {nothing.stdout}')


@case('a pod whose probe fails leaves its service, and comes back')
def probes(cluster):
    webs, clients = web_and_clients(cluster)
    sick = webs[0]

    def behind_service():
        subsets = cluster.api.get('/api/v1/namespaces/default/endpoints/web').get('subsets', [])
        return {address['ip'] for subset in subsets for address in subset.get('addresses', [])}

    cluster.in_pod(sick, 'touch', '/tmp/sick')
    try:
        wait_until('the sick pod is no endpoint', lambda: address_of(sick) not in behind_service())
        wait_until('no answer comes from the sick pod',
                   lambda: name_of(sick) not in {answer[0] for answer in fetch_often(cluster, clients[0], SERVICE, 20)})
    finally:
        cluster.in_pod(sick, 'rm', '/tmp/sick')
    wait_until('the pod is an endpoint again', lambda: address_of(sick) in behind_service())


@case('logs, exec with input and with an exit code')
def exec_and_logs(cluster):
    _, clients = web_and_clients(cluster)
    for client in clients:
        node = client['spec']['nodeName']
        log = cluster.api.kubectl('logs', name_of(client))
        expect(log == f'started on {node}\n', f'logs of {name_of(client)}: {log!r}')
        answer = cluster.api.kubectl('exec', '-i', name_of(client), '--', 'sed', 's/^/got /', input='hello\n')
        expect(answer == 'got hello\n', f'exec in {name_of(client)}: {answer!r}')
        try:
            cluster.in_pod(client, 'sh', '-c', 'exit 3')
            raise Failed('exit code 3 is taken for success')
        except Failed as error:
            expect('exit code 3' in str(error), f'exec of exit 3: {error}')


@case('pods reach the API server by its ClusterIP, with the service account\'s rights')
def api_from_pods(cluster):
    _, clients = web_and_clients(cluster)
    secrets = '/var/run/secrets/kubernetes.io/serviceaccount'
    ask = (f'curl -sS -m 5 -o /dev/null -w %{{http_code}} --cacert {secrets}/ca.crt -H "Authorization: Bearer $(cat {secrets}/token)"'
           ' https://10.96.0.1')
    for client in clients:
        expect(cluster.in_pod(client, 'sh', '-c', f'{ask}/version') == '200', f'{name_of(client)}: no answer for /version')
        code = cluster.in_pod(client, 'sh', '-c', f'{ask}/api/v1/nodes')
        expect(code == '403', f'{name_of(client)} may list nodes: {code}')
