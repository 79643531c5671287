"""The outage drill: the API goes dark in the middle of the day, people finish by hand, and the day is taken back.

Everything is drawn from the seed: the instant, how old the kit is, who does how much by hand, what buyers do meanwhile.
The people know only the kit's files and Seller Center.
"""

from __future__ import annotations

import csv
import random
import subprocess
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openpyxl import load_workbook

from tests.handover.seller_center import NOT_BY_API, SellerCenter, joined
from tiktok_erp.simulator.calls import ConnectionLost
from tiktok_erp.simulator.numbers import ups_number, usps_number

KIT = "kit"
CARRIER_NAMES = {"usps": "USPS", "ups": "UPS"}


class Outage:
    """Lets the gateway answer so many requests, and then none: the one in which it goes dark may still have an effect."""

    def __init__(self, gateway: Any, rng: random.Random) -> None:
        self._gateway = gateway
        self._handle = gateway.handle
        self._rng = rng
        self._left: int | None = None
        self._lock = threading.Lock()
        self.is_dark = threading.Event()
        gateway.handle = self._answer

    def after(self, requests: int) -> None:
        self._left = requests

    def go_dark(self) -> None:
        self._left = 0
        self.is_dark.set()

    def end(self) -> None:
        self._left = None
        self.is_dark.clear()

    def _answer(self, request: Any) -> Any:
        with self._lock:
            if self._left is None:
                is_last = is_answered = False
            else:
                is_last, is_answered = self._left == 1, self._left <= 0
                self._left -= 1
            if is_answered:
                self.is_dark.set()
                raise ConnectionLost
            has_effect = self._rng.random() < 0.5
        if not is_last:
            return self._handle(request)
        self.is_dark.set()
        if has_effect:
            self._handle(request)
        raise ConnectionLost


@dataclass(slots=True)
class People:
    """Work from a kit. `share` is how much of it they manage before the platform is back."""

    kit: Path
    seller_center: SellerCenter
    rng: random.Random
    share: float
    bought: int = 0
    told: int = 0

    def work(self) -> None:
        """Buy, write down, upload, pack, tick, scan; part of it is never written down at all."""
        labels = self._buy_in_seller_center()
        if labels and self.rng.random() < 0.7:
            (self.kit / "incoming" / "labels from Seller Center.pdf").write_bytes(joined(labels))
        self._buy_elsewhere()
        if self.rng.random() < 0.8:
            self.told = self.seller_center.upload_tracking(self.kit / "seller-center" / "tracking-upload.xlsx")[0]
        self._pack()

    def _buy_in_seller_center(self) -> list[bytes]:
        orders: dict[str, list[str]] = defaultdict(list)
        for row in _rows(self.kit / "seller-center" / "buy-labels.csv"):
            orders[row["package_id"]].append(row["order"])
        labels = []
        for order_ids in orders.values():
            label = self.seller_center.label_of(order_ids) if self._manages() else None
            if label is not None:
                labels.append(label)
        self.bought = len(labels)
        return labels

    def _buy_elsewhere(self) -> None:
        """Buy own labels; some are written into the list, the others straight into Seller Center's template."""
        numbers = {}
        for serial, row in enumerate(_rows(self.kit / "buy-elsewhere.csv"), start=9_000_001):
            orders = row["orders"].split()
            if self._manages() and all(self.seller_center.may_be_shipped(order_id) for order_id in orders):
                carrier = row["carrier"] if row["carrier"] in CARRIER_NAMES else "usps"
                number = ups_number(serial) if carrier == "ups" else usps_number(serial)
                numbers[row["package_id"]] = (orders, carrier, number)
        in_template = {package_id for package_id in numbers if self.rng.random() < 0.5}
        self._write_into_lists(
            {package_id: found for package_id, found in numbers.items() if package_id not in in_template}
        )
        path = self.kit / "seller-center" / "tracking-upload.xlsx"
        if not path.exists():
            return
        workbook = load_workbook(path)
        sheet = workbook["Shipping info"]
        line = 3
        while sheet.cell(line, 1).value:
            line += 1
        for package_id in sorted(in_template):
            orders, carrier, number = numbers[package_id]
            for order_id in orders:
                for column, text in enumerate((order_id, number, CARRIER_NAMES[carrier], "N/A"), start=1):
                    sheet.cell(line, column).value = text
                line += 1
        workbook.save(path)

    def _write_into_lists(self, numbers: dict[str, tuple[list[str], str, str]]) -> None:
        for path in sorted(self.kit.glob("person-*/list.xlsx")):
            workbook = load_workbook(path)
            sheet = workbook.active
            columns = _columns(sheet)
            for line in range(2, sheet.max_row + 1):
                found = numbers.get(sheet.cell(line, columns["package_id"]).value)
                if found is not None:
                    sheet.cell(line, columns["new_carrier"]).value = found[1]
                    sheet.cell(line, columns["new_tracking_number"]).value = found[2]
            workbook.save(path)

    def _pack(self) -> None:
        for path in sorted(self.kit.glob("person-*/list.xlsx")):
            workbook = load_workbook(path)
            sheet = workbook.active
            columns = _columns(sheet)
            for line in range(2, sheet.max_row + 1):
                number = sheet.cell(line, columns["tracking_number"]).value
                if not number or not self._manages():
                    continue
                if self.rng.random() < 0.5:
                    with (self.kit / "scans.txt").open("a", encoding="utf-8") as scans:
                        scans.write(f"{number}\n")
                else:
                    sheet.cell(line, columns["packed"]).value = "x"
            workbook.save(path)

    def _manages(self) -> bool:
        return self.rng.random() < self.share


