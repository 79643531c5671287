"""Whether a database lags behind what was done with its shop: restored, or an older file than the one that ran here last.

Beside the database lies the high-water mark (`shop.db.mark`): the last run and the last row of the purchase journal. A
file that has not come as far as the mark was put there by hand. The mark is raised before a run does anything, so that
what was bought is never ahead of it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from tiktok_erp.errors import DatabaseBehind
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store, utc_now

_BEHIND = "behind"  # in `meta`; empty: not behind any more
_LAST_BATCH = "last_batch"
RESTORED, OLDER_FILE = "restored", "older_file"


@dataclass(frozen=True, slots=True)
class HighWater:
    """How far a database has come: its last run and the last row of its purchase journal."""

    run_id: int
    label_id: int


def mark_path(database: Path) -> Path:
    """Return where the high-water mark of a database lies."""
    return database.with_name(database.name + ".mark")


def why_behind(store: Store) -> str | None:
    """Return `restored` or `older_file` while the database is behind, else None."""
    # The mark first: a run that another process begins meanwhile is in the database before it is in the mark.
    mark = _read_mark(store.path)
    because = _behind_since(store).get("because")
    if because:
        return str(because)
    now = _reached(store)
    is_older = mark is not None and (now.run_id < mark.run_id or now.label_id < mark.label_id)
    # What holds no order yet has nothing to be behind with: a new file in the place of an old one.
    return OLDER_FILE if is_older and store.scalar("SELECT 1 FROM orders LIMIT 1") else None


def require_up_to_date(store: Store) -> None:
    """Raise DatabaseBehind while the database is behind: then nothing may be bought or published."""
    because = why_behind(store)
    if because is None:
        return
    what = (
        tr("the database was restored from a backup, and nobody has asked yet what happened since")
        if because == RESTORED
        else tr("the database is an older file than the one that was used here last")
    )
    raise DatabaseBehind(
        what,
        subject=str(store.path),
        next_step=tr(
            "run `tiktok-erp sync`: it asks the channel, and where labels are bought elsewhere their source, what was"
            " done since; until then nothing is bought, pushed or uploaded"
        ),
    )


def notice(store: Store) -> str | None:
    """Write down that the database is behind, if it is, and return why. Before a run is recorded.

    What it holds and has not printed may be on paper since: from now on it is printed on request only, and new batches
    get numbers that no folder has.
    """
    because = why_behind(store)
    if because is None or _behind_since(store).get("noticed_at"):
        return because
    with store.transaction():
        store.set_meta(_BEHIND, json.dumps({"because": because, "noticed_at": to_text(utc_now())}))
        store.set_meta(_LAST_BATCH, str(_last_batch_folder(store.path)))
        store.execute(
            "UPDATE labels SET on_request = 1 WHERE state = 'bought' AND printed_at IS NULL AND sha256 IS NOT NULL"
        )
        # A purchase that the backup caught under way was printed by whoever finished it.
        store.execute("UPDATE labels SET on_request = 1 WHERE state IN ('sent', 'unknown')")
        # Claims and jobs are those of a day that is over.
        store.execute("DELETE FROM claims")
        store.execute("DELETE FROM print_jobs WHERE state = 'planned'")
    return because


def raise_mark(store: Store) -> None:
    """Write beside the database how far it has come. Nothing while it is behind: the mark shows what is missing.

    A folder that cannot be written to stops nothing here; whoever has something to write there says so.
    """
    if _behind_since(store).get("because"):
        return
    with suppress(OSError), _locked(store.path):
        now, mark = _reached(store), _read_mark(store.path)
        is_new = mark is None or not store.scalar("SELECT 1 FROM orders LIMIT 1")
        if is_new or (mark is not None and (now.run_id > mark.run_id or now.label_id > mark.label_id)):
            _write_mark(store.path, now)


def lift(store: Store) -> None:
    """Write that the database has caught up. From here on it is the one that counts."""
    with store.transaction():
        store.set_meta(_BEHIND, "")
    with suppress(OSError), _locked(store.path):
        _write_mark(store.path, _reached(store))


def restored_meta(at: datetime) -> tuple[str, str]:
    """Return the row of `meta` that marks a file as restored."""
    return _BEHIND, json.dumps({"because": RESTORED, "restored_at": to_text(at)})


def _behind_since(store: Store) -> dict[str, object]:
    text = store.meta(_BEHIND)
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {}


def _reached(store: Store) -> HighWater:
    rows = {row[0]: int(row[1]) for row in store.query("SELECT name, seq FROM sqlite_sequence")}
    return HighWater(rows.get("runs", 0), rows.get("labels", 0))


def _read_mark(database: Path) -> HighWater | None:
    try:
        found = json.loads(mark_path(database).read_text("utf-8"))
        return HighWater(int(found["run_id"]), int(found["label_id"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_mark(database: Path, reached: HighWater) -> None:
    fresh = mark_path(database).with_name(mark_path(database).name + ".new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(reached), file)
    fresh.replace(mark_path(database))


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    handle = os.open(database.with_name(f".{database.name}.mark.lock"), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _last_batch_folder(database: Path) -> int:
    """Return the highest number of a batch's folder beside the database, 0 without one."""
    try:
        names = [path.name for path in database.with_name(database.stem + ".batches").iterdir()]
    except OSError:
        return 0
    return max((int(match[1]) for name in names if (match := re.fullmatch(r"\.?B(\d+)(\.part)?", name))), default=0)
