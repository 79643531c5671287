"""A queue of CUPS, through `lp` and `lpstat`. That a job was accepted says nothing: its state is asked for."""

from __future__ import annotations

import os
import re
import subprocess
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import quote

from tiktok_erp.errors import OutcomeUnknown, PrinterError, UsageError
from tiktok_erp.messages import tr
from tiktok_erp.printers.base import JobState
from tiktok_erp.printers.ipp import IppPrinter

# CUPS's own names of the media; it knows the PWG names as well, but older drivers only these (measured with 2.4).
_MEDIA = {
    "na_index-4x6_4x6in": "w288h432",
    "na_letter_8.5x11in": "Letter",
    "iso_a4_210x297mm": "A4",
    "iso_a6_105x148mm": "A6",
}
_ACCEPTED = re.compile(r"\b(\S+-\d+) \(\d+ ")
_TIMEOUT_S = 60.0
_COMPLETED = "job-completed-successfully"
_ENDED_BADLY = ("job-canceled", "aborted-by-system", "job-aborted")
_SOCKETS = ("/run/cups/cups.sock", "/var/run/cupsd")  # Linux, macOS


class CupsPrinter:
    """One queue."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find(self) -> None:
        """Look for the queue among those that CUPS knows. Without an answer nothing is said."""
        try:
            done = _run(["lpstat", "-e"], b"", self.name)
        except PrinterError as error:
            raise UsageError(error.what, subject="--printer", next_step=error.next_step) from error
        except OutcomeUnknown:
            return
        names = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
        if done.returncode or self.name.casefold() in {name.casefold() for name in names}:
            return
        near = get_close_matches(self.name, names, n=3, cutoff=0.5)
        known = ", ".join(near or names)
        raise UsageError(
            tr("there is no printer {name}", name=self.name),
            subject="--printer",
            next_step=(
                tr("did you mean {names}?", names=known)
                if near
                else tr("CUPS knows {names}", names=known)
                if known
                else tr("CUPS knows no printer: set one up, or name it as ipp://HOST/ipp/print or tcp://HOST:9100")
            ),
        )

    def send(self, pdf: bytes, *, title: str, media: str) -> str:
        """Queue a job. The document goes through the pipe, so that no other user finds it in a folder."""
        options = ["-d", self.name, "-t", title, "-o", f"media={_MEDIA.get(media, media)}", "-o", "print-scaling=none"]
        done = _run(["lp", *options], pdf, self.name)
        if done.returncode != 0:
            raise PrinterError(
                tr("CUPS did not take the job: {reason}", reason=_first_line(done.stderr)),
                subject=self.name,
                next_step=tr("`lpstat -e` lists the queues; correct --printer or set the queue up"),
            )
        accepted = _ACCEPTED.search(done.stdout)
        if accepted is None:
            raise OutcomeUnknown(
                tr("CUPS took the job and did not name it"),
                subject=self.name,
                next_step=tr("look at the printer before this is printed again"),
            )
        return accepted[1]

    def state(self, job: str) -> JobState:
        """Return how far a job is: CUPS forgets completed jobs after a while, which is then `unknown`."""
        waiting = _run(["lpstat", "-l", "-W", "not-completed", "-o", self.name], b"", self.name)
        found = _entry(waiting.stdout, job)
        if found is not None:
            return JobState("waiting", _alerts(found))
        if waiting.returncode:
            raise PrinterError(
                tr("CUPS cannot be asked: {reason}", reason=_first_line(waiting.stderr)),
                subject=self.name,
                next_step=tr("start CUPS, then run this again; what was queued is asked for first"),
            )
        return self._ended(job)

    def _ended(self, job: str) -> JobState:
        """Ask how a job ended. `lpstat` may show the reason of a step in between, so CUPS itself is asked first."""
        try:
            state = _server(self.name).state(job.rpartition("-")[2])
        except (PrinterError, OutcomeUnknown):
            state = JobState("unknown")
        if state.progress != "unknown":
            return state
        ended = _run(["lpstat", "-l", "-W", "completed", "-o", self.name], b"", self.name)
        alerts = _alerts(_entry(ended.stdout, job) or [])
        if _COMPLETED in alerts:
            return JobState("done", alerts)
        return JobState("failed" if any(word in alerts for word in _ENDED_BADLY) else "unknown", alerts)


def _server(queue: str) -> IppPrinter:
    """Return the queue as an IPP printer of the CUPS that `lp` talks to."""
    server = os.environ.get("CUPS_SERVER", "").partition("/version=")[0]
    path = f"/printers/{quote(queue)}"
    if not server:
        server = next((name for name in _SOCKETS if Path(name).exists()), "localhost")
    if server.startswith("/"):
        return IppPrinter(queue, uri=f"ipp://localhost{path}", socket_path=server)
    return IppPrinter(queue, uri=f"ipp://{server}{path}")


def queues() -> list[str] | None:
    """Return the queues that CUPS has, None without CUPS."""
    try:
        done = _run(["lpstat", "-e"], b"", "")
    except PrinterError:
        return None
    return [line.split()[0] for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def _run(arguments: list[str], content: bytes, subject: str) -> subprocess.CompletedProcess[str]:
    # In one language, since the answers are read.
    environment = os.environ | {"LC_ALL": "C", "LANGUAGE": "C"}
    try:
        done = subprocess.run(arguments, input=content, capture_output=True, env=environment, timeout=_TIMEOUT_S)
    except OSError as error:
        raise PrinterError(
            tr("{command} cannot be run: {reason}", command=arguments[0], reason=error.strerror),
            subject=subject,
            next_step=tr("install CUPS's client, or name the printer as ipp://HOST/ipp/print or tcp://HOST:9100"),
        ) from error
    except subprocess.TimeoutExpired as error:
        raise OutcomeUnknown(
            tr("CUPS does not answer"),
            subject=subject,
            next_step=tr("look at the printer before this is printed again"),
        ) from error
    return subprocess.CompletedProcess(
        arguments, done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    )


def _entry(listing: str, job: str) -> list[str] | None:
    """Return the lines about one job: its own begins at the margin, what belongs to it is indented."""
    found: list[str] | None = None
    for line in listing.splitlines():
        if line and not line[0].isspace():
            if found is not None:
                break
            if line.split()[0] == job:
                found = [line]
        elif found is not None:
            found.append(line.strip())
    return found


def _alerts(entry: list[str]) -> str:
    return " ".join(line.partition(":")[2].strip() for line in entry if line.startswith(("Alerts:", "Status:"))).strip()


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0] or "?"
