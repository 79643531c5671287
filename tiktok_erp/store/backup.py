"""Backups: one ZIP with the database as SQLite copies it, every label document that it names, and what is in it.

No secret is in a backup: tokens and settings stay where they are. A plain copy of a database can be restored too.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tiktok_erp.errors import InputFileError, OtherShop, StoreError, StoreLocked, StoreTooNew
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import to_text
from tiktok_erp.store.behind import restored_meta
from tiktok_erp.store.database import Store, load_migrations
from tiktok_erp.store.label_files import LabelFiles

_FORMAT = 1
_MANIFEST, _DATABASE, _LABELS = "manifest.json", "shop.db", "shop.labels/"
_SQLITE = b"SQLite format 3\x00"
# Who works on a database holds one of these (`.shop.db.sync.lock`); stations have further ones.
_LOCKS = (
    "run",
    "sync",
    "reserve-stock",
    "allocate",
    "print-labels",
    "upload-tracking",
    "undo",
    "handover",
    "orders-answer",
)
_ANY_LOCK = "*"


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """What a backup holds. `missing` documents are named by the database and were not beside it; None: it has none at all."""

    made_at: str
    shop: str | None
    schema: int
    orders: int
    documents: int
    missing: int
    size: int = 0


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. `aside` is where the database that was replaced lies; None: there was none."""

    facts: BackupFacts
    documents: int
    missing: int
    aside: Path | None


def write_backup(store: Store, target: Path, now: datetime, *, dry_run: bool) -> BackupFacts:
    """Write database and documents to `target`, whole or not at all, while others may write to both.

    Raises InputFileError when `target` is a file that is no backup of this shop, StoreError when it cannot be written.
    """
    if target.exists():
        _require_own_backup(target, store)
    part, copy = (target.with_name(f".{target.name}.{name}") for name in ("part", "db"))
    with _disk_errors(target), ExitStack() as stack:
        for path in (part, copy):
            path.unlink(missing_ok=True)  # left by a run that was killed
            stack.callback(path.unlink, missing_ok=True)
        if dry_run:
            return _facts_of(store, LabelFiles(store.path), now, size=store.path.stat().st_size)
        store.backup_to(copy)
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            hashes = _document_hashes(connection)
            facts = _read_facts(connection, to_text(now))
        files = LabelFiles(store.path)
        held = [sha256 for sha256 in hashes if files.path_of(sha256).is_file()]
        facts = BackupFacts(facts.made_at, facts.shop, facts.schema, facts.orders, len(held), len(hashes) - len(held))
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                archive.write(copy, _DATABASE, zipfile.ZIP_DEFLATED, 1)
                for sha256 in held:
                    archive.write(files.path_of(sha256), f"{_LABELS}{sha256[:2]}/{sha256}.pdf")
                archive.writestr(_MANIFEST, json.dumps({"format": _FORMAT, **asdict(facts)}))
            file.flush()
            os.fsync(file.fileno())
        size = part.stat().st_size
        part.replace(target)
        _sync_folder(target.parent)
    return BackupFacts(facts.made_at, facts.shop, facts.schema, facts.orders, facts.documents, facts.missing, size)


def read_backup(source: Path) -> BackupFacts:
    """Return what a backup, or a plain copy of a database, holds. Raises InputFileError when it is neither."""
    try:
        with source.open("rb") as file:
            head = file.read(len(_SQLITE))
    except OSError as error:
        raise InputFileError(
            tr("the backup cannot be read ({reason})", reason=error.strerror),
            subject=str(source),
            next_step=tr("name a file that `tiktok-erp backup` made, or a copy of a database"),
        ) from error
    if head == _SQLITE:
        with _no_backup(source), closing(_open_copy(source)) as connection:
            return _read_facts(connection, "")
    with _no_backup(source), zipfile.ZipFile(source) as archive:
        found = json.loads(archive.read(_MANIFEST))
        archive.getinfo(_DATABASE)
        if found.pop("format") > _FORMAT:
            raise StoreTooNew(
                tr("the backup was made by a newer tiktok-erp"),
                subject=str(source),
                next_step=tr("install the newer version, then restore it again"),
            )
        return BackupFacts(**found)


@contextmanager
def nobody_works(database: Path) -> Iterator[None]:
    """Keep every command that changes this database from starting while the block runs.

    Raises StoreLocked when one is at work, or when another program has the file open.
    """
    names = {database.with_name(f".{database.name}.{name}.lock") for name in _LOCKS}
    names |= set(database.parent.glob(f".{database.name}.{_ANY_LOCK}.lock"))
    with ExitStack() as stack:
        for path in sorted(names):
            with _disk_errors(database):
                handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            stack.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _in_use(database) from None
        yield


