"""The commands of the project's documents, so that what is tested is what they say."""
import re

from harness import Failed
from machine import HERE

ROOT = HERE.parent.parent


def blocks(document, heading):
    """The blocks of commands of a section, each without `sudo`: the machines of the suite have root only."""
    text = (ROOT / document).read_text()
    section = re.search(rf'(?ms)^## {re.escape(heading)}\n(.*?)(?=^## |\Z)', text)
    if not section:
        raise Failed(f'{document} has no section "{heading}"')
    return [re.sub(r'(?m)^sudo ', '', block) for block in re.findall(r'(?ms)^```\n(.*?)^```', section.group(1))]


def block(document, heading, word):
    """The first block of a section that has this word."""
    for one in blocks(document, heading):
        if word in one:
            return one
    raise Failed(f'{document}, "{heading}": no block has "{word}": {blocks(document, heading)}')


def command(document, heading, start):
    """The command of a section that begins so, without its comment."""
    for one in blocks(document, heading):
        for line in one.splitlines():
            if line.startswith(start):
                return line.partition(' #')[0].rstrip()
    raise Failed(f'{document}, "{heading}": no command begins with "{start}": {blocks(document, heading)}')
