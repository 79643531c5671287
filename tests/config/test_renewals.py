"""No consent is lost: not with a thread, not with a signal, not on a full disk, not by a kill between two steps on the disk.

The token server of these tests is strict: the answer that brings a new pair spends the refresh token before it.
"""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tiktok_erp import private_files
from tiktok_erp.config.renewals import Renewals
from tiktok_erp.config.token_files import TokenFiles
from tiktok_erp.config.tokens import TokenFile
from tiktok_erp.errors import ErpError, Interrupted, StoreError
from tiktok_erp.model.credentials import TokenPair
from tiktok_erp.model.secret import Secret

# A run whose threads renew while it ends. `sent` and `stored` are told by files, since nobody else survives.
RUN = """
import os, signal, sys, threading, time
from pathlib import Path
from tiktok_erp.config.tokens import TokenFile
from tiktok_erp.model.credentials import TokenPair
from tiktok_erp.model.secret import Secret

folder, ending, renewer = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
tokens = TokenFile(folder / "shop.db.tokens", access_token=Secret("access-0"), refresh_token=Secret("refresh-0"))
asked = threading.Event()

def exchange(refresh_token):
    number = int(refresh_token.reveal().partition("-")[2]) + 1
    (folder / "sent").write_text(str(number))
    asked.set()
    time.sleep(0.3)
    return TokenPair(Secret(f"access-{number}"), Secret(f"refresh-{number}"), None, None)

def renew():
    tokens.renew(Secret("access-0"), exchange)

def for_ever():
    while True:
        tokens.renew(tokens.current(), exchange)

def stop(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, stop)

def stop_soon(number, times):
    def send():
        asked.wait()
        for _time in range(times):
            os.kill(os.getpid(), number)
            time.sleep(0.05)
    threading.Thread(target=send, daemon=True).start()

try:
    if ending in ("SIGTERM", "SIGINT", "SIGINT twice"):
        stop_soon(signal.SIGINT if "INT" in ending else signal.SIGTERM, 4 if "twice" in ending else 1)
    if renewer == "main":
        renew()
    elif renewer == "pool":
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(2)
        pool.submit(renew)
        asked.wait()
        pool.shutdown(wait=False)
    else:
        threading.Thread(target=for_ever if renewer == "for ever" else renew, daemon=True).start()
    if renewer != "main":
        asked.wait()
        if ending.startswith("SIG"):
            time.sleep(30)
    if ending == "error":
        raise ValueError
    if ending == "exit":
        sys.exit(3)
    if ending == "let go":
        tokens.end_renewals()
except KeyboardInterrupt:
    pass
"""


@pytest.mark.parametrize("renewer", ["daemon", "pool", "main", "for ever"])
@pytest.mark.parametrize("ending", ["end", "error", "exit", "let go", "SIGTERM", "SIGINT", "SIGINT twice"])
def test_what_a_process_sent_before_its_end_is_stored(tmp_path: Path, ending: str, renewer: str) -> None:
    run = [sys.executable, "-c", RUN, str(tmp_path), ending, renewer]
    subprocess.run(run, capture_output=True, timeout=60, check=False)
    stored = json.loads((tmp_path / "shop.db.tokens").read_text())["consents"][0]
    assert stored["refresh_token"] == f"refresh-{(tmp_path / 'sent').read_text()}"


class Strict:
    """A token server that answers each refresh token once. `living` is the pair that works."""

    def __init__(self) -> None:
        self.count = 0
        self.lost = False
        self._lock = threading.Lock()

    def __call__(self, refresh_token: Secret) -> TokenPair:
        with self._lock:
            if refresh_token != Secret(f"refresh-{self.count}"):
                self.lost = True
                raise AssertionError(f"{refresh_token.reveal()} was spent; {self.count} is living")
            self.count += 1
            return TokenPair(Secret(f"access-{self.count}"), Secret(f"refresh-{self.count}"), None, None)

    @property
    def living(self) -> Secret:
        return Secret(f"access-{self.count}")


def open_tokens(folder: Path, name: str = "shop") -> TokenFile:
    return TokenFile(
        folder / f"{name}.db.tokens",
        access_token=Secret("access-0"),
        refresh_token=Secret("refresh-0"),
        files=TokenFiles(folder / "state"),
    )


def use(tokens: TokenFile, server: Strict) -> None:
    """Renew as often as it takes until the token is the living one, as calls that are refused do."""
    for _refusal in range(20):
        if tokens.current() == server.living:
            return
        tokens.renew(tokens.current(), server)
    assert tokens.current() == server.living


