"""Alerts in a store, sent by apprise to a web server of our own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from tests.alerts.conftest import NOW, TOKEN, AlertedShop, Receiver
from tiktok_erp.alerts.run import after_sync, alert_status, check_freshness, default_max_age
from tiktok_erp.config.settings import Settings
from tiktok_erp.errors import SettingsError, StaleData
from tiktok_erp.messages import use_language
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.rule import Alerts, Rules, Shop, Sync
from tiktok_erp.store.database import open_store, utc_now

ROOT = Path(__file__).parents[2]


def test_the_third_failure_sends_one_message(reached: AlertedShop, receiver: Receiver) -> None:
    reached.fail(2)
    assert receiver.requests == []
    reached.fail()
    (request,) = receiver.requests
    assert request.path == "/shop"
    assert request.body["title"] == "beauty-us: sync failed 3 times since 14:11 PST"
    assert request.body["message"].startswith(
        "Orders are 3 min old, 0 due today.\nCause: the channel does not answer\n"
    )
    assert request.body["type"] == "failure"


def test_further_failures_send_nothing(reached: AlertedShop, receiver: Receiver) -> None:
    reached.fail(9)
    assert len(receiver.requests) == 1


def test_the_all_clear_is_sent_once(reached: AlertedShop, receiver: Receiver) -> None:
    reached.fail(3)
    reached.succeed()
    reached.succeed()
    alarm, clear = receiver.requests
    assert clear.body["title"] == "beauty-us: all clear, the orders are up to date again, 14:14 PST"
    assert clear.body["type"] == "success"
    assert alarm.body["title"] != clear.body["title"]


def test_the_next_outage_is_told_again(reached: AlertedShop, receiver: Receiver) -> None:
    for _number in range(2):
        reached.fail(3)
        reached.succeed()
    assert [request.body["type"] for request in receiver.requests] == ["failure", "success"] * 2


def test_killed_and_interrupted_runs_do_not_end_the_row(reached: AlertedShop, receiver: Receiver) -> None:
    reached.fail(2)
    reached.sync(None)
    reached.sync(130)
    reached.fail()
    assert len(receiver.requests) == 1


def test_a_file_that_was_taken_over_does_not_end_the_row(reached: AlertedShop, receiver: Receiver) -> None:
    reached.fail(2)
    reached.minutes(1)
    reached.sync(0, from_file=True)
    reached.fail()
    assert len(receiver.requests) == 1
    reached.minutes(1)
    reached.sync(0, from_file=True)
    reached.look()
    assert len(receiver.requests) == 1


def test_silence_during_a_stream_is_told_and_its_end_too(reached: AlertedShop, receiver: Receiver) -> None:
    for number in range(30):
        reached.order(number, placed=NOW - timedelta(minutes=number))
    reached.minutes(11)
    reached.look()
    reached.look()
    reached.succeed()
    assert receiver.titles[0] == "beauty-us: no orders fetched during a stream, 14:21 PST"
    assert [request.body["type"] for request in receiver.requests] == ["failure", "success"]


def test_the_message_counts_the_orders_that_are_due_today(reached: AlertedShop, receiver: Receiver) -> None:
    midnight = NOW + timedelta(hours=9, minutes=50)
    for number, ship_by in enumerate([NOW - timedelta(hours=3), NOW, midnight - timedelta(seconds=1), midnight]):
        reached.order(number, placed=NOW, ship_by=ship_by)
    reached.fail(3)
    assert "3 due today" in receiver.requests[0].body["message"]


def test_without_addresses_rows_are_kept_and_nothing_is_sent(alerted: AlertedShop) -> None:
    alerted.fail(3)
    alerted.succeed()
    (row,) = alerted.rows()
    assert (row["kind"], row["claimed_at"], row["sent_at"]) == ("sync_failing", None, None)
    assert (row["closed_at"], row["clear_sent_at"]) == (to_text(alerted.now), None)
    assert alerted.report.warnings == []


def test_an_address_set_during_an_outage_still_hears_of_it(alerted: AlertedShop, receiver: Receiver) -> None:
    alerted.fail(3)
    alerted.send_to(receiver.url)
    alerted.fail()
    assert len(receiver.requests) == 1


def test_a_message_that_was_refused_is_sent_at_the_next_occasion(reached: AlertedShop, receiver: Receiver) -> None:
    receiver.status = 500
    reached.fail(4)
    assert len(receiver.requests) == 2
    assert [row["sent_at"] for row in reached.rows()] == [None]
    receiver.status = 200
    reached.fail(2)
    assert len(receiver.requests) == 3
    assert "address 1 of alerts.to (JSON): the service refused it (HTTP 500)" in reached.report.warnings[0]


def test_an_alarm_that_never_arrived_has_no_all_clear(reached: AlertedShop, receiver: Receiver) -> None:
    receiver.status = 500
    reached.fail(3)
    receiver.status = 200
    reached.succeed()
    reached.succeed()
    assert len(receiver.requests) == 1


def test_an_all_clear_that_was_refused_is_sent_at_the_next_occasion(reached: AlertedShop, receiver: Receiver) -> None:
    reached.fail(3)
    receiver.status = 503
    reached.succeed()
    receiver.status = 200
    reached.succeed()
    reached.succeed()
    assert [request.body["type"] for request in receiver.requests] == ["failure", "success", "success"]


def test_one_address_that_fails_neither_stops_nor_repeats_the_others(
    alerted: AlertedShop, receiver: Receiver, second_receiver: Receiver
) -> None:
    alerted.send_to("nosuchservice://x", receiver.url, "wecombot://${NOT_SET}", second_receiver.url)
    receiver.status = 500
    alerted.fail(3)
    receiver.status = 200
    alerted.fail(3)
    assert (len(receiver.requests), len(second_receiver.requests)) == (2, 1)
    told = "\n".join(alerted.report.warnings)
    assert "apprise does not understand entry 1 of alerts.to" in told
    assert "NOT_SET is not set, and entry 3 of alerts.to needs it" in told


def test_a_name_in_an_address_is_filled_from_the_settings(alerted: AlertedShop, receiver: Receiver) -> None:
    alerted.settings = Settings({"SHOP_PATH": "a b", "WHOLE": f"json://127.0.0.1:{receiver.port}/whole?:extra=1"})
    alerted.send_to(f"json://127.0.0.1:{receiver.port}/${{SHOP_PATH}}/x", "${WHOLE}")
    alerted.fail(3)
    assert sorted(request.path for request in receiver.requests) == ["/a%20b/x", "/whole"]


def test_a_password_from_the_settings_may_hold_any_character(alerted: AlertedShop, receiver: Receiver) -> None:
    password = "p@s/s:w?r#d%20 &"
    alerted.settings = Settings({"PASSWORD": password})
    alerted.send_to(f"json://seller:${{PASSWORD}}@127.0.0.1:{receiver.port}/x")
    alerted.fail(3)
    assert [request.password for request in receiver.requests] == [password]


def test_the_end_of_a_process_does_not_wait_for_a_receiver(receiver: Receiver) -> None:
    receiver.is_held.set()
    code = (
        "import sys, time; from tiktok_erp.alerts.send import send; from tiktok_erp.alerts.plan import Message\n"
        "from tiktok_erp.config.settings import Settings\n"
        "print(send({1: sys.argv[1]}, Settings({}), Message('info', 'title', 'body'), timeout_s=0.2)[0].is_sent)\n"
    )
    # The receiver would be waited for 60 s.
    command = [sys.executable, "-c", code, f"{receiver.url}?rto=60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "False\n"
        assert process.wait(timeout=30) == 0


def test_a_cause_is_told_after_the_database_came_back(
    reached: AlertedShop, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path, away = tmp_path / "shop.db", tmp_path / "away.db"

    def check() -> None:
        check_freshness(
            path, reached.rules, reached.settings, reached.report, now=reached.now, max_age=timedelta(minutes=5)
        )

    reached.store.backup_to(away)
    reached.store.close()
    path.unlink()
    reached.minutes(10)
    with pytest.raises(SettingsError):
        check()
    away.rename(path)
    with pytest.raises(StaleData):
        check()
    with open_store(path) as store:
        reached.store = store
        reached.fail(3, exit_code=4)
    assert [title.partition(",")[0] for title in receiver.titles] == [
        "beauty-us: the database cannot be used",
        "beauty-us: sync failed 3 times since 14:21 PST",
    ]


def test_the_claim_of_a_process_that_died_is_taken_over(reached: AlertedShop, receiver: Receiver) -> None:
    reached.rules, rules = Rules(shop=reached.rules.shop), reached.rules
    reached.fail(3)
    reached.rules = rules
    reached.store.execute("UPDATE alerts SET claimed_at = ?", (to_text(reached.now),))
    reached.look()
    assert receiver.requests == []
    reached.minutes(3)
    reached.look()
    reached.look()
    assert len(receiver.requests) == 1


def test_a_process_killed_while_it_sends_leaves_the_message_to_the_next(
    reached: AlertedShop, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.is_held.set()
    code = (
        "import sys; from tests.alerts.conftest import AlertedShop; from tiktok_erp.model.rule import *\n"
        "from tiktok_erp.store.database import open_store; from pathlib import Path\n"
        "with open_store(Path(sys.argv[1])) as store:\n"
        "    shop = AlertedShop(store, Rules(shop=Shop(name='beauty-us'))); shop.send_to(sys.argv[2]); shop.fail(3)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "shop.db"), receiver.url], cwd=ROOT) as process:
        while not receiver.requests and process.poll() is None:
            threading.Event().wait(0.01)
        process.kill()
    assert [(row["claimed_at"] is None, row["sent_at"]) for row in reached.rows()] == [(False, None)]
    receiver.is_held.clear()
    receiver.is_released.set()
    reached.minutes(4)
    reached.look()
    assert len(receiver.requests) == 1
    reached.minutes(3)
    reached.look()
    reached.look()
    assert len(receiver.requests) == 2


def test_of_many_at_once_one_sends(reached: AlertedShop, receiver: Receiver, tmp_path: Path) -> None:
    reached.rules, rules = Rules(shop=reached.rules.shop), reached.rules
    reached.fail(3)
    reached.rules = rules
    start = threading.Barrier(4)

    def look() -> None:
        with open_store(tmp_path / "shop.db") as store:
            shop = AlertedShop(store, rules, now=reached.now)
            start.wait()
            shop.look()

    threads = [threading.Thread(target=look) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receiver.requests) == 1


def test_a_receiver_that_never_answers_holds_nobody_up(
    reached: AlertedShop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiktok_erp.alerts.run._SEND_TIMEOUT_S", 0.3)
    receiver.is_held.set()
    before = utc_now()
    reached.fail(3)
    assert utc_now() - before < timedelta(seconds=5)
    assert "no answer in time" in reached.report.warnings[0]


def test_chinese_text_arrives_whole(reached: AlertedShop, receiver: Receiver) -> None:
    reached.rules = Rules(shop=Shop(name="美妆旗舰店"), alerts=reached.rules.alerts)
    use_language("zh")
    try:
        reached.fail(3, error="平台没有应答：请稍后再试")
    finally:
        use_language("en")
    assert "美妆旗舰店" in receiver.requests[0].body["title"]
    assert "平台没有应答：请稍后再试" in receiver.requests[0].body["message"]


def test_nothing_tells_the_address(
    reached: AlertedShop, closed_port: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    secrets = Settings({"SECRET": TOKEN})
    reached.settings = secrets
    reached.send_to(
        f"json://user:{TOKEN}@127.0.0.1:{closed_port}/{TOKEN}",
        f"nosuchservice://{TOKEN}",
        f"twilio://{TOKEN}",
        "mailto://${SECRET}",
        f"json://user:${{MISSING}}@{TOKEN}",
    )
    reached.fail(3)
    after_sync(reached.store, reached.rules, secrets, reached.report)
    captured = capfd.readouterr()
    told = "\n".join([captured.out, captured.err, caplog.text, *reached.report.warnings, repr(reached.rules)])
    told += json.dumps(reached.rows())
    assert len(reached.report.warnings) >= 5
    assert TOKEN not in told
    assert str(closed_port) not in told


def test_whatever_is_wrong_with_alerts_does_not_reach_the_sync(alerted: AlertedShop) -> None:
    alerted.store.execute("DROP TABLE alerts")
    after_sync(alerted.store, alerted.rules, alerted.settings, alerted.report)
    assert alerted.report.warnings[0].startswith("alerts could not be looked after: ")


def test_nothing_is_imported_and_little_is_asked_while_all_is_well(tmp_path: Path, alerted: AlertedShop) -> None:
    alerted.now = utc_now()
    alerted.sync(0)
    code = (
        "import sys; from pathlib import Path; from tests.alerts.conftest import AlertedShop, Notes\n"
        "from tiktok_erp.alerts.run import after_sync, alert_status; from tiktok_erp.config.settings import Settings\n"
        "from tiktok_erp.model.rule import *; from tiktok_erp.store.database import open_store\n"
        "with open_store(Path(sys.argv[1])) as store:\n"
        "    asked = []; store._connection.set_trace_callback(asked.append)\n"
        "    rules = Rules(alerts=Alerts(to=('wecombot://key',)))\n"
        "    after_sync(store, rules, Settings({}), Notes()); print(len(asked))\n"
        "    alert_status(store, rules); print([name for name in ('apprise', 'requests') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "shop.db")], check=True, capture_output=True, text=True, cwd=ROOT
    )
    asked, loaded = done.stdout.splitlines()
    assert (asked, loaded) == ("4", "[]")


def test_the_status_tells_addresses_services_and_open_alerts(alerted: AlertedShop) -> None:
    assert alert_status(alerted.store, alerted.rules).addresses == 0
    alerted.fail(3)
    alerted.send_to("mailto://a:b@c.example", "${SMS}", "wecombot://key")
    status = alert_status(alerted.store, alerted.rules)
    assert (status.addresses, status.services) == (3, ("mailto", "?", "wecombot"))
    assert status.open_alerts == {"sync_failing": alerted.now}
    assert status.untold == ("sync_failing",)


def test_an_alert_that_arrived_is_told(reached: AlertedShop) -> None:
    reached.fail(3)
    status = alert_status(reached.store, reached.rules)
    assert (len(status.open_alerts), status.untold) == (1, ())


def test_the_check_allows_five_rounds_and_five_minutes_at_least() -> None:
    assert default_max_age(Rules(sync=Sync(every=timedelta(seconds=20)))) == timedelta(minutes=5)
    assert default_max_age(Rules(sync=Sync(every=timedelta(minutes=5)), alerts=Alerts())) == timedelta(minutes=25)
