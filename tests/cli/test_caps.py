"""Money and stock: what stops before it is spent or published, and what a person has to say yes to."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tiktok_erp.simulator import purchases


def _spending(run="5000 USD", day="10000 USD", label="10 USD"):
    return f"{{max_cost_per_label: {label}, max_cost_per_run: {run}, max_cost_per_day: {day}}}"


def _spent(shop):
    return sum(Decimal(purchase["cost"]) for purchase in shop.ledger()["purchases"])


@pytest.fixture
def due(open_shop):
    """A shop with labels to buy."""
    shop = open_shop(orders=24, carrier="tiktok", seed=4)
    shop.allocated()
    assert len(shop.due()) > 10
    return shop


@pytest.fixture(scope="module")
def untouched(tmp_path_factory, simulated):
    """Such a shop for tests in which nothing is bought."""
    path = tmp_path_factory.mktemp("untouched")
    with simulated(path, orders=24, carrier="tiktok", seed=4) as shop:
        shop.allocated()
        yield shop


def test_max_cost_stops_before_the_money_is_spent_and_the_rest_follows_later(due):
    first = due.run("print-labels", "--max-cost", "40 USD", "--json", expect=3)
    assert 0 < _spent(due) <= 40
    (cap,) = first.of("cap")
    assert (cap["result"], cap["cap"]) == ("failed", "max_cost_per_run")
    assert "--max-cost" in cap["next_step"]
    assert len(due.folder.packages()) == len(due.ledger()["purchases"])
    due.run("print-labels")
    assert due.shipped() == due.due()
    assert due.disagreements() == []
    assert due.printed_twice_or_never() == []


def test_the_run_cap_of_the_rules_stops_each_run(due):
    due.folder.write_rules(spending=_spending(run="30 USD"))
    due.run("print-labels", expect=3)
    once = _spent(due)
    assert 0 < once <= 30
    due.run("print-labels", expect=3)
    assert once < _spent(due) <= 60


def test_the_day_cap_counts_all_runs_of_the_day(due):
    due.folder.write_rules(spending=_spending(run="30 USD", day="45 USD"))
    for _number in range(3):
        due.run("print-labels", expect=3)
    assert 20 < _spent(due) <= 45
    assert due.run("print-labels", "--json", expect=3).of("cap")[0]["cap"] == "max_cost_per_day"


def test_a_cap_below_one_label_buys_nothing(untouched):
    untouched.run("print-labels", "--max-cost", "3 USD", expect=3)
    assert untouched.ledger()["purchases"] == []


def test_a_label_dearer_than_allowed_stops_the_run_with_an_alarm_and_is_kept(due):
    due.folder.write_rules(spending=_spending(label="1 USD"))
    finished = due.run("print-labels", expect=3)
    assert "max_cost_per_label" in finished.stderr
    bought = len(due.ledger()["purchases"])
    assert 0 < bought < len(due.due())
    assert due.disagreements() == []
    assert due.printed_twice_or_never() == []


def test_the_plan_says_when_the_cap_is_reached_and_that_the_price_is_unknown(untouched):
    told = untouched.run("print-labels", "--plan", "--max-cost", "40 USD").stdout
    assert "after 1 of" in told.splitlines()[0]
    assert "unknown" in told


def test_quoted_prices_are_shown_in_the_plan(due):
    rules = due.folder.rules.read_text("utf-8").replace("quote_first: false", "quote_first: true")
    due.folder.rules.write_text(rules, "utf-8")
    summary = due.run("print-labels", "--plan", "--json").summary
    assert summary["planned"] * 300 < summary["cost_minor"] < summary["planned"] * 2500


def test_limit_buys_the_most_urgent_first_and_no_more(due):
    planned = due.run("print-labels", "--plan", "--json").of("package", result="planned")
    done = due.run("print-labels", "--limit", "3", "--json").of("package", result="done")
    assert sorted(line["package_id"] for line in done) == sorted(line["package_id"] for line in planned[:3])
    assert len(due.ledger()["purchases"]) == 3


@pytest.mark.parametrize("options", [("--limit", "0"), ("-",), ("P999999",)], ids=" ".join)
def test_an_empty_selection_buys_nothing(untouched, options):
    untouched.run("print-labels", *options, stdin="", expect=(0, 3))
    assert untouched.ledger()["purchases"] == []
    assert not (untouched.folder.path / "labels.pdf").exists()


def test_only_the_named_packages_are_bought(due):
    planned = [
        line["package_id"] for line in due.run("print-labels", "--plan", "--json").of("package", result="planned")
    ]
    due.run("print-labels", *planned[4:6])
    assert {row["package_id"] for row in due.folder.packages()} == set(planned[4:6])
    assert len(due.ledger()["purchases"]) == 2


def test_what_is_held_asked_to_cancel_or_of_the_platform_is_not_bought_even_when_named(untouched):
    named = [
        order_id
        for order_id, order in untouched.ledger()["orders"].items()
        if order["hold"] or order["cancel_request"] or order["fulfillment_type"] != "FULFILLMENT_BY_SELLER"
    ]
    assert len(named) > 2
    untouched.run("print-labels", *named, expect=(0, 3))
    assert untouched.ledger()["purchases"] == []
    assert untouched.ledger()["violations"] == []


# Stock


@pytest.fixture
def counted(open_shop):
    """A shop whose stock is counted, reserved and pushed."""
    shop = open_shop(orders=24, seed=4)
    for command in (("sync",), ("stock", "import", "--from-channel", "tiktok"), ("reserve-stock",)):
        shop.run(*command)
    return shop


def _stock_writes(shop):
    return len(shop.ledger()["inventory_writes"])


def test_a_push_that_would_surprise_waits_for_yes(counted):
    skus = counted.folder.column("SELECT DISTINCT sku FROM stock")
    sheet = "sku,quantity,warehouse\n" + "".join(
        f"{row['sku']},{row['reserved']},{row['warehouse']}\n" for row in counted.query("SELECT * FROM stock")
    )
    (counted.folder.path / "sheet.csv").write_text(sheet, "utf-8")
    counted.run("stock", "import", "sheet.csv")
    before = _stock_writes(counted)
    stopped = counted.run("reserve-stock", "--json", expect=3)
    assert [line["cause"] for line in stopped.of("push")] == ["surprising_push"]
    assert "--yes" in stopped.of("push")[0]["next_step"]
    assert _stock_writes(counted) == before
    counted.run("reserve-stock", "--yes")
    assert _stock_writes(counted) > before
    shown = {sku.seller_sku: sum(sku.available.values()) for sku in counted.simulator.shop.catalogue.skus.values()}
    assert {shown[sku] for sku in skus if sku in shown} == {0}


def test_a_sku_that_was_never_counted_is_never_pushed(open_shop):
    shop = open_shop(orders=24, seed=4)
    shop.run("sync")
    shop.run("stock", "set", "LIP-FIG", "3000")
    shop.run("reserve-stock", "--yes")
    listed = {sku.id: sku.seller_sku for sku in shop.simulator.shop.catalogue.skus.values()}
    assert {listed[write["sku_id"]] for write in shop.ledger()["inventory_writes"]} == {"LIP-FIG"}


def test_no_push_leaves_the_channel_alone(counted):
    before = _stock_writes(counted)
    counted.run("stock", "set", "LIP-FIG", "4000")
    counted.run("reserve-stock", "--no-push")
    assert _stock_writes(counted) == before


def test_an_import_from_the_channel_never_overwrites_a_count(open_shop):
    shop = open_shop(orders=24, seed=4)
    shop.run("sync")
    shop.run("stock", "set", "LIP-FIG", "1234")
    shop.run("stock", "import", "--from-channel", "tiktok")
    assert shop.folder.value("SELECT sum(on_hand) FROM stock WHERE sku = 'LIP-FIG'") == 1234
    assert shop.folder.value("SELECT count(*) FROM stock") > 10


def test_short_orders_wait_and_go_when_stock_comes(open_shop):
    shop = open_shop(orders=24, seed=4, carrier="tiktok")
    shop.run("sync")
    shop.run("stock", "import", "--from-channel", "tiktok")
    sku = shop.folder.value(
        "SELECT u.sku FROM units u JOIN orders o USING (order_id) WHERE o.base_state = 'open' AND u.state = 'open'"
        " AND NOT u.is_gift GROUP BY u.sku ORDER BY count(*) DESC, u.sku LIMIT 1"
    )
    places = shop.folder.column("SELECT warehouse FROM stock WHERE sku = ?", sku)
    for place in places:
        shop.run("stock", "set", sku, "0", "--warehouse", place)
    told = shop.run("reserve-stock", "--no-push")
    assert sku in told.stderr
    shop.run("allocate", "--no-wait")
    shop.run("print-labels")
    waiting = set(
        shop.folder.column("SELECT o.channel_order_id FROM orders o JOIN units u USING (order_id) WHERE u.sku = ?", sku)
    )
    assert waiting & shop.due() != set()
    assert waiting & shop.shipped() == set()
    shop.run("stock", "set", sku, "500", "--warehouse", places[0])
    shop.run("reserve-stock", "--no-push")
    shop.run("allocate", "--no-wait")
    shop.run("print-labels")
    assert shop.shipped() == shop.due()


def priced(monkeypatch, price, currency):
    """Let the shop tell another price of what it sells than it takes."""
    real = purchases._service_info
    told = {"price": price, "currency": currency}
    monkeypatch.setattr(purchases, "_service_info", lambda *arguments: real(*arguments) | told)


def test_a_label_in_another_currency_is_told_and_counts_as_the_dearest_allowed(due, monkeypatch):
    due.folder.write_rules(spending=_spending(run="40 USD"))
    priced(monkeypatch, "99.00", "GBP")
    told = due.call("print-labels", expect=3).stderr
    assert "99.00 GBP" in told
    assert len(due.ledger()["purchases"]) == 4  # of 10 USD at most each


def test_a_price_below_nothing_lowers_no_sum(due, monkeypatch):
    due.folder.write_rules(spending=_spending(run="40 USD"))
    priced(monkeypatch, "-50.00", "USD")
    told = due.call("print-labels", expect=3).stderr
    assert "-50.00 USD" in told
    assert len(due.ledger()["purchases"]) == 4
    assert set(due.folder.column("SELECT cost_minor FROM labels WHERE state = 'bought'")) == {None}
