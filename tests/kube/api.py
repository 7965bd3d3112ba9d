"""The API server, by its own language and by kubectl."""
import http.client
import json
import ssl

from harness import Failed
from machine import run


class Api:
    """Requests as the cluster's administrator, whose credentials are in `pki`."""

    def __init__(self, pki, programs, server='127.0.0.1'):
        self.server = server
        self.kubectl_argv = [programs / 'kubectl', f'--kubeconfig={pki / "admin.conf"}']
        self.tls = ssl.create_default_context(cafile=pki / 'ca.crt')
        self.tls.load_cert_chain(pki / 'admin.crt', pki / 'admin.key')

    def request(self, method, path, body=None, content='application/json'):
        """The answer's status and text."""
        connection = http.client.HTTPSConnection(self.server, 6443, context=self.tls, timeout=20)
        try:
            headers = {'Content-Type': content} if body is not None else {}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def call(self, method, path, body=None, content='application/json'):
        """The answer as an object; a status above 299 is a failure."""
        status, text = self.request(method, path, body, content)
        if status > 299:
            raise Failed(f'{method} {path}: {status}: {text[:500]}')
        return json.loads(text)

    def get(self, path):
        return self.call('GET', path)

    def exists(self, path):
        status, _ = self.request('GET', path)
        return status == 200

    def ready(self):
        return self.request('GET', '/readyz')[0] == 200

    def annotate(self, node, annotations):
        """Sets a node's annotations by hand; None removes one."""
        self.call('PATCH', f'/api/v1/nodes/{node}', {'metadata': {'annotations': annotations}}, 'application/merge-patch+json')

    def node(self, name):
        return self.get(f'/api/v1/nodes/{name}')

    def pods(self, selector='', namespace='default'):
        return self.get(f'/api/v1/namespaces/{namespace}/pods?labelSelector={selector}')['items']

    def reread(self, pod):
        """The pod as it is now."""
        return self.get(f'/api/v1/namespaces/{pod["metadata"]["namespace"]}/pods/{pod["metadata"]["name"]}')

    def kubectl(self, *words, **options):
        return run([*self.kubectl_argv, *words], **options).stdout

    def apply(self, text):
        self.kubectl('apply', '-f', '-', input=text)


def condition(thing, kind):
    """The condition of a node or a pod, with its 'status': 'True', 'False' or 'Unknown'."""
    for entry in thing.get('status', {}).get('conditions', []):
        if entry['type'] == kind:
            return entry
    return {'status': '', 'message': '', 'lastHeartbeatTime': ''}
