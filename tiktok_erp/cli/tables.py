"""Tables: drawn on a terminal, tab-separated in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tiktok_erp.cli.output import Output


def print_table(out: Output, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print `rows` for people; numbers stand to the right. Nothing with `--json` or `--quiet`."""
    if out.as_json or out.quiet or not rows:
        return
    if not sys.stdout.isatty():
        for row in (headers, *rows):
            out.say("\t".join("" if cell is None else str(cell) for cell in row))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, header in enumerate(headers):
        is_number = all(isinstance(row[index], int) or row[index] is None for row in rows)
        table.add_column(header, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    Console().print(table)
