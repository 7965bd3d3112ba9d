"""The comparison of the paths as tables, JSON, CSV and plots."""
import csv
import itertools

import plot
from table import markdown, number


def _stages(comparisons):
    return itertools.groupby(comparisons, key=lambda comparison: comparison.case.stage)


def _row(comparison):
    case = comparison.case
    medians = [f'{number(series.median)} ± {series.spread:.0%}' for series in comparison.series.values()]
    verdicts = ['met' if ratio >= target else f'{name}: {target}' for name, target, ratio in comparison.targets()]
    missed = [verdict for verdict in verdicts if verdict != 'met']
    judged = 'missed ' + ', '.join(missed) if missed else ('met' if verdicts else '')
    return [case.title, case.unit, *medians, f'{comparison.ratio("host"):.2f}', f'{comparison.ratio("flannel"):.2f}', judged]


def text(comparisons, rounds):
    parts = [f'Medians of {rounds} rounds ± half the distance between the quartiles. "to host" and "to flannel": merino\'s speed relative to '
             'theirs, the median over the rounds; more is better.\n']
    for stage, group in _stages(comparisons):
        head = ['case', 'unit', 'host', 'flannel', 'merino', 'to host', 'to flannel', 'target']
        parts += [f'\n### {stage.name}\n\n', markdown(head, [_row(comparison) for comparison in group], left=2)]
    return ''.join(parts)


def as_json(comparisons):
    return [{'stage': comparison.case.stage.name, 'case': comparison.case.title, 'unit': comparison.case.unit,
             'samples': {name: series.samples for name, series in comparison.series.items()},
             'median': {name: series.median for name, series in comparison.series.items()},
             'reasons': comparison.reasons,
             'to_host': round(comparison.ratio('host'), 4), 'to_flannel': round(comparison.ratio('flannel'), 4),
             'targets': [{'path': name, 'at_least': target, 'ratio': round(ratio, 4), 'met': ratio >= target}
                         for name, target, ratio in comparison.targets()]}
            for comparison in comparisons]


def write_csv(comparisons, path):
    with open(path, 'w', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['stage', 'case', 'unit', 'path', 'round', 'value'])
        for comparison in comparisons:
            for name, series in comparison.series.items():
                for index, value in enumerate(series.samples, 1):
                    writer.writerow([comparison.case.stage.name, comparison.case.title, comparison.case.unit, name, index, round(value, 3)])


def write_plots(comparisons, directory):
    """One bar chart for each stage: flannel and merino relative to the host."""
    files = []
    for index, (stage, group) in enumerate(_stages(comparisons), 1):
        rows = []
        for comparison in group:
            host = comparison.series['host'].median
            rows.append((comparison.case.title, [comparison.series[name].median / host for name in ('flannel', 'merino')]))
        file = directory / f'paths-{index}.svg'
        plot.bars(file, stage.name, 'speed relative to host to host', ['flannel', 'merino'], rows, line_at=1.0)
        files.append((stage.name, file.name))
    return files
