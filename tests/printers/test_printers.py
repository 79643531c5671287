"""Every byte that goes to a printer, and what counts as printed."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import zplkit
import zxingcpp
from PIL import Image
from zplkit.rendering import Limits

from tiktok_erp.errors import OutcomeUnknown, PrinterError, UsageError
from tiktok_erp.printers.base import JobState, open_printer
from tiktok_erp.printers.cups import CupsPrinter, queues
from tiktok_erp.printers.viewer import opener_of

NUMBERS = ("9400111206206406260787", "1Z5R89390357567127")
LIMITS = Limits(graphic_bytes=1_000_000)  # a whole label is one picture
FOUR_BY_SIX = "na_index-4x6_4x6in"
Pages = Callable[..., bytes]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-d",
        "a b",
        "ftp://host/x",
        "ipp://",
        "tcp://host:9100/x",
        "tcp://:9100",
        "ipp://[x",
        "tcp://h:9100?dpi=305",
        "tcp://h?dpi=",
        "tcp://h?DPI=300",
        "tcp://h?dpi=300&x=1",
        "tcp://h?dpi=203&dpi=300",
        "tcp://h?300",
        "tcp://h#x",
        "ipp://h/ipp/print?dpi=300",
    ],
)
def test_what_is_no_printer_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        open_printer(name)


def test_an_address_with_a_password_is_refused_without_telling_it() -> None:
    with pytest.raises(UsageError) as caught:
        open_printer("ipp://me:hunter2@host/ipp/print")
    assert "hunter2" not in str(caught.value)


# The program that opens PDFs


@pytest.fixture
def opener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that puts an `xdg-open` on the path, which writes down what it was asked to open."""

    def make(code: int = 0) -> Path:
        folder = tmp_path / "programs"
        folder.mkdir()
        told = tmp_path / "opened"
        program = folder / "xdg-open"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >> "{told}"\nexit {code}\n', "utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return told

    return make


def test_open_shows_a_job_in_the_viewer_and_believes_nothing(
    opener: Callable[..., Path], pages: Pages, tmp_path: Path
) -> None:
    told = opener()
    printer = open_printer("open", tmp_path / "files")
    document = pages(*NUMBERS)
    job = printer.send(document, title="tiktok-erp B07-001..002", media=FOUR_BY_SIX)
    assert told.read_text("utf-8") == f"{job}\n"
    assert Path(job).read_bytes() == document
    assert Path(job).name == "tiktok-erp-B07-001--002.pdf"
    assert stat.S_IMODE(Path(job).stat().st_mode) == 0o600
    assert printer.state(job) == JobState("opened")


def test_a_viewer_that_does_not_start_leaves_the_file_and_says_where(
    opener: Callable[..., Path], pages: Pages, tmp_path: Path
) -> None:
    opener(code=3)
    with pytest.raises(PrinterError, match=r"exit code 3.*tiktok-erp-t\.pdf"):
        open_printer("open", tmp_path / "files").send(pages("1"), title="tiktok-erp t", media=FOUR_BY_SIX)
    assert (tmp_path / "files" / "tiktok-erp-t.pdf").exists()


def test_where_nothing_opens_pdfs_nothing_was_printed(
    pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrinterError, match="nothing on this machine opens PDFs"):
        open_printer("open").send(pages("1"), title="t", media=FOUR_BY_SIX)


@pytest.mark.parametrize(
    ("system", "release", "programs", "wanted"),
    [
        ("darwin", "24.1.0", (), "open"),
        ("linux", "6.8.0-generic", ("xdg-open",), "xdg-open"),
        ("linux", "6.8.0-generic", (), None),
        ("linux", "5.15.153.1-microsoft-standard-WSL2", ("wslview", "cmd.exe", "xdg-open"), "wslview"),
        ("linux", "5.15.153.1-microsoft-standard-WSL2", ("xdg-open",), "xdg-open"),
    ],
)
def test_each_system_opens_files_in_its_own_way(
    system: str, release: str, programs: tuple[str, ...], wanted: str | None
) -> None:
    command = opener_of(system, release, lambda name: name if name in programs else None)
    assert (command and command(Path("/x/labels.pdf"))) == (wanted and [wanted, "/x/labels.pdf"])


