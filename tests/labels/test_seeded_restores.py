"""Seeded days on which yesterday's backup is restored, or a second machine takes over, in the middle of everything going wrong.

What the source sold is held once, and no number comes out of a printer twice. The faults are those of `test_seeded_runs*.py`.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.carriers.easypost_fake import Account, EasyPostFake
from tests.labels import test_seeded_runs as own
from tests.labels import test_seeded_runs_tiktok as platform
from tests.labels.test_seeded_runs import Mute, fake
from tiktok_erp.carriers.easypost import EasyPost
from tiktok_erp.errors import ErpError
from tiktok_erp.labels.elsewhere import look_at_source
from tiktok_erp.labels.journal import LabelBuyer
from tiktok_erp.labels.tiktok import TikTokLabels
from tiktok_erp.model.secret import Secret
from tiktok_erp.simulator.server import Simulator, SimulatorOptions
from tiktok_erp.store.backup import nobody_works, restore_backup, write_backup
from tiktok_erp.store.behind import lift, notice, require_up_to_date
from tiktok_erp.store.database import Store, open_store
from tiktok_erp.store.print_jobs import load_to_print
from tiktok_erp.sync.run import OrderWriter
from tiktok_erp.transport.client import HttpClient
from tiktok_erp.transport.pace import Pace
from tiktok_erp.transport.retry import RetryPolicy

__all__ = ["fake"]  # a fixture

RUNS = 80


def go_on(store: Store, buy: Callable[[Store], None], paper: Counter[str], dice: random.Random, times: int) -> None:
    """Buy, often killed, and print what is held by itself."""
    for _time in range(times):
        with pytest.MonkeyPatch.context() as patch, suppress(ErpError, platform.Killed):
            patch.setattr(Store, "execute", platform.killed_at(dice.choice((0, 0, dice.randint(1, 60)))))
            buy(store)
        rows = load_to_print(store)
        paper.update(row["tracking_number"] for row in rows)
        store.execute_many(
            "UPDATE labels SET printed_at = ? WHERE label_id = ?",
            [("2026-11-30T12:00:00Z", row["label_id"]) for row in rows],
        )


def restore(backup: Path, path: Path) -> None:
    with nobody_works(path):
        restore_backup(backup, path, datetime.now(UTC), dry_run=False)


def renumbered(path: Path, target: Path) -> None:
    """Make what another machine holds of the same orders: its packages have other numbers."""
    shutil.copy(path, target)
    with open_store(target) as store, store.transaction():
        store.execute("PRAGMA defer_foreign_keys = ON")
        ids = [row[0] for row in store.query("SELECT package_id FROM packages ORDER BY package_id")]
        for step in ("0", ""):
            for old, new in zip(ids, reversed(ids), strict=True):
                before, after = (old, f"P0{new[1:]}") if step else (f"P0{new[1:]}", new)
                for table in ("packages", "package_orders", "units"):
                    store.execute(f"UPDATE {table} SET package_id = ? WHERE package_id = ?", (after, before))


def source_of(fake: EasyPostFake, http: HttpClient) -> EasyPost:
    quick = RetryPolicy(attempts=2, first_wait_s=0.001)
    return EasyPost(Secret("EZAKfake"), fake.api_url, http, Pace(start_rate=1e6, max_rate=1e6), retries=quick)


@pytest.mark.parametrize("way", ["restored", "taken over"])
@pytest.mark.parametrize("seed", range(RUNS))
def test_labels_of_easypost(seed: int, way: str, fake: EasyPostFake, tmp_path: Path) -> None:
    dice = random.Random(seed)
    account = fake.account = Account(dice=random.Random(seed), faults=dict(own.FAULTS))
    account.lists_purchases = seed % 3 > 0
    account.finds_references = not account.lists_purchases
    paper: Counter[str] = Counter()
    path, backup = tmp_path / "shop.db", tmp_path / "kept.zip"

    with ExitStack() as stack:
        http = stack.enter_context(HttpClient(answer_timeout_s=5))

        def buy(store: Store) -> None:
            require_up_to_date(store)
            own.run(store, fake, http, lambda ids: list(ids))

        with open_store(path, create=True) as store:
            with store.transaction():
                own.make(store)
            if way == "taken over":
                store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                renumbered(path, tmp_path / "other.db")
            go_on(store, buy, paper, dice, dice.randint(0, 2))
            write_backup(store, backup, datetime.now(UTC), dry_run=False)
            go_on(store, buy, paper, dice, dice.randint(1, 3))
        if way == "restored":
            restore(backup, path)
        else:
            path = tmp_path / "other.db"
        with open_store(path) as store:
            notice(store)
            if way == "restored":
                with pytest.raises(ErpError):
                    require_up_to_date(store)
                look_at_source(store, source_of(fake, http), Mute(), run_id=None, is_behind=True, buys=False)
                lift(store)
            elif seed % 2:  # as `sync` looks, which is about to spend nothing
                look_at_source(store, source_of(fake, http), Mute(), run_id=None, is_behind=False, buys=False)
            go_on(store, buy, paper, dice, 3)
            account.faults = {}
            for _time in range(2):
                buy(store)
            go_on(store, buy, paper, dice, 1)
            held = {
                (row["order_id"], row["tracking_number"])
                for row in store.query(
                    "SELECT po.order_id, l.tracking_number FROM labels l JOIN package_orders po USING (package_id)"
                    " WHERE l.state = 'bought'"
                )
            }
            assert not store.query("SELECT 1 FROM labels WHERE state IN ('sent', 'unknown')")
            # An answer that nobody could read is one package's case; the others are bought.
            cases = store.scalar("SELECT count(DISTINCT package_id) FROM quarantine WHERE resolved_at IS NULL")
        assert {number for _order, number in held} == {sale["tracking_number"] for sale in account.purchases}
        assert len(held) + cases == own.PACKAGES
        assert max(Counter(sale["reference"] for sale in account.purchases).values()) == 1
        assert set(paper.values()) <= {1}
        assert account.violations == []


@pytest.mark.parametrize("way", ["restored", "taken over"])
@pytest.mark.parametrize("seed", range(RUNS))
def test_labels_of_tiktok(seed: int, way: str, tmp_path: Path) -> None:
    dice = random.Random(seed)
    faults = ",".join(f"{name}:{share}" for name, share in platform.FAULTS.items())
    options = SimulatorOptions(orders=6, seed=seed, carrier="tiktok", rate_limit=0, document_seconds=0, faults=faults)
    paper: Counter[str] = Counter()
    path, backup = tmp_path / "shop.db", tmp_path / "kept.zip"
    with Simulator(options) as simulator, HttpClient(answer_timeout_s=5) as http:
        shop = platform.client(simulator, http, tmp_path)

        def read_back_of(store: Store) -> Callable[[Sequence[str]], Collection[str]]:
            def read_back(order_ids: Sequence[str]) -> Collection[str]:
                numbers = [order_id.partition(":")[2] for order_id in order_ids]
                return OrderWriter(store, platform.RULES, Mute(), run_id=None).write_raw(shop.fetch_orders(numbers))

            return read_back

        def buy(store: Store) -> None:
            require_up_to_date(store)
            read_back = read_back_of(store)
            vendor = TikTokLabels(store, shop, platform.RULES, read_back, sleep=lambda seconds: None)
            LabelBuyer(store, vendor, platform.RULES, Mute(), read_back, run_id=None, sleep=lambda seconds: None).buy(
                only=None, limit=None
            )

        def fetch(store: Store) -> None:
            for _time in range(5):
                with suppress(ErpError):
                    read_back_of(store)([f"tiktok:{number}" for number in simulator.shop.orders])
                    break
            store.execute(
                "UPDATE packages SET carrier = 'usps', service_level = 'ground_advantage', because = 'rule', weight_g = 120,"
                " allocated_at = '2099-01-01T00:00:00Z' WHERE allocated_at IS NULL"
            )

        with open_store(path, create=True) as store:
            fetch(store)
            go_on(store, buy, paper, dice, dice.randint(0, 1))
            write_backup(store, backup, datetime.now(UTC), dry_run=False)
            go_on(store, buy, paper, dice, dice.randint(1, 3))
        if way == "restored":
            restore(backup, path)
        else:
            path = tmp_path / "other.db"
        with open_store(path, create=way != "restored") as store:
            notice(store)
            fetch(store)
            if way == "restored":
                lift(store)
            go_on(store, buy, paper, dice, 4)
            held = {
                row[0]
                for row in store.query(
                    "SELECT tracking_number FROM labels WHERE state = 'bought' AND cost_minor IS NOT NULL"
                )
            }
            known = {row[0] for row in store.query("SELECT tracking_number FROM labels WHERE state = 'bought'")}
        book = simulator.ledger()
        sold = {entry["tracking_number"] for entry in book["purchases"]}
        assert sold <= known
        assert held <= sold
        assert book["violations"] == []
        assert set(paper.values()) <= {1}


def test_a_look_reaches_back_to_the_newest_purchase_that_is_known(fake: EasyPostFake, tmp_path: Path) -> None:
    account = fake.account = Account()
    with open_store(tmp_path / "shop.db", create=True) as store, HttpClient(answer_timeout_s=5) as http:
        with store.transaction():
            own.make(store)
        write_backup(store, tmp_path / "kept.zip", datetime.now(UTC), dry_run=False)
        own.run(store, fake, http, lambda ids: list(ids))
        old = (datetime.now(UTC) - timedelta(days=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
        store.execute("UPDATE orders SET placed_at = ?", (old,))
    for shipment in account.shipments.values():
        shipment["created_at"] = old
    restore(tmp_path / "kept.zip", tmp_path / "shop.db")
    with open_store(tmp_path / "shop.db") as store, HttpClient(answer_timeout_s=5) as http:
        store.execute("UPDATE orders SET placed_at = ?", (old,))
        found = look_at_source(store, source_of(fake, http), Mute(), run_id=None, is_behind=True, buys=False)
        assert found.found == own.PACKAGES
