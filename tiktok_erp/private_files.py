"""Files that hold secrets or buyers' data: for their owner alone (0600), never through a link, whole or not at all.

Raises OSError; whoever writes knows what the file is for and says so.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600


def create_private(path: Path) -> int:
    """Make the file anew and return its descriptor, open for reading and writing.

    What a killed run left under that name goes, and so does a link that somebody else laid there: it is not followed.
    """
    with suppress(FileNotFoundError):
        path.unlink()
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)


def open_lock(path: Path) -> int:
    """Return a descriptor of a lock file, made when it is missing."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)


def read_private(path: Path) -> bytes:
    """Return the content of a file that only we can have written: a plain one, of this user, and no link."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise PermissionError(1, os.strerror(1), str(path))
        return file.read()


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write into that takes the place of `path` once it is on disk; nothing changes when the block raises."""
    fresh = path.with_name(path.name + ".new")
    try:
        with os.fdopen(create_private(fresh), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_private(path: Path, data: bytes) -> None:
    """Put `data` at `path`, whole or not at all."""
    with private_file(path) as file:
        file.write(data)


def sync_folder(folder: Path) -> None:
    """Let a power cut not lose which names the folder holds."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Room:
    """Room on the disk, taken before something is done that must be written down afterwards.

    A file beside `path`, written and synced. `fill` puts the content into it and renames it to `path`, which exists by
    then: neither a block nor an entry of a folder is needed any more. What is not filled is removed by `give_back`.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._fresh = path.with_name(path.name + ".new")
        self._folder = self._handle = -1
        try:
            self._folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._handle = create_private(self._fresh)
            # Dice and no blanks: a disk that compresses would take no room for them. No JSON reader takes them either.
            _write_all(self._handle, os.urandom(size))
            os.fsync(self._handle)
            os.fsync(self._folder)
        except BaseException:
            self.give_back()
            raise

    def fill(self, data: bytes) -> None:
        """Make `data` the content of `path`."""
        try:
            self._overwrite(data)
        except OSError:
            # A disk that never writes over a block (btrfs, ZFS) needs another one: the room itself makes it free.
            os.ftruncate(self._handle, 0)
            self._overwrite(data)
        self._fresh.replace(self._path)
        self._close()

    def give_back(self) -> None:
        """Free the room, if it was not filled."""
        if self._handle >= 0:
            with suppress(OSError):
                self._fresh.unlink(missing_ok=True)
        self._close()

    def _overwrite(self, data: bytes) -> None:
        os.lseek(self._handle, 0, os.SEEK_SET)
        _write_all(self._handle, data)
        os.ftruncate(self._handle, len(data))
        os.fsync(self._handle)

    def _close(self) -> None:
        if self._handle >= 0 and self._folder >= 0:
            with suppress(OSError):
                os.fsync(self._folder)
        for handle in (self._handle, self._folder):
            if handle >= 0:
                os.close(handle)
        self._handle = self._folder = -1


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
