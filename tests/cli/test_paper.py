"""What is on paper: every batch keeps its file, nothing counts before somebody said so, and foreign files are called that."""

from __future__ import annotations

import csv
import os
import shutil
import sqlite3

import pypdfium2
import pytest


@pytest.fixture
def held(open_shop):
    """A shop whose labels are bought batch by batch."""
    shop = open_shop(orders=40, seed=4, carrier="tiktok")
    shop.allocated()
    return shop


def batch(shop, *options, labels=3):
    return shop.run("print-labels", "--limit", str(labels), "--out", "today", *options)


def texts_of(path):
    with pypdfium2.PdfDocument(path) as document:
        return [page.get_textpage().get_text_range() for page in document]


def not_on_paper(shop):
    return shop.run("status", "--json").of("status")[0]["batches_not_on_paper"]


def test_every_batch_keeps_a_file_of_its_own_and_labels_pdf_is_the_newest(held):
    for number in (1, 2, 3):
        finished = batch(held)
        assert (
            f"PDF written: 3 labels on 3 pages: today/B{number:02d}-labels.pdf (batch B{number:02d})" in finished.stdout
        )
    today = held.folder.path / "today"
    for number in (1, 2, 3):
        stamps = [f"B{number:02d}-{place:03d}" for place in (1, 2, 3)]
        pages = texts_of(today / f"B{number:02d}-labels.pdf")
        assert [stamp in text for stamp, text in zip(stamps, pages, strict=True)] == [True] * 3
        with (today / f"B{number:02d}-packages.csv").open(encoding="utf-8", newline="") as file:
            assert [row["position"] for row in csv.DictReader(file)] == stamps
        assert (today / f"B{number:02d}-pick-list.pdf").exists()
        assert (today / f"B{number:02d}-packing-slips.pdf").exists()
    for name in ("labels.pdf", "packages.csv", "pick-list.pdf", "packing-slips.pdf"):
        assert (today / name).read_bytes() == (today / f"B03-{name}").read_bytes()


def test_what_nobody_called_printed_is_named_with_its_files_until_somebody_does(held):
    batch(held)
    told = batch(held).stdout
    assert "not on paper, as far as anybody said: B01-B02 (6 labels)" in told
    assert "today/B01-labels.pdf" in told
    assert "`tiktok-erp labels printed B01..B02`" in told
    assert not_on_paper(held) == ["B01", "B02"]
    assert "6: B01-B02" in held.run("status").stdout
    dry = held.run("labels", "printed", "B01..B02", "--dry-run", "--json")
    assert len(dry.of("package", result="planned")) == 6
    assert not_on_paper(held) == ["B01", "B02"]
    assert "3 labels are on paper, as you say" in held.run("labels", "printed", "B01").stdout
    assert not_on_paper(held) == ["B02"]
    part = held.run("labels", "printed", "B02-001..2", "B01", "--json")
    assert (len(part.of("package", result="done")), len(part.of("package", cause="known"))) == (2, 3)
    assert (part.summary["not_on_paper"], part.summary["batches_not_on_paper"]) == (1, ["B02"])
    package = held.folder.value("SELECT package_id FROM labels WHERE batch_id = 2 AND position = 3")
    held.run("labels", "printed", package)
    assert not_on_paper(held) == []
    again = held.run("print-labels", "--limit", "0", "--json").summary
    assert (again["not_on_paper"], again["batches_not_on_paper"]) == (0, [])
    listed = held.run("labels", "list", "--json").of("label", batch_id=1)
    assert [row["on_paper_at"] is not None for row in listed] == [True] * 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("B09", "B02"),
        ("B01..B09", "there is no batch B09"),
        ("B02..B01", "B01..B02"),
        ("B01-009", "B01-001..003"),
        ("B01-002..009", "B01 has 3 labels"),
    ],
)
def test_batches_that_are_none_are_refused_and_the_nearest_named(held, name, said):
    batch(held)
    batch(held)
    refused = held.run("labels", "printed", name, "B01", expect=2)
    assert said in refused.stderr
    assert not_on_paper(held) == ["B01", "B02"]


def test_a_cancelled_or_voided_label_is_no_missing_paper(held):
    batch(held)
    cancelled, voided, _stays = held.folder.column("SELECT package_id FROM labels WHERE batch_id = 1 ORDER BY position")
    with sqlite3.connect(held.folder.db) as connection:
        connection.execute(
            "UPDATE orders SET base_state = 'cancelled', is_open = 0 WHERE order_id IN"
            " (SELECT order_id FROM package_orders WHERE package_id = ?)",
            (cancelled,),
        )
        connection.execute("UPDATE labels SET state = 'voided', voided_at = bought_at WHERE package_id = ?", (voided,))
    assert held.run("status", "--json").of("status")[0]["not_on_paper"] == 1