def test_nothing_is_sent_after_the_end(tmp_path: Path) -> None:
    tokens, server = open_tokens(tmp_path), Strict()
    tokens.end_renewals()
    with pytest.raises(Interrupted):
        tokens.renew(Secret("access-0"), server)
    assert server.count == 0


def test_the_end_waits_for_what_is_under_way() -> None:
    renewals, begun, may_go = Renewals(), threading.Event(), threading.Event()
    done: list[str] = []

    def work() -> None:
        begun.set()
        may_go.wait()
        done.append("stored")

    threading.Thread(target=renewals.run, args=(work,), daemon=True).start()
    begun.wait()
    end = threading.Thread(target=renewals.end)
    end.start()
    assert end.is_alive() and not done
    may_go.set()
    end.join()
    assert done == ["stored"]


def test_many_threads_of_several_databases_lose_no_token(tmp_path: Path) -> None:
    server = Strict()
    shops = [open_tokens(tmp_path, name) for name in ("us", "us", "uk", "de") for _process in range(2)]

    def work(number: int) -> None:
        tokens = shops[number % len(shops)]
        with suppress(Interrupted):
            tokens.renew(tokens.current(), server)
        if number == 150:
            shops[0].end_renewals()

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(300)))
    assert not server.lost
    for name in ("us", "uk", "de"):
        use(open_tokens(tmp_path, name), server)
    assert not server.lost


# A full disk


