"""Own labels bought from EasyPost: what the source sold is what is held, whatever happens in between."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections import Counter

import pytest

from tests.carriers.easypost_fake import Account, EasyPostFake

KEY = "EZTKfake"


class Desk:
    """A simulated shop of Seller Shipping, and EasyPost beside it."""

    def __init__(self, shop, server):
        self.shop, self.server, self.account = shop, server, server.account
        self.run, self.folder = shop.run, shop.folder
        rules = self.folder.rules.read_text("utf-8")
        self.folder.rules.write_text(rules.replace("seller_shipping: file", "seller_shipping: easypost"), "utf-8")
        self.folder.environment |= {"EASYPOST_API_URL": server.api_url, "EASYPOST_API_KEY": KEY}
        self.folder.planted.add(KEY)

    def bought(self):
        """Return a package whose label was bought from EasyPost."""
        return self.folder.value("SELECT package_id FROM labels WHERE source = 'easypost' AND state = 'bought'")

    def disagreements(self):
        """Compare what EasyPost sold with what the database holds; return every difference."""
        sold = {(sale["package_id"], sale["tracking_number"], sale["cost_minor"]) for sale in self.account.purchases}
        rows = self.folder.query(
            "SELECT package_id, tracking_number, cost_minor FROM labels WHERE source = 'easypost'"
            " AND state IN ('bought', 'voided')"
        )
        held = {tuple(row.values()) for row in rows}
        found = [f"sold and not held: {entry}" for entry in sorted(sold - held)]
        found += [f"held and not sold: {entry}" for entry in sorted(held - sold)]
        live = Counter(
            sale["package_id"] for sale in self.account.purchases if sale["shipment_id"] not in self.account.refunds
        )
        found += [f"{package} has {count} live labels" for package, count in live.items() if count > 1]
        found += self.account.violations
        return found


@pytest.fixture
def open_desk(open_shop):
    """Return a function that opens a shop with EasyPost beside it."""
    servers = []

    def start(name="shop", *, orders=24, seed=4, account=None, carrier="seller", **options):
        server = EasyPostFake(account or Account(key=KEY))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        shop = open_shop(name, orders=orders, seed=seed, carrier=carrier, **options)
        return Desk(shop, server)

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def desk(open_desk):
    """Such a shop, allocated."""
    desk = open_desk()
    desk.shop.allocated()
    return desk


def test_labels_are_bought_printed_and_told(desk):
    planned = desk.run("print-labels", "--plan", "--json")
    assert {line["result"] for line in planned.of("package")} >= {"planned"}
    assert desk.account.calls.keys() <= {"list"}
    first = desk.run("print-labels", "--json")
    assert first.summary["bought"] == len(desk.account.purchases) > 10
    assert first.summary["spent_minor"] == sum(sale["cost_minor"] for sale in desk.account.purchases)
    assert desk.disagreements() == []
    assert len(desk.folder.packages()) == len(desk.account.purchases)
    desk.run("upload-tracking")
    told = {entry["tracking_number"] for entry in desk.shop.ledger()["shipments"]}
    assert told == {sale["tracking_number"] for sale in desk.account.purchases}
    assert desk.shop.shipped() == desk.shop.due()
    desk.run("check", "--quiet")


def test_an_order_whose_kind_nobody_told_gets_no_label_of_our_own(desk):
    order = min(desk.shop.due())
    with sqlite3.connect(desk.folder.db) as connection:
        connection.execute(
            "UPDATE orders SET shipping_type = NULL, source = 'file' WHERE order_id = ?", (f"tiktok:{order}",)
        )
    environment = {name: "" for name in desk.folder.environment if name.startswith("TIKTOK_SHOP_")}
    skipped = desk.run("print-labels", "--json", "--stale-ok", environment=environment).of("package", result="skipped")
    assert {line["cause"] for line in skipped if line.get("order_id") == f"tiktok:{order}"} == {"own_label_needed"}
    assert len(desk.account.purchases) == len(desk.shop.due()) - 1


def test_a_second_run_buys_nothing(desk):
    desk.run("print-labels")
    calls, content = dict(desk.account.calls), desk.folder.dump()
    desk.run("print-labels")
    assert desk.account.calls == calls
    assert desk.folder.dump() == content


def test_each_label_takes_three_calls_and_each_run_asks_once_what_others_bought(desk):
    desk.run("print-labels", "--limit", "1")
    desk.account.calls.clear()
    desk.run("print-labels")
    labels = len(desk.account.purchases) - 1
    assert desk.account.calls == {"list": 1, "create": labels, "buy": labels, "file": labels}


def test_the_cap_counts_what_labels_really_cost(desk):
    desk.run("print-labels", "--max-cost", "30 USD", expect=3)
    spent = sum(sale["cost_minor"] for sale in desk.account.purchases)
    assert 2000 < spent <= 3000
    desk.run("print-labels")
    assert desk.disagreements() == []
    assert set(desk.folder.column("SELECT state FROM labels")) == {"bought"}


def test_a_label_quoted_above_the_cap_is_not_bought_and_the_others_are(desk):
    rules = desk.folder.rules.read_text("utf-8")
    desk.folder.rules.write_text(rules.replace("max_cost_per_label: 25 USD", "max_cost_per_label: 7 USD"), "utf-8")
    failed = desk.run("print-labels", "--json", expect=3).of("package", result="failed")
    assert {line["cause"] for line in failed} == {"label_too_dear"}
    assert desk.account.purchases
    assert all(sale["cost_minor"] <= 700 for sale in desk.account.purchases)
    assert desk.disagreements() == []


def test_an_empty_account_stops_the_run_and_the_next_one_goes_on(desk):
    desk.account.balance_minor = 2000
    stopped = desk.run("print-labels", expect=3)
    assert "top up" in stopped.stderr
    assert 0 < len(desk.account.purchases) < 10
    assert desk.folder.value("SELECT count(*) FROM v_quarantine") == 0
    desk.account.balance_minor = 1_000_000
    desk.run("print-labels")
    assert desk.disagreements() == []
    assert set(desk.folder.column("SELECT state FROM labels")) == {"bought"}


def test_one_bad_address_quarantines_one_package(desk):
    order = min(desk.shop.due())
    package = desk.folder.value("SELECT package_id FROM package_orders WHERE order_id = ?", f"tiktok:{order}")
    desk.account.unknown_addresses.add(package)
    failed = desk.run("print-labels", "--json", expect=3).of("package", result="failed")
    assert [line["cause"] for line in failed] == ["address_refused"]
    assert desk.folder.column("SELECT order_id FROM v_quarantine") == [f"tiktok:{order}"]
    assert desk.disagreements() == []
    assert len(desk.account.purchases) == len(desk.shop.due()) - 1


@pytest.mark.parametrize("fault", ["drop_before_buy", "drop_after_buy", "error_500_buy", "html_buy", "drop_create"])
def test_a_lost_answer_is_settled_by_reading_the_shipment(desk, fault):
    desk.account.script = [fault] * 3
    desk.run("print-labels", expect=(0, 3, 6))
    desk.run("print-labels")
    assert desk.disagreements() == []
    assert len(desk.account.purchases) == len(desk.shop.due())
    assert desk.folder.value("SELECT count(*) FROM labels WHERE state <> 'bought'") == 0


def test_after_the_rules_changed_to_files_what_was_bought_is_settled_and_nothing_is_bought(desk):
    desk.account.script = ["drop_after_buy"]
    desk.run("print-labels", "--limit", "1", expect=(0, 3, 6), environment={"EASYPOST_API_URL": desk.server.api_url})
    with sqlite3.connect(desk.folder.db) as connection:
        connection.execute(
            "UPDATE labels SET state = 'unknown', bought_at = NULL, sha256 = NULL, tracking_number = NULL"
            " WHERE source = 'easypost'"
        )
    desk.folder.rules.write_text(
        desk.folder.rules.read_text("utf-8").replace("seller_shipping: easypost", "seller_shipping: file"), "utf-8"
    )
    desk.run("print-labels")
    assert len(desk.account.purchases) == 1
    assert desk.disagreements() == []


def test_killed_at_random_instants_it_buys_each_label_once(open_desk):
    dice, kills, seed = random.Random(7), 0, 0
    while kills < 16:
        seed += 1
        account = Account(key=KEY, latency_s=0.02)
        desk = open_desk(f"shop-{seed}", orders=40, seed=seed, account=account)
        desk.shop.allocated()
        while kills < 16 and desk.folder.run_killed("print-labels", "--quiet", after_s=dice.uniform(0, 0.9)):
            kills += 1
        desk.run("print-labels")
        assert desk.disagreements() == []
        assert desk.shop.printed_twice_or_never() == []
        assert len(desk.account.purchases) == len(desk.shop.due())


def test_an_order_that_was_cancelled_since_the_last_look_gets_no_label(desk):
    order = min(desk.shop.due())
    shop = desk.shop.simulator.shop
    with shop.lock:
        shop.buyer_cancels(shop.orders[order], "ecom_order_to_ship_canceled_reason", int(time.time()))
    desk.run("print-labels")
    assert desk.disagreements() == []
    packages = desk.folder.column("SELECT package_id FROM package_orders WHERE order_id = ?", f"tiktok:{order}")
    assert not {sale["package_id"] for sale in desk.account.purchases} & set(packages)
    assert len(desk.account.purchases) == len(desk.shop.due())


def test_a_test_key_is_refused_on_a_real_shops_database(desk):
    with sqlite3.connect(desk.folder.db) as connection:
        connection.execute("UPDATE meta SET value = '7495' WHERE key = 'shop'")
    rules = desk.folder.rules.read_text("utf-8")
    desk.folder.rules.write_text(rules.replace("100 Main St", "77 Kiln Yard"), "utf-8")
    environment = {name: "" for name in desk.folder.environment if name.startswith("TIKTOK_SHOP_")}
    desk.run("allocate", "--no-wait", "--quiet", environment=environment)  # another sender: decided anew
    refused = desk.run("print-labels", "--stale-ok", expect=5, environment=environment)
    assert "test key" in refused.stderr
    assert desk.account.calls.keys() <= {"list"}


def test_without_a_key_nothing_is_bought_and_the_next_step_is_told(desk):
    refused = desk.run("print-labels", expect=4, environment={"EASYPOST_API_KEY": ""})
    assert "EASYPOST_API_KEY" in refused.stderr


def test_without_a_key_the_platforms_labels_are_bought_all_the_same(open_desk):
    desk = open_desk(carrier="mixed")
    desk.shop.allocated()
    refused = desk.folder.call("print-labels", expect=4, environment={"EASYPOST_API_KEY": ""})
    assert "EASYPOST_API_KEY" in refused.stderr
    bought = desk.shop.ledger()["purchases"]
    assert bought
    assert desk.folder.value("SELECT count(*) FROM labels WHERE printed_at IS NOT NULL") == len(bought)
    assert desk.account.calls.keys() <= {"list"}


def test_a_voided_label_is_refunded_once_and_its_package_gets_another(desk):
    desk.run("print-labels", "--limit", "2")
    package, other = desk.folder.column("SELECT package_id FROM labels WHERE source = 'easypost' ORDER BY 1")
    done = desk.run("labels", "void", package)
    assert "throw away" in done.stderr
    assert len(desk.account.refunds) == 1
    assert desk.run("labels", "void", package, "--json", expect=3).of("package")[0]["cause"] == "no_label"
    assert desk.folder.value("SELECT refund_status FROM v_labels WHERE package_id = ?", package) == "submitted"
    desk.run("allocate", "--quiet")
    desk.run("print-labels", package)
    assert desk.account.calls["refund"] == 1
    states = desk.folder.column("SELECT state FROM labels WHERE package_id = ? ORDER BY label_id", package)
    assert states == ["voided", "bought"]
    assert len({sale["tracking_number"] for sale in desk.account.purchases}) == 3
    assert desk.disagreements() == []
    assert desk.folder.column("SELECT state FROM labels WHERE package_id = ?", other) == ["bought"]


def test_a_void_whose_answer_was_lost_is_not_printed_and_settled_by_the_next_wish(desk):
    desk.run("print-labels", "--limit", "1")
    package = desk.bought()
    desk.account.script = ["drop_after_refund"]
    desk.run("labels", "void", package, expect=3)
    assert desk.folder.value("SELECT state FROM labels WHERE package_id = ?", package) == "bought"
    desk.run("labels", "void", package)
    assert desk.account.calls["refund"] == 1
    assert desk.folder.value("SELECT state FROM labels WHERE package_id = ?", package) == "voided"


def test_a_refused_refund_is_listed_and_waits_in_quarantine_until_somebody_closes_it(desk):
    desk.run("print-labels", "--limit", "2", "--quiet")
    package = desk.bought()
    desk.run("labels", "void", package, "--quiet")
    desk.account.refund_word = "rejected"
    with sqlite3.connect(desk.folder.db) as connection:
        connection.execute("UPDATE labels SET refund_read_at = '2026-11-01T00:00:00Z' WHERE state = 'voided'")
    refused = desk.run("labels", "reconcile", "--json", expect=3)
    assert [line["package_id"] for line in refused.of("label", cause="refund_rejected")] == [package]
    assert refused.summary["refunds_rejected"] == 1
    assert "refunds" not in desk.run("labels", "reconcile").stdout
    (row,) = (line.split("\t") for line in desk.run("labels", "list", package).stdout.splitlines()[1:])
    assert (row[1], row[-1]) == ("voided", "rejected")
    assert [case["cause"] for case in desk.run("quarantine", "--json").of("quarantine")] == ["refund_rejected"]
    desk.run("orders", "retry", package, "--quiet")
    assert desk.run("quarantine", "--json").of("quarantine") == []


def test_buying_labels_looks_at_old_refunds_in_passing(desk):
    desk.run("print-labels", "--limit", "1", "--quiet")
    desk.run("labels", "void", desk.bought(), "--quiet")
    desk.account.refund_word = "refunded"
    desk.run("print-labels", "--limit", "1", "--quiet")
    assert desk.folder.column("SELECT refund_status FROM labels WHERE state = 'voided'") == ["submitted"]
    with sqlite3.connect(desk.folder.db) as connection:
        connection.execute("UPDATE labels SET refund_read_at = '2026-11-01T00:00:00Z' WHERE state = 'voided'")
    desk.run("print-labels", "--limit", "1", "--quiet")
    assert desk.folder.column("SELECT refund_status FROM labels WHERE state = 'voided'") == ["refunded"]


def test_a_number_that_the_channel_knows_is_only_voided_with_yes(desk):
    desk.run("print-labels", "--limit", "1")
    desk.run("upload-tracking", "--quiet")
    package = desk.bought()
    refused = desk.run("labels", "void", package, expect=3)
    assert "--yes" in refused.stderr + refused.stdout
    assert desk.account.refunds == []
    desk.run("labels", "void", package, "--yes")
    assert len(desk.account.refunds) == 1


@pytest.mark.parametrize(("days", "code"), [(29, 0), (31, 3)])
def test_usps_takes_labels_back_for_thirty_days(desk, days, code):
    desk.run("print-labels", "--limit", "1")
    with sqlite3.connect(desk.folder.db) as connection:
        connection.execute(
            "UPDATE labels SET carrier = 'usps', bought_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now', ?)",
            (f"-{days} days",),
        )
    package = desk.bought()
    desk.run("labels", "void", package, "--dry-run", expect=0 if code == 0 else 3)
    desk.run("labels", "void", package, expect=code)
    assert len(desk.account.refunds) == (code == 0)


def test_a_platform_label_is_cancelled_in_seller_center(open_shop):
    shop = open_shop(orders=12, seed=4, carrier="tiktok")
    shop.allocated()
    shop.run("print-labels", "--limit", "1", "--quiet")
    package = shop.folder.value("SELECT package_id FROM labels WHERE state = 'bought'")
    (line,) = shop.run("labels", "void", package, "--json", expect=3).of("package")
    assert line["cause"] == "platform_label"
    assert "Seller Center" in line["next_step"]
    assert shop.folder.value("SELECT count(*) FROM labels WHERE state = 'bought'") == 1


def test_scan_forms_are_made_by_position_and_by_default_for_the_rest(desk):
    desk.run("print-labels", "--quiet")
    planned = desk.run("labels", "scan-form", "--dry-run", "--json").of("scan_form", result="planned")
    first = desk.folder.value(
        "SELECT package_id FROM labels WHERE carrier = 'usps' AND position IS NOT NULL ORDER BY position"
    )
    place = desk.folder.value("SELECT position FROM labels WHERE package_id = ? AND state = 'bought'", first)
    by_name = desk.run("labels", "scan-form", f"B01-{place:03d}", "--out", "forms", "--json")
    assert [line["package_ids"] for line in by_name.of("scan_form", result="done")] == [[first]]
    assert (desk.folder.path / "forms" / "scan-form-usps.pdf").read_bytes().startswith(b"%PDF")
    usps = [line for line in planned if line["carrier"] == "usps"]
    rest = desk.run("labels", "scan-form", "--carrier", "usps", "--json")
    assert rest.summary["parcels"] == sum(len(line["package_ids"]) for line in usps) - 1
    again = desk.run("labels", "scan-form", "--carrier", "usps")
    assert "no label waits for a scan form" in again.stdout
    assert desk.disagreements() == []
    desk.run("check", "--quiet")


def test_a_scan_form_without_a_key_tells_the_next_step(desk):
    desk.run("print-labels", "--limit", "1", "--quiet")
    assert "EASYPOST_API_KEY" in desk.run("labels", "scan-form", expect=4, environment={"EASYPOST_API_KEY": ""}).stderr
    assert desk.folder.column("SELECT state FROM scan_forms") == []


def decide_by(desk, carriers):
    """Let these rules decide, and nothing else."""
    text = desk.folder.rules.read_text("utf-8")
    before, after = text[: text.index("carriers:")], text[text.index("safety_stock:") :]
    desk.folder.rules.write_text(f"{before}carriers:\n{carriers}\n{after}", "utf-8")
    desk.run("stock", "import", "--from-channel", "tiktok", "--quiet")


def prepared(open_desk, carriers):
    desk = open_desk()
    desk.run("sync", "--quiet")
    decide_by(desk, carriers)
    desk.run("reserve-stock", "--no-push", "--quiet")
    return desk


UPS_GROUND, USPS_GROUND = "{carrier: ups, service_level: ground}", "{carrier: usps, service_level: ground_advantage}"


def test_the_cheapest_service_is_bought_at_the_price_that_was_compared(open_desk):
    desk = prepared(open_desk, f"  - {{name: least, use: {{cheapest: [{UPS_GROUND}, {USPS_GROUND}]}}}}")
    decided = desk.run("allocate", "--no-wait", "--json").of("package", result="done")
    assert {(line["carrier"], line["price_source"]) for line in decided if line["carrier"]} == {("usps", "easypost")}
    asked = desk.account.calls["create"]
    desk.run("print-labels", "--quiet")
    assert desk.account.calls["create"] == asked  # the quote that was compared is the one that is bought
    assert desk.disagreements() == []


def test_what_the_source_refuses_gives_way_to_the_next_choice(open_desk):
    dear = "{carrier: ups, service_level: next_day_air}"  # the fake does not sell it
    desk = prepared(open_desk, f"  - {{name: all, use: {dear}, then: {USPS_GROUND}}}")
    desk.run("allocate", "--no-wait", "--quiet")
    refused = desk.run("print-labels", "--json", expect=3)
    failures = refused.of("package", result="failed")
    assert {line["cause"] for line in failures} == {"no_service"}
    assert all("the rule's next choice, usps ground_advantage, is taken" in line["next_step"] for line in failures)
    # A PO box and the like got the next choice at once.
    assert {sale["package_id"] for sale in desk.account.purchases}.isdisjoint(line["package_id"] for line in failures)
    desk.run("allocate", "--no-wait", "--quiet")
    assert desk.run("print-labels", "--json").summary["bought"] == len(failures)
    assert desk.run("quarantine", "--json").of("quarantine") == []
    assert desk.disagreements() == []


def test_signature_and_insurance_of_a_rule_are_bought_with_the_label(open_desk):
    desk = prepared(open_desk, f"  - {{name: all, use: {USPS_GROUND}, signature: adult, insurance: 75.50 USD}}")
    desk.run("allocate", "--no-wait", "--quiet")
    desk.run("print-labels", "--quiet")
    shipments = [desk.account.shipments[sale["shipment_id"]] for sale in desk.account.purchases]
    assert shipments
    assert {shipment["options"]["delivery_confirmation"] for shipment in shipments} == {"ADULT_SIGNATURE"}
    assert {shipment["insurance"] for shipment in shipments} == {"75.50"}
