"""Options that mean the same everywhere, and ids from arguments or standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.checked_json import parse_json
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr

if TYPE_CHECKING:
    from tiktok_erp.cli.session import Command

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would happen and change nothing.")]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON object a line on standard output; the last is the summary.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print failures only.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask, and do not stop where a person should look first.")]
All = Annotated[
    bool,
    typer.Option("--all", help="On a terminal: everything, not only the first of it. A filter and a pipe imply it."),
]
StaleOk = Annotated[bool, typer.Option("--stale-ok", help="Work on data older than `freshness` in rules.yaml allows.")]
_NAMES = (
    "Package ids, order ids or the channel's order ids; `-` reads them from standard input (one a line, or"
    " JSON lines of another command)."
)
Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help=f"{_NAMES} None: everything due.", show_default=False),
]
# For commands that do nothing by themselves.
NamedIds = Annotated[list[str] | None, typer.Argument(metavar="ID...", help=_NAMES, show_default=False)]


@dataclass(frozen=True, slots=True)
class Globals:
    """What stands before the command. `rules_given` tells whether somebody named the rules file.

    `outer` is set inside another command (`run`): it carries the command out as one of its stages.
    """

    db: Path
    rules: Path
    rules_given: bool
    outer: Callable[[Command], None] | None = None


def require_ending(path: Path, option: str, *endings: str) -> None:
    """Raise UsageError when a file to be written is called something that it will not be: its ending tells programs what it is."""
    if path.suffix.casefold() not in endings:
        raise UsageError(
            tr(
                "{option} writes {wanted} files, and the name ends with {ending}",
                option=option,
                wanted=endings[0],
                ending=path.suffix or '""',
            ),
            subject=str(path),
            next_step=tr("name it {name}", name=path.with_suffix(endings[0]).name),
        )


def require_template(path: Path, option: str, kind: str) -> None:
    """Raise UsageError for a template of Seller Center's, to be filled or made, that is another file or not called .xlsx."""
    from tiktok_erp.table_file import name_other_file

    other = name_other_file(path, (kind,))
    if other is not None:
        raise other
    require_ending(path, option, ".xlsx")


def require_paper(paper: str | None) -> None:
    """Raise UsageError for a paper that there is not; None is each label as it is."""
    from tiktok_erp.labels.paper import PAPERS

    if paper is not None and paper not in PAPERS:
        raise UsageError(
            tr("{paper} is no paper", paper=paper),
            subject="--paper",
            next_step=tr("choose one of {papers}", papers=", ".join(PAPERS)),
        )


def read_names(ids: Sequence[str] | None) -> list[str] | None:
    """Return the names that were asked for: None for everything due, an empty list for nothing.

    Raises UsageError when a line on standard input is neither an id nor a JSON object with one.
    """
    if not ids:
        return None
    names: list[str] = []
    for entry in ids:
        if entry != "-":
            names.append(entry)
            continue
        for number, line in enumerate(sys.stdin, start=1):
            names.extend(_names_in(line.strip(), number))
    return list(dict.fromkeys(names))


def _names_in(line: str, number: int) -> list[str]:
    if not line:
        return []
    if not line.startswith("{"):
        return [line]
    try:
        entry = parse_json(line)
    except ValueError as error:
        raise UsageError(
            tr("a line is neither an id nor JSON"),
            subject=tr("standard input, line {number}", number=number),
            next_step=tr("pipe ids one a line, or the --json output of another command"),
        ) from error
    if entry.get("kind") == "summary":
        return []
    for key in ("package_id", "order_id"):
        if isinstance(entry.get(key), str | int):
            return [str(entry[key])]
    order_ids = entry.get("order_ids")
    return [str(order_id) for order_id in order_ids] if isinstance(order_ids, list) else []


def resolve(
    names: Sequence[str] | None, find: Callable[[str], list[str]], unknown: Callable[[str], None]
) -> list[str] | None:
    """Turn names into ids with `find`; `unknown` hears of those that mean nothing. None stays None."""
    if names is None:
        return None
    found: list[str] = []
    for name in names:
        matches = find(name)
        if not matches:
            unknown(name)
        found.extend(matches)
    return list(dict.fromkeys(found))
