"""What the system refuses at the edge of any command, as an error that can be told: which file, why, and what to do."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from tiktok_erp.errors import ErpError, StoreError
from tiktok_erp.messages import tr

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_TOO_MANY = frozenset({errno.EMFILE, errno.ENFILE})
_OTHER_KIND = frozenset({errno.EISDIR, errno.ENOTDIR, errno.ENOENT, errno.ELOOP, errno.ENAMETOOLONG, errno.EEXIST})


def system_error(error: OSError) -> ErpError:
    """Return what the system refused as an error of ours, exit code 7."""
    name = error.filename2 or error.filename
    subject = os.fsdecode(name) if isinstance(name, str | bytes) else ""
    reason = error.strerror or type(error).__name__
    return StoreError(
        tr("a file or folder cannot be used: {reason}", reason=reason)
        if subject or error.errno in _FULL
        else tr("the system refuses: {reason}", reason=reason),
        subject=subject,
        next_step=_next_step(error),
        cause="system",
    )


def output_error(error: OSError) -> ErpError:
    """Return that standard output takes no more."""
    return StoreError(
        tr("the output cannot be written: {reason}", reason=error.strerror or type(error).__name__),
        subject=tr("standard output"),
        next_step=tr("send the output to another file, or free space on the disk; then run this again"),
        cause="system",
    )


def _next_step(error: OSError) -> str:
    if error.errno in _FULL:
        return tr("free space on the disk, then run this again")
    if error.errno in _FORBIDDEN:
        return tr("let this user write there, or name another place with --db or --out; then run this again")
    if error.errno in _TOO_MANY:
        return tr("end other programs, or allow more open files (`ulimit -n 4096`); then run this again")
    if error.errno in _OTHER_KIND:
        return tr(
            "look at what is there: a file where a folder has to be, or the other way round; or name another place"
        )
    return tr("look at the disk and at this file, then run this again")


def to_nowhere(stream: IO[str]) -> None:
    """Let what is still written to `stream` vanish: the interpreter must not complain about it at its end."""
    with suppress(OSError, ValueError):  # a stream of tests has no number
        handle = os.open(os.devnull, os.O_WRONLY)
        os.dup2(handle, stream.fileno())
        os.close(handle)


def open_missing_streams() -> None:
    """Stand in for the standard streams that whoever started us closed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # open while the process lives