def restore_backup(source: Path, database: Path, now: datetime, *, dry_run: bool) -> Restored:
    """Put a backup in the place of the database, which is kept aside, and mark it as behind. Within `nobody_works`.

    At any instant the database in place is a whole one: the old, or the new without a journal of the old beside it.
    Raises InputFileError, StoreTooNew, OtherShop, StoreLocked, StoreError; then nothing was changed.
    """
    facts = read_backup(source)
    _require_shop(database, facts, source)
    files = LabelFiles(database)
    if database.exists() and source.exists() and source.samefile(database):
        raise InputFileError(
            tr("this is the database itself"),
            subject=str(source),
            next_step=tr("name a file that `tiktok-erp backup` made, or a copy of a database"),
        )
    fresh = database.with_name(f".{database.name}.restored")
    with _disk_errors(database), ExitStack() as stack:
        for path in (fresh, *_beside(fresh)):
            path.unlink(missing_ok=True)
            stack.callback(path.unlink, missing_ok=True)
        _take_out(source, fresh)
        hashes = _make_ready(fresh, source, now)
        if dry_run:
            return Restored(facts, *_count_documents(source, files, hashes), aside=None)
        documents = _restore_documents(source, files, hashes)
        aside = _set_aside(database, now)
        for path in _beside(database):
            path.unlink(missing_ok=True)
        fresh.replace(database)
        _sync_folder(database.parent)
    missing = sum(not files.path_of(sha256).is_file() for sha256 in hashes)
    return Restored(facts, documents, missing, aside)


# Making


def _require_own_backup(target: Path, store: Store) -> None:
    try:
        facts = read_backup(target) if zipfile.is_zipfile(target) else None
    except InputFileError:
        facts = None
    if facts is None or (facts.shop and facts.shop != store.meta("shop")):
        raise InputFileError(
            tr("this file is no backup of this shop; it is not overwritten"),
            subject=str(target),
            next_step=tr("name another file"),
        )


def _facts_of(store: Store, files: LabelFiles, now: datetime, *, size: int) -> BackupFacts:
    with closing(_open_copy(store.path)) as connection:
        hashes = _document_hashes(connection)
        facts = _read_facts(connection, to_text(now))
    held = [files.path_of(sha256) for sha256 in hashes if files.path_of(sha256).is_file()]
    size += sum(path.stat().st_size for path in held)
    return BackupFacts(facts.made_at, facts.shop, facts.schema, facts.orders, len(held), len(hashes) - len(held), size)


def _document_hashes(connection: sqlite3.Connection) -> list[str]:
    """Return the hashes of the documents that a database names, once each. Older schemas have fewer places for them."""
    found: set[str] = set()
    for table in ("labels", "scan_forms"):
        with suppress(sqlite3.OperationalError):
            found.update(
                str(row[0])
                for row in connection.execute(f"SELECT DISTINCT sha256 FROM {table} WHERE sha256 IS NOT NULL")
            )
    return sorted(sha256 for sha256 in found if len(sha256) == 64 and sha256.isalnum())


def _read_facts(connection: sqlite3.Connection, made_at: str) -> BackupFacts:
    meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    schema = int(connection.execute("SELECT max(number) FROM migrations").fetchone()[0])
    orders = int(connection.execute("SELECT count(*) FROM orders").fetchone()[0])
    return BackupFacts(made_at, meta.get("shop"), schema, orders, 0, 0)


def _open_copy(path: Path) -> sqlite3.Connection:
    """Open a database to read, with the journal beside it if there is one."""
    name = path.absolute().as_uri()
    try:
        connection = sqlite3.connect(f"{name}?mode=ro", uri=True)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # A folder that nobody may write to has no room for what a journal needs.
        connection = sqlite3.connect(f"{name}?immutable=1", uri=True)
    return connection


# Restoring


def _require_shop(database: Path, facts: BackupFacts, source: Path) -> None:
    newest = max(step.number for step in load_migrations())
    if facts.schema > newest:
        raise StoreTooNew(
            tr(
                "the database was written by a newer tiktok-erp (schema {version}, this one knows {newest})",
                version=facts.schema,
                newest=newest,
            ),
            subject=str(source),
            next_step=tr("install the newer version, then restore it again"),
        )
    owner: str | None = None
    if database.exists():
        with suppress(sqlite3.Error), closing(_open_copy(database)) as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'shop'").fetchone()
            owner = str(row[0]) if row else None
    if owner and facts.shop and owner != facts.shop:
        raise OtherShop(
            tr("the backup is of shop {other}, this database of shop {owner}", other=facts.shop, owner=owner),
            subject=str(source),
            next_step=tr("name the file of the other shop with --db"),
        )


