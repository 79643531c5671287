"""Open, create and migrate the one SQLite file. `sqlite3` errors become ours here."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tiktok_erp.errors import OtherShop, SettingsError, StoreError, StoreLocked, StoreRefused, StoreTooNew
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import to_text
from tiktok_erp.private_files import open_lock

_HERE = Path(__file__).parent
_MIGRATION_NAME = re.compile(r"^(\d{4})_(\w+)\.sql$")
# Our own writes take milliseconds; whoever holds the file longer than this is somebody else.
BUSY_TIMEOUT_S = 10.0
SIMULATED = "simulated"  # the id of the shop, in `meta`, of every simulated one


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: `sql` runs in one transaction together with its record."""

    number: int
    name: str
    sql: str


def load_migrations(directory: Path = _HERE / "migrations") -> tuple[Migration, ...]:
    """Return the migration files of `directory` in order of their number."""
    found = []
    for path in sorted(directory.glob("*.sql")):
        match = _MIGRATION_NAME.match(path.name)
        if match is None:
            raise ValueError(f"{path.name} is not named like 0002_what_it_does.sql")
        found.append(Migration(int(match[1]), match[2], path.read_text("utf-8")))
    return tuple(found)


def utc_now() -> datetime:
    """Return the current time, whole seconds, UTC."""
    return datetime.now(UTC).replace(microsecond=0)


class Store:
    """One open database. Every write goes through `transaction()`; reads may use `query` and `query_one` at any time."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def close(self) -> None:
        """Close the connection; unfinished transactions are rolled back."""
        self._connection.close()

    @contextmanager
    def transaction(self, *, keep: bool = True) -> Iterator[None]:
        """Run the block in one `BEGIN IMMEDIATE` transaction; an exception rolls all of it back.

        Without `keep` its end does too: a dry run sees what it would write, and nobody else ever does. A block inside
        another one belongs to the outer transaction. Raises StoreLocked when another process holds the file.
        """
        if self._connection.in_transaction:
            yield
            return
        with _our_errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with _our_errors(self.path):
                self._connection.execute("COMMIT" if keep else "ROLLBACK")
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def turn(self, what: str = "turn") -> Iterator[None]:
        """Let processes that do `what` take turns: those that write in quick succession, unless another thing is named.

        SQLite lets whoever asks at the right moment go first, and one of eight may wait for seconds. A process that is
        killed gives its turn back.
        """
        if self._connection.in_transaction:
            yield
            return
        with _our_errors(self.path):
            handle = open_lock(self.path.with_name(f".{self.path.name}.{what}.lock"))
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def execute(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> int:
        """Run one write and return how many rows it touched."""
        with _our_errors(self.path):
            return self._connection.execute(sql, values).rowcount

    def insert(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> int:
        """Run one INSERT and return the new row's integer id."""
        with _our_errors(self.path):
            rowid = self._connection.execute(sql, values).lastrowid
        if rowid is None:
            raise StoreError(
                tr("the database gave no id for a new row"),
                subject=str(self.path),
                next_step=tr("run `tiktok-erp check`"),
            )
        return rowid

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one write for each row."""
        with _our_errors(self.path):
            self._connection.executemany(sql, rows)

    def query(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[sqlite3.Row]:
        """Return all rows of a SELECT."""
        with _our_errors(self.path):
            return self._connection.execute(sql, values).fetchall()

    def query_one(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> sqlite3.Row | None:
        """Return the first row of a SELECT, or None."""
        with _our_errors(self.path):
            row: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
            return row

    def scalar(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> Any:
        """Return the first column of the first row, or None."""
        row = self.query_one(sql, values)
        return None if row is None else row[0]

    def iterate(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> Iterator[sqlite3.Row]:
        """Yield the rows of a SELECT without holding all of them."""
        with _our_errors(self.path):
            yield from self._connection.execute(sql, values)

    def meta(self, key: str) -> str | None:
        """Return one fact about the file itself, or None."""
        value = self.scalar("SELECT value FROM meta WHERE key = ?", (key,))
        return None if value is None else str(value)

    @property
    def is_simulated(self) -> bool:
        """Tell whether the database belongs to a simulated shop: nothing in it costs money."""
        return self.meta("shop") == SIMULATED

    def set_meta(self, key: str, value: str) -> None:
        """Write one fact about the file itself."""
        self.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
        )

    def backup_to(self, target: Path) -> None:
        """Copy the whole database to `target` while others may use it."""
        with _our_errors(self.path):
            _create_private(target)
            copy = sqlite3.connect(target)
            try:
                self._connection.backup(copy)
            finally:
                copy.close()


@contextmanager
def open_store(path: Path, *, create: bool = False) -> Iterator[Store]:
    """Open the database at `path`, bringing an older one up to date after a backup beside it.

    Raises SettingsError when there is none and `create` is false, StoreTooNew for a newer file, StoreLocked when
    another process holds it, StoreError when it is no database of ours or its disk cannot hold one safely.
    """
    store = _connect(path, create=create)
    try:
        _bring_up_to_date(store, load_migrations())
        yield store
    finally:
        store.close()


@contextmanager
def open_first_store(path: Path) -> Iterator[Store]:
    """Open a new database that takes its place at `path` when the block ends well, or a shop has answered in it.

    What fails in a wrong folder leaves no empty database there. A process that is killed leaves what it had fetched beside
    it, under a name of its own; the next one goes on with that. Raises SettingsError where a database was lost.
    """
    if names := left_behind(path):
        raise _lost(path, names)
    aside = _aside(path)
    store = _connect(aside, create=True)
    store.path = path
    is_kept = False
    try:
        _bring_up_to_date(store, load_migrations())
        try:
            yield store
            is_kept = True
        finally:
            # Tokens that stay behind without their database would tell of a lost one.
            has_tokens = path.with_name(f"{path.name}.tokens").exists()
            is_kept = is_kept or has_tokens or store.meta("shop") is not None
    finally:
        store.close()
        with _our_errors(path):
            if not is_kept:
                for suffix in ("", "-wal", "-shm"):
                    aside.with_name(aside.name + suffix).unlink(missing_ok=True)
            elif path.exists():
                raise StoreLocked(
                    tr("another process made a database here meanwhile"),
                    subject=str(path),
                    next_step=tr("run this again"),
                )
            else:
                aside.rename(path)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.first")


def left_behind(path: Path) -> list[str]:
    """Return what stands beside a missing database that only a database makes: its tokens, labels and batches."""
    if path.exists() or _aside(path).exists():  # a first fetch that was killed had tokens too
        return []
    names = (f"{path.name}.tokens", f"{path.stem}.labels", f"{path.stem}.batches")
    return [name for name in names if path.with_name(name).exists()]


def stamp_shop(store: Store, shop: str, *, name: str = "", kind: str = "", keep: bool = True) -> None:
    """Bind the database to `shop` for good, or with `keep` off only look. Raises OtherShop when it is another one's."""
    with store.transaction(keep=keep):
        owner = store.meta("shop")
        if owner is not None and owner != shop:
            raise OtherShop(
                tr("this database belongs to shop {owner}, the credentials to shop {shop}", owner=owner, shop=shop),
                subject=str(store.path),
                next_step=tr("name another file with --db, or set the credentials of shop {owner}", owner=owner),
            )
        for key, value in (("shop", shop), ("shop_name", name), ("shop_kind", kind)):
            if value and store.meta(key) != value:
                store.set_meta(key, value)


