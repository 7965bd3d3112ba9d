"""An API server with thousands of Nodes, each as large as those of real clusters: lists in pages, one watch, patches. Plain HTTP."""
import copy
import http.server
import json
import socketserver
import threading
import urllib.parse

PAGE = 500
NODE_BYTES = 9000
PORT = 6443
PREFIX = 'flannel.alpha.coreos.com/'
OWN = 'bench'
OWN_CIDR = '10.0.1.0/24'


def cidr_of(index):
    return f'10.{1 + index // 256}.{index % 256}.0/24'


def _managed(fields):
    return {'manager': 'kubelet', 'operation': 'Update', 'apiVersion': 'v1', 'time': '2026-11-20T08:00:00Z', 'fieldsType': 'FieldsV1',
            'fieldsV1': {'f:metadata': {'f:annotations': {'.': {}, **{f'f:{name}': {} for name in fields}}},
                         'f:status': {'f:conditions': {f'k:{{"type":"{kind}"}}': {'f:lastHeartbeatTime': {}, 'f:message': {}, 'f:reason': {}, 'f:status': {}}
                                                       for kind in ('DiskPressure', 'MemoryPressure', 'PIDPressure', 'Ready')}}}}


def _node(name, cidr, annotations):
    """As the API server writes it; images until it is as large as it should be."""
    node = {
        'metadata': {'name': name, 'uid': f'4f6d1a52-8c1e-4c4f-9d0a-{abs(hash(name)) % 10**12:012}', 'resourceVersion': '1',
                     'creationTimestamp': '2026-11-20T08:00:00Z',
                     'labels': {'kubernetes.io/arch': 'amd64', 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux'},
                     'annotations': {'node.alpha.kubernetes.io/ttl': '300', 'volumes.kubernetes.io/controller-managed-attach-detach': 'true', **annotations},
                     'managedFields': [_managed(annotations)] * 2},
        'spec': {'podCIDR': cidr, 'podCIDRs': [cidr]},
        'status': {'capacity': {'cpu': '64', 'memory': '263856348Ki', 'pods': '110'}, 'allocatable': {'cpu': '64', 'memory': '263753948Ki', 'pods': '110'},
                   'conditions': [{'type': kind, 'status': 'False', 'lastHeartbeatTime': '2026-11-27T08:00:00Z', 'lastTransitionTime': '2026-11-20T08:00:00Z',
                                   'reason': f'KubeletHas{kind}', 'message': f'kubelet has sufficient {kind} available'}
                                  for kind in ('MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready')],
                   'addresses': [{'type': 'Hostname', 'address': name}],
                   'nodeInfo': {'kernelVersion': '6.1.0-41-amd64', 'osImage': 'Debian GNU/Linux 12 (bookworm)', 'kubeletVersion': 'v1.31.4'},
                   'images': []}}
    size = len(json.dumps(node))
    while size < NODE_BYTES:
        number = len(node['status']['images'])
        image = {'names': [f'registry.example.org/team-{number % 7}/service-{number}@sha256:{number:064x}',
                           f'registry.example.org/team-{number % 7}/service-{number}:v1.{number}.0'], 'sizeBytes': 90000000 + number}
        node['status']['images'].append(image)
        size += len(json.dumps(image)) + 2
    return node


def _other(index):
    mac = f'02:00:{index >> 24 & 255:02x}:{index >> 16 & 255:02x}:{index >> 8 & 255:02x}:{index & 255:02x}'
    return _node(f'worker-{index:05}', cidr_of(index), {
        PREFIX + 'kube-subnet-manager': 'true', PREFIX + 'backend-type': 'vxlan', PREFIX + 'backend-data': f'{{"VNI":1,"VtepMAC":"{mac}"}}',
        PREFIX + 'public-ip': f'172.{16 + (index >> 16)}.{index >> 8 & 255}.{index & 255}'})


class ApiServer:
    """merinod's own Node is `OWN`."""

    def __init__(self, address, nodes):
        self.url = f'http://{address}:{PORT}'
        self.count = nodes
        self._own = _node(OWN, OWN_CIDR, {})
        self._own['metadata']['resourceVersion'] = '1'
        texts = [json.dumps(_other(index)) for index in range(nodes)]
        self._pages = [','.join(texts[at:at + PAGE]).encode() for at in range(0, nodes, PAGE)]
        self._changed = threading.Condition()
        self._events = []  # the one with version n + 2 at n
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            disable_nagle_algorithm = True

            def do_GET(self):  # noqa: N802 (the base class' name)
                url = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(url.query))
                if url.path.endswith('/' + OWN):
                    self.answer(json.dumps(api._own).encode())
                elif 'watch' in query:
                    self.watch(int(query['resourceVersion']))
                else:
                    self.answer(api._list(int(query.get('continue', 0))))

            def do_PATCH(self):  # noqa: N802
                api._patch(json.loads(self.rfile.read(int(self.headers['Content-Length']))))
                self.answer(json.dumps(api._own).encode())

            def answer(self, body):
                self.send_response(200)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def watch(self, version):
                self.send_response(200)
                self.send_header('Transfer-Encoding', 'chunked')
                self.end_headers()
                while True:
                    with api._changed:
                        api._changed.wait_for(lambda: len(api._events) + 1 > version)
                        news = api._events[version - 1:]
                    version += len(news)
                    for event in news:
                        self.wfile.write(b'%x\r\n%b\r\n' % (len(event), event))

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

            def handle_error(self, *_):  # the agent is gone
                pass

        self._server = Server((address, PORT), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _list(self, page):
        meta = {'resourceVersion': str(len(self._events) + 1)}
        items = self._pages[page]
        if page + 1 < len(self._pages):
            meta['continue'] = str(page + 1)
        else:
            items += b',' + json.dumps(self._own).encode()
        return b'{"kind":"NodeList","apiVersion":"v1","metadata":%b,"items":[%b]}' % (json.dumps(meta).encode(), items)

    def _tell(self, kind, node):
        with self._changed:
            node['metadata']['resourceVersion'] = str(len(self._events) + 2)
            self._events.append(json.dumps({'type': kind, 'object': node}).encode() + b'\n')
            self._changed.notify_all()

    def _patch(self, patch):
        own = copy.deepcopy(self._own)
        own['metadata']['annotations'].update(patch.get('metadata', {}).get('annotations', {}))
        for condition in patch.get('status', {}).get('conditions', []):
            others = [each for each in own['status']['conditions'] if each['type'] != condition['type']]
            own['status']['conditions'] = others + [condition]
        self._own = own
        self._tell('MODIFIED', own)

    def prepare_one(self):
        """A Node that will be told; its podCIDR."""
        self._next = _other(self.count)
        return cidr_of(self.count)

    def add_one(self):
        self._tell('ADDED', self._next)
        self.count += 1
