"""`doctor`: each point that can be wrong is found, named and given a next step, and nothing is changed by looking."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import pytest

POINTS = {
    "python",
    "sqlite",
    "database",
    "elsewhere",
    "disk",
    "rules",
    "label_store",
    "secrets_file",
    "settings",
    "token_file",
    "tokens",
    "api",
    "sign_in",
    "clock",
    "scopes",
    "shop",
    "freshness",
    "fetching",
    "alerts",
    "connection",
    "quarantine",
    "unsettled",
    "own_labels",
    "fonts",
    "printing",
}
CLOSED = "http://127.0.0.1:9"


def look(place, *, expect=0, **options):
    """Run doctor; return its points by name, the first of each."""
    points = {}
    for line in place.run("doctor", "--json", expect=expect, **options).of("point"):
        points.setdefault(line["name"], line)
    return points


def levels(points):
    return {name: point["level"] for name, point in points.items()}


def write(place, sql, *values):
    db = getattr(place, "folder", place).db
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(sql, values)


def ago(**length):
    return (datetime.now(UTC) - timedelta(**length)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def working(tmp_path_factory, simulated):
    """A shop with everything in order but alerts; the tests that share it leave it as it is."""
    path = tmp_path_factory.mktemp("working")
    with simulated(path, orders=8) as shop:
        shop.run("auth", "refresh", "--quiet")
        shop.hide()
        shop.run("sync", "--quiet")
        yield shop


@pytest.fixture
def files(folder):
    """A folder of somebody who works from files."""
    folder.run("init", "--quiet")
    return folder


# All is well, or nothing is there


def test_where_all_is_well_no_point_is_a_fault(working):
    points = look(working)
    assert points.keys() == POINTS
    found = levels(points)
    assert {name for name, level in found.items() if level == "skipped"} <= {"secrets_file", "connection", "printing"}
    assert {name for name, level in found.items() if level in ("fault", "warning")} <= {"alerts", "disk", "scopes"}
    assert points["shop"]["owner"] == "simulated"


def test_looking_changes_nothing(working):
    before = working.folder.files(), working.folder.dump(), working.folder.value("SELECT count(*) FROM runs")
    working.run("doctor")
    after = working.folder.files(), working.folder.dump(), working.folder.value("SELECT count(*) FROM runs")
    assert after == before


def test_in_an_empty_folder_it_says_what_to_do_and_makes_no_file(folder):
    points = look(folder, expect=3)
    assert points.keys() == POINTS
    assert points["database"]["level"] == "fault"
    assert "init" in points["database"]["next_step"]
    assert list(folder.path.iterdir()) == []


def test_an_empty_file_is_left_as_it_is(folder):
    folder.db.touch()
    assert look(folder, expect=3)["database"]["cause"] == "no_database"
    assert folder.db.stat().st_size == 0


def test_without_credentials_and_network_the_rest_is_looked_at(files):
    points = look(files)
    assert "fault" not in levels(points).values()
    for name in ("settings", "api", "sign_in", "clock", "scopes", "shop", "tokens"):
        assert (name, points[name]["level"], points[name]["cause"]) == (name, "skipped", "no_credentials")
    assert "working from files" in files.run("doctor").stdout


def test_every_point_is_one_object_with_a_known_result(files):
    finished = files.run("doctor", "--json")
    results = {"ok": "done", "warning": "done", "fault": "failed", "skipped": "skipped"}
    for point in finished.of("point"):
        assert point["result"] == results[point["level"]]
        assert point["text"]
    assert finished.summary["warnings"] == [point["level"] for point in finished.of("point")].count("warning")
    assert finished.summary["faults"] == 0


def test_each_warning_and_fault_has_a_next_step(folder):
    for point in folder.run("doctor", "--json", expect=3).of("point"):
        assert point["level"] not in ("warning", "fault") or point["next_step"]


def test_for_people_there_is_a_line_for_each_point_and_the_next_step_under_it(folder):
    lines = folder.run("doctor", expect=3).stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("fault: "))
    assert lines[place + 1].startswith("  next: ")
    assert sum(line.startswith(("ok: ", "warning: ", "fault: ", "skipped: ")) for line in lines) == len(POINTS)


def test_quiet_tells_the_faults_alone(folder):
    finished = folder.run("doctor", "--quiet", expect=3)
    assert finished.stdout == ""
    assert "there is no database here" in finished.stderr
    assert "Python" not in finished.stderr


# The machine and its files


def test_a_file_that_is_no_database_is_a_fault(folder):
    folder.db.write_bytes(b"not a database at all" * 100)
    assert look(folder, expect=3)["database"]["level"] == "fault"


def test_broken_rules_are_told_with_every_fault_and_the_rest_is_looked_at(files):
    files.rules.write_text("carriers: 5\nnonsense: 1\n", "utf-8")
    points = look(files, expect=3)
    assert points["rules"]["level"] == "fault"
    assert len(points["rules"]["faults"]) == 2
    assert points["quarantine"]["level"] == "ok"
    assert "rules.yaml:2" in files.run("doctor", expect=3).stdout


def test_missing_rules_are_a_warning_and_a_fault_when_they_were_named(files):
    files.rules.unlink()
    assert look(files)["rules"]["level"] == "warning"
    assert look(files, expect=3, environment={"TIKTOK_ERP_RULES": "none.yaml"})["rules"]["level"] == "fault"


def test_a_label_store_that_is_no_folder_is_a_fault(files):
    (files.path / "shop.labels").touch()
    assert look(files, expect=3)["label_store"]["cause"] == "not_writable"


def test_a_label_store_that_others_can_look_into_is_a_warning(files):
    (files.path / "shop.labels").mkdir(mode=0o755)
    (files.path / "shop.labels").chmod(0o755)
    point = look(files)["label_store"]
    assert (point["level"], point["cause"]) == ("warning", "open_to_others")


def test_a_database_of_an_older_version_is_left_for_the_next_command(files):
    write(files, "DELETE FROM migrations WHERE number > 1")
    write(files, "PRAGMA user_version = 1")
    before = files.files()
    assert look(files)["database"]["cause"] == "older_version"
    assert files.files() == before


# Settings and tokens


def test_a_secrets_file_that_others_can_read_is_a_fault(files):
    secrets = files.path / "secrets.env"
    secrets.write_text("TIKTOK_SHOP_APP_KEY=k\n")
    secrets.chmod(0o644)
    points = look(files, expect=3, environment={"TIKTOK_ERP_SECRETS": str(secrets)})
    assert points["secrets_file"]["level"] == "fault"
    assert "chmod 600" in points["secrets_file"]["next_step"]
    assert points["api"]["level"] == "skipped"


def test_a_secrets_file_of_ones_own_is_in_order(files):
    secrets = files.path / "secrets.env"
    secrets.write_text("")
    secrets.chmod(0o600)
    assert look(files, environment={"TIKTOK_ERP_SECRETS": str(secrets)})["secrets_file"]["level"] == "ok"


def test_a_missing_app_secret_is_a_fault(files):
    points = look(files, expect=3, environment={"TIKTOK_SHOP_APP_KEY": "k"})
    assert points["settings"]["level"] == "fault"
    assert "TIKTOK_SHOP_APP_SECRET" in points["settings"]["text"]


def test_an_app_without_tokens_is_sent_to_sign_in(files):
    app = {"TIKTOK_SHOP_APP_KEY": "k", "TIKTOK_SHOP_APP_SECRET": "s"}
    points = look(files, expect=3, environment=app)
    assert points["tokens"]["cause"] == "no_tokens"
    assert "auth login" in points["tokens"]["next_step"]
    assert points["api"]["level"] == "skipped"


def test_an_address_without_https_is_a_fault(files):
    app = {"TIKTOK_SHOP_APP_KEY": "k", "TIKTOK_SHOP_APP_SECRET": "s", "TIKTOK_SHOP_API_URL": "http://api.example"}
    assert look(files, expect=3, environment=app)["settings"]["level"] == "fault"


def test_a_token_file_that_others_can_read_is_a_fault(shop):
    shop.run("auth", "refresh", "--quiet")
    shop.hide()
    (shop.folder.path / "shop.db.tokens").chmod(0o644)
    point = look(shop, expect=3)["token_file"]
    assert point["cause"] == "open_to_others"
    assert "chmod 600" in point["next_step"]


def test_a_consent_that_ends_soon_is_a_warning(shop):
    shop.run("auth", "refresh", "--quiet")
    shop.hide()
    path = shop.folder.path / "shop.db.tokens"
    content = json.loads(path.read_text())
    content["consents"][0]["refresh_expires_at"] = ago(days=-20, hours=-12)
    path.write_text(json.dumps(content))
    point = look(shop)["tokens"]
    assert (point["level"], point["cause"], point["consent_days_left"]) == ("warning", "consent_ends", 20)


# The channel


@pytest.fixture
def set_up(shop):
    """A shop whose folder has a database and no orders."""
    shop.run("init", "--quiet")
    return shop


def test_an_address_where_nobody_answers_is_told(set_up):
    points = look(set_up, expect=3, environment={"TIKTOK_SHOP_API_URL": CLOSED})
    assert points["api"]["cause"] == "unreachable"
    assert [points[name]["level"] for name in ("sign_in", "clock", "shop")] == ["skipped"] * 3


def test_a_server_that_hangs_up_is_asked_once(set_up):
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            with suppress(OSError):
                while True:
                    connection, address = server.accept()
                    asked.append(address)
                    connection.close()

        listening = threading.Thread(target=hang_up)
        listening.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        points = look(set_up, expect=3, environment={"TIKTOK_SHOP_API_URL": url})
        server.shutdown(socket.SHUT_RDWR)
        listening.join()
    assert points["api"]["cause"] == "unreachable"
    assert len(asked) == 1


def test_a_refresh_token_alone_is_sent_to_be_exchanged(set_up):
    point = look(set_up, environment={"TIKTOK_SHOP_ACCESS_TOKEN": ""})["api"]
    assert (point["level"], point["cause"]) == ("skipped", "no_access_token")


def test_credentials_that_are_not_accepted_are_a_fault(set_up):
    points = look(set_up, expect=3, environment={"TIKTOK_SHOP_APP_SECRET": "wrong"})
    assert points["api"]["level"] == "ok"
    assert points["sign_in"]["level"] == "fault"
    assert "TIKTOK_SHOP_APP_SECRET" in points["sign_in"]["next_step"]


def test_a_token_that_has_ended_is_a_warning_and_is_not_renewed_here(set_up):
    grant = set_up.simulator.accounts.newest()
    grant.revoked = True
    points = look(set_up)
    assert (points["sign_in"]["level"], points["sign_in"]["cause"]) == ("warning", "token_ended")
    assert points["api"]["level"] == "ok"
    assert set_up.simulator.accounts.newest() is grant


def test_a_server_that_is_out_of_order_is_a_fault(open_shop):
    shop = open_shop(orders=8, faults="html_502:1")
    shop.run("init", "--quiet")
    assert look(shop, expect=3)["api"]["level"] == "fault"


@pytest.mark.parametrize(
    ("fault", "least", "level"),
    [("clock_skew", 390, {"fault"}), ("clock_4min_behind", 230, {"warning", "fault"})],
)
def test_a_clock_that_differs_is_told(open_shop, fault, least, level):
    shop = open_shop(orders=8, faults=f"{fault}:1")
    shop.run("init", "--quiet")
    point = look(shop, expect=(0, 3))["clock"]
    assert point["level"] in level
    assert abs(point["skew_s"]) > least


def test_scopes_that_a_command_cannot_do_without_are_a_fault(open_shop):
    shop = open_shop(orders=8, scopes="seller.authorization.info,seller.order.info")
    shop.run("auth", "refresh", "--quiet")
    shop.hide()
    point = look(shop, expect=3)["scopes"]
    assert point["level"] == "fault"
    assert "seller.fulfillment.basic" in point["next_step"]
    assert point["missing_scopes"]["print-labels"] == ["seller.fulfillment.basic"]


def test_a_scope_that_only_adds_something_is_a_warning(open_shop):
    from tiktok_erp.simulator.options import SCOPES

    scopes = ",".join(scope for scope in SCOPES if scope != "seller.affiliate_collaboration.read")
    shop = open_shop(orders=8, scopes=scopes)
    shop.run("auth", "refresh", "--quiet")
    shop.hide()
    point = look(shop)["scopes"]
    assert point["level"] == "warning"
    assert "creators and commissions" in point["text"]


def test_a_database_of_another_shop_is_a_fault(set_up):
    write(set_up, "INSERT INTO meta VALUES ('shop', '7495000000000000001')")
    point = look(set_up, expect=3)["shop"]
    assert point["cause"] == "other_shop"
    assert "7495000000000000001" in point["next_step"]


def test_several_shops_without_a_choice_are_a_fault(open_shop):
    shop = open_shop(orders=8, shops=2)
    shop.folder.environment["TIKTOK_SHOP_CIPHER"] = ""
    shop.run("init", "--quiet")
    point = look(shop, expect=3)["shop"]
    assert point["cause"] == "shop_not_chosen"
    assert len(point["shops"]) == 2


# The data and the work


def test_old_orders_are_told_with_the_commands_that_refuse_them(set_up):
    write(set_up, "INSERT INTO cursors VALUES ('tiktok', 'orders', NULL, ?)", ago(minutes=12))
    point = look(set_up)["freshness"]
    assert (point["level"], point["cause"], point["resource"]) == ("warning", "stale", "orders")
    assert 700 < point["age_s"] < 800
    assert "`print-labels`" in point["text"]
    assert "`upload-tracking`" not in point["text"]


def test_old_data_of_somebody_who_works_from_files_is_no_warning(files):
    write(files, "INSERT INTO cursors VALUES ('tiktok', 'orders_file', NULL, ?)", ago(days=3))
    point = look(files)["freshness"]
    assert (point["level"], point["text"]) == ("ok", "tiktok orders, from a file: 3 days old")


def test_a_sync_that_ran_lately_is_in_order(set_up):
    _ran(set_up, ago(minutes=3), ago(minutes=2), 0)
    assert look(set_up)["fetching"]["level"] == "ok"


@pytest.mark.parametrize(
    ("started", "ended", "code", "cause"),
    [
        ({"hours": 5}, {"hours": 4}, 0, "not_watched"),
        ({"hours": 5}, {"hours": 4}, 130, "not_watched"),
        ({"minutes": 2}, {"minutes": 1}, 6, "sync_failed"),
    ],
)
def test_a_sync_that_stopped_or_failed_is_a_warning(set_up, started, ended, code, cause):
    _ran(set_up, ago(**started), ago(**ended), code)
    point = look(set_up)["fetching"]
    assert (point["level"], point["cause"]) == ("warning", cause)


def test_a_sync_that_was_killed_is_a_warning_and_one_that_lives_is_none(set_up):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    _ran(set_up, ago(minutes=2), None, None, process_id=ended.pid)
    assert look(set_up)["fetching"]["cause"] == "sync_killed"
    _ran(set_up, ago(hours=9), None, None, process_id=os.getpid())
    assert look(set_up)["fetching"]["level"] == "ok"


def test_no_alert_address_is_a_warning_and_one_is_in_order(files):
    assert look(files)["alerts"]["cause"] == "no_alerts"
    text = files.rules.read_text("utf-8")
    lines = ["alerts: {to: [json://127.0.0.1:9/]}" if line.startswith("alerts:") else line for line in text.split("\n")]
    files.rules.write_text("\n".join(lines), "utf-8")
    point = look(files)["alerts"]
    assert (point["level"], point["addresses"]) == ("ok", 1)


def test_an_open_alarm_is_a_warning(files):
    write(files, "INSERT INTO alerts (kind, detail, opened_at) VALUES ('sync_failing', 'd', ?)", ago(minutes=4))
    point = look(files)["alerts"]
    assert (point["cause"], point["open"]) == ("alert_open", ["sync_failing"])


def test_a_bad_connection_is_told_for_its_endpoint(files):
    for number in range(40):
        for endpoint, outcome, latency in (("/good", "ok", 200), ("/bad", "failed" if number < 4 else "ok", 4000)):
            write(
                files, "INSERT INTO api_calls VALUES (?, 'tiktok', ?, ?, ?)", ago(hours=1), endpoint, outcome, latency
            )
    points = {line["endpoint"]: line for line in files.run("doctor", "--json").of("point", name="connection")}
    assert {endpoint: point["level"] for endpoint, point in points.items()} == {
        "/good": "ok",
        "/bad": "warning",
        "total": "warning",
    }
    assert (points["/bad"]["success_rate"], points["/bad"]["p95_ms"]) == (0.9, 4000)


def test_open_cases_and_purchases_without_an_answer_are_warnings(files):
    write(
        files,
        "INSERT INTO outbox (kind, subject, idempotency_key, payload, state, intent_at)"
        " VALUES ('mark_shipped', 'tiktok:1', 'k', '{}', 'unknown', ?)",
        ago(hours=1),
    )
    write(files, "INSERT INTO packages (package_id, channel, planned_at) VALUES ('P000001', 'tiktok', ?)", ago(hours=1))
    write(
        files,
        "INSERT INTO quarantine (package_id, cause, detail, next_step, since) VALUES ('P000001', 'no_rule', 'd', 'n', ?)",
        ago(hours=1),
    )
    points = look(files)
    assert (points["quarantine"]["level"], points["quarantine"]["cases"]) == ("warning", 1)
    assert (points["unsettled"]["level"], points["unsettled"]["uploads"]) == ("warning", 1)


def _ran(place, started, ended, code, *, process_id=1):
    write(
        place,
        "INSERT INTO runs (command, process_id, started_at, ended_at, exit_code) VALUES ('sync', ?, ?, ?, ?)",
        process_id,
        started,
        ended,
        code,
    )


# Own labels and printers


def test_easypost_without_a_key_or_with_a_wrong_one_is_a_fault(files):
    rules = files.rules.read_text("utf-8").replace("seller_shipping: file", "seller_shipping: easypost")
    files.rules.write_text(rules, "utf-8")
    assert look(files, expect=3)["own_labels"]["cause"] == "no_credentials"
    off = {"EASYPOST_API_KEY": "EZAKplanted", "EASYPOST_API_URL": CLOSED}
    files.planted.add("EZAKplanted")
    assert look(files, expect=3, environment=off)["own_labels"]["cause"] == "not_sent"


def test_a_printer_of_the_rules_must_be_there(files):
    rules = files.rules.read_text("utf-8")
    files.rules.write_text(rules + "printing: {printers: [nowhere-at-all]}\n", "utf-8")
    assert look(files, expect=3)["printing"]["cause"] == "no_queue"
    files.rules.write_text(rules + "printing: {printers: ['tcp://127.0.0.1:9100']}\n", "utf-8")
    assert look(files)["printing"]["level"] == "ok"
