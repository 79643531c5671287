"""A printer that speaks IPP (RFC 8010, 8011), asked directly: Print-Job, then the state of the job."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import httpx

from tiktok_erp.errors import OutcomeUnknown, PrinterError, UsageError
from tiktok_erp.messages import tr
from tiktok_erp.printers.base import IPP_PORT, JobState, has_host, no_host

_PRINT_JOB, _GET_JOB_ATTRIBUTES, _GET_PRINTER_ATTRIBUTES = 0x0002, 0x0009, 0x000B
_OPERATION, _JOB, _END = 0x01, 0x02, 0x03
_INTEGER, _ENUM, _NAME, _KEYWORD, _URI, _CHARSET, _LANGUAGE, _MIME = 0x21, 0x23, 0x42, 0x44, 0x45, 0x47, 0x48, 0x49
_NOT_FOUND, _GONE, _BAD_MEDIA = 0x0406, 0x0407, 0x040B
_PROGRESS = {3: "waiting", 4: "waiting", 5: "waiting", 6: "waiting", 7: "failed", 8: "failed", 9: "done"}
_TIMEOUT = httpx.Timeout(120.0, connect=10.0)


class Attribute(NamedTuple):
    """One attribute of an answer: numbers as int, everything else as text."""

    name: str
    value: int | str


class IppPrinter:
    """One printer at `ipp://host[:port]/path`."""

    def __init__(self, name: str, *, uri: str = "", socket_path: str | None = None) -> None:
        """`uri` is what the printer calls itself where that is not `name`; `socket_path` a socket of this machine."""
        self.name = name
        self._uri = uri or name
        self._socket_path = socket_path
        parts = urlsplit(self._uri)
        scheme = "https" if parts.scheme == "ipps" else "http"
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self._url = urlunsplit((scheme, f"{host}:{parts.port or IPP_PORT}", parts.path or "/ipp/print", "", ""))
        self._numbers = itertools.count(1)

    def find(self) -> None:
        """Look for the machine, and on a print server also for the queue: a printer of its own takes any path."""
        parts = urlsplit(self._uri)
        if not has_host(parts.hostname or ""):
            raise no_host(self.name, parts.hostname or "")
        if not parts.path.startswith(("/printers/", "/classes/")):
            return
        try:
            status, _attributes = self._ask(_GET_PRINTER_ATTRIBUTES, [(_URI, "printer-uri", self._uri)], [], b"")
        except (PrinterError, OutcomeUnknown):
            return
        if status in (_NOT_FOUND, _GONE):
            raise UsageError(
                tr("there is no printer {name}", name=self.name),
                subject="--printer",
                next_step=tr("`lpstat -h {host} -e` lists the queues of that server", host=parts.hostname or ""),
            )

    def send(self, pdf: bytes, *, title: str, media: str) -> str:
        """Send a job and return its number."""
        status, attributes = self._ask(
            _PRINT_JOB,
            [
                (_URI, "printer-uri", self._uri),
                (_NAME, "requesting-user-name", "tiktok-erp"),
                (_NAME, "job-name", title),
                (_MIME, "document-format", "application/pdf"),
            ],
            [(_KEYWORD, "media", media), (_KEYWORD, "print-scaling", "none")],
            pdf,
        )
        if status >= 0x0100:
            raise PrinterError(
                tr("the printer has no such paper ({media})", media=media)
                if status == _BAD_MEDIA
                else tr("the printer did not take the job (IPP status {status})", status=f"0x{status:04x}"),
                subject=self.name,
                next_step=tr("load the paper or choose another with --paper; nothing was printed"),
            )
        for attribute in attributes:
            if attribute.name == "job-id":
                return str(attribute.value)
        raise OutcomeUnknown(
            tr("the printer took the job and did not number it"),
            subject=self.name,
            next_step=tr("look at the printer before this is printed again"),
        )

    def state(self, job: str) -> JobState:
        """Return how far a job is."""
        number = struct.pack(">i", int(job))
        status, attributes = self._ask(
            _GET_JOB_ATTRIBUTES,
            [
                (_URI, "printer-uri", self._uri),
                (_INTEGER, "job-id", number),
                (_NAME, "requesting-user-name", "tiktok-erp"),
                (_KEYWORD, "requested-attributes", "job-state"),
                (_KEYWORD, "", "job-state-reasons"),
            ],
            [],
            b"",
        )
        if status in (_NOT_FOUND, _GONE):
            return JobState("unknown")
        if status >= 0x0100:
            raise PrinterError(
                tr("the printer does not tell about its jobs (IPP status {status})", status=f"0x{status:04x}"),
                subject=self.name,
                next_step=tr("look at the printer"),
            )
        reasons = " ".join(str(found.value) for found in attributes if found.name == "job-state-reasons")
        for attribute in attributes:
            if attribute.name == "job-state" and isinstance(attribute.value, int):
                progress = _PROGRESS.get(attribute.value)
                if progress == "waiting":
                    return JobState("waiting", reasons)
                if progress == "done":
                    return JobState("failed" if "job-completed-with-errors" in reasons else "done", reasons)
                if progress == "failed":
                    return JobState("failed", reasons)
        return JobState("unknown", reasons)

    def _ask(
        self,
        operation: int,
        operation_attributes: list[tuple[int, str, str | bytes]],
        job_attributes: list[tuple[int, str, str | bytes]],
        document: bytes,
    ) -> tuple[int, list[Attribute]]:
        body = encode(operation, next(self._numbers), operation_attributes, job_attributes) + document
        try:
            # A printer of one's own network is never behind a proxy.
            transport = httpx.HTTPTransport(uds=self._socket_path)
            with httpx.Client(transport=transport, timeout=_TIMEOUT, trust_env=False) as client:
                answer = client.post(self._url, content=body, headers={"content-type": "application/ipp"})
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise PrinterError(
                tr("no connection to the printer ({reason})", reason=type(error).__name__),
                subject=self.name,
                next_step=tr("switch it on, check its address, and run this again; nothing was printed"),
            ) from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise OutcomeUnknown(
                tr("the printer did not answer ({reason})", reason=type(error).__name__),
                subject=self.name,
                next_step=tr("look at the printer before this is printed again"),
            ) from error
        if answer.status_code in (401, 403, 404, 405, 426):
            raise PrinterError(
                tr("the printer answered HTTP {status}", status=answer.status_code),
                subject=self.name,
                next_step=tr("check path and rights of its address; nothing was printed"),
            )
        try:
            if answer.status_code != 200:
                raise ValueError(answer.status_code)
            return decode(answer.content)
        except (ValueError, struct.error, IndexError, UnicodeDecodeError) as error:
            raise OutcomeUnknown(
                tr("the printer's answer is no IPP (HTTP {status})", status=answer.status_code),
                subject=self.name,
                next_step=tr("look at the printer before this is printed again"),
            ) from error


def encode(
    operation: int,
    number: int,
    operation_attributes: list[tuple[int, str, str | bytes]],
    job_attributes: list[tuple[int, str, str | bytes]],
) -> bytes:
    """Return a request of IPP 1.1 up to where the document begins. A name that is empty adds a value to the one before."""
    parts = [struct.pack(">BBHIB", 1, 1, operation, number, _OPERATION)]
    parts += [_attribute(_CHARSET, "attributes-charset", "utf-8")]
    parts += [_attribute(_LANGUAGE, "attributes-natural-language", "en")]
    parts += [_attribute(*attribute) for attribute in operation_attributes]
    if job_attributes:
        parts += [bytes([_JOB]), *(_attribute(*attribute) for attribute in job_attributes)]
    return b"".join([*parts, bytes([_END])])


def decode(answer: bytes) -> tuple[int, list[Attribute]]:
    """Return status and attributes of an answer. Raises ValueError or struct.error when it is none."""
    if len(answer) < 9 or answer[0] not in (1, 2):
        raise ValueError("no IPP")
    return struct.unpack(">H", answer[2:4])[0], list(_attributes(answer[8:]))


def _attributes(data: bytes) -> Iterator[Attribute]:
    place, name = 0, ""
    while True:
        tag = data[place]
        place += 1
        if tag == _END:
            return
        if tag < 0x10:  # another group begins
            continue
        (length,) = struct.unpack_from(">H", data, place)
        name = data[place + 2 : place + 2 + length].decode("utf-8") or name
        place += 2 + length
        (length,) = struct.unpack_from(">H", data, place)
        value = data[place + 2 : place + 2 + length]
        if len(value) != length:
            raise ValueError("cut off")
        place += 2 + length
        if tag in (_INTEGER, _ENUM):
            yield Attribute(name, int(struct.unpack(">i", value)[0]))
        else:
            yield Attribute(name, value.decode("utf-8", "replace"))


def _attribute(tag: int, name: str, value: str | bytes) -> bytes:
    raw_name, raw = name.encode(), value if isinstance(value, bytes) else value.encode()
    return struct.pack(f">BH{len(raw_name)}sH", tag, len(raw_name), raw_name, len(raw)) + raw
