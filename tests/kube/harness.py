"""Cases, their order, and an honest count of them."""
import concurrent.futures
import sys
import time
import traceback


class Failed(Exception):
    """What was expected did not happen; says what was seen instead."""


_cases = []


def case(title):
    """Registers a function of the cluster as the next case."""
    def register(function):
        _cases.append((title, function))
        return function
    return register


def expect(condition, message):
    if not condition:
        raise Failed(message)


def wait_until(what, probe, seconds=60, interval=0.2):
    """Calls `probe` until it returns something true, and returns that. An exception of the probe counts as "not yet"."""
    end = time.monotonic() + seconds
    while True:
        try:
            last = probe()
            if last:
                return last
        except Exception as error:  # whatever the probe met may be over at the next try
            last = error
        if time.monotonic() > end:
            raise Failed(f'{what}: not within {seconds} s; last seen: {str(last)[:600]}')
        time.sleep(interval)


def together(function, things):
    """Calls the function for each of the things, all at once; the first failure is the caller's."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(function, things))


def note(text):
    print(f'  {text}', flush=True)


def run_cases(cluster, pattern, modules=None):
    """Runs the registered cases whose title matches, in their order, or in that of these modules. Returns how many passed and which failed."""
    passed, failed = 0, []
    cases = _cases if modules is None else [entry for module in modules for entry in _cases if entry[1].__module__ == module]
    for title, function in cases:
        if pattern and not pattern.search(title):
            continue
        started = time.monotonic()
        try:
            function(cluster)
            passed += 1
            print(f'PASS kube {title} ({time.monotonic() - started:.0f} s)', flush=True)
        except Exception as error:
            failed.append(title)
            reason = str(error) if isinstance(error, Failed) else traceback.format_exc()
            print(f'FAIL kube {title} ({time.monotonic() - started:.0f} s)\n  {reason}', flush=True)
            cluster.explain(sys.stdout)
    return passed, failed