def test_windows_is_told_the_name_that_it_knows_the_file_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "wslpath"
    program.write_text("#!/bin/sh\necho 'W:'\"$2\"\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    command = opener_of("linux", "5.15-microsoft", lambda name: name if name == "cmd.exe" else None)
    assert command is not None
    assert command(Path("/x/a b.pdf")) == ["cmd.exe", "/c", "start", "", "W:/x/a b.pdf"]


# IPP


def test_a_job_arrives_byte_by_byte_with_its_title_and_paper(ipp_printer: Any, pages: Pages) -> None:
    document = pages(*NUMBERS)
    printer = open_printer(ipp_printer.uri)
    job = printer.send(document, title="tiktok-erp B07 001-100", media=FOUR_BY_SIX)
    (received,) = ipp_printer.jobs
    assert received.document == document
    assert (received.title, received.media) == ("tiktok-erp B07 001-100", FOUR_BY_SIX)
    assert ipp_printer.complaints == []
    assert printer.state(job) == JobState("done", "job-completed-successfully")


@pytest.mark.parametrize(
    ("state", "reason", "progress"),
    [
        (3, "none", "waiting"),
        (4, "job-hold-until-specified", "waiting"),
        (5, "job-printing", "waiting"),
        (6, "media-empty-report", "waiting"),
        (7, "job-canceled-by-user", "failed"),
        (8, "aborted-by-system", "failed"),
        (9, "job-completed-with-errors", "failed"),
        (9, "job-completed-with-warnings", "done"),
        (17, "none", "unknown"),
    ],
)
def test_queued_is_not_printed(ipp_printer: Any, pages: Pages, state: int, reason: str, progress: str) -> None:
    printer = open_printer(ipp_printer.uri)
    ipp_printer.next_states = [[(state, reason)]]
    assert printer.state(printer.send(pages("1"), title="t", media=FOUR_BY_SIX)) == JobState(progress, reason)  # type: ignore[arg-type]


def test_paper_that_the_printer_lacks_is_said_before_anything_is_printed(ipp_printer: Any, pages: Pages) -> None:
    with pytest.raises(PrinterError, match="iso_a6"):
        open_printer(ipp_printer.uri).send(pages("1"), title="t", media="iso_a6_105x148mm")


@pytest.mark.parametrize("fault", ["html", "drop", "drop_after"])
def test_no_answer_to_a_job_is_unknown(ipp_printer: Any, pages: Pages, fault: str) -> None:
    ipp_printer.faults = [fault]
    with pytest.raises(OutcomeUnknown):
        open_printer(ipp_printer.uri).send(pages("1"), title="t", media=FOUR_BY_SIX)


def test_a_job_that_the_printer_forgot_is_unknown(ipp_printer: Any) -> None:
    assert open_printer(ipp_printer.uri).state("77") == JobState("unknown")


def test_a_printer_that_is_off_printed_nothing(pages: Pages) -> None:
    for name in ("ipp://127.0.0.1:9/ipp/print", "tcp://127.0.0.1:9"):
        with pytest.raises(PrinterError, match="no connection"):
            open_printer(name).send(pages("1"), title="t", media=FOUR_BY_SIX)


# ZPL


def test_zpl_draws_every_label_with_a_barcode_that_can_be_read(tcp_printer: Any, pages: Pages) -> None:
    printer = open_printer(f"tcp://127.0.0.1:{tcp_printer.port}")
    job = printer.send(pages(*NUMBERS), title="t", media=FOUR_BY_SIX)
    assert printer.state(job).progress == "done"
    deadline = time.monotonic() + 10
    while not tcp_printer.jobs and time.monotonic() < deadline:
        os.sched_yield()
    (zpl,) = tcp_printer.jobs
    assert zpl.count(b"^XA") == zpl.count(b"^XZ") == len(NUMBERS)
    drawn = [_picture(part + b"^XZ") for part in zpl.split(b"^XZ") if part.strip()]
    assert [[code.text for code in zxingcpp.read_barcodes(picture)] for picture in drawn] == [
        [text] for text in NUMBERS
    ]


def _picture(zpl: bytes) -> Image.Image:
    import io

    (label,) = zplkit.render(zpl, limits=LIMITS).labels
    return Image.open(io.BytesIO(label.png())).convert("L")


def test_a_connection_that_breaks_is_unknown(tcp_printer: Any, pages: Pages) -> None:
    tcp_printer.breaks_after = 1000
    with pytest.raises(OutcomeUnknown):
        open_printer(f"tcp://127.0.0.1:{tcp_printer.port}").send(pages(*(NUMBERS * 60)), title="t", media=FOUR_BY_SIX)


# CUPS


@pytest.fixture
def fake_cups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`lp` and `lpstat` on the PATH that keep what they are told and say what is in files beside them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    scripts = {
        "lp": 'echo "$@" > "$0.said"; cat > "$0.pdf"; cat "$0.out"; cat "$0.err" >&2; exit $(cat "$0.rc")\n',
        "lpstat": 'case "$*" in *not-completed*) cat "$0.waiting";; *completed*) cat "$0.ended";; *) cat "$0.queues";; esac\n',
    }
    for name, script in scripts.items():
        (folder / name).write_text("#!/bin/sh\n" + script)
        (folder / name).chmod(stat.S_IRWXU)
    for name in ("lp.out", "lp.err", "lpstat.waiting", "lpstat.ended", "lpstat.queues"):
        (folder / name).write_text("")
    (folder / "lp.rc").write_text("0")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("CUPS_SERVER", "127.0.0.1:9")
    return folder


def test_lp_is_told_queue_title_and_paper_and_gets_the_document(fake_cups: Path, pages: Pages) -> None:
    (fake_cups / "lp.out").write_text("request id is zebra-12 (0 file(s))\n")
    document = pages(*NUMBERS)
    assert CupsPrinter("zebra").send(document, title="B07 001-100", media=FOUR_BY_SIX) == "zebra-12"
    assert (fake_cups / "lp.pdf").read_bytes() == document
    assert (fake_cups / "lp.said").read_text().split() == (
        ["-d", "zebra", "-t", "B07", "001-100", "-o", "media=w288h432", "-o", "print-scaling=none"]
    )


def test_a_queue_that_is_none_printed_nothing(fake_cups: Path, pages: Pages) -> None:
    (fake_cups / "lp.rc").write_text("1")
    (fake_cups / "lp.err").write_text("lp: The printer or class does not exist.\n")
    with pytest.raises(PrinterError, match="does not exist"):
        CupsPrinter("zebra").send(pages("1"), title="t", media=FOUR_BY_SIX)


@pytest.mark.parametrize(
    ("waiting", "ended", "progress"),
    [
        ("zebra-12  me 1024 now\n\tAlerts: job-printing\n\tqueued for zebra\n", "", "waiting"),
        (
            "zebra-1  me 1024 now\n\tAlerts: job-printing\n",
            "zebra-12 me 1 now\n\tAlerts: job-completed-successfully\n",
            "done",
        ),
        ("", "zebra-12 me 1 now\n\tAlerts: job-canceled-by-user\n", "failed"),
        ("", "zebra-120 me 1 now\n\tAlerts: job-completed-successfully\n", "unknown"),
    ],
)
def test_a_job_is_looked_up_by_its_own_id(fake_cups: Path, waiting: str, ended: str, progress: str) -> None:
    (fake_cups / "lpstat.waiting").write_text(waiting)
    (fake_cups / "lpstat.ended").write_text(ended)
    assert CupsPrinter("zebra").state("zebra-12").progress == progress


def test_queues_are_listed(fake_cups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fake_cups / "lpstat.queues").write_text("zebra\nlaser\n")
    assert queues() == ["zebra", "laser"]
    monkeypatch.setenv("PATH", str(fake_cups.parent))
    assert queues() is None


needs_cups = pytest.mark.skipif(
    not (Path("/usr/lib/cups/backend/socket").exists() and shutil.which("lp") and os.geteuid() == 0),
    reason="a private CUPS needs cupsd with its network backends, lp and root",
)


@pytest.fixture
def cups(tcp_printer: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A CUPS of our own with the queue `labels` that leads to the TCP port."""
    import socket
    import tempfile

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("etc/ppd", "spool", "cache", "run", "tmp", "log"):
            (folder / part).mkdir(parents=True)
        (folder / "cupsd.conf").write_text(
            f"Listen 127.0.0.1:{port}\nDefaultAuthType None\nBrowsing Off\nLogLevel warn\n"
            "<Location />\nOrder allow,deny\nAllow all\n</Location>\n"
            "<Policy default>\nJobPrivateAccess all\nJobPrivateValues none\nSubscriptionPrivateAccess all\n"
            "SubscriptionPrivateValues none\n<Limit All>\nOrder allow,deny\nAllow all\n</Limit>\n</Policy>\n"
        )
        (folder / "cups-files.conf").write_text(
            f"User lp\nGroup lp\nSystemGroup root\nServerRoot {name}/etc\nRequestRoot {name}/spool\nTempDir {name}/tmp\n"
            f"CacheDir {name}/cache\nStateDir {name}/run\nAccessLog {name}/log/access\nErrorLog {name}/log/error\n"
        )
        subprocess.run(["chown", "-R", "lp:lp", name], check=True)
        folder.chmod(0o755)
        monkeypatch.setenv("CUPS_SERVER", f"127.0.0.1:{port}")
        command = ["/usr/sbin/cupsd", "-f", "-c", f"{name}/cupsd.conf", "-s", f"{name}/cups-files.conf"]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as daemon:
            try:
                add = ["lpadmin", "-p", "labels", "-v", f"socket://127.0.0.1:{tcp_printer.port}", "-m", "raw", "-E"]
                deadline = time.monotonic() + 20
                while subprocess.run(add, capture_output=True).returncode and time.monotonic() < deadline:
                    time.sleep(0.1)
                yield "labels"
            finally:
                daemon.terminate()


@needs_cups
def test_a_real_cups_says_when_a_job_is_done(cups: str, tcp_printer: Any, pages: Pages) -> None:
    printer = open_printer(cups)
    document = pages(*NUMBERS)
    job = printer.send(document, title="tiktok-erp B07 001-002", media=FOUR_BY_SIX)
    state, deadline = printer.state(job), time.monotonic() + 30
    while state.progress == "waiting" and time.monotonic() < deadline:
        time.sleep(0.1)
        state = printer.state(job)
    assert state.progress == "done"
    assert tcp_printer.jobs == [document]
    with pypdfium2.PdfDocument(tcp_printer.jobs[0]) as received:
        assert len(received) == 2


@needs_cups
def test_a_real_cups_says_when_a_job_was_cancelled(cups: str, pages: Pages) -> None:
    subprocess.run(["cupsdisable", cups], check=True)
    printer = open_printer(cups)
    job = printer.send(pages("1"), title="t", media=FOUR_BY_SIX)
    assert printer.state(job).progress == "waiting"
    subprocess.run(["cancel", job], check=True)
    assert printer.state(job).progress == "failed"


@needs_cups
def test_a_queue_that_a_real_cups_does_not_have_printed_nothing(cups: str, pages: Pages) -> None:
    with pytest.raises(PrinterError):
        open_printer("nowhere").send(pages("1"), title="t", media=FOUR_BY_SIX)


@pytest.mark.parametrize(("query", "dpi"), [("", 203), ("?dpi=203", 203), ("?dpi=300", 300), ("?dpi=600", 600)])
def test_a_label_is_as_many_dots_wide_as_the_printers_resolution_makes_of_four_inches(
    query: str, dpi: int, tcp_printer: Any, pages: Pages
) -> None:
    open_printer(f"tcp://127.0.0.1:{tcp_printer.port}{query}").send(pages(NUMBERS[0]), title="t", media=FOUR_BY_SIX)
    deadline = time.monotonic() + 20
    while not tcp_printer.jobs and time.monotonic() < deadline:
        time.sleep(0.01)
    total, row = re.findall(rb"\^GF[A-Z],\d+,(\d+),(\d+)", tcp_printer.jobs[0])[0]
    assert int(row) * 8 == pytest.approx(4 * dpi, abs=8)
    assert int(total) / int(row) == pytest.approx(6 * dpi, abs=1)