def test_what_the_carrier_has_is_on_paper(held):
    batch(held)
    with sqlite3.connect(held.folder.db) as connection:
        connection.execute("UPDATE packages SET scanned_at = '2026-12-01T00:00:00Z'")
    assert not_on_paper(held) == []


@pytest.mark.parametrize(("typed", "left"), [("y", []), ("n", ["B01", "B02"]), ("\x04", ["B01", "B02"])])
def test_on_a_terminal_the_next_run_asks_whether_the_pdfs_are_on_paper(held, typed, left):
    batch(held)
    batch(held)
    ours, theirs = os.openpty()
    command = ("print-labels", "--limit", "0", "--out", "today")
    with held.folder.start(*command, stdin=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(ours, 1000)
        assert b"Is all of B01-B02 (6 labels) on paper?" in shown
        os.write(ours, typed.encode() + (b"" if typed == "\x04" else b"\n"))
        process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0
    assert not_on_paper(held) == left


def test_a_run_killed_before_its_copies_were_made_makes_them_the_next_time(held):
    batch(held)
    with sqlite3.connect(held.folder.db) as connection:
        connection.execute("UPDATE batches SET copied_at = NULL")
    shutil.rmtree(held.folder.path / "today")
    batch(held, labels=2)
    today = held.folder.path / "today"
    assert "B01-001" in texts_of(today / "B01-labels.pdf")[0]
    assert (today / "labels.pdf").read_bytes() == (today / "B02-labels.pdf").read_bytes()


def test_a_folder_that_takes_no_copies_loses_nothing_and_gets_them_the_next_time(held):
    in_the_way = held.folder.path / "today" / "pick-list.pdf"
    (in_the_way / "full").mkdir(parents=True)
    refused = held.run("print-labels", "--limit", "3", "--out", "today", expect=7)
    assert "it is whole in" in refused.stderr
    assert held.folder.value("SELECT count(*) FROM labels WHERE printed_at IS NOT NULL") == 3
    shutil.rmtree(in_the_way)
    held.run("print-labels", "--limit", "0", "--out", "today")
    assert (held.folder.path / "today" / "labels.pdf").exists()
    assert in_the_way.is_file()


def test_files_of_a_batch_that_this_database_does_not_know_are_not_overwritten(held):
    batch(held)
    older = (held.folder.path / "today" / "B01-labels.pdf").read_bytes()
    for path in held.folder.path.glob("shop.db*"):
        path.unlink()
    held.run("init", "--quiet")
    held.allocated()
    with sqlite3.connect(held.folder.db) as connection:
        assert connection.execute("SELECT count(*) FROM batches").fetchone() == (0,)
    batch(held)
    assert (held.folder.path / "today" / "B01-labels.pdf").read_bytes() == older
    assert (held.folder.path / "today" / "B02-labels.pdf").exists()


def test_a_labels_pdf_of_the_sellers_own_is_set_aside(held):
    today = held.folder.path / "today"
    today.mkdir()
    (today / "labels.pdf").write_bytes(b"%PDF-1.4 from Seller Center")
    (today / "labels-1.pdf").write_bytes(b"%PDF-1.4 more of it")
    told = batch(held)
    assert (today / "labels-before-B01.pdf").read_bytes() == b"%PDF-1.4 from Seller Center"
    assert (today / "labels-1.pdf").read_bytes() == b"%PDF-1.4 more of it"
    assert "labels-before-B01.pdf" in told.stderr


def test_deleted_files_of_a_batch_are_made_again(held):
    batch(held)
    batch(held)
    today, folder = held.folder.path / "today", held.folder.path / "shop.batches" / "B01"
    before = texts_of(today / "B01-labels.pdf")
    shutil.rmtree(today)
    shutil.rmtree(folder)
    held.run("labels", "reprint", "B01", "--out", "today")
    assert texts_of(today / "B01-labels.pdf") == before == texts_of(folder / "labels.pdf")
    assert (today / "B01-pick-list.pdf").exists()
    assert not (today / "labels.pdf").exists()
    with sqlite3.connect(held.folder.db) as connection:
        connection.execute(
            "UPDATE labels SET state = 'voided', voided_at = bought_at WHERE batch_id = 1 AND position = 2"
        )
    shutil.rmtree(today)
    shutil.rmtree(folder)
    held.run("labels", "reprint", "B01", "--out", "today")
    pages = texts_of(today / "B01-labels.pdf")
    assert (pages[0], pages[2]) == (before[0], before[2])
    assert "no label here any more" in pages[1].replace("\r\n", " ")


def test_a_printer_that_does_not_exist_is_refused_before_anything_is_bought(held, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "lpstat").write_text("#!/bin/sh\nprintf 'zebra\\nlaser\\n'\n", "utf-8")
    (programs / "lpstat").chmod(0o755)
    held.folder.environment["PATH"] = f"{programs}:{held.folder.environment['PATH']}"
    refused = held.run("print-labels", "--printer", "zebr", expect=2)
    assert "there is no printer zebr" in refused.stderr
    assert "did you mean zebra?" in refused.stderr
    no_host = held.run("print-labels", "--printer", "tcp://no-such-host.invalid:9100", expect=2)
    assert "no machine is called no-such-host.invalid" in no_host.stderr
    rules = held.folder.rules.read_text("utf-8")
    held.folder.rules.write_text(rules + "printing: {printers: [zebr]}\n", "utf-8")
    assert "rules.yaml" in held.run("print-labels", expect=5).stderr
    assert held.ledger()["purchases"] == []
    held.folder.rules.write_text(rules, "utf-8")
    batch(held)
    held.run("labels", "reprint", "B01", "--printer", "zebr", expect=2)


def test_with_nothing_to_print_no_printer_is_said_to_have_printed(held):
    finished = held.run("print-labels", "--limit", "0", "--printer", "tcp://127.0.0.1:9")
    assert "nothing to print" in finished.stdout
    assert "as the printer says" not in finished.stdout


# Label files of another day or shop


def taken(shop, *files, expect=0):
    return shop.run("print-labels", "--from", *files, "--out", "today", expect=expect)


def test_a_foreign_label_file_is_called_that_once(held, open_shop):
    other = open_shop("other", orders=60, seed=77, carrier="tiktok")
    other.allocated()
    other.run("print-labels", "--quiet")
    pages = len(texts_of(other.folder.path / "labels.pdf"))
    shutil.copy(other.folder.path / "labels.pdf", held.folder.path / "theirs.pdf")
    said = taken(held, "theirs.pdf", expect=3).stderr
    assert said.count("failed:") == 1
    assert f"theirs.pdf: {pages} pages are labels of orders that are not in this database (pages 1-{pages}; " in said
    assert "by hand" not in said
    assert "quarantine" not in said
    every = held.run("print-labels", "--from", "theirs.pdf", "--json", expect=3)
    assert len(every.of("page", cause="unknown_order")) == pages


def test_yesterdays_label_file_is_labelled_already(held, open_shop):
    held.run("print-labels", "--quiet")
    shutil.copy(held.folder.path / "labels.pdf", held.folder.path / "yesterday.pdf")
    with sqlite3.connect(held.folder.db) as connection:
        connection.execute("UPDATE packages SET scanned_at = '2026-12-01T00:00:00Z'")
    finished = taken(held, "yesterday.pdf")
    pages = len(texts_of(held.folder.path / "yesterday.pdf"))
    assert f"yesterday.pdf: {pages} pages are labels of orders that were labelled already" in finished.stderr
    assert f"{pages} were held already" in finished.stdout


def test_a_file_that_is_no_label_is_called_that(held):
    held.run("print-labels", "--limit", "2", "--quiet")
    said = taken(held, "pick-list.pdf", expect=3).stderr
    assert said.count("failed:") == 1
    assert "by hand" not in said


def test_an_old_list_says_once_that_its_orders_are_unknown(held):
    rows = [f"5769999999999990{number:02d},usps,94001112062064062607{number:02d}" for number in range(30)]
    (held.folder.path / "old.csv").write_text("order_id,carrier,tracking_number\n" + "\n".join(rows), "utf-8")
    said = taken(held, "old.csv", expect=3).stderr
    assert said.count("failed:") == 1
    assert "old.csv: 30 rows name orders that are not in this database (rows 2-31; 576999999999999000, " in said
    assert "quarantine" not in said


@pytest.mark.parametrize("name", ["labels-of-today.pdf", "list.csv", "Some Labels.PDF"])
def test_a_file_without_from_is_asked_about(held, name):
    said = held.run("print-labels", name, expect=2).stderr
    assert "did you mean `tiktok-erp print-labels --from " in said
    assert "sync" not in said
