"""What stands on a node for its pods."""
import json

DIRECTORIES = ('/var/lib/cni/networks/cbr0', '/var/lib/cni/results', '/run/merino/attachments', '/sys/fs/bpf/merino/links', '/run/netns')
# Kinds that are lists of the pods' addresses; of the others, one belongs to each pod.
BY_ADDRESS = ('addresses that host-local holds', 'entries in the map')


def of(node):
    """What is there, by kind."""
    listing = node.run(['find', *DIRECTORIES, '-mindepth', '1', '-maxdepth', '1'], check=False).stdout.splitlines()
    names = [entry.rpartition('/')[::2] for entry in listing]

    def count(directory, prefix):
        return sum(where == directory and name.startswith(prefix) for where, name in names)

    links = json.loads(node.run(['ip', '-json', 'link', 'show']).stdout)
    return {
        'addresses that host-local holds': sorted(name for where, name in names if where.endswith('cbr0') and name[0].isdigit()),
        'entries in the map': sorted(pod['address'] for pod in json.loads(node.run(['merinoctl', 'pods', '-o', 'json']).stdout)),
        'records': count('/run/merino/attachments', ''),
        'veths': sum(link['ifname'].startswith('mr') and link['ifname'] != 'merino0' for link in links),
        'pinned links': count('/sys/fs/bpf/merino/links', 'pod_'),
        'network namespaces': count('/run/netns', 'cni-'),
        'results': count('/var/lib/cni/results', 'cbr0-'),
    }


def difference(node, addresses, without=()):
    """The kinds that do not fit pods with these addresses, and what is there instead; not looked at are the kinds `without`."""
    return {kind: seen for kind, seen in of(node).items()
            if kind not in without and seen != (sorted(addresses) if kind in BY_ADDRESS else len(addresses))}
