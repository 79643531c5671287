"""`backup` and `restore`: whole, private, at any instant, and a database that does not know what it missed asks first."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import time
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.test_easypost_labels import open_desk

__all__ = ["open_desk"]  # a fixture


def batches(folder):
    """Return how often each tracking number stands in a batch on disk, whatever database knows of it."""
    import csv
    from collections import Counter

    found = Counter()
    for path in sorted(folder.path.glob("shop.batches/B*/packages.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found.update(row["tracking_number"] for row in csv.DictReader(file))
    return found


@pytest.fixture(params=["backup", "copied by hand"])
def put_back(request):
    """Return two functions: keep a database as it is now, and put it back, with the commands or by hand."""
    is_by_hand = request.param == "copied by hand"

    def keep(folder):
        if is_by_hand:
            with closing(sqlite3.connect(folder.db)) as old, closing(sqlite3.connect(folder.path / "kept")) as new:
                old.backup(new)
        else:
            folder.run("backup", "kept")

    def back(folder):
        if is_by_hand:
            for name in ("shop.db-wal", "shop.db-shm"):
                (folder.path / name).unlink(missing_ok=True)
            shutil.copy(folder.path / "kept", folder.db)
        else:
            folder.run("restore", "kept")

    return keep, back


def refused(shop, *more):
    """Everything that spends or publishes ends with 5 and says what to do."""
    for command in (["print-labels"], ["reserve-stock"], ["labels", "scan-form"], *more):
        ended = shop.run(*command, expect=5)
        assert "tiktok-erp sync" in ended.stderr


def test_yesterdays_backup_of_a_shop_with_labels_of_tiktok(open_shop, put_back):
    keep, back = put_back
    shop = open_shop(orders=24, seed=4, carrier="tiktok")
    shop.allocated()
    shop.run("print-labels", "--limit", "3", "--out", "first")
    keep(shop.folder)
    shop.run("print-labels", "--out", "second")
    sold = len(shop.ledger()["purchases"])
    assert sold > 10
    back(shop.folder)
    refused(shop)
    shop.run("sync")
    again = shop.run("print-labels", "--json")
    assert again.summary["printed"] == 0
    assert len(shop.ledger()["purchases"]) == sold
    listed = shop.run("labels", "adopt", "--dry-run", "--json").of("package", result="planned")
    listed = shop.run("labels", "list", "--json", *(line["package_id"] for line in listed)).of("label", on_request=1)
    assert len(listed) == sold - 3
    assert {line["cost_minor"] for line in listed} == {None}
    assert max(batches(shop.folder).values()) == 1
    assert f"{sold - 3} labels" in shop.run("check").stdout
    assert shop.run("status", "--json").lines[0]["bought_elsewhere"] == sold - 3
    # One after the other, on request: and then they are held like any other.
    one = listed[0]["package_id"]
    adopted = shop.run("labels", "adopt", one, "--out", "again", "--json")
    assert adopted.summary["printed"] == 1
    shop.run("labels", "reprint", one, "--out", "again")
    shop.run("labels", "adopt", "--out", "rest")
    assert set(batches(shop.folder).values()) == {1, 2}
    assert shop.run("labels", "adopt", "--json").summary["printed"] == 0
    assert shop.folder.value("SELECT count(*) FROM labels WHERE state = 'bought' AND sha256 IS NOT NULL") == sold
    assert shop.ledger()["violations"] == []


def test_yesterdays_backup_of_a_shop_with_labels_of_easypost(open_desk, put_back):
    keep, back = put_back
    desk = open_desk()
    desk.shop.allocated()
    desk.run("print-labels", "--limit", "3", "--out", "first")
    keep(desk.folder)
    desk.run("print-labels", "--out", "second")
    sold = len(desk.account.purchases)
    back(desk.folder)
    refused(desk, ["upload-tracking"])
    desk.run("sync")
    again = desk.run("print-labels", "--json")
    assert (again.summary.get("bought", 0), again.summary["printed"]) == (0, 0)
    assert len(desk.account.purchases) == sold
    assert desk.disagreements() == []
    assert set(batches(desk.folder).values()) == {1}
    adopted = desk.run("labels", "adopt", "--json")
    assert adopted.summary["printed"] == sold - 3
    desk.run("upload-tracking")
    assert desk.shop.shipped() == desk.shop.due()
    desk.run("check", "--quiet")


@pytest.mark.parametrize("way", ["list", "reference"])
def test_a_source_that_tells_in_one_way_only_is_understood(open_desk, way):
    desk = open_desk()
    desk.account.lists_purchases, desk.account.finds_references = way == "list", way == "reference"
    desk.shop.allocated()
    desk.run("backup", "kept.zip")
    desk.run("print-labels", "--out", "first")
    sold = len(desk.account.purchases)
    desk.run("restore", "kept.zip")
    desk.run("labels", "reconcile")
    desk.run("print-labels")
    assert len(desk.account.purchases) == sold
    assert desk.disagreements() == []


def test_what_was_bought_under_a_package_id_by_an_older_version_is_found_by_where_it_goes(open_desk):
    desk = open_desk()
    desk.shop.allocated()
    desk.run("backup", "kept.zip")
    desk.run("print-labels", "--out", "first")
    sold = len(desk.account.purchases)
    # Two databases number their packages differently.
    for number, shipment in enumerate(reversed(list(desk.account.shipments.values())), start=1):
        shipment["reference"] = f"P{number:06d}"
    desk.run("restore", "kept.zip")
    desk.run("sync")
    desk.run("print-labels")
    assert len(desk.account.purchases) == sold
    assert desk.folder.value("SELECT count(*) FROM labels WHERE state = 'bought' AND on_request = 1") == sold


def test_a_label_that_was_given_back_since_the_backup_is_void_and_not_printed(open_desk):
    desk = open_desk()
    desk.shop.allocated()
    desk.run("print-labels", "--limit", "3")
    package = desk.bought()
    desk.run("backup", "kept.zip")
    desk.run("labels", "void", package, "--yes")
    desk.run("restore", "kept.zip")
    desk.run("sync")
    assert (
        desk.folder.value("SELECT state FROM labels WHERE package_id = ? ORDER BY label_id DESC", package) == "voided"
    )
    desk.run("allocate")
    desk.run("print-labels")
    assert desk.disagreements() == []
    assert len({sale["reference"] for sale in desk.account.purchases}) == len(desk.account.purchases)


def test_a_database_stays_behind_while_its_label_source_cannot_be_asked(open_desk):
    desk = open_desk()
    desk.shop.allocated()
    desk.run("print-labels", "--limit", "1")
    desk.run("backup", "kept.zip")
    desk.run("restore", "kept.zip")
    desk.run("sync", expect=4, environment={"EASYPOST_API_KEY": ""})
    desk.run("print-labels", expect=5)
    desk.run("sync")
    desk.run("print-labels")
    assert desk.disagreements() == []


def test_batches_after_a_restore_leave_the_folders_of_later_ones_alone(open_shop):
    shop = open_shop(orders=24, seed=4, carrier="tiktok")
    shop.allocated()
    shop.run("print-labels", "--limit", "2")
    shop.run("backup", "kept.zip")
    shop.run("print-labels", "--limit", "4")
    shop.run("restore", "kept.zip")
    shop.run("sync")
    shop.run("print-labels")
    assert sorted(path.name for path in shop.folder.path.glob("shop.batches/B*")) == ["B01", "B02", "B03"]
    assert max(batches(shop.folder).values()) == 1


# The file


@pytest.fixture
def full(open_shop):
    """A shop with some labels."""
    shop = open_shop(orders=12, seed=4, carrier="tiktok")
    shop.allocated()
    shop.run("print-labels")
    return shop


def test_a_backup_holds_database_and_documents_and_no_secret(full):
    full.run("backup", "kept.zip", "--dry-run")
    assert not (full.folder.path / "kept.zip").exists()
    line = full.run("backup", "kept.zip", "--json").of("backup")[0]
    path = full.folder.path / "kept.zip"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert line["documents"] == full.folder.value("SELECT count(DISTINCT sha256) FROM labels WHERE sha256 IS NOT NULL")
    content = path.read_bytes()
    for secret in (full.simulator.app_secret, full.simulator.access_token, full.simulator.refresh_token):
        assert secret.encode() not in content
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert not [name for name in archive.namelist() if "token" in name or "mark" in name]
    full.run("backup", "kept.zip")  # an older one is replaced


def test_all_of_it_comes_back_where_everything_was_lost(full):
    full.run("backup", "kept.zip")
    before = full.folder.dump()
    for path in full.folder.path.glob("shop.*"):
        if path.name != "shop.db.tokens":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    full.run("restore", "kept.zip", "--dry-run")
    assert not full.folder.db.exists()
    full.run("restore", "kept.zip")
    after = full.folder.dump()
    for content in (before, after):
        content["meta"] = [row for row in content["meta"] if row[0] != "behind"]
    assert after == before
    full.run("sync")
    full.run("check", "--quiet")
    assert stat.S_IMODE(full.folder.db.stat().st_mode) == 0o600


def test_a_plain_copy_is_restored_too_and_says_what_it_lacks(full):
    shutil.copy(full.folder.db, full.folder.path / "old.db")
    shutil.rmtree(full.folder.path / "shop.labels")
    ended = full.run("restore", "old.db")
    held = full.folder.value("SELECT count(DISTINCT sha256) FROM labels WHERE sha256 IS NOT NULL")
    assert f"{held} label documents are missing" in ended.stderr


def test_a_stale_journal_is_not_played_over_what_was_restored(full):
    full.run("backup", "kept.zip")
    wal = full.folder.path / "shop.db-wal"
    with closing(sqlite3.connect(full.folder.db)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE orders SET seller_note = 'later'")
        connection.commit()
        torn, whole = wal.read_bytes(), full.folder.db.read_bytes()
    full.folder.db.write_bytes(whole)
    wal.write_bytes(torn)
    full.run("restore", "kept.zip")
    assert not wal.exists()
    assert full.folder.value("SELECT count(*) FROM orders WHERE seller_note = 'later'") == 0
    assert full.folder.value("PRAGMA integrity_check") == "ok"
    aside = next(full.folder.path.glob("shop.db.before-restore-*"))
    with closing(sqlite3.connect(aside)) as connection:
        assert connection.execute("SELECT count(*) FROM orders WHERE seller_note = 'later'").fetchone()[0] > 0


def test_a_ruined_database_is_replaced_and_kept_aside(full):
    full.run("backup", "kept.zip")
    full.folder.db.write_bytes(b"nothing of a database" * 100)
    (full.folder.path / "shop.db-wal").write_bytes(b"nothing of a journal")
    full.run("restore", "kept.zip")
    full.run("sync")
    full.run("check", "--quiet")
    kept = sorted(path.name for path in full.folder.path.glob("shop.db.before-restore-*"))
    assert kept[0] + "-wal" in kept


def test_nothing_is_restored_while_something_works_on_the_database(full):
    full.run("backup", "kept.zip")
    with full.folder.start("sync", "--watch", "--every", "10s") as watch:
        try:
            while not (full.folder.path / ".shop.db.sync.lock").exists() or not full.folder.value(
                "SELECT count(*) FROM runs WHERE ended_at IS NULL"
            ):
                time.sleep(0.05)
            assert "at work" in full.run("restore", "kept.zip", expect=7).stderr
        finally:
            watch.send_signal(signal.SIGTERM)
            watch.communicate()
    with closing(sqlite3.connect(full.folder.db)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM orders").fetchone()
        assert "at work" in full.run("restore", "kept.zip", expect=7).stderr
    assert not list(full.folder.path.glob("shop.db.before-restore-*"))
    full.run("restore", "kept.zip")


@pytest.mark.parametrize("name", ["text", "cut", "foreign", "empty", "other.zip"])
def test_a_file_that_is_no_backup_is_refused(full, name):
    path = full.folder.path / name
    if name == "text":
        path.write_text("not a backup")
    elif name == "cut":
        full.run("backup", "kept.zip")
        path.write_bytes((full.folder.path / "kept.zip").read_bytes()[:-3000])
    elif name == "foreign":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE something (x)")
    elif name == "other.zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("shop.db", b"x")
    else:
        path.touch()
    before = full.folder.dump()
    ended = full.run("restore", path, expect=2)
    assert "next: name a file" in ended.stderr
    assert full.folder.dump() == before
    full.run("backup", path, expect=2)  # and a file of somebody else's is not overwritten
    full.run("restore", "nowhere.zip", expect=2)
    full.run("backup", "shop.db", expect=2)


def test_a_backup_of_another_shop_or_a_newer_version_is_refused(full):
    full.run("backup", "kept.zip")
    shutil.copy(full.folder.db, full.folder.path / "copy.db")
    with closing(sqlite3.connect(full.folder.path / "copy.db")) as connection, connection:
        connection.execute("UPDATE meta SET value = '7495' WHERE key = 'shop'")
    full.run("restore", "copy.db", expect=5)
    with closing(sqlite3.connect(full.folder.path / "copy.db")) as connection, connection:
        connection.execute("INSERT INTO migrations VALUES (9999, 'later', '2027-01-01T00:00:00Z')")
    full.run("restore", "copy.db", expect=7)


def test_a_folder_that_cannot_be_written_to_is_told(full):
    full.run("backup", "nowhere/kept.zip", expect=7)


def test_killed_at_any_instant_a_backup_is_whole_or_not_there(full):
    path, delay = full.folder.path / "kept.zip", 0.05
    kills = 0
    while kills < 8 and delay < 3:
        with full.folder.start("backup", "kept.zip", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
        if path.exists():
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None
        delay += 0.11
    full.run("backup", "kept.zip")
    assert not list(full.folder.path.glob(".kept.zip.*"))


def test_killed_at_any_instant_a_restore_leaves_a_whole_database(full):
    full.run("backup", "kept.zip")
    delay = 0.05
    while delay < 1.5:
        with full.folder.start("restore", "kept.zip", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        assert full.folder.value("PRAGMA integrity_check") == "ok"
        assert full.folder.value("SELECT count(*) FROM labels WHERE state = 'bought'") > 3
        delay += 0.13
    full.run("restore", "kept.zip")
    full.run("sync")
    full.run("check", "--quiet")
    assert not list(full.folder.path.glob(".shop.db.restored*"))


def test_a_backup_made_while_others_write_is_whole(open_shop):
    shop = open_shop(orders=60, seed=4, carrier="tiktok")
    shop.allocated()
    with shop.folder.start("print-labels", "--quiet", stdout=subprocess.DEVNULL) as process:
        taken = 0
        while process.poll() is None and taken < 12:
            name = f"kept-{taken}.zip"
            shop.run("backup", name)
            taken += 1
            with zipfile.ZipFile(shop.folder.path / name) as archive:
                Path(shop.folder.path / "look.db").write_bytes(archive.read("shop.db"))
                names = set(archive.namelist())
            with closing(sqlite3.connect(shop.folder.path / "look.db")) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
                for (sha256,) in connection.execute("SELECT sha256 FROM labels WHERE sha256 IS NOT NULL"):
                    assert f"shop.labels/{sha256[:2]}/{sha256}.pdf" in names
        process.communicate()
    assert taken > 1
    shop.run("restore", "kept-0.zip")
    shop.run("sync")
    shop.run("print-labels")
    book = shop.ledger()
    assert book["violations"] == []
    assert max(batches(shop.folder).values()) == 1
