"""What a command says about each thing it touched, and where it says it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of a command's result.

    `kind` names the noun (order, package, unit, listing, sku, label); `result` is done, planned, skipped or failed.
    `is_new` is false for a failure that an earlier run already reported: it does not change the exit code.
    `text` is the line for people; None leaves the thing to the summary.
    """

    kind: str
    ids: Mapping[str, object]
    result: str
    cause: str | None = None
    next_step: str | None = None
    fields: Mapping[str, object] = field(default_factory=dict)
    text: str | None = None
    is_new: bool = True


class Report(Protocol):
    """Where a stage tells what it does; `cli/output.py` shows it as text or as JSON lines."""

    wants_fields: bool  # whether anybody reads `Outcome.fields`: filling them costs a query

    def item(self, outcome: Outcome) -> None:
        """Tell what became of one thing."""
        ...

    def say(self, text: str) -> None:
        """Tell a result in one sentence (standard output, not with `--json` or `--quiet`)."""
        ...

    def warn(self, text: str) -> None:
        """Tell a doubt (standard error)."""
        ...

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Show how far a long piece of work has come (standard error, on a terminal only)."""
        ...