def _connect(path: Path, *, create: bool) -> Store:
    if not path.exists():
        if not create:
            if names := left_behind(path):
                raise _lost(path, names)
            raise SettingsError(
                tr("there is no database here"),
                subject=str(path.absolute()),
                next_step=tr(
                    "go to the shop's folder, or name the file with --db or TIKTOK_ERP_DB; a new shop begins with `tiktok-erp init`"
                ),
            )
        if not path.parent.is_dir():
            raise SettingsError(
                tr("the folder of the database does not exist"),
                subject=str(path.parent),
                next_step=tr("make the folder, or name another file with --db"),
            )
        with _our_errors(path):
            _create_private(path)
    with _our_errors(path):
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    store = Store(path, connection)
    try:
        _prepare(store, connection)
    except BaseException:
        store.close()
        raise
    return store


def _lost(path: Path, names: Sequence[str]) -> SettingsError:
    return SettingsError(
        tr("the database is gone, but {names} stand beside its place", names=", ".join(names)),
        subject=str(path.absolute()),
        next_step=tr("put a backup back with `tiktok-erp restore FILE`; only to begin all anew run `tiktok-erp init`"),
    )


def _prepare(store: Store, connection: sqlite3.Connection) -> None:
    with _our_errors(store.path):
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        # Without it REPLACE deletes rows behind the back of the triggers that forbid deleting.
        connection.execute("PRAGMA recursive_triggers = ON")
        # FULL, not NORMAL: a committed purchase intent must survive a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        _version(store)  # before the first write: a database of another program is left as it is
        mode = _turn_to_wal(connection)
    if mode != "wal":
        raise StoreError(
            tr("the disk cannot hold the database safely (no WAL: is it a network drive?)"),
            subject=str(store.path),
            next_step=tr("keep the database on a local disk"),
        )


