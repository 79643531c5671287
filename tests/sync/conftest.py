"""A real database file for the tests of sync, and a report that keeps what it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tiktok_erp.model.outcome import Outcome
from tiktok_erp.store.database import Store, open_store


class Told:
    """A report that keeps everything."""

    wants_fields = True

    def __init__(self) -> None:
        self.items: list[Outcome] = []
        self.warnings: list[str] = []

    def item(self, outcome: Outcome) -> None:
        self.items.append(outcome)

    def say(self, text: str) -> None:
        return None

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def progress(self, what: str, done: int, total: int | None) -> None:
        return None

    def failed(self) -> list[str | None]:
        return [outcome.cause for outcome in self.items if outcome.result == "failed"]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database as `init` makes it: made once, since writing the schema takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "shop.db"
    with open_store(path, create=True):
        pass
    return path.read_bytes()


@pytest.fixture
def store(tmp_path: Path, empty_database: bytes) -> Iterator[Store]:
    path = tmp_path / "shop.db"
    path.write_bytes(empty_database)
    with open_store(path) as opened:
        opened.execute("PRAGMA synchronous = OFF")  # no test here cuts the power
        yield opened


@pytest.fixture
def told() -> Told:
    return Told()
