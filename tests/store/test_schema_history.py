"""A file made by the first version, brought up to date, has the same schema as a new one."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from tiktok_erp.store.database import open_store

FIRST_VERSION = Path(__file__).parents[1] / "golden" / "schema-1.sql"


def first_version_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(FIRST_VERSION.read_text("utf-8"))
        connection.execute("INSERT INTO migrations VALUES (1, 'first', '2026-11-22T00:00:00Z')")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()


def schema_of(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: _plain(sql) for name, sql in rows}


def _plain(sql: str) -> str:
    """Comments may be mended without a migration; a migration lays lines differently, and quotes a table it renames."""
    words = " ".join(re.sub(r"--[^\n]*", "", sql).split()).replace('"', "")
    return re.sub(r" ?([(),]) ?", r"\1", words)


def test_migrating_from_the_first_version_and_creating_afresh_give_the_same_schema(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    first_version_file(old)
    with open_store(old), open_store(new, create=True):
        pass
    assert len(schema_of(old)) > 50
    assert schema_of(old) == schema_of(new)
