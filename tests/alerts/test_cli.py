"""`alerts test`, `alerts check` and `alerts list`, run as a person or cron runs them."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.conftest import TOKEN, Network, Receiver
from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import open_store, utc_now

LOCAL = {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1", "http_proxy": ""}


@pytest.fixture
def alarmed(folder: Any, receiver: Receiver) -> Any:
    """A folder whose alerts go to the receiver; it has no database yet."""
    folder.environment |= LOCAL | {"XDG_STATE_HOME": str(folder.path / "state")}
    folder.planted |= {TOKEN, str(receiver.port)}
    addresses(folder, receiver.url)
    return folder


def addresses(folder: Any, *urls: str) -> None:
    shipped = re.sub(r"(?m)^alerts:.*$", "", _shipped_rules())
    folder.rules.write_text(shipped + "alerts:\n  to:\n" + "".join(f"    - '{url}'\n" for url in urls), "utf-8")


def _shipped_rules() -> str:
    from tiktok_erp.config.rules_file import default_rules_text

    return default_rules_text()


def fetched(folder: Any, minutes_ago: float = 0) -> None:
    """Make the orders of the folder's database so old."""
    with open_store(folder.db, create=True) as store:
        store.execute(
            "INSERT INTO cursors VALUES ('tiktok', 'orders', NULL, ?) ON CONFLICT DO UPDATE SET as_of = excluded.as_of",
            (to_text(utc_now() - timedelta(minutes=minutes_ago)),),
        )


def test_fresh_orders_are_one_line_and_exit_0(alarmed: Any, receiver: Receiver) -> None:
    fetched(alarmed, 2)
    assert re.fullmatch(
        r"the orders are (2 min|1\d\d s) old; 5 min are allowed\n", alarmed.run("alerts", "check").stdout
    )
    quiet = alarmed.run("alerts", "check", "--quiet")
    assert (quiet.stdout, quiet.stderr, receiver.requests) == ("", "", [])


def test_the_cron_line_of_init_does_not_alarm_between_two_fetches_of_cron(alarmed: Any, receiver: Receiver) -> None:
    lines = alarmed.run("init").stdout.splitlines()
    [fetch] = [line for line in lines if " sync " in line]
    [watch] = [line for line in lines if " alerts check " in line]
    assert fetch.startswith("*/5 ") and watch.startswith("*/5 ")
    fetched(alarmed, 6)  # five minutes from fetch to fetch, and a minute for a slow one
    alarmed.run(*watch[watch.index("alerts check") :].split())
    assert receiver.requests == []


def test_fresh_orders_as_json(alarmed: Any) -> None:
    fetched(alarmed, 2)
    (line,) = alarmed.run("alerts", "check", "--max-age", "10m", "--json").of("freshness")
    assert 120 <= line["age_s"] < 180
    assert line["max_age_s"] == 600


def test_old_orders_are_told_once_and_their_end_once(alarmed: Any, receiver: Receiver) -> None:
    fetched(alarmed, 20)
    for _number in range(3):
        found = alarmed.run("alerts", "check", "--max-age", "5m", expect=6)
        assert "error: the orders are 20 min old; at most 5 min are allowed" in found.stderr
    fetched(alarmed)
    alarmed.run("alerts", "check")
    alarmed.run("alerts", "check")
    assert [request.body["type"] for request in receiver.requests] == ["failure", "success"]
    assert "orders are not being fetched" in receiver.titles[0]
    assert alarmed.run("alerts", "list").stdout.count("sync_stale") == 1


def test_a_dry_run_sends_and_writes_nothing(alarmed: Any, receiver: Receiver) -> None:
    fetched(alarmed, 20)
    alarmed.run("alerts", "check", "--dry-run", expect=6)
    assert (receiver.requests, alarmed.value("SELECT count(*) FROM alerts")) == ([], 0)


