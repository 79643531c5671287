"""A label printer that takes ZPL on a TCP port. It never answers: a job is done when its last byte was sent."""

from __future__ import annotations

import socket

from tiktok_erp.errors import LabelFileError, OutcomeUnknown, PrinterError
from tiktok_erp.messages import tr
from tiktok_erp.pdf import LOCK
from tiktok_erp.printers.base import JobState, has_host, no_host

_CONNECT_S = 10.0
# A printer takes bytes as fast as it prints once its memory is full, and none while its paper is out.
_SEND_S = 300.0
_HANG_UP_S = 3
_MAX_ANSWERS = 64


class RawPrinter:
    """One port of one printer of `dpi` dots an inch."""

    def __init__(self, name: str, host: str, port: int, *, dpi: int) -> None:
        self.name = name
        self._dpi = dpi
        self._address = (host, port)

    def find(self) -> None:
        """Look for the machine alone: a connection without a job makes some printers feed a label."""
        if not has_host(self._address[0]):
            raise no_host(self.name, self._address[0])

    def send(self, pdf: bytes, *, title: str, media: str) -> str:
        """Turn the pages into ZPL and send it."""
        zpl = to_zpl(pdf, self._dpi)
        try:
            connection = socket.create_connection(self._address, _CONNECT_S)
        except OSError as error:
            raise PrinterError(
                tr("no connection to the printer ({reason})", reason=error.strerror or type(error).__name__),
                subject=self.name,
                next_step=tr("switch it on, check its address, and run this again; nothing was printed"),
            ) from error
        try:
            with connection:
                connection.settimeout(_SEND_S)
                connection.sendall(zpl)
                connection.shutdown(socket.SHUT_WR)
                _wait_for_the_end(connection)
        except OSError as error:
            raise OutcomeUnknown(
                tr("the connection to the printer broke while it took the labels"),
                subject=self.name,
                next_step=tr(
                    "look which label it printed last, then run `tiktok-erp print-labels --resume-from` with the next one"
                ),
            ) from error
        return ""

    def state(self, job: str) -> JobState:
        """All bytes are out: nothing more can be known."""
        return JobState("done")


def _wait_for_the_end(connection: socket.socket) -> None:
    """Wait until the printer hangs up: what it never read is lost without a sign otherwise. Some never hang up."""
    connection.settimeout(_HANG_UP_S)
    try:
        for _ in range(_MAX_ANSWERS):
            if not connection.recv(4096):
                return
    except TimeoutError:
        return


def to_zpl(pdf: bytes, dpi: int) -> bytes:
    """Return the pages as ZPL pictures at `dpi`, one label a page: at another than the printer's they have another size."""
    from zebrafy.zebrafy_pdf import ZebrafyPDF

    try:
        # Dithering would break bars. PDFium, which draws the pages, is not thread-safe.
        with LOCK:
            return str(ZebrafyPDF(pdf, format="Z64", dither=False, dpi=dpi).to_zpl()).encode("ascii")
    except (ValueError, TypeError) as error:
        raise LabelFileError(
            tr("the labels cannot be turned into ZPL"),
            subject="",
            next_step=tr("print them through a queue of CUPS (`--printer NAME`)"),
        ) from error
