"""What the system refuses ends a command with a mapped code, the file and a next step; it is never a fault of ours."""

from __future__ import annotations

import errno
import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

FAULT = "a fault in tiktok-erp"


@pytest.mark.parametrize("command", [("sync",), ("print-labels",), ("allocate",)], ids=" ".join)
def test_a_folder_that_may_not_be_written_ends_with_7(folder, monkeypatch, command):
    folder.call("init", expect=(0, 5))
    real = os.open

    def refuse(path, flags, mode=0o777, **more):
        if flags & os.O_CREAT and ("shop.db" in str(path) or str(folder.path) in str(path)):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", refuse)
    ended = folder.call(*command, expect=7)
    assert "Permission denied" in ended.stderr and "shop.db" in ended.stderr
    assert "let this user write there" in ended.stderr


@pytest.mark.parametrize("name", [".shop.db.sync.lock", "shop.db", "shop.db-wal"])
def test_a_folder_where_a_file_has_to_be_is_told(folder, name):
    (folder.path / name).mkdir()
    ended = folder.call("sync", expect=range(2, 8))
    assert FAULT not in ended.stderr
    assert "next:" in ended.stderr


@pytest.mark.parametrize(
    "command", [("orders", "list"), ("status",), ("rules", "check"), ("check",), ("doctor",)], ids=" ".join
)
@pytest.mark.parametrize("more", [(), ("--json",)], ids=["text", "json"])
def test_an_output_that_takes_no_more_is_told(folder, command, more):
    folder.call("init", expect=(0, 5))
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "tiktok_erp", *command, *more],
            cwd=folder.path,
            env=folder.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    if ended.returncode == 0 and command == ("orders", "list") and not more:
        return  # there was nothing to write
    assert ended.returncode in (3, 4, 5, 7), ended.stderr
    assert "No space left" in ended.stderr
    assert FAULT not in ended.stderr and "Exception ignored" not in ended.stderr


@pytest.fixture
def taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_simulator_on_a_port_that_is_taken_says_so(folder, taken_port):
    told = folder.call("simulate", "--port", str(taken_port), expect=2).stderr
    assert "--port" in told and "next:" in told


@pytest.mark.parametrize("option", ["--ready-file", "--state"])
@pytest.mark.parametrize("place", ["none/x.json", "file/x.json", "folder"])
def test_a_simulator_whose_files_cannot_be_written_says_so(folder, option, place):
    (folder.path / "folder").mkdir()
    Path(folder.path / "file").write_text("")
    told = folder.call("simulate", "--orders", "1", option, place, expect=2).stderr
    assert option in told and "next:" in told and "Traceback" not in told


COMMANDS = (
    *(
        ("sync",),
        ("sync", "--from", "export.csv"),
        ("stock", "import", "sheet.csv"),
        ("stock", "set", "MUG", "5", "--new"),
    ),
    *(("stock", "show"), ("reserve-stock",), ("allocate",), ("print-labels",), ("print-labels", "--from", "list.csv")),
    *(
        ("upload-tracking",),
        ("upload-tracking", "--to", "up.xlsx"),
        ("run",),
        ("status",),
        ("orders", "list"),
        ("labels", "list"),
    ),
    *(("quarantine",), ("report", "stock", "--csv", "r.csv"), ("handover", "kit"), ("check",), ("rules", "check")),
    *(("live", "start", "friday"), ("backup", "b.zip"), ("doctor",), ("alerts", "check"), ("undo", "1")),
)


# What opens nothing to write, or begins with something that is refused before.
READERS = {
    ("stock", "show"),
    ("status",),
    ("orders", "list"),
    ("labels", "list"),
    ("quarantine",),
    ("check",),
    ("doctor",),
    ("rules", "check"),
}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EMFILE], ids=errno.errorcode.get)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_calls_what_the_system_refuses_its_own_fault(folder, monkeypatch, command, number):
    examples = Path(__file__).parents[2] / "examples"
    folder.write_rules()
    folder.call("sync", "--from", str(examples / "seller-center-export.csv"), "--quiet")
    for name, source in (
        ("export.csv", "seller-center-export"),
        ("sheet.csv", "sku-sheet"),
        ("list.csv", "tracking-list"),
    ):
        (folder.path / name).write_bytes((examples / f"{source}.csv").read_bytes())
    real, refused = os.open, []

    def refuse(path, flags, mode=0o777, **more):
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) and str(path) not in (os.devnull, "/dev/tty"):
            refused.append(path)
            raise OSError(number, os.strerror(number), str(path))
        return real(path, flags, mode, **more)

    def refuse_file(path, mode="r", *more, **options):
        if set(mode) & set("wax+"):
            refused.append(path)
            raise OSError(number, os.strerror(number), str(path))
        return real_file(path, mode, *more, **options)

    real_file = io.open
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(io, "open", refuse_file)
    ended = folder.call(*command, expect=range(8))
    assert refused or command in READERS
    assert FAULT not in ended.stdout + ended.stderr
    assert ended.code != 1
    if ended.code:
        assert "next:" in ended.stderr
