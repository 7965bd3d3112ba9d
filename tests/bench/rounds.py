"""Samples in turn, and what they say together."""
import statistics


class Series:
    """The samples of one case on one path."""

    def __init__(self):
        self.samples = []

    @property
    def median(self):
        return statistics.median(self.samples)

    @property
    def spread(self):
        """Half of the distance between the quartiles, relative to the median."""
        if len(self.samples) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.samples, n=4, method='inclusive')
        return (high - low) / 2 / self.median if self.median else 0.0


class Comparison:
    """One case on all paths."""

    def __init__(self, case, names):
        self.case = case
        self.series = {name: Series() for name in names}
        self.reasons = {}  # what merino's programs counted meanwhile: which way the packets took

    def ratio(self, name):
        """merino's speed relative to another path: the median over the rounds, in each of which both were measured one after the other."""
        pairs = zip(self.series['merino'].samples, self.series[name].samples)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    def targets(self):
        """(path, target, ratio) for each target of the case."""
        wanted = {'host': self.case.to_host, 'flannel': self.case.to_flannel}
        return [(name, target, self.ratio(name)) for name, target in wanted.items() if target is not None]


def interleave(case, all_paths, rounds, milliseconds):
    """A B C, B C A, C A B, …: whatever the machine does meanwhile meets all of them."""
    comparison = Comparison(case, [path.name for path in all_paths])
    merino = next(path for path in all_paths if path.name == 'merino')
    before = merino.reasons()
    for index in range(rounds):
        turn = index % len(all_paths)
        for path in all_paths[turn:] + all_paths[:turn]:
            comparison.series[path.name].samples.append(case.sample(path, milliseconds))
    comparison.reasons = {reason: count - before.get(reason, 0) for reason, count in merino.reasons().items() if count > before.get(reason, 0)}
    return comparison
