"""A kit on disk: made beside the old one, swapped in whole, and never over what people wrote into it. Edge.

`kit.json` names every file of ours with a hash of what it was made from, so that a rebuild copies what did not change,
and with a hash of its bytes, so that a file somebody wrote into is recognised. `taken.json` names what `resume` took back.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tiktok_erp.checked_json import parse_json
from tiktok_erp.errors import StoreError, UsageError
from tiktok_erp.messages import tr
from tiktok_erp.private_files import create_private

MANIFEST = "kit.json"
TAKEN = "taken.json"
TAKEN_BACK = "taken-back"
INCOMING = "incoming"
_VERSION = 1


@dataclass(slots=True)
class Kit:
    """A kit as its manifest tells it: `files` holds each file's key and hash, `packages` what it said of each."""

    folder: Path
    made_at: str = ""
    people: int = 1
    packages: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)

    def written_by_people(self) -> list[Path]:
        """Return the files that are not as we made them, or not ours, and were not taken back as they are."""
        found = []
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if not path.is_file() or name in (MANIFEST, TAKEN) or name.startswith((f"{TAKEN_BACK}/", ".", "~$")):
                continue
            if path.name.startswith((".", "~$")):  # what file managers and spreadsheet programs leave
                continue
            known = self.files.get(name)
            if known is not None and path.suffix == ".pdf":
                continue
            digest = _digest(path)
            if (known is None or known["sha256"] != digest) and self.taken.get(name) != digest:
                found.append(path)
        return found

    def mark_taken(self, paths: Sequence[Path]) -> None:
        """Write down that these files were taken back as they are now."""
        inside = [path for path in paths if path.is_relative_to(self.folder)]
        self.taken.update({path.relative_to(self.folder).as_posix(): _digest(path) for path in inside})
        _write_private(self.folder / TAKEN, json.dumps(self.taken, indent=1, sort_keys=True).encode())


def read_kit(folder: Path) -> Kit:
    """Return the kit in `folder`. Raises UsageError when it is none."""
    _finish_swap(folder)
    try:
        told = parse_json((folder / MANIFEST).read_text("utf-8"))
        if told["version"] != _VERSION:
            raise ValueError("another version")
        kit = Kit(folder, told["made_at"], told["people"], told["packages"], told["files"])
        taken = folder / TAKEN
        kit.taken = parse_json(taken.read_text("utf-8")) if taken.exists() else {}
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise UsageError(
            tr("this folder is no kit of `tiktok-erp handover`"),
            subject=str(folder),
            next_step=tr(
                "name the folder that `tiktok-erp handover` made; `tiktok-erp resume KIT FILE...` takes back single files"
            ),
        ) from cause
    return kit


