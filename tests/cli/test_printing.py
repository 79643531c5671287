"""From held labels to paper: printers, stations, paper sizes, and what is never printed twice."""

from __future__ import annotations

import csv
import os
import random
import sqlite3
import subprocess
import threading

import pypdfium2
import pytest
import zxingcpp

from tests.printers.conftest import IppFake, TcpPrinter


@pytest.fixture
def held(open_shop):
    """A shop whose labels are bought elsewhere: 30 held labels with documents, nothing printed."""
    shop = open_shop(orders=40, seed=4, carrier="tiktok")
    shop.allocated()
    return shop


@pytest.fixture
def ipp():
    server = IppFake()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def printed(shop):
    """Return (package, position) of labels that count as printed."""
    return shop.query("SELECT package_id, position FROM labels WHERE printed_at IS NOT NULL ORDER BY position")


def pages_of(pdf):
    """Return per page its size in points and the codes on it at 203 dpi."""
    with pypdfium2.PdfDocument(pdf) as document:
        found = []
        for page in document:
            picture = page.render(scale=203 / 72, grayscale=True).to_pil()
            codes = [code.bytes.replace(b"\x1d", b"").decode() for code in zxingcpp.read_barcodes(picture)]
            found.append((page.get_size(), codes, page.get_textpage().get_text_range()))
            page.close()
        return found


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_labels_count_as_printed_once_the_printer_says_so(held, ipp):
    ipp.next_states = [[(5, "job-printing"), (6, "media-empty-report"), (5, "job-printing")]]
    finished = held.run("print-labels", "--printer", ipp.uri, "--json")
    bought = finished.summary["bought"]
    assert finished.summary["on_paper"] == bought == len(printed(held)) > 10
    (job,) = ipp.jobs
    assert ipp.complaints == []
    assert job.title == f"tiktok-erp B01-001..{bought:03d}"
    assert len(pages_of(job.document)) == bought
    again = held.run("print-labels", "--printer", ipp.uri, "--json")
    assert again.summary["on_paper"] == 0
    assert len(ipp.jobs) == 1


