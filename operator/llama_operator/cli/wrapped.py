"""Sentences in the terminal, in as many lines as they need."""

import textwrap
from typing import Final

from rich.console import Console
from rich.text import Text

LABEL_CELLS: Final = 13


def print_wrapped(console: Console, text: str, *, label: str = "") -> None:
    """A sentence below a dash or beside a label."""
    head = f"  {label:<{LABEL_CELLS}}" if label else "  - "
    width = max(20, console.width - len(head))
    for index, line in enumerate(textwrap.wrap(text, width, break_on_hyphens=False)):
        start = Text(head if index == 0 else " " * len(head), style="dim")
        console.print(start.append(line, style="not dim"), soft_wrap=True)
