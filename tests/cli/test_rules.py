"""`rules test`, `rules explain`, `rules diff`, and combining, as a person runs them."""

from __future__ import annotations

import json

import pytest

BROKEN_EXAMPLE = (
    "tests:\n"
    "  - name: right\n    package: {shipping_type: TIKTOK, state: CA, order_total: 8 USD}\n    expect: {carrier: usps}\n"
    "  - name: wrong\n    package: {shipping_type: TIKTOK, state: CA, order_total: 15 USD}\n    expect: {carrier: usps, rule: everything else}\n"
    "  - name: nothing known\n    package: {shipping_type: TIKTOK, state: CA}\n    expect: {cause: unknown_order_total}\n"
)
BY_PRICE = (
    "channels: {tiktok: {own_labels_by: any}}\n"
    "carriers:\n"
    "  - name: by price\n"
    "    use: {cheapest: [{carrier: usps, service_level: ground_advantage}, {carrier: ups, service_level: ground}]}\n"
    "rates:\n"
    "  - {carrier: usps, service_level: ground_advantage, cost: 6 USD, transit_days: 4}\n"
    "  - {carrier: usps, service_level: priority_mail, cost: 9 USD, transit_days: 2}\n"
    "  - {carrier: ups, service_level: ground, cost: 8 USD, transit_days: 3}\n"
)


@pytest.fixture(scope="module")
def ready(tmp_path_factory, simulated):
    """A folder whose packages have carriers."""
    path = tmp_path_factory.mktemp("ready")
    with simulated(path, orders=40, seed=3) as shop:
        shop.allocated()
        yield shop


def test_the_examples_of_a_file_are_run(folder):
    folder.rules.write_text(BROKEN_EXAMPLE, "utf-8")
    finished = folder.run("rules", "test", expect=5)
    assert "as expected: right" in finished.stdout
    assert "wrong: carrier is ups, not usps, rule is California by UPS, not everything else" in finished.stderr
    assert finished.stdout.splitlines()[-1] == "3 examples, 1 not as expected"
    lines = folder.run("rules", "test", "--json", expect=5).of("rule_test")
    assert [(line["name"], line["result"]) for line in lines] == [
        ("right", "done"),
        ("wrong", "failed"),
        ("nothing known", "done"),
    ]
    assert lines[1]["wrong"]["carrier"] == {"expected": "usps", "seen": "ups"}


def test_examples_need_no_database_and_make_none(folder):
    folder.run("init", "--quiet")
    folder.db.unlink()
    folder.run("rules", "test")
    assert not folder.db.exists()


def test_every_rule_is_explained_and_one_decides(ready):
    packages = ready.query("SELECT package_id, because FROM v_packages WHERE state = 'allocated'")
    assert len(packages) > 10
    ids = [row["package_id"] for row in packages]
    lines = ready.run("rules", "explain", "-", "--json", stdin="\n".join(ids)).of("rule")
    winners = {line["package_id"]: line["rule"] for line in lines if line["decides"]}
    assert winners == {row["package_id"]: row["because"] for row in packages}
    assert len(lines) == 4 * len(ids)
    misses = [line for line in lines if line["answer"] == "misses"]
    assert misses and all(line["condition"] and line["seen"] for line in misses)


def test_an_explanation_says_what_the_alternatives_cost(ready):
    rules = ready.folder.path / "by-price.yaml"
    rules.write_text(BY_PRICE, "utf-8")
    package_id = ready.query("SELECT package_id FROM v_packages WHERE state = 'allocated' LIMIT 1")[0]["package_id"]
    text = ready.run("--rules", str(rules), "rules", "explain", package_id).stdout
    assert "usps ground_advantage: 6.00 USD, 4 days  <==" in text
    assert "usps priority_mail: 9.00 USD (+3.00 USD), 2 days" in text
    assert "so: usps ground_advantage, by `by price`" in text
    assert "decided before:" in text


def test_two_files_are_compared_on_the_history(ready):
    old, new = ready.folder.rules, ready.folder.path / "by-price.yaml"
    new.write_text(BY_PRICE, "utf-8")
    finished = ready.run("rules", "diff", str(old), str(new), "--on", "90d", "--json")
    packages = ready.query("SELECT carrier, service_level FROM v_packages WHERE state = 'allocated'")
    otherwise = [row for row in packages if (row["carrier"], row["service_level"]) != ("usps", "ground_advantage")]
    moves = {line["old"]: line["packages"] for line in finished.of("move")}
    assert sum(moves.values()) == finished.summary["changed"] >= len(otherwise)
    assert all(line["new"] == "usps ground_advantage" for line in finished.of("move"))
    assert len(finished.of("package")) == min(20, finished.summary["changed"])
    ups, priority = moves.get("ups ground", 0), moves.get("usps priority_mail", 0)
    assert finished.summary["cost_minor"] == {"USD": -200 * ups - 300 * priority}
    assert finished.summary["transit_days"] == ups + 2 * priority
    assert "packages would go otherwise" in ready.run("rules", "diff", str(old), str(new)).stdout


