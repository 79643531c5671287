"""What a command asks of SQLite: the number of its virtual machine's steps, and every statement as the code has it.

Steps are counted by the progress handler, so that the same work gives the same number on any machine.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock


class Counted:
    """The steps and the statements of every connection opened meanwhile."""

    def __init__(self) -> None:
        self.steps = 0
        self.statements: dict[str, Any] = {}  # with the values of the first time
        self.steps_of: Counter[str] = Counter()
        self._running = ""

    def step(self) -> int:
        self.steps += 1
        self.steps_of[self._running] += 1
        return 0

    def begin(self, sql: str, values: Any) -> None:
        self.statements.setdefault(sql, values)
        self._running = sql

    def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        counted = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
                counted.begin(sql, values)
                return super().execute(sql, values)

            def executemany(self, sql: str, rows: Any, /) -> sqlite3.Cursor:
                rows = list(rows)
                if rows:
                    counted.begin(sql, rows[0])
                return super().executemany(sql, rows)

        connection = _CONNECT(*arguments, factory=Connection, **options)
        connection.set_progress_handler(self.step, 1)
        return connection


_CONNECT = sqlite3.connect


@contextmanager
def counted_steps() -> Iterator[Counted]:
    """Count what the store's connections of this process do in the block."""
    counted = Counted()
    with mock.patch("tiktok_erp.store.database.sqlite3.connect", counted.connect):
        yield counted


@dataclass(frozen=True, slots=True)
class Scan:
    """A loop over a whole table or index."""

    table: str
    index: str | None


def scans_of(connection: sqlite3.Connection, sql: str, values: Any) -> set[Scan]:
    """Return what a statement walks from end to end, what its triggers do included; `values` are of its first call.

    Read from the program, not from `EXPLAIN QUERY PLAN`, which tells neither the table behind an alias nor triggers.
    """
    places = {row[0]: Scan(row[1], None if row[2] == "table" else row[3]) for row in connection.execute(_PLACES)}
    found: set[Scan] = set()
    cursors: dict[int, int] = {}
    begun: set[int] = set()
    for address, opcode, cursor, place, database, *_rest in connection.execute(f"EXPLAIN {sql}", values):
        if address == 0:  # the main program, or that of a trigger
            cursors, begun = {}, set()
        if opcode in ("OpenRead", "OpenWrite", "ReopenIdx") and database == 0:
            cursors[cursor] = place
        elif opcode in ("Rewind", "Last"):
            begun.add(cursor)
        elif opcode == "Count" or (opcode in ("Next", "Prev") and cursor in begun):
            scan = places.get(cursors.get(cursor, 0))
            if scan is not None:
                found.add(scan)
    return found


_PLACES = "SELECT rootpage, tbl_name, type, name FROM sqlite_master WHERE rootpage > 0"