class KitWriter:
    """Writes the files of a new kit into `folder`, copying from the kit before it what would come out the same."""

    def __init__(self, folder: Path, before: Kit | None) -> None:
        self.folder = folder
        self.before = before
        self.made: dict[str, str] = {}
        self._old_names = {told["key"]: name for name, told in before.files.items() if told["key"]} if before else {}
        self.kept_aside: Path | None = None  # the kit before, when somebody wrote into it at the last moment

    def file_before(self, name: str) -> Path | None:
        """Return a file of the kit before, None where it had none."""
        if self.before is None or name not in self.before.files:
            return None
        path = self.before.folder / name
        return path if path.is_file() else None

    def text(self, name: str, content: str) -> None:
        """Write a text file. A mark at the start makes spreadsheet programs read a table as UTF-8."""
        mark = "\ufeff" if name.endswith(".csv") else ""
        _write_private(self._path(name), (mark + content).encode("utf-8", "replace"))
        self.made[name] = ""

    def drawn(self, name: str, made_from: object, draw: Callable[[Path], object]) -> None:
        """Let `draw` write the file, unless the kit before has the one that was made from the same."""
        key = hashlib.sha256(repr(made_from).encode("utf-8", "surrogatepass")).hexdigest()
        path = self._path(name)
        old = self._old_names.get(key)
        if old is None or not self._kept(old, path):
            draw(path)
            path.chmod(0o600)
        self.made[name] = key

    def copied(self, name: str, source: Path) -> None:
        """Put a copy of `source` into the kit."""
        shutil.copyfile(source, self._path(name))
        self._path(name).chmod(0o600)
        self.made[name] = ""

    def seal(self, *, made_at: str, people: int, packages: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the manifest, last of all."""
        files = {}
        for name, key in self.made.items():
            path = self.folder / name
            if not path.exists():
                continue
            files[name] = {"key": key, "sha256": _digest(path)}
        told = {"version": _VERSION, "made_at": made_at, "people": people, "packages": packages, "files": files}
        _write_private(self.folder / MANIFEST, json.dumps(told, separators=(",", ":"), sort_keys=True).encode())

    def _path(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return path

    def _kept(self, name: str, path: Path) -> bool:
        """Link the file of the kit before; False where it is gone, or was changed and is somebody's now."""
        assert self.before is not None
        old = self.before.folder / name
        try:
            if _digest(old) != self.before.files[name]["sha256"]:
                return False
            os.link(old, path)
        except OSError:
            return False
        return True


@contextmanager
def new_kit(folder: Path) -> Iterator[KitWriter]:
    """Give a writer for a kit that takes the place of the one in `folder` when the block ends well.

    Raises UsageError when `folder` holds something else, or what people wrote into the kit and nobody took back.
    """
    _finish_swap(folder)
    before = _old_kit(folder)
    folder = folder.absolute()
    fresh = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)  # left by a run that was killed
        fresh.mkdir(mode=0o700)
        writer = KitWriter(fresh, before)
        yield writer
        _carry_over(before, fresh)
        writer.kept_aside = _swap(folder, fresh, before)
    except OSError as error:
        raise StoreError(
            tr("the kit cannot be written ({reason})", reason=error.strerror or error),
            subject=str(folder),
            next_step=tr("check that the disk is not full and that you may write there; the kit before is as it was"),
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _old_kit(folder: Path) -> Kit | None:
    if not folder.exists():
        return None
    if folder.is_dir() and not any(folder.iterdir()):
        return None
    try:
        kit = read_kit(folder)
    except UsageError as error:
        raise UsageError(
            error.what,
            subject=error.subject,
            next_step=tr("name another folder, or move away what is in this one"),
        ) from error
    written = kit.written_by_people()
    if written:
        raise UsageError(
            tr("people wrote into {count} files of the kit that nobody has taken back", count=len(written)),
            subject=", ".join(str(path.relative_to(folder)) for path in written[:5]),
            next_step=tr("run `tiktok-erp resume {folder}` first, or name another folder", folder=folder),
            cause="not_taken_back",
        )
    return kit


def _carry_over(before: Kit | None, fresh: Path) -> None:
    """Keep what people wrote and brought: it was taken back, and is theirs."""
    if before is None:
        return
    place = fresh / TAKEN_BACK / before.made_at.replace(":", "")
    for name in sorted(before.taken):
        source = before.folder / name
        if source.is_file():
            target = place / name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copy2(source, target)
    older = before.folder / TAKEN_BACK
    if older.is_dir():
        shutil.copytree(older, fresh / TAKEN_BACK, dirs_exist_ok=True)


def _swap(folder: Path, fresh: Path, before: Kit | None) -> Path | None:
    """Put the new kit in place; return where the old one is if somebody wrote into it while the new one was made."""
    old = _aside(folder)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    _sync(folder.parent)
    if before is not None and replace(before, folder=old).written_by_people():
        kept = folder.with_name(f"{folder.name}.written-{before.made_at.replace(':', '')}")
        old.rename(kept)
        return kept
    shutil.rmtree(old, ignore_errors=True)
    return None


def _finish_swap(folder: Path) -> None:
    """Bring back the kit that a killed run had put aside, or drop it when the new one is in place."""
    folder = folder.absolute()
    old = _aside(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)
    elif old.exists():
        shutil.rmtree(old, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _write_private(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    handle = create_private(fresh)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    fresh.replace(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
