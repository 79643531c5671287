"""Tables: drawn on a terminal, tab-separated in a pipe; and lists, whose long last column is broken between words."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from itertools import islice

from tiktok_erp.cli.output import Output
from tiktok_erp.model.foreign_text import screen_text

SHOWN_AT_ONCE = 50  # on a terminal, of a list that grows for ever
_ROWS_A_TABLE = 500
_ENDS = re.compile(r"[\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")


def terminal_width() -> int | None:
    """Return how many columns the terminal has, or None when results go to a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_list(out: Output, rows: Sequence[Sequence[str]]) -> None:
    """Print indented rows for people. Nothing with `--json` or `--quiet`."""
    if out.as_json or out.quiet or not rows:
        return
    if not sys.stdout.isatty():
        for row in rows:
            out.say("  " + "  ".join(row))
        return
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for index in range(len(rows[0])):
        is_last = index == len(rows[0]) - 1
        table.add_column(no_wrap=not is_last, overflow="fold")
    for row in rows:
        table.add_row(*(Text(screen_text(cell)) for cell in row))
    Console().print(Padding(table, (0, 0, 0, 2)))


def print_table(out: Output, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print `rows` for people; numbers stand to the right. Nothing with `--json` or `--quiet`."""
    if out.as_json or out.quiet or not rows:
        return
    if not sys.stdout.isatty():
        _say_lines(out, (headers, *rows))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))  # 80 columns hold an order id and a number
    for index, header in enumerate(headers):
        is_number = all(isinstance(row[index], int) or row[index] is None for row in rows)
        table.add_column(header, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else screen_text(str(cell))) for cell in row))
    Console().print(table)


def stream_table(out: Output, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows as they come, without holding all of them: in a pipe a line each, on a terminal a table for every few hundred."""
    if out.as_json or out.quiet:
        return
    coming = iter(rows)
    is_first = True
    while chunk := list(islice(coming, _ROWS_A_TABLE)):
        if sys.stdout.isatty() or is_first:
            print_table(out, headers, chunk)
        else:
            _say_lines(out, chunk)
        is_first = False


def _say_lines(out: Output, rows: Iterable[Sequence[object]]) -> None:
    for row in rows:
        # A tab or a line end in what a buyer wrote would begin a column or a row of its own.
        out.say("\t".join("" if cell is None else _ENDS.sub(" ", str(cell)) for cell in row))
