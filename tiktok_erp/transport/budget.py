"""What may still be asked of each endpoint: how fast it may go, and the last requests; in memory, or in a file that all processes share.

The file holds one page of 4 kB for each endpoint, found by a hash of its name: no names, no ids, no secrets. A page
is read and written whole under an flock that is held for microseconds, in one aligned write, with a checksum: a page
that is torn, foreign or from another version counts as empty. The kernel frees the lock of a killed process.

Times are seconds of `machine_clock`. A page of an earlier boot keeps its learned rate and loses its times.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import pwd
import re
import stat
import struct
import tempfile
import threading
import time
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

NEVER = -math.inf

_PAGE_SIZE = 4096
_PAGES = 128
_MAGIC = b"erppace1"
_HEAD = struct.Struct("<I8s16s8sQ5d4x")  # checksum, magic, endpoint, boot, count, rate and four times
_LONGEST_LOCK_S = 1.0

SENDS_KEPT = (_PAGE_SIZE - _HEAD.size) // 8


@dataclass(slots=True)
class Allowance:
    """How one endpoint may be asked. `rate` is requests a second; times are seconds of the clock of its users."""

    rate: float
    raised_at: float
    seen_at: float
    slowed_at: float = NEVER
    paused_until: float = NEVER
    count: int = 0
    sends: array[float] = field(default_factory=lambda: array("d", bytes(8 * SENDS_KEPT)))

    def send_at(self, number: int) -> float:
        """Return the time of a request; the first has number 0, the last `count - 1`. Only the last `SENDS_KEPT` are known."""
        return self.sends[number % SENDS_KEPT]

    def set_send(self, number: int, at: float) -> None:
        """Correct the time of a request."""
        self.sends[number % SENDS_KEPT] = at

    def add_send(self, at: float) -> int:
        """Note one more request and return its number."""
        self.sends[self.count % SENDS_KEPT] = at
        self.count += 1
        return self.count - 1

    def forget_times(self, now: float) -> None:
        """Drop every time, because they were taken on a clock that is not comparable with `now`; keep the rate."""
        self.raised_at = self.seen_at = now
        self.slowed_at = self.paused_until = NEVER
        self.count = 0


class Budget(Protocol):
    """Keeps an allowance per endpoint."""

    def change(self, endpoint: str, fresh: Callable[[], Allowance]) -> AbstractContextManager[Allowance]:
        """Return a context in which nobody else sees or changes the allowance; what it is at the end is kept.

        `fresh` makes the allowance of an endpoint that was never asked.
        """


class MemoryBudget:
    """The budget of one process. Threads may share it."""

    def __init__(self) -> None:
        self._allowances: dict[str, Allowance] = {}
        self._lock = threading.Lock()

    @contextmanager
    def change(self, endpoint: str, fresh: Callable[[], Allowance]) -> Iterator[Allowance]:
        """Yield the allowance of `endpoint`."""
        with self._lock:
            if endpoint not in self._allowances:
                self._allowances[endpoint] = fresh()
            yield self._allowances[endpoint]


class FileBudget:
    """The budget of all processes that name the same file. Threads may share it. Raises OSError when the file cannot serve."""

    def __init__(self, path: Path, *, boot: bytes | None = None, longest_lock_s: float = _LONGEST_LOCK_S) -> None:
        self._path = str(path)
        self._boot = _boot_mark() if boot is None else boot
        self._longest_lock_s = longest_lock_s

    @contextmanager
    def change(self, endpoint: str, fresh: Callable[[], Allowance]) -> Iterator[Allowance]:
        """Yield the allowance of `endpoint`, with the file locked."""
        digest = hashlib.blake2b(endpoint.encode(), digest_size=16).digest()
        # Opened anew each time: a file that was removed, or inherited by a fork, would be locked for nobody else.
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            _lock(handle, self._longest_lock_s)
            number, allowance = self._find(handle, digest, fresh)
            yield allowance
            os.pwrite(handle, _pack(allowance, digest, self._boot), number * _PAGE_SIZE)
        finally:
            os.close(handle)

    def _find(self, handle: int, digest: bytes, fresh: Callable[[], Allowance]) -> tuple[int, Allowance]:
        home = int.from_bytes(digest[:4], "little")
        for step in range(_PAGES):
            number = (home + step) % _PAGES
            page = os.pread(handle, _PAGE_SIZE, number * _PAGE_SIZE)
            if not _is_whole(page):
                return number, fresh()
            (_checksum, _magic, owner, boot, count, rate, raised_at, seen_at, slowed_at, paused_until) = (
                _HEAD.unpack_from(page)
            )
            if owner != digest:
                continue
            sends = array("d", page[_HEAD.size :])
            allowance = Allowance(rate, raised_at, seen_at, slowed_at, paused_until, count, sends)
            if boot != self._boot:
                allowance.forget_times(fresh().seen_at)
            return number, allowance
        raise OSError("every page is taken")


def machine_clock() -> float:
    """Return seconds since this machine was started: the same for all its processes, running on while it sleeps.

    The wall clock would jump, and a jump back would make every stored time one of the future. Where the kernel has no
    CLOCK_BOOTTIME (macOS), CLOCK_MONOTONIC is the one that runs on in sleep.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def budget_path(name: str, environment: Mapping[str, str]) -> Path | None:
    """Return the file of the budget `name`; None when there is no directory for it."""
    directory = state_directory(environment)
    return None if directory is None else directory / _file_name(name)


