"""What every printer is asked, and how one is found by the name after `--printer`."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.printer_address import zpl_resolution_dpi

RAW_PORT = 9100
IPP_PORT = 631

VIEWER = "open"

# `waiting` is anything between queued and printed: paper is out, a cover is open, other jobs come first. `opened`: a
# person has it before them and prints it, or does not.
JobProgress = Literal["waiting", "done", "failed", "unknown", "opened"]


@dataclass(frozen=True, slots=True)
class JobState:
    """How far a job is. `detail` is the printer's own word, such as `media-empty-report`."""

    progress: JobProgress
    detail: str = ""


class Printer(Protocol):
    """One printer. `name` is what the seller calls it."""

    name: str

    def find(self) -> None:
        """Look whether there is such a printer, and nothing else: one that is off, or cannot be asked now, is there.

        Raises UsageError when there is none.
        """
        ...

    def send(self, pdf: bytes, *, title: str, media: str) -> str:
        """Hand a job over and return the printer's own name of it; empty when it gives none.

        `media` is a PWG name such as `na_index-4x6_4x6in`. Raises PrinterError when nothing was handed over,
        OutcomeUnknown when nobody can tell.
        """
        ...

    def state(self, job: str) -> JobState:
        """Return how far a job is. Raises PrinterError when the printer cannot be asked."""
        ...


def open_printer(name: str, folder: Path | None = None) -> Printer:
    """Return the printer of this name: `ipp://host/ipp/print`, `tcp://host:9100?dpi=300` (ZPL), `open`, or a queue of CUPS.

    `folder` is where files for a viewer go. Raises UsageError for an address that is none, or that holds a password.
    """
    if name == VIEWER:
        from tiktok_erp.printers.viewer import Viewer

        return Viewer(name, folder)
    if "://" not in name:
        from tiktok_erp.printers.cups import CupsPrinter

        if not name or name.startswith("-") or not name.isprintable() or set(name) & set(" /#\t"):
            raise _no_printer(name)
        return CupsPrinter(name)
    try:
        parts = urlsplit(name)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _no_printer(name) from error
    if parts.username or parts.password:
        raise UsageError(
            tr("a printer's address may hold no password: others on this machine could read it"),
            subject="--printer",
            next_step=tr("set the printer up in CUPS and name its queue"),
        )
    try:
        dpi = zpl_resolution_dpi(name)
    except ValueError as error:
        raise UsageError(
            str(error),
            subject=name,
            next_step=tr("leave it away; a ZPL printer may have its resolution there: tcp://HOST:9100?dpi=300"),
        ) from error
    if host and parts.scheme in ("ipp", "ipps"):
        from tiktok_erp.printers.ipp import IppPrinter

        return IppPrinter(name)
    if host and parts.scheme == "tcp" and parts.path in ("", "/"):
        from tiktok_erp.printers.raw import RawPrinter

        return RawPrinter(name, host, port or RAW_PORT, dpi=dpi)
    raise _no_printer(name)


def no_host(name: str, host: str) -> UsageError:
    """Return that no machine is called `host`."""
    return UsageError(
        tr("there is no printer {name}: no machine is called {host}", name=name, host=host),
        subject="--printer",
        next_step=tr("correct the address, or name the printer by the number on its network page (192.168.1.50)"),
    )


def has_host(host: str) -> bool:
    """Tell whether a machine of this name can be there; a name server that does not answer just now proves nothing."""
    try:
        socket.getaddrinfo(host, None)
    except socket.gaierror as error:
        return error.errno not in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
    except (OSError, UnicodeError):
        return False
    return True


def _no_printer(name: str) -> UsageError:
    return UsageError(
        tr("{name} is no printer", name=name or "''"),
        subject="--printer",
        next_step=tr(
            "name a queue (`lpstat -e` lists them), ipp://HOST/ipp/print, tcp://HOST:9100 for a ZPL printer, or `open` for"
            " the program that opens PDFs here"
        ),
    )
