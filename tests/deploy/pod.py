"""Runs a container of the DaemonSet as a kubelet would, by runc: the manifest's command, capabilities, environment and mounts, and the
restrictions that runtimes put on every container that is not privileged."""
import json
import os
import pathlib
import shutil

# What the OCI runtimes of Kubernetes hide and protect in /proc and /sys.
MASKED = ['/proc/acpi', '/proc/asound', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/timer_stats', '/proc/sched_debug',
          '/proc/scsi', '/sys/firmware']
READ_ONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']
# The kernel's own; everything else of the host is below a directory of the test's.
KERNELS = ('/sys/', '/proc/')


class Pod:
    """One pod of the DaemonSet on a node (node.Node)."""

    def __init__(self, daemon_set, config_map, root, node, directory):
        self.spec = daemon_set['spec']['template']['spec']
        self.root = root
        self.node = node
        self.directory = pathlib.Path(directory)
        config = self.directory / 'config'
        config.mkdir()
        for name, text in config_map['data'].items():
            (config / name).write_text(text)
        self.sources = {}
        self.runc = ['runc', '--root', self.directory / 'runc']
        self.started = []
        for volume in self.spec['volumes']:
            self.sources[volume['name']] = config if 'configMap' in volume else self._host_path(volume['hostPath'])

    def host(self, path):
        """Where the test keeps what is `path` on the host."""
        return self.directory / 'host' / path.lstrip('/')

    def _host_path(self, volume):
        if volume['path'].startswith(KERNELS):
            return pathlib.Path(volume['path'])
        source = self.host(volume['path'])
        if volume.get('type') == 'FileOrCreate':
            source.parent.mkdir(parents=True, exist_ok=True)
            source.touch()
        else:
            source.mkdir(parents=True, exist_ok=True)
        return source

    def start(self, container, arguments=None, capabilities=None):
        """A daemon (node.Daemon) in this container. `arguments` and `capabilities` take the place of the manifest's."""
        bundle = self.directory / f'bundle-{container["name"]}'
        shutil.rmtree(bundle, ignore_errors=True)
        bundle.mkdir()
        (bundle / 'config.json').write_text(json.dumps(self._config(container, arguments, capabilities)))
        name = f'merino-deploy-{os.getpid()}-{container["name"]}'
        daemon = self.node.start(*self.runc, 'run', '--bundle', bundle, name)
        self.started.append((name, daemon))
        return daemon

    def close(self):
        """Ends what runs, and takes its cgroups away."""
        for name, daemon in self.started:
            self.node.run(*self.runc, 'delete', '--force', name)
            daemon.wait()

    def _config(self, container, arguments, capabilities):
        context = container['securityContext']
        if capabilities is None:
            capabilities = context['capabilities']['add']
        capabilities = ['CAP_' + each for each in capabilities]
        environment = ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'] + [each['name'] + '=node1' for each in container.get('env', [])]
        return {
            'ociVersion': '1.0.2',
            'process': {
                'args': container['command'] + (container['args'] if arguments is None else arguments),
                'env': environment,
                'cwd': '/',
                'user': {'uid': 0, 'gid': 0},
                'capabilities': {each: capabilities for each in ('bounding', 'effective', 'permitted')},
                'noNewPrivileges': not context.get('allowPrivilegeEscalation', True),
            },
            'root': {'path': str(self.root), 'readonly': context['readOnlyRootFilesystem']},
            'mounts': [
                {'destination': '/proc', 'type': 'proc', 'source': 'proc'},
                {'destination': '/dev', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['nosuid', 'mode=755']},
                {'destination': '/sys', 'type': 'sysfs', 'source': 'sysfs', 'options': ['nosuid', 'noexec', 'nodev', 'ro']},
                *[self._mount(each) for each in container['volumeMounts']],
            ],
            'linux': {
                'namespaces': [{'type': each} for each in ('pid', 'ipc', 'mount')],
                'maskedPaths': MASKED,
                'readonlyPaths': READ_ONLY,
                'resources': {'devices': [{'allow': False, 'access': 'rwm'}]},
            },
        }

    def _mount(self, mount):
        propagation = 'rslave' if mount.get('mountPropagation') == 'HostToContainer' else 'rprivate'
        return {'destination': mount['mountPath'], 'type': 'bind', 'source': str(self.sources[mount['name']]),
                'options': ['rbind', propagation, 'ro' if mount.get('readOnly') else 'rw']}
