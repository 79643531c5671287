"""Where the token files of this user lie, so that databases that live from one consent tell each other of renewals.

One token may open several shops, and each shop has a database of its own, with its tokens beside it. A refresh token may be
good for one answer only: whoever comes second must take what the first one got.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tiktok_erp.private_files import open_lock, write_private

_LOCK = "renewal.lock"
_SUFFIX = ".path"


# A full disk, no descriptor left, a disk that stumbles: gone in a while. To go on alone for that while would spend a
# refresh token that another database needs.
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE})


def is_passing(error: OSError) -> bool:
    """Tell whether the cause of an error is one that passes."""
    return error.errno in _PASSING


class TokenFiles:
    """A directory of this user that holds, for each token file, its path and no secret.

    What cannot be had at all is done without: then each token file stands alone. Raises OSError for what cannot be had now.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def enlist(self, path: Path) -> None:
        """Note that there is a token file at `path`."""
        with _lasting_suppressed():
            whole = os.fsencode(path.resolve())
            entry = self._entry(path)
            if not entry.exists() or entry.read_bytes() != whole:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_private(entry, whole)

    def others(self, path: Path) -> list[Path]:
        """Return the token files of this user apart from the one at `path`; those that are gone are struck off."""
        found = []
        for entry in sorted(self._directory.glob(f"*{_SUFFIX}")):
            with _lasting_suppressed():
                other = Path(os.fsdecode(entry.read_bytes()))
                if not other.exists():
                    entry.unlink(missing_ok=True)
                elif entry != self._entry(path):
                    found.append(other)
        return found

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Let one process of this user renew at a time, whatever its database."""
        handle = None
        with _lasting_suppressed():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = open_lock(self._directory / _LOCK)
        try:
            if handle is not None:
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            if handle is not None:
                os.close(handle)

    def _entry(self, path: Path) -> Path:
        name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
        return self._directory / (name + _SUFFIX)


@contextmanager
def _lasting_suppressed() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_passing(error):
            raise
