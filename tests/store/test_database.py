"""Opening the one file: created whole, private, migrated in steps, and never mistaken for somebody else's."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tiktok_erp.errors import ErpError, OtherShop, SettingsError, StoreError, StoreLocked, StoreRefused, StoreTooNew
from tiktok_erp.store import database
from tiktok_erp.store.database import Migration, Store, load_migrations, open_store, stamp_shop

SHIPPED = load_migrations()
NEWEST = SHIPPED[-1].number
RECORDS = 1 + len(SHIPPED)  # numbers may be left out
NEXT = Migration(
    NEWEST + 1, "add_colour", "ALTER TABLE skus ADD COLUMN colour TEXT;\nCREATE INDEX skus_by_colour ON skus (colour);"
)
LAST = Migration(NEWEST + 2, "colour_the_mugs", "UPDATE skus SET colour = 'blue';")
BROKEN = Migration(NEWEST + 2, "broken", "ALTER TABLE skus ADD COLUMN size TEXT;\nUPDATE no_such_table SET x = 1;")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@contextmanager
def later_version(monkeypatch: pytest.MonkeyPatch, *steps: Migration) -> Iterator[None]:
    """Open files as a later version of the tool would, one that ships these migrations too."""
    with monkeypatch.context() as patch:
        patch.setattr(database, "load_migrations", lambda: (*SHIPPED, *steps))
        yield


def make(path: Path) -> None:
    with open_store(path, create=True) as store, store.transaction():
        store.execute("INSERT INTO skus (sku) VALUES ('MUG')")


def schema_of(store: Store) -> list[tuple[str, str]]:
    rows = store.query("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
    return [(row["name"], " ".join(row["sql"].split())) for row in rows]


def files_in(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_a_new_file_has_the_whole_schema_and_its_record(path: Path) -> None:
    with open_store(path, create=True) as store:
        assert store.scalar("PRAGMA user_version") == max([1, *(step.number for step in load_migrations())])
        assert store.scalar("SELECT name FROM migrations WHERE number = 1") == "first"
        assert store.meta("created_at") is not None
        assert store.scalar("PRAGMA integrity_check") == "ok"


def test_opening_again_changes_nothing(path: Path) -> None:
    make(path)
    with open_store(path) as store:
        before = store.query("SELECT * FROM migrations"), store.query("SELECT * FROM meta")
    with open_store(path, create=True) as store:
        after = store.query("SELECT * FROM migrations"), store.query("SELECT * FROM meta")
        assert [[tuple(row) for row in rows] for rows in before] == [[tuple(row) for row in rows] for rows in after]
        assert store.scalar("SELECT count(*) FROM skus") == 1
    assert files_in(path.parent) == {"shop.db"}


def test_a_missing_file_is_not_made_by_accident(path: Path) -> None:
    with pytest.raises(SettingsError) as caught, open_store(path):
        pass
    assert "tiktok-erp init" in caught.value.next_step
    assert not path.exists()


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="folder"), open_store(tmp_path / "none" / "shop.db", create=True):
        pass


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_file_and_all_beside_it_are_for_their_owner_alone(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with open_store(path, create=True) as store:
            with store.transaction():
                store.set_meta("a", "b")
            store.backup_to(path.with_name("copy.db"))
            modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("shop.db", "shop.db-wal", "shop.db-shm", "copy.db"), 0o600)


def test_two_processes_may_create_the_file_at_once(path: Path) -> None:
    failures: list[BaseException] = []
    barrier = threading.Barrier(4)

    def create() -> None:
        try:
            barrier.wait()
            with open_store(path, create=True) as store:
                assert store.scalar("SELECT count(*) FROM migrations WHERE number = 1") == 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=create) for _process in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


class LockedAtFirst:
    """A new file that another process is turning to WAL: SQLite refuses without waiting."""

    def __init__(self, times: int) -> None:
        self.times = times

    def execute(self, statement: str) -> LockedAtFirst:
        self.times -= 1
        if self.times >= 0:
            raise sqlite3.OperationalError("database is locked")
        return self

    def fetchone(self) -> tuple[str]:
        return ("wal",)


def test_a_new_file_that_another_process_prepares_is_waited_for() -> None:
    assert database._turn_to_wal(LockedAtFirst(2)) == "wal"  # type: ignore[arg-type]


def test_a_new_file_that_stays_locked_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.02)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        database._turn_to_wal(LockedAtFirst(1000))  # type: ignore[arg-type]


def test_a_later_version_brings_the_file_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path)
    with later_version(monkeypatch, NEXT, LAST), open_store(path) as store:
        assert store.scalar("SELECT colour FROM skus") == "blue"
        assert store.scalar("PRAGMA user_version") == NEWEST + 2
        records = [(row["number"], row["name"]) for row in store.query("SELECT * FROM migrations ORDER BY number")]
        assert records[0] == (1, "first")
        assert records[-2:] == [(NEWEST + 1, "add_colour"), (NEWEST + 2, "colour_the_mugs")]


def test_a_backup_of_the_older_file_is_left_beside_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path)
    with later_version(monkeypatch, NEXT), open_store(path):
        pass
    backup = path.with_name(f"shop.db.schema-{NEWEST}.bak")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with open_store(backup) as store:  # today's version opens it
        assert store.scalar("SELECT sku FROM skus") == "MUG"
        assert "colour" not in [row["name"] for row in store.query("PRAGMA table_info(skus)")]


def test_a_migration_runs_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path)
    for _time in range(2):
        with later_version(monkeypatch, NEXT), open_store(path) as store:
            assert store.scalar("SELECT count(*) FROM migrations") == RECORDS + 1


def test_a_migration_that_fails_leaves_everything_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path)
    with open_store(path) as store:
        before = schema_of(store)
    with (
        later_version(monkeypatch, Migration(NEWEST + 1, "broken", BROKEN.sql)),
        pytest.raises(StoreError),
        open_store(path),
    ):
        pass
    with open_store(path) as store:
        assert schema_of(store) == before
        assert store.scalar("PRAGMA user_version") == NEWEST
        assert store.scalar("SELECT count(*) FROM migrations") == RECORDS
        assert store.scalar("SELECT sku FROM skus") == "MUG"


def test_the_steps_before_a_failing_one_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path)
    with later_version(monkeypatch, NEXT, BROKEN), pytest.raises(StoreError), open_store(path):
        pass
    with later_version(monkeypatch, NEXT), open_store(path) as store:
        columns = [row["name"] for row in store.query("PRAGMA table_info(skus)")]
        assert ("colour" in columns, "size" in columns) == (True, False)
        assert store.scalar("SELECT max(number) FROM migrations") == NEWEST + 1


def test_migration_files_are_read_in_order_of_their_number(tmp_path: Path) -> None:
    (tmp_path / "0010_ten.sql").write_text("SELECT 10;")
    (tmp_path / "0002_two.sql").write_text("SELECT 2;")
    (tmp_path / "README.md").write_text("not one")
    assert [(step.number, step.name) for step in load_migrations(tmp_path)] == [(2, "two"), (10, "ten")]
    (tmp_path / "3_three.sql").write_text("SELECT 3;")
    with pytest.raises(ValueError, match="3_three"):
        load_migrations(tmp_path)


def test_the_shipped_migrations_follow_the_first_each_with_a_number_of_its_own() -> None:
    numbers = [1, *(step.number for step in load_migrations())]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    "change",
    ["PRAGMA user_version = 99", "INSERT INTO migrations VALUES (99, 'later', '2027-01-01T00:00:00Z')"],
)
def test_a_file_of_a_newer_version_is_left_alone(path: Path, change: str) -> None:
    make(path)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute(change)
    other.close()
    with pytest.raises(StoreTooNew) as caught, open_store(path):
        pass
    assert caught.value.exit_code == 7
    assert "99" in caught.value.what
    assert files_in(path.parent) == {"shop.db"}


@pytest.mark.parametrize(
    "content", [b"order_id,sku\n1,2\n" * 100, b"\x89PNG" + bytes(2000), b"SQLite format 3\x00" + bytes(4000)]
)
def test_a_file_that_is_no_database_is_told_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught, open_store(path):
        pass
    assert caught.value.exit_code == 7
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE films (title TEXT)",
        "CREATE TABLE migrations (number INTEGER, name TEXT)",
        "CREATE TABLE migrations (id INTEGER PRIMARY KEY, migration TEXT, batch INTEGER)",
        "CREATE VIEW v AS SELECT 1",
    ],
)
def test_a_database_of_another_program_is_told_and_left_alone(path: Path, table: str) -> None:
    with sqlite3.connect(path) as other:
        other.execute(table)
    other.close()
    before = path.read_bytes()
    for create in (False, True):
        with pytest.raises(StoreError) as caught, open_store(path, create=create):
            pass
        assert caught.value.exit_code == 7
    assert path.read_bytes() == before


def test_a_database_of_another_program_with_a_version_but_no_table_is_told(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 7")
    other.close()
    with pytest.raises(StoreError, match="not a database of tiktok-erp"), open_store(path):
        pass


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError), open_store(tmp_path):
        pass


def test_a_file_cut_off_in_the_middle_is_told(path: Path) -> None:
    make(path)
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(StoreError), open_store(path) as store:
        store.query("SELECT * FROM v_packages")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)


@contextmanager
def held_by_another_process(path: Path, *statements: str) -> Iterator[None]:
    program = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for statement in sys.argv[2:]: connection.execute(statement)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path), *statements],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            process.stdin.close()


def test_a_write_while_another_process_writes_is_told_as_locked(path: Path, impatient: None) -> None:
    make(path)
    with held_by_another_process(path, "BEGIN IMMEDIATE"), open_store(path) as store:
        assert store.scalar("SELECT count(*) FROM skus") == 1  # reading goes on
        with pytest.raises(StoreLocked) as caught, store.transaction():
            pass
        assert caught.value.exit_code == 7
        with pytest.raises(StoreLocked):
            store.execute("DELETE FROM skus")


def test_a_file_that_another_process_holds_whole_is_told_as_locked(path: Path, impatient: None) -> None:
    make(path)
    with (
        held_by_another_process(path, "PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE", "DELETE FROM skus"),
        pytest.raises(StoreLocked),
        open_store(path),
    ):
        pass


def test_a_transaction_is_kept_whole_or_not_at_all(path: Path) -> None:
    make(path)
    with open_store(path) as store:
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.execute("INSERT INTO skus (sku) VALUES ('CUP')")
            raise ZeroDivisionError
        with pytest.raises(StoreRefused), store.transaction():
            store.execute("INSERT INTO skus (sku) VALUES ('CUP')")
            store.execute("INSERT INTO skus (sku) VALUES ('CUP')")
        assert store.scalar("SELECT group_concat(sku) FROM skus") == "MUG"


def test_a_transaction_inside_another_belongs_to_it(path: Path) -> None:
    make(path)
    with open_store(path) as store:
        with pytest.raises(ZeroDivisionError), store.transaction():
            with store.transaction():
                store.execute("INSERT INTO skus (sku) VALUES ('CUP')")
            raise ZeroDivisionError
        assert store.scalar("SELECT count(*) FROM skus") == 1


def test_a_transaction_that_is_not_kept_leaves_nothing(path: Path) -> None:
    make(path)
    with open_store(path) as store:
        with store.transaction(keep=False):
            store.execute("INSERT INTO skus (sku) VALUES ('CUP')")
            assert store.scalar("SELECT count(*) FROM skus") == 2
        assert store.scalar("SELECT count(*) FROM skus") == 1
        with store.transaction():
            store.execute("INSERT INTO skus (sku) VALUES ('CUP')")
        assert store.scalar("SELECT count(*) FROM skus") == 2


def test_what_was_not_committed_when_the_program_died_is_gone(path: Path) -> None:
    make(path)
    with open_store(path) as store:
        store.execute("BEGIN IMMEDIATE")
        store.execute("INSERT INTO skus (sku) VALUES ('CUP')")
    with open_store(path) as store:
        assert store.scalar("SELECT count(*) FROM skus") == 1


def test_references_are_kept_and_commits_survive_a_power_cut(path: Path) -> None:
    make(path)
    with open_store(path) as store:
        assert store.scalar("PRAGMA foreign_keys") == 1
        assert store.scalar("PRAGMA synchronous") == 2
        assert store.scalar("PRAGMA journal_mode") == "wal"


def test_the_file_belongs_to_one_shop(path: Path) -> None:
    make(path)
    with open_store(path) as store:
        stamp_shop(store, "7495540735365777507", name="beauty-us", kind="local")
        stamp_shop(store, "7495540735365777507", name="beauty", kind="")
        with pytest.raises(OtherShop) as caught:
            stamp_shop(store, "simulated", name="other", kind="cross_border")
        assert caught.value.exit_code == 5
        assert "7495540735365777507" in caught.value.next_step
        assert [store.meta(key) for key in ("shop", "shop_name", "shop_kind")] == [
            "7495540735365777507",
            "beauty",
            "local",
        ]


def test_a_backup_is_a_whole_database(path: Path) -> None:
    make(path)
    with open_store(path) as store:
        store.backup_to(path.with_name("copy.db"))
    with open_store(path.with_name("copy.db")) as copy:
        assert copy.scalar("SELECT sku FROM skus") == "MUG"
        assert copy.scalar("PRAGMA integrity_check") == "ok"


def library_errors() -> list[type[sqlite3.Error]]:
    found = [value for value in vars(sqlite3).values() if isinstance(value, type) and issubclass(value, sqlite3.Error)]
    return sorted(set(found), key=lambda kind: kind.__name__)


class Failing:
    """A connection on which every call fails in one way."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*arguments: Any) -> None:
            raise self.error

        return fail


