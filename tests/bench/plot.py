"""Plots, drawn by gnuplot as SVG."""
import subprocess

COLOURS = ('#b8b8b8', '#1f6f8b', '#d1495b')
STYLE = 'set terminal svg size {width},{height} noenhanced font "sans-serif,12" background "white"\nset rmargin 6\nset output "{file}"\nset title "{title}"\n'


def _draw(script):
    subprocess.run(['gnuplot'], input=script, text=True, check=True)


def _quoted(text):
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"') + '"'


def bars(file, title, x_label, names, rows, line_at=None):
    """Horizontal bars: `rows` are (label, one value for each name)."""
    groups = len(rows)
    band = 0.8 / len(names)
    script = STYLE.format(width=900, height=120 + 34 * groups, file=file, title=title)
    script += f'set style fill solid noborder\nset yrange [{groups - 0.4}:-0.6]\nset xrange [0:*]\nset key below\nset grid xtics\nset xlabel {_quoted(x_label)}\n'
    script += 'set ytics (' + ', '.join(f'{_quoted(label)} {i}' for i, (label, _) in enumerate(rows)) + ') nomirror\nset tics scale 0\n'
    if line_at is not None:
        script += f'set arrow from first {line_at}, graph 0 to first {line_at}, graph 1 nohead lc rgb "#404040" dt 2 front\n'
    plots, data = [], []
    for index, name in enumerate(names):
        plots.append(f'"-" using (0):1:(0):2:($1-{band / 2}):($1+{band / 2}) with boxxyerror lc rgb "{COLOURS[index]}" title {_quoted(name)}')
        at = (index - (len(names) - 1) / 2) * band
        data += [f'{row + at} {values[index]}' for row, (_, values) in enumerate(rows)] + ['e']
    _draw(script + 'plot ' + ', '.join(plots) + '\n' + '\n'.join(data) + '\n')


def lines(file, title, x_label, y_label, series):
    """Curves over a logarithmic x axis: `series` are (name, [(x, y), ...])."""
    script = STYLE.format(width=800, height=420, file=file, title=title)
    script += f'set logscale x 10\nset yrange [0:*]\nset xlabel {_quoted(x_label)}\nset ylabel {_quoted(y_label)}\nset grid\nset key top left\n'
    plots, data = [], []
    for index, (name, points) in enumerate(series):
        plots.append(f'"-" using 1:2 with linespoints lw 2 pt 7 lc rgb "{COLOURS[index + 1]}" title {_quoted(name)}')
        data += [f'{x} {y}' for x, y in points] + ['e']
    _draw(script + 'plot ' + ', '.join(plots) + '\n' + '\n'.join(data) + '\n')