def test_a_missing_database_is_told_once_and_its_return_once(alarmed: Any, receiver: Receiver) -> None:
    for _number in range(2):
        alarmed.run("alerts", "check", expect=5)
    assert not alarmed.db.exists()
    (request,) = receiver.requests
    assert "the database cannot be used" in request.body["title"]
    assert "there is no database here" in request.body["message"]
    fetched(alarmed)
    alarmed.run("alerts", "check")
    alarmed.run("alerts", "check")
    assert [request.body["type"] for request in receiver.requests] == ["failure", "success"]
    assert not list(alarmed.path.glob(".*.alert"))


def test_a_database_that_returns_with_old_orders_is_not_told_again(alarmed: Any, receiver: Receiver) -> None:
    alarmed.run("alerts", "check", expect=5)
    fetched(alarmed, 20)
    alarmed.run("alerts", "check", expect=6)
    assert len(receiver.requests) == 1


def test_a_folder_that_is_missing_is_told_once_too(alarmed: Any, receiver: Receiver) -> None:
    for _number in range(2):
        alarmed.run("--db", "gone/shop.db", "alerts", "check", expect=5)
    assert len(receiver.requests) == 1
    assert not (alarmed.path / "gone").exists()


def test_a_damaged_database_is_told(alarmed: Any, receiver: Receiver) -> None:
    alarmed.db.write_bytes(b"no database at all" * 400)
    alarmed.run("alerts", "check", expect=7)
    assert "the database cannot be used" in receiver.titles[0]