@pytest.mark.parametrize("kind", library_errors(), ids=lambda kind: kind.__name__)
def test_every_error_of_the_library_becomes_ours(path: Path, kind: type[sqlite3.Error]) -> None:
    store = Store(path, Failing(kind("disk I/O error")))  # type: ignore[arg-type]
    calls = (
        lambda: store.execute("SELECT 1"),
        lambda: store.insert("SELECT 1"),
        lambda: store.execute_many("SELECT 1", []),
        lambda: store.query("SELECT 1"),
        lambda: store.query_one("SELECT 1"),
        lambda: store.scalar("SELECT 1"),
        lambda: list(store.iterate("SELECT 1")),
        lambda: store.backup_to(path.with_name("copy.db")),
    )
    for call in calls:
        with pytest.raises(StoreError) as caught:
            call()
        assert isinstance(caught.value.__cause__, kind)
        assert type(caught.value) is (StoreRefused if kind is sqlite3.IntegrityError else StoreError)


def test_the_walk_finds_the_errors_of_the_library() -> None:
    assert {sqlite3.OperationalError, sqlite3.IntegrityError, sqlite3.NotSupportedError} <= set(library_errors())
    assert len(library_errors()) >= 9


@pytest.mark.parametrize("text", ["database is locked", "database table is locked", "database schema is locked: main"])
def test_a_lock_is_told_from_other_failures(path: Path, text: str) -> None:
    store = Store(path, Failing(sqlite3.OperationalError(text)))  # type: ignore[arg-type]
    with pytest.raises(StoreLocked):
        store.query("SELECT 1")


def test_a_value_that_sqlite_cannot_hold_is_an_error_of_ours(path: Path) -> None:
    make(path)
    with open_store(path) as store:
        for value in (2**63, object(), "\ud800"):
            with pytest.raises(ErpError):
                store.execute("UPDATE skus SET name = ?", (value,))