def state_directory(environment: Mapping[str, str]) -> Path | None:
    """Return the first directory that can be had for what this user's processes share; None when none can.

    They are $XDG_STATE_HOME/tiktok_erp, ~/.local/state/tiktok_erp, and one of this user in the directory for temporary
    files, made with mode 0700. None of them depends on the working directory or the database.
    """
    return next((directory for directory in _directories(environment) if _is_usable(directory)), None)


def _directories(environment: Mapping[str, str]) -> Iterator[Path]:
    state = Path(environment.get("XDG_STATE_HOME", ""))
    if state.is_absolute():  # a relative one has to be ignored (XDG Base Directory Specification 0.8)
        yield state / "tiktok_erp"
    home = Path(environment.get("HOME") or _home_of_user())
    if home.is_absolute():
        yield home / ".local" / "state" / "tiktok_erp"
    with suppress(OSError):
        yield Path(environment.get("TMPDIR") or tempfile.gettempdir()) / f"tiktok_erp-{os.getuid()}"


def _home_of_user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a container may run under a number without a name
        return ""


def _is_usable(directory: Path) -> bool:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = directory.lstat()
        # In a place that all users share, somebody else may have been first.
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
            return False
        if stat.S_IMODE(facts.st_mode) & 0o077:
            directory.chmod(0o700)
    except OSError:
        return False
    return os.access(directory, os.W_OK | os.X_OK)


def _file_name(name: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:80]
    if safe != name:
        safe += "-" + hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
    return f"pace-{safe}"


@cache
def _boot_mark() -> bytes:
    """Return eight bytes that change with each start of the machine; zeros where the kernel tells none.

    Without them a page of an earlier boot is known by its times: they lie in the future, or are harmlessly long past.
    """
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return bytes(8)
    return hashlib.blake2b(boot_id, digest_size=8).digest()


def _lock(handle: int, longest_s: float) -> None:
    """Lock the file. Raises TimeoutError when somebody holds it for longer than any of us does (a stopped process)."""
    give_up_at, pause_s = time.monotonic() + longest_s, 0.00005
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up_at:
                raise TimeoutError("the file stays locked") from None
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.002)
        else:
            return


def _is_whole(page: bytes) -> bool:
    if len(page) != _PAGE_SIZE or page[4:12] != _MAGIC:
        return False
    return int.from_bytes(page[:4], "little") == zlib.crc32(memoryview(page)[4:])


def _pack(allowance: Allowance, digest: bytes, boot: bytes) -> bytes:
    page = bytearray(_PAGE_SIZE)
    _HEAD.pack_into(
        page,
        0,
        0,
        _MAGIC,
        digest,
        boot,
        allowance.count,
        allowance.rate,
        allowance.raised_at,
        allowance.seen_at,
        allowance.slowed_at,
        allowance.paused_until,
    )
    page[_HEAD.size :] = allowance.sends.tobytes()
    page[:4] = zlib.crc32(memoryview(page)[4:]).to_bytes(4, "little")
    return bytes(page)
