"""Tables in Markdown, which read well in a terminal, too."""


def number(value):
    """Three digits that mean something, thousands separated."""
    if abs(value) >= 1000:
        return f'{value:,.0f}'
    if abs(value) >= 100:
        return f'{value:.0f}'
    return f'{value:.1f}' if abs(value) >= 10 else f'{value:.2f}'


def markdown(head, rows, left=1):
    """The first `left` columns are text, the others are set to the right."""
    cells = [head] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = []
    for index, row in enumerate(cells):
        lines.append('| ' + ' | '.join(cell.ljust(width) if i < left else cell.rjust(width)
                                       for i, (cell, width) in enumerate(zip(row, widths))) + ' |')
        if index == 0:
            lines.append('|' + '|'.join('-' * (width + 2) if i < left else '-' * (width + 1) + ':' for i, width in enumerate(widths)) + '|')
    return '\n'.join(lines) + '\n'
