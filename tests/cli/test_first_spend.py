"""Before money is spent for the first time: by hand once, and from an address of one's own."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.carriers.easypost_fake import Account, EasyPostFake
from tiktok_erp.alerts.run import addresses_digest
from tiktok_erp.config.rules_file import load_rules
from tiktok_erp.store.database import load_migrations, open_store
from tiktok_erp.store.readiness import save_alert_tried

KEY = "EZAKfake"


@pytest.fixture
def real(open_shop: Callable[..., Any]) -> Any:
    """A shop that does not say that it is a simulated one, with labels to buy."""
    shop = open_shop(orders=24, carrier="tiktok", seed=4, shop_code="USRL42")
    shop.allocated()
    return shop


@pytest.fixture
def easypost() -> Iterator[EasyPostFake]:
    server = EasyPostFake(Account(key=KEY))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_run_buys_nothing_until_a_person_has_bought_a_label(real: Any) -> None:
    for _round in range(2):
        stopped = real.run("run", "--quiet", expect=5)
        assert "no label of this database was ever bought by hand" in stopped.stderr
        assert "print-labels --plan" in stopped.stderr
        assert real.ledger()["purchases"] == []
    real.run("print-labels", "--limit", "1", "--quiet")  # nobody was asked: a pipe is no person
    assert len(real.ledger()["purchases"]) == 1
    real.run("run", "--quiet", expect=5)
    assert len(real.ledger()["purchases"]) == 1
    real.run("print-labels", "--limit", "1", "--yes", "--quiet")
    real.run("run", "--quiet")
    assert real.shipped() == real.due()
    assert real.disagreements() == []


def test_run_with_yes_is_no_purchase_by_hand(real: Any) -> None:
    real.run("run", "--yes", "--quiet", expect=5)
    assert real.ledger()["purchases"] == []


def test_what_is_not_due_is_not_asked_for(open_shop: Callable[..., Any]) -> None:
    shop = open_shop(orders=0, shop_code="USRL42")
    shop.run("run", "--quiet")


def test_a_database_that_bought_labels_before_it_was_asked_goes_on(real: Any) -> None:
    real.run("print-labels", "--limit", "1", "--quiet")
    (step,) = [step for step in load_migrations() if step.name == "bought_by_hand"]
    with closing(sqlite3.connect(real.folder.db)) as connection:
        connection.executescript(step.sql)
    real.run("run", "--quiet")
    assert real.shipped() == real.due()


def test_own_labels_are_not_bought_from_the_address_of_the_example(
    open_shop: Callable[..., Any], easypost: EasyPostFake
) -> None:
    shop = open_shop(orders=24, seed=4, carrier="mixed", shop_code="USRL42")
    rules = shop.folder.rules.read_text("utf-8").replace("seller_shipping: file", "seller_shipping: easypost")
    shop.folder.rules.write_text(rules, "utf-8")
    shop.folder.environment |= {"EASYPOST_API_URL": easypost.api_url, "EASYPOST_API_KEY": KEY}
    shop.folder.planted.add(KEY)
    shop.allocated()
    refused = shop.run("print-labels", "--yes", expect=5)
    assert "`shop.ship_from` is still the example's address" in refused.stderr
    assert easypost.account.purchases == []
    assert shop.ledger()["purchases"]  # labels of the channel do not depend on it
    shop.folder.rules.write_text(rules.replace("100 Main St", "77 Kiln Yard"), "utf-8")
    shop.call("allocate", "--no-wait", "--quiet")
    shop.run("print-labels", "--yes", "--quiet")
    assert easypost.account.purchases


def test_before_a_stream_it_is_go_only_with_what_was_really_tried(real: Any) -> None:
    with closing(sqlite3.connect(real.folder.db)) as connection, connection:
        connection.execute("DELETE FROM runs")
    serious = {"senders", "paper_tried", "alert_tried", "by_itself"}

    def faults(expect: int) -> set[str]:
        looked = real.run("doctor", "--before-live", "--json", expect=expect)
        assert looked.summary["go"] is (expect == 0)
        return {line["name"] for line in looked.of("point") if line["level"] == "fault"}

    assert faults(3) == serious
    with closing(sqlite3.connect(real.folder.db)) as connection, connection:
        connection.execute(
            "INSERT INTO listings (channel, listing_id, sku) VALUES ('tiktok', '1', 'NOBODY-COUNTED-IT')"
        )
    assert faults(3) == serious | {"sku_counts"}
    real.run("stock", "set", "NOBODY-COUNTED-IT", "5", "--weight", "100g", "--quiet")
    rules = real.folder.rules.read_text("utf-8").replace("100 Main St", "77 Kiln Yard")
    real.folder.rules.write_text(rules.replace("alerts: {to: []}", 'alerts: {to: ["json://127.0.0.1:9/x"]}'), "utf-8")
    assert faults(3) == serious - {"senders"}
    real.run("allocate", "--no-wait", "--quiet")  # another sender: decided anew
    real.run("print-labels", "--limit", "1", "--yes", "--quiet")
    real.run("labels", "printed", "B01", "--quiet")
    assert faults(3) == {"alert_tried", "by_itself"}
    with open_store(real.folder.db) as store:
        save_alert_tried(store, addresses_digest(load_rules(real.folder.rules)))
    commands = real.folder.path / "bin"
    commands.mkdir()
    (commands / "crontab").write_text("#!/bin/sh\necho '# tiktok-erp run'\necho '*/5 * * * * tiktok-erp run --quiet'\n")
    (commands / "crontab").chmod(0o755)
    real.folder.environment["PATH"] = f"{commands}:{os.environ['PATH']}"
    assert faults(0) == set()


def test_a_rehearsal_in_a_simulated_shop_needs_none_of_it(open_shop: Callable[..., Any]) -> None:
    shop = open_shop(orders=8)
    shop.allocated()
    shop.run("sync", "--quiet")
    looked = shop.run("doctor", "--before-live", "--json")
    levels = {line["name"]: line["level"] for line in looked.of("point")}
    assert levels["paper_tried"] == levels["alert_tried"] == levels["senders"] == "warning"
