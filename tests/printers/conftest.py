"""Printers on 127.0.0.1: a TCP port that keeps what it is sent, and an IPP printer that reads every byte by itself."""

from __future__ import annotations

import http.server
import io
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from reportlab.graphics.barcode.code128 import Code128
from reportlab.pdfgen.canvas import Canvas

DOT_PT = 72 / 203


@pytest.fixture(scope="session")
def pages() -> Callable[..., bytes]:
    """Return a function that draws a 4x6 PDF with a barcode on each page."""

    def make(*numbers: str) -> bytes:
        buffer = io.BytesIO()
        canvas = Canvas(buffer, pagesize=(288, 432))
        for number in numbers:
            code = Code128(number, barWidth=3 * DOT_PT, barHeight=60, quiet=False)
            code.drawOn(canvas, (288 - code.width) / 2, 200)
            canvas.drawCentredString(144, 180, number)
            canvas.showPage()
        canvas.save()
        return buffer.getvalue()

    return make


class TcpPrinter:
    """Takes connections on a port, one job each, and keeps the bytes; `breaks_after` closes it while it is fed."""

    def __init__(self) -> None:
        self.jobs: list[bytes] = []
        self.breaks_after: int | None = None
        self._socket = socket.socket()
        # Little room, so that a client notices when nobody reads.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            with connection:
                content = b""
                while data := connection.recv(4096):
                    content += data
                    if self.breaks_after is not None and len(content) > self.breaks_after:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        break
                else:
                    self.jobs.append(content)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def tcp_printer() -> Iterator[TcpPrinter]:
    """A label printer on a free port."""
    printer = TcpPrinter()
    yield printer
    printer.close()


@dataclass
class Job:
    number: int
    title: str
    media: str
    document: bytes
    state: int = 9
    reasons: tuple[str, ...] = ("job-completed-successfully",)
    states: list[tuple[int, str]] = field(default_factory=list)  # what is told first, one a question


class IppFake(http.server.ThreadingHTTPServer):
    """An IPP printer written from RFC 8010 and 8011; `media` is the paper that it has."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), IppHandler)
        self.uri = f"ipp://127.0.0.1:{self.server_address[1]}/ipp/print"
        self.jobs: list[Job] = []
        self.media = {"na_index-4x6_4x6in", "na_letter_8.5x11in"}
        self.next_states: list[list[tuple[int, str]]] = []
        self.faults: list[str] = []  # what is wrong with the next answers: html, drop, drop_after
        self.complaints: list[str] = []
        self.lock = threading.Lock()


class IppHandler(http.server.BaseHTTPRequestHandler):
    server: IppFake

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Type"] != "application/ipp" or self.path != "/ipp/print":
            self.server.complaints.append(f"{self.path} {self.headers['Content-Type']}")
        with self.server.lock:
            fault = self.server.faults.pop(0) if self.server.faults else ""
            if fault == "drop":
                self.close_connection = True
                return
            answer = self._answer(body)
            if fault == "drop_after":
                self.close_connection = True
                return
        if fault == "html":
            answer = b"<html>busy</html>"
        self.send_response(200)
        self.send_header("Content-Type", "application/ipp")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _answer(self, body: bytes) -> bytes:
        major, minor, operation, request_id = struct.unpack(">BBHI", body[:8])
        groups, document = self._groups(body[8:])
        said = groups.get(1, {})
        if (major, minor) != (1, 1) or list(said)[:2] != ["attributes-charset", "attributes-natural-language"]:
            self.server.complaints.append(f"{major}.{minor} {list(said)}")
        if said.get("printer-uri") != [self.server.uri.encode()]:
            self.server.complaints.append(f"printer-uri {said.get('printer-uri')}")
        if operation == 2:
            return self._print(request_id, said, groups.get(2, {}), document)
        if operation == 9:
            return self._tell(request_id, struct.unpack(">i", said["job-id"][0])[0])
        return self._head(0x0501, request_id) + b"\x03"

    def _print(self, request_id: int, said: dict, wanted: dict, document: bytes) -> bytes:
        media = wanted["media"][0].decode()
        if said["document-format"] != [b"application/pdf"] or wanted.get("print-scaling") != [b"none"]:
            self.server.complaints.append(str((said, wanted)))
        if media not in self.server.media:
            return self._head(0x040B, request_id) + b"\x03"
        job = Job(len(self.server.jobs) + 1, said["job-name"][0].decode(), media, document)
        if self.server.next_states:
            job.states = self.server.next_states.pop(0)
        self.server.jobs.append(job)
        return self._head(0, request_id) + b"\x02" + self._number(0x21, "job-id", job.number) + b"\x03"

    def _tell(self, request_id: int, number: int) -> bytes:
        if not 1 <= number <= len(self.server.jobs):
            return self._head(0x0406, request_id) + b"\x03"
        job = self.server.jobs[number - 1]
        state, reason = job.states.pop(0) if job.states else (job.state, job.reasons[0])
        reasons = self._text(0x44, "job-state-reasons", reason)
        return self._head(0, request_id) + b"\x02" + self._number(0x23, "job-state", state) + reasons + b"\x03"

    def _head(self, status: int, request_id: int) -> bytes:
        head = struct.pack(">BBHIB", 1, 1, status, request_id, 1)
        return (
            head
            + self._text(0x47, "attributes-charset", "utf-8")
            + self._text(0x48, "attributes-natural-language", "en")
        )

    @staticmethod
    def _text(tag: int, name: str, value: str) -> bytes:
        return (
            bytes([tag]) + struct.pack(">H", len(name)) + name.encode() + struct.pack(">H", len(value)) + value.encode()
        )

    @staticmethod
    def _number(tag: int, name: str, value: int) -> bytes:
        return bytes([tag]) + struct.pack(">H", len(name)) + name.encode() + struct.pack(">Hi", 4, value)

    @staticmethod
    def _groups(data: bytes) -> tuple[dict[int, dict[str, list[bytes]]], bytes]:
        found: dict[int, dict[str, list[bytes]]] = {}
        group: dict[str, list[bytes]] = {}
        place, name = 0, ""
        while data[place] != 3:
            tag = data[place]
            place += 1
            if tag < 0x10:
                group = found.setdefault(tag, {})
                continue
            size = struct.unpack_from(">H", data, place)[0]
            name = data[place + 2 : place + 2 + size].decode() or name
            place += 2 + size
            size = struct.unpack_from(">H", data, place)[0]
            group.setdefault(name, []).append(data[place + 2 : place + 2 + size])
            place += 2 + size
        return found, data[place + 1 :]

    def log_message(self, *words: object) -> None:
        """Nothing."""


@pytest.fixture
def ipp_printer() -> Iterator[IppFake]:
    """An IPP printer on a free port."""
    server = IppFake()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