def play(
    path: Path, simulated: Callable[..., AbstractContextManager[Any]], *, seed: int, orders: int, **options: Any
) -> Counter[str]:
    """Play one outage; fail when anything was shipped twice, lost, or differs between the two books."""
    rng = random.Random(f"outage/{seed}")
    path.mkdir(parents=True, exist_ok=True)
    with simulated(path, orders=orders, seed=seed, document_seconds=0.05, **options) as shop:
        shop.folder.planted = set()
        shop.allocated()
        outage = Outage(shop.simulator.gateway, rng)
        kit_is_old = _morning(shop, outage, rng, orders)
        if not kit_is_old:
            shop.call("handover", KIT, "--people", "3", "--quiet", expect=(0, 3))
        people = People(shop.folder.path / KIT, SellerCenter(shop.simulator), rng, rng.choice((0.3, 0.7, 1.0)))
        people.work()
        _buyers_change_their_minds(shop, rng)
        outage.end()
        before = shop.folder.dump()
        shop.call("resume", KIT, "--dry-run", "--quiet", expect=(0, 3))
        assert shop.folder.dump() == before, "a dry run changed something"
        shop.call("resume", KIT, "--quiet", expect=(0, 3))
        _afternoon(shop)
        after = shop.folder.dump()
        shop.call("resume", KIT, "--quiet", expect=(0, 3))
        assert shop.folder.dump() == after, "a second resume changed something"
        found = _differences(shop)
        assert not found, f"seed {seed}: " + "; ".join(found[:10])
        return Counter(
            bought_by_hand=people.bought,
            told_by_hand=people.told,
            packed=shop.folder.value("SELECT count(*) FROM packings"),
            bought=sum(entry["request_id"] != NOT_BY_API for entry in shop.ledger()["purchases"]),
            old_kits=kit_is_old,
        )


def _morning(shop: Any, outage: Outage, rng: random.Random, orders: int) -> bool:
    """Work until the API goes dark, and what runs then is killed; return whether a kit was made before."""
    listed = shop.write_tracking_list()
    _keep_some(shop.folder.path / "tracking.csv", rng)
    kit_is_old = rng.random() < 0.5
    steps: list[tuple[str, ...]] = [("print-labels",), ("upload-tracking",)]
    if listed:
        steps.insert(rng.randrange(2), ("print-labels", "--from", "tracking.csv"))
    if kit_is_old:
        # Not before numbers are taken over from a file: who does that tells the others, or they buy the same label again.
        first = 1 + max((place for place, step in enumerate(steps) if "--from" in step), default=-1)
        steps.insert(rng.randint(first, len(steps)), ("handover", KIT, "--people", "3"))
    outage.after(rng.randrange(1, max(3, int(orders * 1.6))))
    for step in steps:
        if outage.is_dark.is_set() and step[0] != "handover" and "--from" not in step:
            continue
        _run_into_the_dark(shop, outage, rng, *step)
    outage.go_dark()
    return kit_is_old


def _run_into_the_dark(shop: Any, outage: Outage, rng: random.Random, *step: str) -> None:
    needs_channel = step[0] != "handover" and "--from" not in step
    with shop.folder.start(*step, "--quiet", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if needs_channel and outage.is_dark.is_set():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(rng.uniform(0, 0.5))
                process.kill()
                return
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)


def _keep_some(path: Path, rng: random.Random) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *(row for row in rows if rng.random() < 0.5)])