def test_a_locked_database_is_told_once(alarmed: Any, receiver: Receiver) -> None:
    fetched(alarmed, 1)
    with closing(sqlite3.connect(alarmed.db, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        found = alarmed.run("alerts", "check", expect=7)
    assert "another process holds the database" in found.stderr
    assert "another process holds the database" in receiver.requests[0].body["message"]


def test_old_orders_are_told_even_while_another_process_writes(alarmed: Any, receiver: Receiver) -> None:
    fetched(alarmed, 20)
    with closing(sqlite3.connect(alarmed.db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        alarmed.run("alerts", "check", expect=6)
    assert len(receiver.requests) == 1
    alarmed.run("alerts", "check", expect=6)
    assert len(receiver.requests) == 1


def test_two_checks_at_once_send_one_message(alarmed: Any, receiver: Receiver) -> None:
    fetched(alarmed, 20)
    both = [alarmed.start("alerts", "check", stderr=subprocess.DEVNULL) for _number in range(3)]
    assert [process.communicate(timeout=60) and process.returncode for process in both] == [6, 6, 6]
    assert len(receiver.requests) == 1


def test_two_checks_at_once_without_a_database_send_one_message(alarmed: Any, receiver: Receiver) -> None:
    both = [alarmed.start("alerts", "check", stderr=subprocess.DEVNULL) for _number in range(3)]
    assert [process.communicate(timeout=60) and process.returncode for process in both] == [5, 5, 5]
    assert len(receiver.requests) == 1


def test_a_length_of_time_that_is_none_is_refused(alarmed: Any) -> None:
    assert "--max-age" in alarmed.run("alerts", "check", "--max-age", "soon", expect=2).stderr


def test_without_an_address_the_check_says_so(folder: Any) -> None:
    fetched(folder, 20)
    assert "no address for alerts is set" in folder.run("alerts", "check", expect=6).stderr
    assert folder.column("SELECT kind FROM alerts") == ["sync_stale"]


def test_the_test_message_reaches_every_address(alarmed: Any, receiver: Receiver, second_receiver: Receiver) -> None:
    addresses(alarmed, receiver.url, f"json://127.0.0.1:{second_receiver.port}/")
    found = alarmed.run("alerts", "test")
    assert found.stdout.splitlines() == ["address 1 (JSON): sent", "address 2 (JSON): sent"]
    for request in (*receiver.requests, *second_receiver.requests):
        assert request.body["title"] == "beauty-us: test message of tiktok-erp"
        assert request.body["type"] == "info"
    assert (len(receiver.requests), len(second_receiver.requests)) == (1, 1)


def test_the_test_says_which_address_failed(alarmed: Any, receiver: Receiver) -> None:
    addresses(alarmed, f"nosuchservice://{TOKEN}", receiver.url, "wecombot://${WECOM_KEY}")
    found = alarmed.run("alerts", "test", "--json", expect=3)
    lines = {line["number"]: (line["service"], line["result"]) for line in found.of("address")}
    assert lines == {1: ("nosuchservice", "failed"), 2: ("JSON", "done"), 3: ("wecombot", "failed")}


def test_a_dry_test_sends_nothing(alarmed: Any, receiver: Receiver) -> None:
    addresses(alarmed, receiver.url, "wecombot://${WECOM_KEY}")
    found = alarmed.run("alerts", "test", "--dry-run", expect=3)
    assert found.stdout == "address 1 (JSON): understood\n"
    assert "WECOM_KEY is not set, and entry 2 of alerts.to needs it" in found.stderr
    assert receiver.requests == []


def test_a_test_without_addresses_ends_with_5(folder: Any) -> None:
    assert "no address for alerts is set" in folder.run("alerts", "test", expect=5).stderr


def test_wecom_gets_the_text_of_the_alarm(alarmed: Any, network: Network) -> None:
    key = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"
    alarmed.planted |= {key}
    addresses(alarmed, "wecombot://${WECOM_KEY}")
    fetched(alarmed, 20)
    environment = network.environment | {"WECOM_KEY": key, "TIKTOK_ERP_LANG": "zh"}
    alarmed.run("alerts", "check", expect=6, environment=environment)
    (request,) = network.receiver.requests
    assert request.host == "qyapi.weixin.qq.com:443"
    assert request.path == f"/cgi-bin/webhook/send?key={key}"
    assert request.body["msgtype"] == "text"
    lines = request.body["text"]["content"].splitlines()
    assert lines[0].startswith("beauty-us")
    assert "20" in lines[1]
    assert "sync --watch" in lines[-1]


def test_a_refusal_that_wecom_hides_in_its_answer_is_seen(alarmed: Any, network: Network) -> None:
    addresses(alarmed, "wecombot://key")
    network.receiver.answer = {"errcode": 93000, "errmsg": "invalid webhook url"}
    found = alarmed.run("alerts", "test", expect=3, environment=network.environment)
    assert "address 1 (WeCom Bot): the service refused it (code 93000)" in found.stderr
    network.receiver.answer = {"errcode": 0}
    assert alarmed.run("alerts", "test", environment=network.environment).stdout == "address 1 (WeCom Bot): sent\n"


def test_a_certificate_of_nobody_we_know_gets_nothing(alarmed: Any, network: Network, tmp_path: Path) -> None:
    addresses(alarmed, "wecombot://key")
    stranger = {name: value for name, value in network.environment.items() if name != "REQUESTS_CA_BUNDLE"}
    alarmed.run("alerts", "test", expect=3, environment=stranger)
    assert network.receiver.requests == []


def test_a_short_message_says_it_all_in_160_characters(alarmed: Any, network: Network) -> None:
    account, token = "AC" + "0" * 32, "0123456789abcdef" * 2
    alarmed.planted |= {account, token}
    addresses(alarmed, f"twilio://{account}:${{TWILIO_TOKEN}}@15550100001/15550100002/15550100003")
    fetched(alarmed, 20)
    network.receiver.status = 201
    alarmed.run("alerts", "check", expect=6, environment=network.environment | {"TWILIO_TOKEN": token})
    assert [request.body["To"] for request in network.receiver.requests] == ["+15550100002", "+15550100003"]
    text = network.receiver.requests[0].body["Body"]
    assert len(text) <= 160
    assert re.fullmatch(r"beauty-us: orders are not being fetched, \d\d:\d\d P[SD]T", text.splitlines()[0])
    assert text.splitlines()[1:3] == [
        "Orders are 20 min old, 0 due today.",
        "Cause: `sync` does not run, or does not end",
    ]