def test_jobs_have_a_hundred_labels_or_as_many_as_files_hold_and_printers_share_them(held, ipp):
    with_second = IppFake()
    thread = threading.Thread(target=with_second.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        ipp.next_states = [[(5, "job-printing")] * 2] * 9
        with_second.next_states = [[(5, "job-printing")] * 2] * 9
        held.run("print-labels", "--printer", ipp.uri, "--printer", with_second.uri, "--files-of", "4")
    finally:
        with_second.shutdown()
        thread.join()
        with_second.server_close()
    assert ipp.jobs and with_second.jobs
    texts = [page[2] for job in ipp.jobs + with_second.jobs for page in pages_of(job.document)]
    assert len(texts) == len(printed(held))
    assert all(len(pages_of(job.document)) <= 4 for job in ipp.jobs + with_second.jobs)
    assert len(set(texts)) == len(texts)


def test_a_printer_that_is_off_leaves_the_batch_to_the_next_run(held, ipp):
    off = held.run("print-labels", "--printer", "ipp://127.0.0.1:9/ipp/print", expect=3)
    assert "switch it on" in off.stderr
    assert printed(held) == []
    held.run("print-labels", "--printer", ipp.uri)
    assert len(ipp.jobs) == 1
    assert len(printed(held)) == len(held.ledger()["purchases"])


def test_a_printer_that_is_off_leaves_the_jobs_to_the_others(held, ipp):
    held.run("print-labels", "--printer", "tcp://127.0.0.1:9", "--printer", ipp.uri)
    assert len(printed(held)) == len(held.ledger()["purchases"])


@pytest.mark.parametrize("state", [(8, "aborted-by-system"), (7, "job-canceled-by-user")])
def test_after_a_jam_somebody_looks_at_the_paper_and_the_rest_is_printed_once(held, ipp, state):
    ipp.next_states = [[(5, "job-printing"), state]]
    jammed = held.run("print-labels", "--printer", ipp.uri, expect=3)
    assert "--resume-from B01-001" in jammed.stderr
    assert printed(held) == []
    waiting = held.run("print-labels", "--printer", ipp.uri)
    assert "may or may not be on paper" in waiting.stderr
    assert len(ipp.jobs) == 1
    held.run("print-labels", "--resume-from", "B01-006", "--printer", ipp.uri)
    labels = len(held.ledger()["purchases"])
    assert len(pages_of(ipp.jobs[1].document)) == labels - 5
    assert len(printed(held)) == labels


def test_a_job_without_an_answer_is_never_sent_again_by_itself(held, ipp):
    ipp.faults = ["drop_after"]
    held.run("print-labels", "--printer", ipp.uri, expect=3)
    held.run("print-labels", "--printer", ipp.uri)
    held.run("print-labels")
    assert len(ipp.jobs) == 1
    assert printed(held) == []
    held.run("print-labels", "--resume-from", "B01-001")
    assert len(printed(held)) == len(held.ledger()["purchases"])


def test_a_run_killed_while_the_printer_prints_is_settled_by_asking(held, ipp):
    ipp.next_states = [[(5, "job-printing")] * 1000]
    with held.folder.start("print-labels", "--printer", ipp.uri, stdout=subprocess.DEVNULL) as process:
        while not ipp.jobs or len(ipp.jobs[0].states) > 998:
            assert process.poll() is None
        process.kill()
        process.communicate()
    ipp.jobs[0].states.clear()
    held.run("print-labels", "--printer", ipp.uri)
    assert len(ipp.jobs) == 1
    assert len(printed(held)) == len(held.ledger()["purchases"])


def test_killed_at_random_instants_no_label_is_printed_twice(held, ipp):
    dice, kills = random.Random(3), 0
    command = ("print-labels", "--quiet", "--files-of", "3", "--printer", ipp.uri)
    while kills < 14 and held.folder.run_killed(*command, after_s=dice.uniform(0.1, 1.2), expect=(0, 3)):
        kills += 1
    held.run(*command, expect=(0, 3))
    assert kills > 3
    numbers = [code for job in ipp.jobs for page in pages_of(job.document) for code in page[1]]
    assert len(numbers) == len(set(numbers))
    doubtful = held.query("SELECT first, last FROM print_jobs WHERE state IN ('unknown', 'failed')")
    labels = len(held.ledger()["purchases"])
    assert labels - len(printed(held)) == sum(job["last"] - job["first"] + 1 for job in doubtful)
    assert held.disagreements() == []


@pytest.fixture
def viewer(held, tmp_path):
    """A program that opens PDFs; gives the file in which it writes down what it was asked to open."""
    folder = tmp_path / "programs"
    folder.mkdir()
    told = tmp_path / "opened"
    (folder / "xdg-open").write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >> "{told}"\n', "utf-8")
    (folder / "xdg-open").chmod(0o755)
    held.folder.environment["PATH"] = f"{folder}:{held.folder.environment['PATH']}"
    return told


def test_what_a_viewer_shows_counts_as_printed_when_a_person_says_so(held, viewer):
    opened = held.run("print-labels", "--printer", "open")
    labels = len(held.ledger()["purchases"])
    (path,) = viewer.read_text("utf-8").splitlines()
    assert len(pages_of(path)) == labels > 10
    assert f"B01-001..{labels:03d} is open in the viewer" in opened.stdout
    assert "as the printer says" not in opened.stdout
    assert printed(held) == []
    again = held.run("print-labels", "--printer", "open", "--json")
    assert "may or may not be on paper" in again.stderr
    assert len(viewer.read_text("utf-8").splitlines()) == 1
    confirmed = held.run("print-labels", "--resume-from", f"B01-{labels + 1:03d}")
    assert f"{labels} labels count as printed" in confirmed.stdout
    assert len(printed(held)) == labels
    assert held.run("print-labels", "--printer", "open").stderr == ""
    assert len(viewer.read_text("utf-8").splitlines()) == 1


@pytest.mark.parametrize(("typed", "on_paper"), [("y", True), ("n", False), ("\x04", False)])
def test_on_a_terminal_it_asks_whether_all_is_on_paper(held, viewer, typed, on_paper):
    ours, theirs = os.openpty()
    command = ("print-labels", "--limit", "2", "--yes", "--printer", "open")
    with held.folder.start(*command, stdin=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(ours, 1000)
        assert b"B01-001..002 is open in the viewer" in shown
        os.write(ours, typed.encode() + (b"" if typed == "\x04" else b"\n"))
        process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0
    assert len(printed(held)) == 2 * on_paper


def test_the_rest_of_a_batch_is_opened_from_the_label_after_the_last_one_on_paper(held, viewer):
    held.run("print-labels", "--printer", "open", "--quiet")
    labels = len(held.ledger()["purchases"])
    line = held.run("print-labels", "--resume-from", "B01-006", "--printer", "open", "--json").of("print_job")
    assert [(job["result"], job["cause"], job["positions"]) for job in line] == [
        ("skipped", "to_confirm", f"B01-006..{labels:03d}")
    ]
    assert len(pages_of(viewer.read_text("utf-8").splitlines()[1])) == labels - 5
    assert [row["position"] for row in printed(held)] == [1, 2, 3, 4, 5]


def test_zpl_goes_out_on_port_9100(held):
    printer = TcpPrinter()
    try:
        held.run("print-labels", "--limit", "3", "--printer", f"tcp://127.0.0.1:{printer.port}")
    finally:
        printer.close()
    assert b"".join(printer.jobs).count(b"^XA") == 3
    assert len(printed(held)) == 3


def test_a_cancelled_order_is_taken_out_of_its_job(held, ipp):
    held.run("print-labels", "--printer", "ipp://127.0.0.1:9/ipp/print", expect=3, environment={})
    with sqlite3.connect(held.folder.db) as connection:
        package = connection.execute("SELECT package_id FROM labels WHERE position = 2").fetchone()[0]
        connection.execute(
            "UPDATE orders SET base_state = 'cancelled', is_open = 0 WHERE order_id IN"
            " (SELECT order_id FROM package_orders WHERE package_id = ?)",
            (package,),
        )
    held.run("print-labels", "--printer", ipp.uri, "--stale-ok")
    assert len(pages_of(ipp.jobs[0].document)) == len(held.ledger()["purchases"]) - 1
    assert package not in {row["package_id"] for row in printed(held)}
    pulls = held.run("print-labels", "--pull-list", "--json").of("pull")
    assert [(pull["package_id"], pull["cause"]) for pull in pulls] == [(package, "order_cancelled")]
    assert "cancelled" in held.run("print-labels", "--pull-list").stdout


def test_two_stations_at_once_print_each_package_once(held, tmp_path):
    held.run("print-labels", "--out", "bought", "--printer", "ipp://127.0.0.1:9/ipp/print", expect=3)
    with sqlite3.connect(held.folder.db) as connection:
        connection.execute("DELETE FROM print_jobs")
    names = ["north", "south", "east"]
    running = [held.folder.start("print-labels", "--station", name, "--files-of", "5", "--out", name) for name in names]
    for process in running:
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stdout + stderr
    packages = [row["package_id"] for name in names for row in read(held.folder.path / name / "packages.csv")]
    assert len(packages) == len(set(packages)) == 15
    assert held.folder.column("SELECT count(DISTINCT station) FROM batches WHERE station IS NOT NULL") == [3]
    assert held.folder.value("SELECT count(*) FROM claims") == 0


def test_a_crashed_stations_claim_ends(held):
    held.run("print-labels", "--out", "bought", "--printer", "ipp://127.0.0.1:9/ipp/print", expect=3)
    labels = len(held.ledger()["purchases"])
    with sqlite3.connect(held.folder.db) as connection:
        connection.execute("DELETE FROM print_jobs")
        until = "strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '+5 minutes')"
        connection.execute(
            f"INSERT INTO claims SELECT package_id, 'dead', 9, {until} FROM labels WHERE source = 'tiktok' LIMIT 4"
        )
    held.run("print-labels", "--station", "north")
    assert len(printed(held)) == labels - 4
    with sqlite3.connect(held.folder.db) as connection:
        connection.execute("UPDATE claims SET until = '2020-01-01T00:00:00Z'")
    held.run("print-labels", "--station", "north")
    assert len(printed(held)) == labels


@pytest.mark.parametrize(
    ("paper", "size", "on_sheet"),
    [("letter", (792, 612), 2), ("a4", (841.89, 595.28), 2), ("4x6", (288, 432), 1), ("a6", (297.64, 419.53), 1)],
)
def test_labels_on_any_paper_scan_at_full_size(held, paper, size, on_sheet):
    held.run("print-labels", "--paper", paper)
    rows = read(held.folder.path / "packages.csv")
    sheets = pages_of(held.folder.path / "labels.pdf")
    assert len(sheets) == -(-len(rows) // on_sheet)
    for number, (sheet, codes, text) in enumerate(sheets, start=1):
        assert sheet == pytest.approx(size, abs=0.1)
        expected = [row for row in rows if int(row["page"]) == number]
        assert 1 <= len(expected) <= on_sheet
        for row in expected:
            assert any(code.endswith(row["tracking_number"]) for code in codes), (codes, row)
            assert row["position"] in text


def test_files_of_five_hold_every_label_once(held):
    held.run("print-labels", "--files-of", "5")
    rows = read(held.folder.path / "packages.csv")
    files = sorted(held.folder.path.glob("labels-*.pdf"))
    texts = [page[2] for path in files for page in pages_of(path)]
    assert len(files) == -(-len(rows) // 5)
    for row, text in zip(rows, texts, strict=True):
        assert row["position"] in text
    assert not (held.folder.path / "labels.pdf").exists()


def test_reprints_by_batch_position_and_range(held):
    held.run("print-labels")
    rows = read(held.folder.path / "packages.csv")
    for name, expected in (
        ("B01", rows),
        ("B01-003", rows[2:3]),
        ("B01-002..004", rows[1:4]),
        ("b1-2..B1-4", rows[1:4]),
        (rows[4]["package_id"], rows[4:5]),
        (rows[4]["order_id"], rows[4:5]),
    ):
        held.run("labels", "reprint", name)
        pages = pages_of(held.folder.path / "reprint.pdf")
        assert [row["position"] in page[2] for row, page in zip(expected, pages, strict=True)] == [True] * len(expected)
    held.run("labels", "reprint", "B09", expect=3)


def test_lists_name_every_package_once(held):
    held.run("print-labels")
    folder = held.folder.path
    rows = read(folder / "packages.csv")
    manifests = [row for path in folder.glob("manifest-*.csv") for row in read(path)]
    assert sorted(row["tracking_number"] for row in manifests) == sorted(row["tracking_number"] for row in rows)
    bags = read(folder / "bags.csv")
    assert sorted(" ".join(bag["positions"] for bag in bags).split()) == [row["position"] for row in rows]


def test_header_pages_go_before_runs_and_carry_no_barcode(held):
    rules = held.folder.rules.read_text("utf-8")
    held.folder.rules.write_text(rules + "printing: {header_pages: true}\n", "utf-8")
    held.run("print-labels")
    rows = read(held.folder.path / "packages.csv")
    pages = pages_of(held.folder.path / "labels.pdf")
    assert len(pages) > len(rows)
    for row in rows:
        assert row["position"] in pages[int(row["page"]) - 1][2]
    headers = [page for number, page in enumerate(pages, start=1) if str(number) not in {row["page"] for row in rows}]
    assert headers
    assert all(page[1] == [] for page in headers)


def test_header_pages_go_to_the_printer_and_into_what_is_left_of_a_batch(held, ipp):
    rules = held.folder.rules.read_text("utf-8")
    held.folder.rules.write_text(rules + "printing: {header_pages: true}\n", "utf-8")
    held.run("print-labels", "--printer", ipp.uri, "--files-of", "4")
    batch = held.folder.path / "shop.batches" / "B01" / "labels.pdf"
    whole = [page[2] for page in pages_of(batch)]
    assert len(whole) > len(printed(held))
    assert [page[2] for job in ipp.jobs for page in pages_of(job.document)] == whole
    held.run("print-labels", "--resume-from", "B01-001")
    assert [page[2] for page in pages_of(held.folder.path / "labels.pdf")] == whole
    assert not (held.folder.path / "header-pages.csv").exists()


def test_a_header_page_opens_the_file_of_its_labels(held):
    rules = held.folder.rules.read_text("utf-8")
    held.folder.rules.write_text(rules + "printing: {header_pages: true}\n", "utf-8")
    held.run("print-labels", "--files-of", "1")
    for path in held.folder.path.glob("labels-*.pdf"):
        assert len(pages_of(path)[-1][1]) == 1, "a label, and no header, is the last page"


@pytest.mark.parametrize("paper", ["letter", "4x6"])
def test_the_pages_that_are_told_are_those_of_the_file(held, paper):
    told = held.run("print-labels", "--paper", paper).stdout
    assert f" labels on {len(pages_of(held.folder.path / 'labels.pdf'))} pages: " in told
    told = held.run("labels", "reprint", "B01-001..3", "--paper", paper).stdout
    assert f"3 labels on {len(pages_of(held.folder.path / 'reprint.pdf'))} pages: " in told


def test_the_batch_folders_list_counts_the_pages_beside_it(held):
    held.run("print-labels", "--paper", "letter")
    folder = held.folder.path / "shop.batches" / "B01"
    pages = pages_of(folder / "labels.pdf")
    for row in read(folder / "packages.csv"):
        assert row["position"] in pages[int(row["page"]) - 1][2]


def test_positions_that_are_none_are_refused(held):
    held.run("print-labels", "--limit", "1")
    assert "B07-063" in held.run("print-labels", "--resume-from", "seven", expect=2).stderr
    held.run("print-labels", "--resume-from", "B01-099", expect=2)
    held.run("print-labels", "--paper", "a3", expect=2)
    held.run("print-labels", "--printer", "ftp://x", expect=2)