def test_the_same_file_changes_nothing(ready):
    finished = ready.run("rules", "diff", str(ready.folder.rules), str(ready.folder.rules), "--json")
    assert (finished.summary["changed"], finished.of("move"), finished.summary["packages"] > 10) == (0, [], True)


def test_a_length_of_time_that_is_none_is_refused(ready):
    refused = ready.run("rules", "diff", "rules.yaml", "rules.yaml", "--on", "long", expect=2)
    assert "long is no length of time" in refused.stderr


def test_orders_kept_back_get_no_label_until_they_are_released(open_shop):
    shop = open_shop(orders=30, carrier="tiktok")
    shop.allocated()
    due = shop.query(
        "SELECT package_id, order_ids FROM v_packages WHERE state = 'allocated' ORDER BY package_id LIMIT 2"
    )
    first, second = (json.loads(row["order_ids"])[0] for row in due)
    shop.run("orders", "hold", first, second, "--because", "the buyer writes")
    held = shop.run("allocate", "--json")
    assert [line["package_id"] for line in held.of("package", cause="held_by_seller")] == [
        row["package_id"] for row in due
    ]
    assert shop.run("status", "--json").of("status")[0]["kept_back"] == 2
    shop.run("print-labels", "--yes", "--quiet")
    assert not {first.partition(":")[2], second.partition(":")[2]} & shop.shipped()
    shown = shop.run("orders", "show", first).stdout
    assert "decided: hold, because the buyer writes" in shown
    shop.run("orders", "release", first)
    shop.run("allocate", "--quiet")
    shop.run("print-labels", "--yes", "--quiet")
    assert first.partition(":")[2] in shop.shipped()
    refused = shop.run("orders", "hold", first, "--because", "too late", expect=3)
    assert "its label is bought" in refused.stderr
    assert shop.disagreements() == []


def test_a_reason_is_asked_for(shop):
    shop.run("sync", "--quiet")
    assert "needs a reason" in shop.run("orders", "hold", "P000001", expect=2).stderr
    assert "needs a reason" in shop.run("orders", "retry", "P000001", "--override", "po_box", expect=2).stderr
    unknown = shop.run("orders", "retry", "P000001", "--override", "typo", "--because", "x", expect=2)
    assert "typo cannot be overridden (--override)" in unknown.stderr


def test_retrying_opens_what_is_still_wrong_as_a_new_case(shop):
    shop.folder.write_rules()
    shop.folder.rules.write_text("carriers: [{name: all, when: {weight_g: {over: 1}}, quarantine: look}]\n", "utf-8")
    shop.run("sync", "--quiet")
    shop.run("stock", "import", "--from-channel", "tiktok", "--quiet")
    shop.run("reserve-stock", "--no-push", "--quiet")
    shop.run("allocate", "--no-wait", "--quiet", expect=3)
    shop.run("allocate", "--no-wait", "--quiet")
    package_id = shop.query("SELECT package_id FROM v_quarantine WHERE cause = 'quarantined_by_rule' LIMIT 1")[0][
        "package_id"
    ]
    shop.run("orders", "retry", package_id, "--quiet", expect=3)
    trial = shop.run(
        "orders", "retry", package_id, "--override", "quarantined_by_rule", "--because", "x", "--dry-run", expect=3
    )
    assert "no carrier rule covers" in trial.stderr
    assert shop.query("SELECT * FROM v_overrides") == []


def test_waiting_packages_are_told_and_go_when_nobody_waits(shop):
    shop.run("sync", "--quiet")
    shop.run("stock", "import", "--from-channel", "tiktok", "--quiet")
    shop.run("reserve-stock", "--no-push", "--quiet")
    waiting = shop.run("allocate", "--json")
    assert waiting.summary["waiting"] == len(waiting.of("package", cause="waiting")) > 0
    assert all("until" in line["detail"] for line in waiting.of("package", cause="waiting"))
    assert shop.run("allocate", "--no-wait", "--json").summary["allocated"] == waiting.summary["waiting"]
    assert shop.run("allocate", "--no-wait", "--json").summary["allocated"] == 0


def test_before_a_stream_doctor_says_go_or_no_go(ready):
    sku = ready.query("SELECT sku FROM v_stock WHERE available_to_sell > 0 LIMIT 1")[0]["sku"]
    ready.run("sync", "--quiet")
    go = ready.run("doctor", "--before-live", "--sku", sku, "--json")
    assert go.summary["go"] is True
    names = {line["name"] for line in go.of("point")}
    assert names >= {
        "rules_tests",
        "sku_names",
        "sku_weights",
        "stream_stock",
        "carriers",
        "senders",
        "stream_disk",
    }
    assert next(line for line in go.of("point") if line["name"] == "carriers")["level"] == "ok"
    no_go = ready.run("doctor", "--before-live", "--sku", "NOBODY-COUNTED-IT", expect=3)
    assert no_go.stdout.splitlines()[-1] == "NO-GO: mend the faults first"
    assert "NOBODY-COUNTED-IT was never counted" in no_go.stdout