class Disk:
    """Counts the steps that write, and refuses those that need room while it is full.

    What was written and synced may be overwritten, cut and renamed over a name that exists: that needs no room.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.killed_at: int | None = None
        self.steps = 0
        self.whole_at: int | None = None  # the step after which an answer is on the disk
        self._real: dict[str, Any] = {
            name: getattr(os, name) for name in ("open", "write", "fsync", "replace", "ftruncate", "mkdir")
        }
        self._sizes: dict[int, int] = {}
        for name in self._real:
            patch.setattr(os, name, getattr(self, f"_{name}"))
        patch.setattr(Path, "replace", lambda source, target: self._replace(source, target))
        self._real["unlink"] = Path.unlink
        patch.setattr(Path, "unlink", lambda path, **how: self._unlink(path, **how))

    @contextmanager
    def being_full(self) -> Iterator[None]:
        self.full = True
        try:
            yield
        finally:
            self.full = False

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self.killed_at:
            raise Killed

    def _refuse(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _open(self, path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        if flags & os.O_CREAT:
            self._step()
            if self.full and not os.path.lexists(path):
                self._refuse()
        handle: int = self._real["open"](path, flags, mode, **more)
        return handle

    def _write(self, handle: int, data: Any) -> int:
        self._step()
        if self.full and os.lseek(handle, 0, os.SEEK_CUR) + len(data) > os.fstat(handle).st_size:
            self._refuse()
        count: int = self._real["write"](handle, data)
        return count

    def _fsync(self, handle: int) -> None:
        self._step()
        self._real["fsync"](handle)

    def _ftruncate(self, handle: int, size: int) -> None:
        self._step()
        self._real["ftruncate"](handle, size)
        self.whole_at = self.steps

    def _replace(self, source: Any, target: Any) -> None:
        self._step()
        if self.full and not os.path.lexists(target):
            self._refuse()
        self._real["replace"](source, target)

    def _unlink(self, path: Any, **how: Any) -> None:
        self._step()
        self._real["unlink"](path, **how)

    def _mkdir(self, path: Any, mode: int = 0o777, **more: Any) -> None:
        if self.full and not os.path.lexists(path):
            self._refuse()
        self._real["mkdir"](path, mode, **more)


class Killed(BaseException):
    """The process is gone: nothing after this may touch the disk."""


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_disk_that_is_full_before_a_renewal_stops_it_before_it_is_sent(tmp_path: Path, disk: Disk) -> None:
    tokens, server = open_tokens(tmp_path), Strict()
    with disk.being_full(), pytest.raises(StoreError, match="No space left") as caught:
        tokens.renew(Secret("access-0"), server)
    assert server.count == 0
    assert caught.value.exit_code == 7
    assert "free space" in caught.value.next_step
    use(tokens, server)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_disk_that_fills_while_the_answer_is_under_way_loses_nothing(
    tmp_path: Path, disk: Disk, is_first: bool
) -> None:
    tokens, server = open_tokens(tmp_path), Strict()
    if not is_first:
        tokens.renew(Secret("access-0"), server)

    def exchange(refresh_token: Secret) -> TokenPair:
        disk.full = True
        return server(refresh_token)

    tokens.renew(tokens.current(), exchange)
    assert open_tokens(tmp_path).current() == server.living
    disk.full = False
    other = open_tokens(tmp_path, "uk")  # it learns of the pair although the disk was full
    use(other, server)


def test_a_disk_that_never_overwrites_gets_the_room_back_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def write(handle: int, data: Any) -> int:
        if is_answered and os.fstat(handle).st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, data)

    is_answered: list[bool] = []
    monkeypatch.setattr(os, "write", write)
    tokens, server = open_tokens(tmp_path), Strict()

    def exchange(refresh_token: Secret) -> TokenPair:
        is_answered.append(True)
        return server(refresh_token)

    tokens.renew(Secret("access-0"), exchange)
    assert open_tokens(tmp_path).current() == server.living


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOSPC, errno.EIO])
def test_a_list_of_databases_that_cannot_be_read_now_stops_a_renewal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    server = Strict()
    open_tokens(tmp_path, "us").renew(Secret("access-0"), server)
    other = open_tokens(tmp_path, "uk")
    real = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "us.db.tokens":
            raise OSError(code, os.strerror(code), str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(StoreError):
            other.renew(Secret("access-0"), server)
    assert not server.lost
    use(other, server)


def test_a_link_where_the_new_file_goes_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    (tmp_path / "shop.db.tokens.new").symlink_to(target)
    tokens, server = open_tokens(tmp_path), Strict()
    tokens.renew(Secret("access-0"), server)
    tokens.remember("shop", "1")
    assert target.read_text() == "kept"
    assert not (tmp_path / "shop.db.tokens").is_symlink()
    assert (tmp_path / "shop.db.tokens").stat().st_mode & 0o777 == 0o600


def test_every_kill_between_the_answer_and_the_end_is_made_good(tmp_path: Path, disk: Disk) -> None:
    """Only while the answer itself is on its way, before its first byte is on the disk, can nobody save it."""
    made_good = 0
    for step in range(1, 30):
        folder = tmp_path / str(step)
        folder.mkdir()
        server, answered_at = Strict(), [0]
        tokens = open_tokens(folder)
        disk.steps, disk.killed_at, disk.whole_at = 0, step, None

        def exchange(refresh_token: Secret, server: Strict = server, answered_at: list[int] = answered_at) -> TokenPair:
            answered_at[0] = disk.steps
            return server(refresh_token)

        killed = is_killed(lambda tokens=tokens, exchange=exchange: tokens.renew(Secret("access-0"), exchange), disk)  # type: ignore[misc]
        disk.killed_at = None
        if killed and answered_at[0] and disk.whole_at is None:
            continue
        use(open_tokens(folder), server)
        made_good += killed
    assert made_good > 10  # and the rest ended before


def is_killed(act: Callable[[], object], disk: Disk) -> bool:
    """Carry out `act`; a kill stops every step on the disk after it as well. Tells whether it was killed."""
    real = disk._step

    def dead() -> None:
        if disk.killed_at is not None and disk.steps >= disk.killed_at:
            raise Killed
        real()

    disk._step = dead  # type: ignore[method-assign]
    try:
        act()
    except (Killed, ErpError):
        return True
    finally:
        disk._step = real  # type: ignore[method-assign]
    return False


def test_a_hundred_days_of_expiring_tokens_full_disks_and_kills_lose_no_consent(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each day: several databases, threads, a short-lived token, and a disk that is full at some time of it."""
    monkeypatch.setattr(private_files, "sync_folder", lambda folder: None)
    dice, server = random.Random(11), Strict()
    full_days = killed_days = 0
    for day in range(100):
        names = dice.sample(["us", "uk", "de"], dice.randint(1, 3))
        shops = [open_tokens(tmp_path, name) for name in names for _thread in range(2)]
        for _renewal in range(dice.randint(1, 4)):
            tokens = dice.choice(shops)
            fills = dice.random()

            def exchange(refresh_token: Secret, fills: float = fills) -> TokenPair:
                disk.full = fills < 0.5  # it fills while the answer is on its way
                disk.killed_at = disk.steps + dice.randint(3, 5) if fills > 0.8 else None
                return server(refresh_token)

            disk.full = fills < 0.2
            try:
                if is_killed(lambda tokens=tokens, exchange=exchange: tokens.renew(tokens.current(), exchange), disk):  # type: ignore[misc]
                    shops = [open_tokens(tmp_path, name) for name in names for _thread in range(2)]
                    full_days += disk.full
                    killed_days += disk.killed_at is not None
            finally:
                disk.full, disk.killed_at = False, None
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda tokens: use(tokens, server), shops))
        for tokens in shops:
            tokens.end_renewals()
        assert not server.lost, f"day {day}"
    assert full_days > 5 and killed_days > 5 and server.count > 100
