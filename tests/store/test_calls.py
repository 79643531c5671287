"""How good the connection was: what counts as success, which latency is the median, and what is forgotten."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from tiktok_erp.errors import StoreRefused
from tiktok_erp.store.calls import TOTAL, EndpointQuality, load_quality, save_calls
from tiktok_erp.store.database import Store

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SEARCH = "/order/202309/orders/search"
DETAIL = "/order/202507/orders"


def call(outcome="ok", latency_ms=100, *, at=NOON, endpoint=SEARCH):
    return (at, endpoint, outcome, latency_ms)


def quality(store, endpoint=SEARCH):
    (found,) = [entry for entry in load_quality(store, NOON) if entry.endpoint == endpoint]
    return found


def test_without_calls_there_is_nothing_to_say(store: Store) -> None:
    assert load_quality(store, NOON) == ()


def test_a_refusal_is_an_answer_and_throttling_is_none(store: Store) -> None:
    save_calls(store, [call("ok"), call("ok"), call("refused"), call("throttled"), call("failed")])
    found = quality(store)
    assert (found.calls, found.success_rate, found.throttled, found.failed) == (5, 0.6, 1, 1)


def test_each_endpoint_is_told_and_the_total_comes_last(store: Store) -> None:
    save_calls(store, [call(latency_ms=100), call(latency_ms=300, endpoint=DETAIL), call("failed", endpoint=DETAIL)])
    assert load_quality(store, NOON) == (
        EndpointQuality(SEARCH, 1, 1.0, 0, 0, 100, 100),
        EndpointQuality(DETAIL, 2, 0.5, 0, 1, 300, 300),
        EndpointQuality(TOTAL, 3, 2 / 3, 0, 1, 100, 300),
    )


@pytest.mark.parametrize("count", [1, 2, 3, 19, 20, 21, 100, 101])
def test_median_and_95th_percentile_are_nearest_ranks(store: Store, count: int) -> None:
    latencies = [10 * number for number in range(1, count + 1)]
    shuffled = latencies * 1
    random.Random(count).shuffle(shuffled)
    save_calls(store, [call(latency_ms=latency) for latency in shuffled])
    found = quality(store)
    assert found.median_ms == latencies[-(-count * 50 // 100) - 1]
    assert found.p95_ms == latencies[-(-count * 95 // 100) - 1]


def test_equal_latencies_count_each(store: Store) -> None:
    save_calls(store, [call(latency_ms=5)] * 96 + [call(latency_ms=900)] * 4)
    assert (quality(store).median_ms, quality(store).p95_ms) == (5, 5)


def test_the_latency_of_a_call_without_an_answer_says_nothing_about_speed(store: Store) -> None:
    save_calls(store, [call(latency_ms=100), call("failed", 20_000), call("failed", 1), call("throttled", 2)])
    assert (quality(store).median_ms, quality(store).p95_ms) == (100, 100)


def test_where_nothing_was_answered_there_is_no_latency(store: Store) -> None:
    save_calls(store, [call("failed", 20_000)])
    assert (quality(store).success_rate, quality(store).median_ms, quality(store).p95_ms) == (0.0, None, None)


def test_only_the_last_24_hours_count(store: Store) -> None:
    ages = (timedelta(0), timedelta(hours=23, minutes=59), timedelta(hours=24), timedelta(days=3), timedelta(hours=-1))
    save_calls(store, [call(at=NOON - age) for age in ages])
    assert quality(store).calls == 2


def test_another_channel_counts_for_itself(store: Store) -> None:
    save_calls(store, [call()], channel="amazon")
    assert load_quality(store, NOON) == ()
    assert load_quality(store, NOON, channel="amazon")[-1].calls == 1


def test_calls_are_forgotten_after_a_week(store: Store) -> None:
    save_calls(store, [call(at=NOON - timedelta(days=7, seconds=1)), call(at=NOON - timedelta(days=7))])
    save_calls(store, [call()])
    kept = [row["at"] for row in store.query("SELECT at FROM api_calls ORDER BY at")]
    assert kept == ["2026-11-15T12:00:00Z", "2026-11-22T12:00:00Z"]


def test_saving_nothing_forgets_nothing(store: Store) -> None:
    save_calls(store, [call(at=NOON - timedelta(days=300))])
    save_calls(store, [])
    assert store.scalar("SELECT count(*) FROM api_calls") == 1


def test_a_call_with_another_outcome_keeps_nothing_of_the_batch(store: Store) -> None:
    with pytest.raises(StoreRefused):
        save_calls(store, [call(), call("lost")])
    assert store.scalar("SELECT count(*) FROM api_calls") == 0


def test_a_hundred_thousand_calls_are_counted(store: Store) -> None:
    dice = random.Random(1)
    rows = [
        call(
            dice.choice(("ok", "ok", "ok", "failed")),
            int(dice.lognormvariate(5.5, 0.6)),
            at=NOON - timedelta(seconds=dice.randrange(80_000)),
            endpoint=f"/endpoint/{dice.randrange(12)}",
        )
        for _number in range(100_000)
    ]
    save_calls(store, rows)
    found = load_quality(store, NOON)
    assert found[-1].calls == 100_000
    assert sum(quality.calls for quality in found[:-1]) == 100_000