def _turn_to_wal(connection: sqlite3.Connection) -> str:
    """Return the journal mode now in force. Of two processes that turn a new file at once, SQLite refuses one unwaited."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)


def _create_private(path: Path) -> None:
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _bring_up_to_date(store: Store, migrations: Sequence[Migration]) -> None:
    newest = max([1, *(step.number for step in migrations)])
    version = _version(store)
    if version > newest:
        raise StoreTooNew(
            tr(
                "the database was written by a newer tiktok-erp (schema {version}, this one knows {newest})",
                version=version,
                newest=newest,
            ),
            subject=str(store.path),
            next_step=tr("install the newer version, or open the backup that it made beside the file"),
        )
    if version == 0:
        _create_schema(store, migrations, newest)
        return
    due = [step for step in migrations if step.number > version]
    if due:
        backup = store.path.with_name(f"{store.path.name}.schema-{version}.bak")
        if not backup.exists():
            store.backup_to(backup)
        for step in due:
            _apply(store, step)


def _version(store: Store) -> int:
    version = int(store.scalar("PRAGMA user_version"))
    names = {row[0] for row in store.query("SELECT name FROM sqlite_master")}
    if {"migrations", "meta"} <= names:
        return max(version, int(store.scalar("SELECT coalesce(max(number), 0) FROM migrations")))
    if version or names:
        raise StoreError(
            tr("this SQLite file is not a database of tiktok-erp"),
            subject=str(store.path),
            next_step=tr("name another file with --db"),
        )
    return 0


def _create_schema(store: Store, migrations: Sequence[Migration], newest: int) -> None:
    schema = (_HERE / "schema.sql").read_text("utf-8")
    now = to_text(utc_now())
    with store.transaction():
        if _version(store):  # another process was faster
            return
        for statement in _statements(schema):
            store.execute(statement)
        records = [(1, "first", now), *((step.number, step.name, now) for step in migrations)]
        store.execute_many("INSERT INTO migrations VALUES (?, ?, ?)", records)
        store.set_meta("created_at", now)
        store.execute(f"PRAGMA user_version = {newest:d}")


def _apply(store: Store, step: Migration) -> None:
    with store.transaction():
        if _version(store) >= step.number:
            return
        for statement in _statements(step.sql):
            store.execute(statement)
        store.execute("INSERT INTO migrations VALUES (?, ?, ?)", (step.number, step.name, to_text(utc_now())))
        store.execute(f"PRAGMA user_version = {step.number:d}")


def _statements(script: str) -> Iterator[str]:
    # executescript() would commit first, and the schema must come with its record or not at all.
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending


@contextmanager
def _our_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as cause:
        raise StoreRefused(
            tr("the database refused a change: {reason}", reason=cause),
            subject=str(path),
            next_step=tr("run `tiktok-erp check`; nothing of this change was kept"),
        ) from cause
    except sqlite3.OperationalError as cause:
        text = str(cause)
        if "locked" in text or "busy" in text:
            raise StoreLocked(
                tr("another process holds the database"),
                subject=str(path),
                next_step=tr("wait for it to end, or close the program that has the file open, and run this again"),
            ) from cause
        raise StoreError(
            tr("the database cannot be used: {reason}", reason=text),
            subject=str(path),
            next_step=tr("check that the disk is not full and that you may write there"),
        ) from cause
    except sqlite3.DatabaseError as cause:
        raise StoreError(
            tr("this is not a readable database: {reason}", reason=cause),
            subject=str(path),
            next_step=tr("restore a backup, or name another file with --db"),
        ) from cause
    except sqlite3.Error as cause:
        raise StoreError(
            tr("the database cannot be used: {reason}", reason=cause),
            subject=str(path),
            next_step=tr("run this again; if it stays so, restore a backup"),
        ) from cause
    except (OverflowError, UnicodeEncodeError) as cause:  # not among the library's own errors
        raise StoreRefused(
            tr("the database cannot hold a value: {reason}", reason=type(cause).__name__),
            subject=str(path),
            next_step=tr("run `tiktok-erp check`; nothing of this change was kept"),
        ) from cause
    except OSError as cause:
        raise StoreError(
            tr("the database file cannot be written: {reason}", reason=cause.strerror),
            subject=str(path),
            next_step=tr("check that the disk is not full and that you may write there"),
        ) from cause