def _buyers_change_their_minds(shop: Any, rng: random.Random) -> None:
    book = shop.simulator.shop
    with book.lock:
        for order in sorted(book.orders.values(), key=lambda order: order.id):
            if order.status == "AWAITING_SHIPMENT" and not order.cancel_requested and rng.random() < 0.03:
                book.cancel(order, order.live_units, role="BUYER", reason="No longer needed", at=book.now())


def _afternoon(shop: Any) -> None:
    """The tool goes on: what is left is bought, printed and told."""
    for step in (
        ("print-labels",),
        ("allocate", "--no-wait"),
        ("print-labels",),
        ("print-labels", "--from", "rest.csv"),
        ("upload-tracking",),
        ("sync",),
        ("reserve-stock", "--yes"),
    ):
        if step[-1] == "rest.csv":
            shop.write_tracking_list("rest.csv", first_serial=8_500_001)
        shop.call(*step, "--quiet", expect=(0, 3))


def _differences(shop: Any) -> list[str]:
    """Compare the two books; return every difference."""
    book = shop.ledger()
    found = [f"violation: {violation}" for violation in book["violations"]]
    entries = [*book["purchases"], *book["shipments"]]
    shipped = Counter(order_id for entry in entries for order_id in entry["order_ids"])
    found += [f"shipped {count} times: {order_id}" for order_id, count in shipped.items() if count != 1]
    real = {(order_id, entry["tracking_number"]) for entry in entries for order_id in entry["order_ids"]}
    ours = {
        (row["channel_order_id"], row["tracking_number"])
        for row in shop.query(
            "SELECT o.channel_order_id, l.tracking_number FROM labels l JOIN package_orders po USING (package_id)"
            " JOIN orders o USING (order_id) WHERE l.state = 'bought' AND po.uploaded_at IS NOT NULL"
        )
    }
    by_platform = {
        order_id for order_id, order in book["orders"].items() if order["fulfillment_type"] == "FULFILLMENT_BY_TIKTOK"
    }
    ours = {(order_id, number) for order_id, number in ours if order_id not in by_platform}
    found += [f"shipped, and the database does not know: {entry}" for entry in sorted(real - ours)]
    found += [
        f"the database says shipped, and it is not: {entry}" for entry in sorted(ours - real) if entry[0] in shipped
    ]
    found += [f"lost: {order_id}" for order_id in sorted(shop.due() - set(shipped) - _shipped_before(shop))]
    found += [
        f"purchase without an end: {row}"
        for row in shop.query("SELECT package_id, state FROM labels WHERE state IN ('sent', 'unknown')")
    ]
    twice = shop.folder.column(
        "SELECT package_id FROM labels WHERE state IN ('intent', 'sent', 'unknown', 'bought') GROUP BY 1 HAVING count(*) > 1"
    )
    found += [f"two live labels: {package_id}" for package_id in twice]
    # The price of a purchase whose answer was lost is known to nobody, so labels are compared, not sums.
    paid = {entry["tracking_number"] for entry in book["purchases"] if entry["request_id"] != NOT_BY_API}
    held = set(shop.folder.column("SELECT tracking_number FROM labels WHERE source = 'tiktok' AND state = 'bought'"))
    found += [f"paid through the API, and not in the journal: {number}" for number in sorted(paid - held)]
    # Where a purchase was in doubt and a person bought the label instead, the journal rightly has that one.
    found += [
        f"in the journal, and nobody paid for it: {number}"
        for number in sorted(held - {entry["tracking_number"] for entry in book["purchases"]})
    ]
    shown = {
        sku.seller_sku: sum(sku.available.values())
        for sku in shop.simulator.shop.catalogue.skus.values()
        if not sku.is_gift
    }
    stock = {
        row["sku"]: row["sellable"]
        for row in shop.query("SELECT sku, sum(available_to_sell) AS sellable FROM v_stock GROUP BY sku")
    }
    found += [
        f"stock of {sku}: {stock.get(sku)}, the shop shows {n}" for sku, n in shown.items() if stock.get(sku) != n
    ]
    shop.call("check", "--quiet")
    return found


def _shipped_before(shop: Any) -> set[str]:
    """Return orders that had left before the day began: nobody's purchase is in the book."""
    return set(
        shop.folder.column(
            "SELECT channel_order_id FROM orders o WHERE base_state = 'closed' AND shipping_type IS NOT NULL"
        )
    ) - {
        order_id
        for entry in [*shop.ledger()["purchases"], *shop.ledger()["shipments"]]
        for order_id in entry["order_ids"]
    }


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _columns(sheet: Any) -> dict[str, int]:
    return {str(cell.value).split()[0]: cell.column for cell in sheet[1]}
