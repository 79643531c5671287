"""What goes wrong at a seller's desk: each ends with its exit code, a message that says what to do next, and nothing lost."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tiktok_erp.simulator.numbers import usps_number

EXPORT = Path(__file__).parents[2] / "examples" / "seller-center-export.csv"
PLANTED = "a-value-that-nobody-may-see"


@pytest.fixture
def orders(folder):
    """A folder without credentials that holds the example export."""
    folder.write_rules()
    folder.run("sync", "--from", EXPORT)
    return folder


@pytest.fixture(scope="module")
def untouched(tmp_path_factory, make_folder):
    """Such a folder for tests that change nothing in it."""
    folder = make_folder(tmp_path_factory.mktemp("untouched"))
    folder.write_rules()
    folder.run("sync", "--from", EXPORT)
    return folder


@pytest.fixture
def html_host():
    """The URL of a server that answers everything with a page."""
    yield from _serve(b"<html><body>Down for maintenance</body></html>", "text/html")


@pytest.fixture
def refusing_host():
    """The URL of a server that knows no request any more."""
    body = {"code": 36009014, "message": "The API version is retired", "request_id": "2026", "data": None}
    yield from _serve(json.dumps(body).encode(), "application/json")


def _serve(body, kind):
    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - a name of the base class

        def log_message(self, format, *args):
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    serving.join()


def _refused(folder, *arguments, code, environment=None):
    """Run a command that must be refused; return what it said. Nothing in the database may have changed."""
    content = folder.dump() if folder.db.exists() else None
    finished = folder.run(*arguments, expect=code, environment=environment)
    assert finished.stderr.startswith("error: ")
    assert "\n  next: " in finished.stderr
    assert "Traceback" not in finished.stderr
    if content is not None:
        assert folder.dump() == content
    return finished.stderr


def _export_with(path, change):
    """Write the example export to `path`, each row as `change` returns it."""
    with EXPORT.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows, header = [change(dict(row)) for row in reader], reader.fieldnames
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)


# Rules


def test_a_fault_in_the_rules_is_named_with_its_line_and_nothing_is_done(orders):
    text = orders.rules.read_text("utf-8")
    line = next(number for number, row in enumerate(text.splitlines(), start=1) if "service_level: ground}" in row)
    orders.rules.write_text(text.replace("service_level: ground}", "service_level: groun}"), "utf-8")
    told = _refused(orders, "allocate", code=5)
    assert f"rules.yaml:{line}" in told
    assert "groun" in told


def test_rules_check_lists_every_fault(orders):
    orders.rules.write_text("shop: {name: x, kind: global}\ncarriers: 7\nspendings: {}\n", "utf-8")
    finished = orders.run("rules", "check", expect=5)
    assert [f"rules.yaml:{number}" in finished.stdout for number in (1, 2, 3)] == [True, True, True]


def test_allocate_needs_a_rules_file(orders):
    orders.rules.unlink()
    assert "rules.yaml" in _refused(orders, "allocate", code=5)


# Stock


def test_an_unknown_sku_is_bad_usage(orders):
    assert "NO-SUCH-SKU" in _refused(orders, "stock", "show", "NO-SUCH-SKU", code=2)


def test_a_sku_that_was_never_counted_holds_no_order_back(orders):
    orders.run("stock", "set", "LIP-ROSE-01", "100")
    told = orders.run("reserve-stock", "--no-push").stderr
    assert "never counted" in told
    assert orders.value("SELECT count(*) FROM reservations WHERE state = 'short'") == 0
    assert orders.run("allocate", "--no-wait", "--json").summary["allocated"] > 8


def test_a_sheet_with_one_bad_row_is_not_taken_over_at_all(orders):
    (orders.path / "sheet.csv").write_text("sku,quantity\nLIP-ROSE-01,10\nLIP-PLUM-02,many\n", "utf-8")
    assert "sheet.csv:3" in _refused(orders, "stock", "import", "sheet.csv", code=2)


# Files


@pytest.mark.parametrize("share", [0.35, 0.8])
def test_an_export_that_was_cut_off_is_refused_with_the_line(folder, share):
    content = EXPORT.read_bytes()
    cut = content[: int(len(content) * share)]
    cut = cut[: cut.rindex(b",")]
    (folder.path / "cut.csv").write_bytes(cut)
    folder.run("init", "--quiet")
    lines = len(list(csv.reader(io.StringIO(cut.decode("utf-8-sig")))))
    assert f"cut.csv:{lines}" in _refused(folder, "sync", "--from", "cut.csv", code=2)
    assert folder.value("SELECT count(*) FROM orders") == 0


def test_an_id_that_a_spreadsheet_mangled_is_refused_with_the_line(folder):
    def mangle(row):
        return row | {"Order ID": "5.76E+17"} if "8783117" in row["Order ID"] else row

    _export_with(folder.path / "mangled.csv", mangle)
    folder.run("init", "--quiet")
    told = _refused(folder, "sync", "--from", "mangled.csv", code=2)
    assert "mangled.csv:6" in told
    assert "5.76E+17" in told


@pytest.mark.parametrize("name", ["missing.csv", "missing.pdf"])
def test_a_file_that_is_not_there_is_bad_usage(orders, name):
    assert name in _refused(orders, "print-labels", "--from", name, code=2)


def test_a_picture_is_no_export(folder):
    folder.run("init", "--quiet")
    (folder.path / "photo.csv").write_bytes(bytes(range(256)) * 20)
    _refused(folder, "sync", "--from", "photo.csv", code=2)


def test_bad_rows_of_a_tracking_list_fail_alone_with_their_lines(orders):
    orders.run("allocate", "--no-wait", "--quiet")
    good = {"576461413038779926": usps_number(61), "576461413038783117": usps_number(62)}
    first, second = good.items()
    wrong_digit = first[1][:-1] + str((int(first[1][-1]) + 1) % 10)
    rows = [first, ("5.76461E+17", usps_number(63)), ("576461413038768464", "9.40019E+21")]
    rows += [("576461413038765193", wrong_digit), second]
    (orders.path / "tracking.csv").write_text(
        "order_id,carrier,tracking_number\n" + "".join(f"{order},usps,{number}\n" for order, number in rows), "utf-8"
    )
    finished = orders.run("print-labels", "--from", "tracking.csv", "--json", expect=3)
    assert [line["line"] for line in finished.of("row", result="failed")] == [3, 4]
    assert [line["cause"] for line in finished.of("package", result="failed")] == ["bad_tracking_number"]
    held = orders.query(
        "SELECT o.channel_order_id AS order_id, l.tracking_number FROM labels l JOIN package_orders USING (package_id)"
        " JOIN orders o USING (order_id) WHERE l.source = 'file'"
    )
    assert {row["order_id"]: row["tracking_number"] for row in held} == good


def test_an_order_without_an_address_fails_once_and_then_waits_quietly(folder):
    def forget(row):
        if "8756214" not in row["Order ID"]:
            return row
        empty = ("Recipient", "Phone #", "Country", "State", "City", "Zipcode", "Address Line 1", "Address Line 2")
        return row | dict.fromkeys(empty, "")

    _export_with(folder.path / "export.csv", forget)
    an_hour_ago = time.time() - 3600
    os.utime(folder.path / "export.csv", (an_hour_ago, an_hour_ago))
    folder.write_rules()
    folder.run("sync", "--from", "export.csv")
    first = folder.run("allocate", expect=3)
    assert "no delivery address" in first.stderr
    assert folder.value("SELECT count(*) FROM v_packages WHERE state = 'allocated'") > 8
    assert folder.query("SELECT order_id, cause FROM v_quarantine") == [
        {"order_id": "tiktok:576461413038756214", "cause": "no_address"}
    ]
    second = folder.run("allocate")
    assert len(second.stderr.splitlines()) == 1
    assert "tiktok-erp quarantine" in second.stderr
    assert "no_address: 1" in folder.run("quarantine").stdout
    _export_with(folder.path / "corrected.csv", dict)
    folder.run("sync", "--from", "corrected.csv")
    assert folder.run("allocate", "--json").summary["allocated"] == 1
    assert folder.query("SELECT * FROM v_quarantine") == []


# The database


def test_no_database_is_a_setting_to_correct(folder):
    assert "tiktok-erp init" in _refused(folder, "status", code=5)
    assert list(folder.path.iterdir()) == []


def test_a_database_that_another_process_holds_is_left_alone(orders):
    with closing(sqlite3.connect(orders.db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "another process" in _refused(orders, "allocate", code=7)


def test_a_newer_database_is_left_alone(orders):
    with closing(sqlite3.connect(orders.db)) as connection:
        connection.execute("PRAGMA user_version = 999")
    assert "newer" in _refused(orders, "allocate", code=7)


def test_a_file_that_is_no_database_is_left_alone(folder):
    folder.db.write_text("dear diary\n" * 100, "utf-8")
    finished = folder.run("allocate", expect=7)
    assert "next:" in finished.stderr
    assert folder.db.read_text("utf-8").startswith("dear diary")


def test_somebody_elses_database_is_left_alone(folder):
    with closing(sqlite3.connect(folder.db)) as connection:
        connection.execute("CREATE TABLE diary (entry TEXT)")
        connection.commit()
    assert "not a database of tiktok-erp" in folder.run("allocate", expect=7).stderr
    with closing(sqlite3.connect(folder.db)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("diary",)]


def test_the_credentials_of_another_shop_are_refused(open_shop):
    shop = open_shop(orders=24)
    shop.run("init", "--quiet")
    with closing(sqlite3.connect(shop.folder.db)) as connection:
        connection.execute("INSERT INTO meta VALUES ('shop', '7495000000000000001')")
        connection.commit()
    for command in (("sync",), ("stock", "import", "--from-channel", "tiktok"), ("sync", "--dry-run")):
        told = _refused(shop.folder, *command, code=5)
        assert "7495000000000000001" in told
    assert shop.ledger()["writes"] == {}


# Sign-in


def test_a_wrong_secret_is_refused_and_never_told(open_shop):
    shop = open_shop(orders=24)
    shop.run("sync", "--quiet")
    shop.folder.planted.add(PLANTED)
    told = _refused(shop.folder, "sync", code=4, environment={"TIKTOK_SHOP_APP_SECRET": PLANTED})
    assert "TIKTOK_SHOP_APP_SECRET" in told
    json_told = shop.run("sync", "--json", expect=4, environment={"TIKTOK_SHOP_APP_SECRET": PLANTED})
    assert json_told.errors[-1]["cause"] == "sign_in"


def test_missing_credentials_are_named(open_shop):
    shop = open_shop(orders=24)
    told = _refused(shop.folder, "sync", code=4, environment={"TIKTOK_SHOP_APP_SECRET": ""})
    assert "TIKTOK_SHOP_APP_SECRET" in told
    assert "sync --from FILE" in _refused(shop.folder, "sync", code=4, environment={"TIKTOK_SHOP_APP_KEY": ""})


def test_a_token_of_nobody_is_refused(open_shop):
    shop = open_shop(orders=24)
    wrong = {"TIKTOK_SHOP_ACCESS_TOKEN": PLANTED, "TIKTOK_SHOP_REFRESH_TOKEN": PLANTED + "-too"}
    shop.folder.planted.add(PLANTED)
    _refused(shop.folder, "sync", code=4, environment=wrong)


def test_an_address_without_encryption_is_refused(open_shop):
    shop = open_shop(orders=24)
    told = _refused(shop.folder, "sync", code=5, environment={"TIKTOK_SHOP_API_URL": "http://shop.example"})
    assert "TIKTOK_SHOP_API_URL" in told


def test_a_secrets_file_that_others_can_read_is_refused(orders):
    secrets = orders.path / "secrets.env"
    secrets.write_text(f"TIKTOK_SHOP_APP_KEY={PLANTED}\n", "utf-8")
    secrets.chmod(0o644)
    orders.planted.add(PLANTED)
    assert "chmod 600" in _refused(orders, "sync", code=5, environment={"TIKTOK_ERP_SECRETS": str(secrets)})


def test_credentials_from_a_secrets_file_open_the_shop(open_shop):
    shop = open_shop(orders=24)
    names = [name for name in shop.folder.environment if name.startswith("TIKTOK_SHOP_")]
    secrets = shop.folder.path / "secrets.env"
    secrets.write_text("".join(f"export {name}='{shop.folder.environment[name]}'\n" for name in names), "utf-8")
    secrets.chmod(0o600)
    shop.run("sync", environment={**dict.fromkeys(names, ""), "TIKTOK_ERP_SECRETS": str(secrets)})
    assert shop.folder.value("SELECT count(*) FROM orders") > 10


# The channel


def test_a_server_that_answers_html_is_down_and_nothing_is_lost(open_shop, html_host):
    shop = open_shop(orders=24)
    shop.run("sync", "--quiet")
    _refused(shop.folder, "sync", code=6, environment={"TIKTOK_SHOP_API_URL": html_host})


def test_data_that_is_too_old_is_not_spent_on(open_shop):
    shop = open_shop(orders=24, carrier="tiktok")
    shop.allocated()
    with closing(sqlite3.connect(shop.folder.db)) as connection:
        connection.execute("UPDATE cursors SET as_of = '2026-01-01T00:00:00Z'")
        connection.commit()
    assert "tiktok-erp sync" in _refused(shop.folder, "print-labels", code=6)
    assert shop.ledger()["purchases"] == []
    shop.run("print-labels", "--stale-ok", "--limit", "1")
    assert len(shop.ledger()["purchases"]) == 1


def test_a_label_whose_address_expired_is_fetched_by_the_next_run_and_not_bought_again(open_shop):
    shop = open_shop(orders=24, carrier="tiktok", faults="document_expired:1")
    shop.allocated()
    first = shop.run("print-labels", expect=3)
    assert "expired" in first.stderr
    assert "not bought twice" in first.stderr
    bought = len(shop.ledger()["purchases"])
    assert bought > 5
    assert shop.folder.column("SELECT package_id FROM labels WHERE printed_at IS NOT NULL") == []
    shop.simulator.dice.probabilities.clear()
    shop.run("print-labels")
    assert len(shop.ledger()["purchases"]) == bought
    assert shop.disagreements() == []
    assert shop.printed_twice_or_never() == []


def test_an_address_that_the_carrier_refuses_fails_once_and_the_others_are_bought(open_shop):
    shop = open_shop(orders=40, carrier="tiktok", faults="address_refused:0.2")
    shop.allocated()
    refused = {order for order in shop.due() if shop.simulator.dice.marks("address_refused", order)}
    assert 0 < len(refused) < len(shop.due())
    first = shop.run("print-labels", "--json", expect=3)
    assert {line["order_id"] for line in first.of("package", result="failed")} == {
        f"tiktok:{order}" for order in refused
    }
    assert {line["cause"] for line in first.of("package", result="failed")} == {"address_refused"}
    assert shop.shipped() == shop.due() - refused
    refusals = shop.ledger()["refusals"]
    assert shop.run("print-labels").code == 0
    assert shop.ledger()["refusals"] == refusals
    assert shop.run("quarantine", "--json").of("quarantine", cause="address_refused") != []


def test_a_second_start_of_the_same_command_says_so_and_ends_well(open_shop):
    shop = open_shop(orders=40, carrier="tiktok", latency_ms=150)
    shop.allocated()
    with shop.folder.start("print-labels") as process:
        shop.wait_for_a_purchase(process)
        second = shop.run("print-labels")
        assert process.poll() is None
        process.communicate(timeout=60)
    assert "already running" in second.stderr
    assert process.returncode == 0
    assert shop.disagreements() == []
    assert shop.printed_twice_or_never() == []


# Usage


@pytest.mark.parametrize(
    "arguments",
    [
        ("print-labels", "--colour"),
        ("no-such-command",),
        ("--lang", "xx", "status"),
        ("print-labels", "--max-cost", "plenty"),
        ("print-labels", "--limit", "few"),
        ("sync", "--since", "yesterday"),
        ("sync", "--channel", "shopify"),
        ("stock", "set", "LIP-ROSE-01"),
        ("stock", "set", "LIP-ROSE-01", "5", "--weight", "heavy"),
        ("stock", "import"),
        ("labels", "reprint"),
        ("orders", "show", "no-such-order"),
        ("init", "--market", "mars"),
    ],
    ids=" ".join,
)
def test_bad_usage_ends_with_2_and_changes_nothing(untouched, arguments):
    content = untouched.dump()
    finished = untouched.run(*arguments, expect=2)
    assert finished.stderr
    assert "Traceback" not in finished.stderr
    assert untouched.dump() == content


def test_a_fault_of_the_tool_itself_ends_with_1_and_tells_places_only(open_shop):
    shop = open_shop(orders=24)
    guard = shop.folder.path / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(
        "import sys\n\ndef fail(event, arguments):\n    if event == 'socket.connect':\n"
        f"        raise RuntimeError({PLANTED!r})\n\nsys.addaudithook(fail)\n",
        "utf-8",
    )
    shop.folder.planted.add(PLANTED)
    finished = shop.run("sync", expect=1, environment={"PYTHONPATH": str(guard)})
    assert "RuntimeError at " in finished.stderr
    assert "tiktok-erp check" in finished.stderr
    shop.run("sync")


def test_a_fetch_that_is_refused_as_a_whole_is_a_failure_that_alerts_count(open_shop, refusing_host):
    shop = open_shop(orders=3)
    shop.run("sync", "--quiet")
    for _time in range(3):
        said = _refused_fetch(shop, refusing_host)
    assert "36009014" in said and "newer tiktok-erp" in said
    alerts = [json.loads(line) for line in shop.run("alerts", "list", "--json").stdout.splitlines()]
    assert [row["alert"] for row in alerts if row["kind"] == "alert"] == ["sync_failing"]


def _refused_fetch(shop, host):
    return shop.run("sync", "--quiet", expect=6, environment={"TIKTOK_SHOP_API_URL": host}).stderr