def _take_out(source: Path, fresh: Path) -> None:
    """Write the database of a backup, or a whole copy of a plain one, to `fresh`."""
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with _no_backup(source):
        if zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive, archive.open(_DATABASE) as packed, fresh.open("wb") as file:
                shutil.copyfileobj(packed, file)
        else:
            with closing(_open_copy(source)) as old, closing(sqlite3.connect(fresh)) as new:
                old.backup(new)


def _make_ready(fresh: Path, source: Path, now: datetime) -> list[str]:
    """Prove that the new database is whole, mark it as restored, and return the documents that it names."""
    with _no_backup(source), closing(sqlite3.connect(fresh)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("damaged")
        with connection:
            connection.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                restored_meta(now),
            )
        hashes = _document_hashes(connection)
    handle = os.open(fresh, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return hashes


def _count_documents(source: Path, files: LabelFiles, hashes: Sequence[str]) -> tuple[int, int]:
    """Return how many documents a restore would write, and how many it would lack."""
    packed = _packed_documents(source)
    absent = [sha256 for sha256 in hashes if not files.path_of(sha256).is_file()]
    return sum(sha256 in packed for sha256 in absent), sum(sha256 not in packed for sha256 in absent)


def _packed_documents(source: Path) -> set[str]:
    if not zipfile.is_zipfile(source):
        return set()
    with zipfile.ZipFile(source) as archive:
        return {Path(name).stem for name in archive.namelist() if name.startswith(_LABELS)}


def _restore_documents(source: Path, files: LabelFiles, hashes: Sequence[str]) -> int:
    """Write the documents that are not there; what is there has the same content, since its name is its hash."""
    packed = _packed_documents(source)
    wanted = [sha256 for sha256 in hashes if sha256 in packed and not _is_whole(files.path_of(sha256), sha256)]
    if not wanted:
        return 0
    with _no_backup(source), zipfile.ZipFile(source) as archive:
        for sha256 in wanted:
            data = archive.read(f"{_LABELS}{sha256[:2]}/{sha256}.pdf")
            if hashlib.sha256(data).hexdigest() != sha256:
                raise zipfile.BadZipFile("damaged")
            files.path_of(sha256).unlink(missing_ok=True)
            files.keep(data)
    return len(wanted)


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def _set_aside(database: Path, now: datetime) -> Path | None:
    """Give the database in place a second name and return it; with its journal in it, or beside it where it is damaged."""
    if not database.exists() and not any(path.exists() for path in _beside(database)):
        return None
    aside = _free_name(database.with_name(f"{database.name}.before-restore-{now:%Y%m%dT%H%M%SZ}"))
    if database.exists():
        try:
            with closing(sqlite3.connect(database, timeout=1.0)) as connection:
                # Writes the journal into the file. Refused while anybody else has it open.
                connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise _in_use(database) from error
        except sqlite3.DatabaseError:
            pass  # damaged: set aside as it is
        try:
            os.link(database, aside)
        except OSError:
            shutil.copy2(database, aside)
    for path, kept in zip(_beside(database), _beside(aside), strict=True):
        if path.exists():
            path.replace(kept)
    return aside


def _free_name(path: Path) -> Path:
    number, free = 2, path
    while free.exists():
        free = path.with_name(f"{path.name}-{number}")
        number += 1
    return free


def _beside(database: Path) -> tuple[Path, Path]:
    return database.with_name(database.name + "-wal"), database.with_name(database.name + "-shm")


# Errors


def _in_use(database: Path) -> StoreLocked:
    return StoreLocked(
        tr("something is at work on the database"),
        subject=str(database),
        next_step=tr(
            "stop `run --watch`, cron and the stations, close other programs that have it open, then run this again"
        ),
    )


@contextmanager
def _no_backup(source: Path) -> Iterator[None]:
    """Turn what a file that is no backup, or a damaged one, makes of reading it into our error."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        sqlite3.DatabaseError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        NotImplementedError,
    ) as error:
        raise InputFileError(
            tr("this is no whole backup and no database of tiktok-erp ({reason})", reason=type(error).__name__),
            subject=str(source),
            next_step=tr("name a file that `tiktok-erp backup` made, or a copy of a database"),
        ) from error


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            tr("the file cannot be written ({reason})", reason=error.strerror or type(error).__name__),
            subject=str(path),
            next_step=tr("check that the disk is not full and that you may write there"),
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def as_fields(facts: BackupFacts) -> dict[str, Any]:
    """Return what a backup holds as fields of a `--json` line."""
    return asdict(facts)
