#!/usr/bin/env python3
"""Makes container images of one layer from a directory, as `ctr images import` takes them. No registry, no engine."""
import hashlib
import io
import json
import os
import tarfile


def add_bytes(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def as_root(entry):
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ''
    entry.mtime = 0
    return entry


def write_image(name, root, out, entrypoint=None):
    """Writes the image NAME:TAG with the files below `root` to the file `out`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w', format=tarfile.GNU_FORMAT) as layer:
        for entry in sorted(os.listdir(root)):
            layer.add(os.path.join(root, entry), arcname=entry, filter=as_root)
    layer = buffer.getvalue()
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps({
        'architecture': 'amd64', 'os': 'linux', 'created': '1970-01-01T00:00:00Z',
        'config': {'Env': ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'], 'Entrypoint': entrypoint, 'WorkingDir': '/'},
        'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + digest]},
    }).encode()
    config_name = hashlib.sha256(config).hexdigest() + '.json'
    manifest = json.dumps([{'Config': config_name, 'RepoTags': [name], 'Layers': [digest + '.tar']}]).encode()
    with tarfile.open(out, 'w', format=tarfile.GNU_FORMAT) as archive:
        add_bytes(archive, config_name, config)
        add_bytes(archive, digest + '.tar', layer)
        add_bytes(archive, 'manifest.json', manifest)
