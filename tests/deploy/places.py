"""Where things are in the repository, and small things that all these tests need."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / 'deploy'
MANIFEST = DEPLOY / 'kube-merino.yml'
CHART = DEPLOY / 'chart'


def run(*command, check=True, **options):
    """The finished process, with its output as text; a failure raises with that output."""
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f'{" ".join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}')
    return done
