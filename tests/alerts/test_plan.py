"""Which alerts open and close, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tiktok_erp.alerts.plan import (
    FAILING,
    NO_STORE,
    SILENT,
    STALE,
    Alert,
    Facts,
    Opened,
    Run,
    Situation,
    end_of_day,
    length_text,
    plan_alerts,
    plan_messages,
    read_alert,
    render_alarm,
    render_clear,
)
from tiktok_erp.model.rule import Alerts, Rules, Sync

NOW = datetime(2026, 11, 21, 22, 10, tzinfo=UTC)
ZONE = ZoneInfo("America/Los_Angeles")
RULES = Rules(sync=Sync(alert_after_failures=3), alerts=Alerts(silent_after=timedelta(minutes=10), stream_orders=30))


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def runs(*codes: int) -> list[Run]:
    """Runs newest first, a minute apart."""
    return [Run(ago(number), code) for number, code in enumerate(codes)]


def opened(facts: Facts) -> list[str]:
    return [kind for kind, told in plan_alerts(facts, RULES).opens]


def closed(facts: Facts) -> tuple[str, ...]:
    return plan_alerts(facts, RULES).closes


@pytest.mark.parametrize("code", [1, 4, 5, 6, 7])
def test_three_failures_in_a_row_open_an_alert(code: int) -> None:
    assert opened(Facts(NOW, runs(code, 6, 4, 0), fetched_at=ago(3))) == [FAILING]


def test_two_failures_open_none() -> None:
    assert opened(Facts(NOW, runs(6, 6, 0, 6, 6), fetched_at=ago(2))) == []


@pytest.mark.parametrize("code", [0, 3])
def test_a_success_ends_the_row(code: int) -> None:
    assert opened(Facts(NOW, runs(6, 6, code, 6), fetched_at=ago(2))) == []


@pytest.mark.parametrize("code", [130, 2])
def test_a_run_that_says_nothing_neither_counts_nor_ends_the_row(code: int) -> None:
    assert opened(Facts(NOW, runs(6, code, 6, 0), fetched_at=ago(3))) == []
    assert opened(Facts(NOW, runs(6, code, 6, code, 6, 0), fetched_at=ago(5))) == [FAILING]


def test_a_row_of_failures_tells_how_often_since_when_and_why() -> None:
    failed = [Run(ago(1), 6, "no answer"), Run(ago(2), 4), Run(ago(3), 6), Run(ago(4), 0)]
    ((_kind, told),) = plan_alerts(Facts(NOW, failed, fetched_at=ago(4)), RULES).opens
    assert told == {"count": 3, "since": "2026-11-21T22:07:00Z", "exit_code": 6, "error": "no answer"}


def test_an_open_alert_is_not_opened_again() -> None:
    facts = Facts(NOW, runs(6, 6, 6, 6), fetched_at=ago(9), open_alerts={FAILING: Opened(ago(3), True)})
    assert not plan_alerts(facts, RULES)


def test_a_fetch_that_works_closes_it() -> None:
    facts = Facts(NOW, runs(0, 6, 6, 6), fetched_at=NOW, open_alerts={FAILING: Opened(ago(3), True)})
    assert closed(facts) == (FAILING,)


def test_an_interrupted_run_does_not_close_it() -> None:
    facts = Facts(NOW, runs(130, 6, 6, 6), fetched_at=ago(9), open_alerts={FAILING: Opened(ago(3), True)})
    assert not plan_alerts(facts, RULES)


def test_fewer_failures_than_when_it_opened_do_not_close_it() -> None:
    facts = Facts(NOW, runs(6, 6), fetched_at=ago(9), open_alerts={FAILING: Opened(ago(3), True)})
    assert not plan_alerts(facts, RULES)


def test_silence_during_a_stream_opens_an_alert() -> None:
    assert opened(Facts(NOW, fetched_at=ago(11), stream_orders=30)) == [SILENT]


@pytest.mark.parametrize(("age", "orders"), [(10, 30), (11, 29)])
def test_a_short_silence_or_a_quiet_hour_opens_none(age: float, orders: int) -> None:
    assert opened(Facts(NOW, fetched_at=ago(age), stream_orders=orders)) == []


def test_a_fresh_file_breaks_the_silence() -> None:
    silent = Facts(NOW, fetched_at=ago(40), filed_at=ago(1), stream_orders=90, open_alerts={SILENT: Opened(ago(30))})
    assert closed(silent) == (SILENT,)


def test_a_fresh_file_ends_no_alarm_while_the_channel_still_fails() -> None:
    both: Mapping[str, Opened] = {SILENT: Opened(ago(30), True), FAILING: Opened(ago(20), True)}
    facts = Facts(NOW, runs(6, 6, 6), fetched_at=ago(40), filed_at=NOW, open_alerts=both)
    assert not plan_alerts(facts, RULES)


def test_one_outage_is_one_alarm() -> None:
    failing = {FAILING: Opened(ago(9), True)}
    facts = Facts(NOW, runs(6, 6, 6), ago(20), None, 90, failing, timedelta(minutes=5))
    assert not plan_alerts(facts, RULES)
    silent = {SILENT: Opened(ago(9), True)}
    assert not plan_alerts(Facts(NOW, runs(6, 6, 6), ago(20), None, 90, silent, timedelta(minutes=5)), RULES)
    assert opened(Facts(NOW, runs(6), ago(20), None, 90, {}, timedelta(minutes=5))) == [SILENT]


def test_a_cause_that_comes_to_light_later_is_told() -> None:
    stale = {STALE: Opened(ago(30), has_cause=False)}
    assert opened(Facts(NOW, runs(4, 4, 4), fetched_at=ago(40), open_alerts=stale)) == [FAILING]


@pytest.mark.parametrize("fetched_at", [None, ago(6), NOW + timedelta(hours=2)])
def test_the_check_alarms_for_old_orders_and_for_an_age_that_is_not_known(fetched_at: datetime | None) -> None:
    assert opened(Facts(NOW, fetched_at=fetched_at, max_age=timedelta(minutes=5))) == [STALE]


def test_the_check_is_content_with_fresh_orders_wherever_they_came_from() -> None:
    assert opened(Facts(NOW, fetched_at=ago(90), filed_at=ago(4), max_age=timedelta(minutes=5))) == []


def test_without_a_check_old_orders_alarm_nobody() -> None:
    assert opened(Facts(NOW, fetched_at=ago(600))) == []


def test_a_fetch_after_the_alarm_of_the_check_closes_it_without_another_check() -> None:
    assert closed(Facts(NOW, runs(0), fetched_at=NOW, open_alerts={STALE: Opened(ago(9))})) == (STALE,)
    assert closed(Facts(NOW, fetched_at=ago(10), open_alerts={STALE: Opened(ago(9))})) == ()


def alert(**changes: object) -> Alert:
    return Alert(**{"alert_id": 1, "kind": FAILING, "opened_at": ago(8), "facts": {}, **changes})  # type: ignore[arg-type]


def test_what_is_claimed_is_left_to_the_other_process_for_two_minutes() -> None:
    assert plan_messages([alert(claimed_at=ago(1))], 1, NOW) == []
    assert len(plan_messages([alert(claimed_at=ago(3))], 1, NOW)) == 1
    assert len(plan_messages([alert(claimed_at=NOW + timedelta(hours=1))], 1, NOW)) == 1


def test_only_the_addresses_that_were_not_reached_are_due() -> None:
    (due,) = plan_messages([alert(told=frozenset({1, 3}), sent_at=ago(4))], 3, NOW)
    assert due.addresses == (2,)


def test_an_address_that_keeps_failing_is_left_alone_once_somebody_was_told() -> None:
    assert plan_messages([alert(told=frozenset({1}), sent_at=ago(4), tries=10)], 2, NOW) == []
    assert len(plan_messages([alert(tries=500)], 2, NOW)) == 1


def test_the_all_clear_goes_to_those_who_were_alarmed() -> None:
    (due,) = plan_messages([alert(is_open=False, told=frozenset({2}), sent_at=ago(4))], 3, NOW)
    assert (due.is_clear, due.addresses) == (True, (2,))


def test_an_alarm_that_reached_nobody_needs_no_all_clear() -> None:
    assert plan_messages([alert(is_open=False, tries=4)], 3, NOW) == []


def test_an_alarm_whose_sender_died_has_an_all_clear_to_be_sure() -> None:
    assert plan_messages([alert(is_open=False, claimed_at=ago(1))], 1, NOW) == []
    assert len(plan_messages([alert(is_open=False, claimed_at=ago(5))], 1, NOW)) == 1


def test_alerts_that_end_together_have_one_all_clear() -> None:
    ended = [alert(alert_id=number, is_open=False, told=frozenset({number}), sent_at=ago(4)) for number in (1, 2)]
    (due,) = plan_messages(ended, 2, NOW)
    assert (len(due.alerts), due.addresses) == (2, (1, 2))


def test_a_detail_that_somebody_else_wrote_is_read_as_the_error() -> None:
    row = dict.fromkeys(("closed_at", "claimed_at", "sent_at", "clear_claimed_at", "clear_sent_at"))
    found = read_alert({"alert_id": 1, "kind": STALE, "opened_at": "2026-11-21T22:00:00Z", "detail": "words", **row})
    assert found.facts == {"error": "words"}


def situation(**changes: object) -> Situation:
    facts = Facts(NOW, fetched_at=ago(12))
    return Situation(
        **{"shop": "beauty-us", "zone": ZONE, "now": NOW, "facts": facts, "due_today": 340, **changes}  # type: ignore[arg-type]
    )


FAILED = {"count": 3, "since": "2026-11-21T22:02:00Z", "exit_code": 6, "error": "the channel did not answer"}


def test_an_alarm_says_shop_failure_time_age_deadlines_cause_and_next_step() -> None:
    message = render_alarm(alert(facts=FAILED), situation())
    assert message.title == "beauty-us: sync failed 3 times since 14:02 PST"
    assert message.body.splitlines() == [
        "Orders are 12 min old, 340 due today.",
        "Cause: the channel does not answer",
        "the channel did not answer",
        "Next: check the network and `tiktok-erp doctor`; until then `tiktok-erp sync --from FILE`",
    ]


@pytest.mark.parametrize("kind", [FAILING, SILENT, STALE, NO_STORE])
@pytest.mark.parametrize("code", [None, 1, 4, 5, 6, 7])
def test_the_first_140_characters_say_it_all(kind: str, code: int | None) -> None:
    long = {"count": 12345, "since": "2026-11-20T22:02:00Z", "exit_code": code, "error": "x" * 500}
    message = render_alarm(alert(kind=kind, facts=long), situation(shop="a shop with a name that is far too long"))
    text = f"{message.title}\r\n{message.body}"
    assert text.index("\n", text.index("Cause: ")) <= 160
    assert text.index("due today") < 120
    assert len(text) < 420


def test_a_time_of_another_day_has_its_date() -> None:
    message = render_alarm(alert(facts={**FAILED, "since": "2026-11-20T22:02:00Z"}), situation())
    assert "since 11-20 14:02 PST" in message.title


def test_an_age_that_is_not_known_is_not_invented() -> None:
    assert render_alarm(alert(), situation(facts=Facts(NOW))).body.startswith("Orders were never fetched, 340")
    future = Facts(NOW, fetched_at=NOW + timedelta(days=1))
    assert render_alarm(alert(), situation(facts=future)).body.startswith("The age of the orders is not known")
    assert render_alarm(alert(), situation(facts=None)).body.startswith("How old the orders are is not known.")


def test_the_all_clear_says_of_which_time_the_alarm_was() -> None:
    message = render_clear([alert(opened_at=ago(8)), alert(opened_at=ago(20))], situation())
    assert message.kind == "success"
    assert "The alert was of 13:50 PST." in message.body


def test_the_shops_day_ends_at_its_own_midnight() -> None:
    assert end_of_day(NOW, ZONE).astimezone(UTC) == datetime(2026, 11, 22, 8, tzinfo=UTC)
    summer = datetime(2026, 11, 1, 8, 30, tzinfo=UTC)  # the night in which the clocks go back
    assert end_of_day(summer, ZONE).astimezone(UTC) == datetime(2026, 11, 2, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(seconds=40), "40 s"),
        (timedelta(minutes=119), "119 min"),
        (timedelta(hours=47), "47 h"),
        (timedelta(days=3), "3 d"),
    ],
)
def test_a_length_of_time_is_short(length: timedelta, text: str) -> None:
    assert length_text(length) == text
