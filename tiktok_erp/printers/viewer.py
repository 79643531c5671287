"""The program that opens PDFs on this machine: a person prints from it, and only that person knows what is on paper."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tiktok_erp.errors import PrinterError, UsageError
from tiktok_erp.messages import tr
from tiktok_erp.printers.base import JobState

# Openers hand the file over and end; one that is still there then is itself the viewer.
_PATIENCE_S = 10.0
_WSL_PATH_S = 10.0


class Viewer:
    """Opens each job in the system's viewer. `folder` is a private place for its files, None for one of its own."""

    def __init__(self, name: str, folder: Path | None) -> None:
        self.name = name
        self._folder = folder

    def find(self) -> None:
        """Look whether anything here opens PDFs."""
        if opener() is None:
            raise UsageError(
                tr("nothing on this machine opens PDFs"),
                subject="--printer",
                next_step=tr("leave --printer out and open labels.pdf yourself, or install xdg-open (in WSL: wslview)"),
            )

    def send(self, pdf: bytes, *, title: str, media: str) -> str:
        """Open a job and return where its file lies."""
        path = _keep(pdf, self._folder, title)
        command = opener()
        if command is None:
            raise PrinterError(
                tr("nothing on this machine opens PDFs"),
                subject=str(path),
                next_step=tr("open this file yourself, or install xdg-open (in WSL: wslview)"),
            )
        try:
            process = subprocess.Popen(
                command(path),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C here must not close the viewer
                # While a job is handed over we hear no signals, and the viewer would never hear one again.
                preexec_fn=partial(signal.pthread_sigmask, signal.SIG_SETMASK, ()),
            )
            code = process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            return str(path)
        except (OSError, subprocess.SubprocessError) as error:
            raise _not_opened(path, str(error)) from error
        if code != 0:
            raise _not_opened(path, tr("exit code {code}", code=code))
        return str(path)

    def state(self, job: str) -> JobState:
        """What the person did with it is known to nobody here."""
        return JobState("opened")


def opener() -> Callable[[Path], list[str]] | None:
    """Return how this system opens a file, None where nothing does."""
    return opener_of(sys.platform, platform.release(), shutil.which)


def opener_of(system: str, release: str, which: Callable[[str], str | None]) -> Callable[[Path], list[str]] | None:
    """Return how a system opens a file: macOS with `open`, WSL with Windows's own program, others with `xdg-open`."""
    if system == "darwin":
        return lambda path: ["open", str(path)]
    if "microsoft" in release.casefold():
        if which("wslview"):
            return lambda path: ["wslview", str(path)]
        if which("cmd.exe"):
            return lambda path: ["cmd.exe", "/c", "start", "", windows_path(path)]
    if which("xdg-open"):
        return lambda path: ["xdg-open", str(path)]
    return None


def windows_path(path: Path) -> str:
    """Return what Windows calls a file of WSL."""
    done = subprocess.run(["wslpath", "-w", str(path)], capture_output=True, text=True, timeout=_WSL_PATH_S, check=True)
    return done.stdout.strip()


def _keep(pdf: bytes, folder: Path | None, title: str) -> Path:
    """Write the job where its viewer can read it as long as it likes, and nobody else."""
    name = "".join(letter if letter.isalnum() or letter == "-" else "-" for letter in title) + ".pdf"
    try:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="tiktok-erp-"))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder.resolve() / name
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(pdf)
    except OSError as error:
        raise PrinterError(
            tr("the file for the viewer cannot be written ({reason})", reason=error.strerror),
            subject=str(folder),
            next_step=tr("make room on the disk, and run this again; nothing was opened"),
        ) from error
    return path


def _not_opened(path: Path, reason: str) -> PrinterError:
    return PrinterError(
        tr("the file could not be opened ({reason})", reason=reason),
        subject=str(path),
        next_step=tr("open this file yourself, or name a printer with --printer"),
    )
