"""Commands as processes of their own that need not import everything anew: a process that knows all modules forks them.

Importing is most of what a short command takes. Each command still has its own process, arguments, environment, working
directory and files; what depends on how Python starts up is for the tests that start it themselves.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

CAN_FORK = hasattr(os, "fork") and hasattr(socket, "send_fds")

# Read when the interpreter starts: a fork cannot follow them.
_OF_THE_INTERPRETER = ("PYTHON", "LC_", "LANG")
_IMPORTED_LATE = (
    "apprise",
    "holidays",
    "httpx",
    "openpyxl",
    "PIL.Image",
    "pypdf",
    "pypdfium2",
    "reportlab.pdfbase.ttfonts",
    "reportlab.pdfgen.canvas",
    "rich.console",
    "rich.progress",
    "rich.table",
    "yaml",
    "zipcodes",
    "zxingcpp",
)


def can_be_warm(environment: Mapping[str, str]) -> bool:
    """Tell whether a process with this environment may be forked from one that has started already."""
    return CAN_FORK and all(
        environment.get(name) == os.environ.get(name)
        for name in {*environment, *os.environ}
        if name.startswith(_OF_THE_INTERPRETER) and not name.startswith("PYTEST")
    )


class WarmStarter:
    """Starts `tiktok-erp` commands. Threads may share it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from tests.warm import serve; serve()", str(theirs.fileno())],
                cwd=Path(__file__).parents[1],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._control = ours

    def run(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        stdin: str | None,
        timeout_s: float,
    ) -> tuple[int, str, str]:
        """Run one command to its end; return its exit code, standard output and standard error.

        Raises subprocess.TimeoutExpired when it takes longer.
        """
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            self._connect(given, out, err) as reply,
        ):
            given.write((stdin or "").encode())
            given.seek(0)
            request = {"arguments": list(arguments), "cwd": str(cwd), "environment": dict(environment)}
            reply.sendall(json.dumps(request).encode() + b"\n")
            answers = reply.makefile("r")
            pid = int(answers.readline())
            reply.settimeout(timeout_s)
            try:
                code = int(answers.readline())
            except TimeoutError as error:
                with suppress(ProcessLookupError):
                    os.killpg(pid, 9)
                raise subprocess.TimeoutExpired(list(arguments), timeout_s) from error
            answers.close()
            return code, _text(out), _text(err)

    def close(self) -> None:
        """End the process that forks."""
        self._control.close()
        self._process.wait()

    def _connect(self, *files: IO[bytes]) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"."], [*(file.fileno() for file in files), theirs.fileno()])
        return ours


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n")


def serve() -> None:
    """Import everything, then fork a command for every request, until nobody can ask any more."""
    import tiktok_erp

    for module in pkgutil.walk_packages(tiktok_erp.__path__, "tiktok_erp."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in _IMPORTED_LATE:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a thread would be lost in every fork"
    gc.freeze()
    control = socket.socket(fileno=int(sys.argv[1]))
    while True:
        message, files, _flags, _address = socket.recv_fds(control, 1, 4)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            _watch(*files)
            _run_command()
            return
        for file in files:
            os.close(file)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _run_command() -> None:
    """Be the command. Its end does what the interpreter's end does, but taking every module down, which takes as long again."""
    try:
        runpy.run_module("tiktok_erp", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            raise
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code or 0)


def _watch(stdin: int, stdout: int, stderr: int, reply: int) -> None:
    """Fork the command, in which this returns, and tell how it ended."""
    answers = socket.socket(fileno=reply)
    request = json.loads(answers.makefile("r").readline())
    pid = os.fork()
    if pid == 0:
        answers.close()
        for place, file in enumerate((stdin, stdout, stderr)):
            os.dup2(file, place)
            os.close(file)
        os.setsid()
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        time.tzset()
        sys.argv = ["tiktok-erp", *request["arguments"]]
        return
    for file in (stdin, stdout, stderr):
        os.close(file)
    answers.sendall(f"{pid}\n".encode())
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):
        answers.sendall(f"{status}\n".encode())
    os._exit(0)
