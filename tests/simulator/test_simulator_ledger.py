"""The ledger file: complete before a write is answered, never half, and cheap with many writers."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tiktok_erp.simulator.ledger import Ledger
from tiktok_erp.simulator.numbers import usps_number


def test_the_file_is_there_at_the_start_with_every_order(start_shop, tmp_path):
    path = tmp_path / "state.json"
    wire = start_shop(state=path)
    book = json.loads(path.read_text(encoding="utf-8"))
    assert len(book["orders"]) == 60
    held = next(entry for entry in book["orders"].values() if entry["status"] == "ON_HOLD")
    assert held["hold"] is True
    order = wire.shippable("TIKTOK")[0]
    entry = book["orders"][order["id"]]
    assert (entry["status"], entry["hold"], entry["cancel_request"]) == ("AWAITING_SHIPMENT", False, False)
    assert [unit["id"] for unit in entry["units"]] == [line["id"] for line in order["line_items"]]
    assert {unit["package_id"] for unit in entry["units"]} == {None}
    for name in ("purchases", "shipments", "inventory_writes", "violations"):
        assert book[name] == []


def test_a_purchase_is_on_disk_before_its_answer(start_shop, tmp_path):
    path = tmp_path / "state.json"
    wire = start_shop(state=path)
    order = wire.shippable("TIKTOK")[0]
    reply = wire.buy(order["id"])
    book = json.loads(path.read_text(encoding="utf-8"))
    (purchase,) = book["purchases"]
    assert purchase["package_id"] == reply.data["package_id"]
    assert purchase["order_ids"] == [order["id"]]
    assert purchase["request_id"] == reply.envelope["request_id"]
    assert purchase["cost"] == reply.data["shipping_service_info"]["price"]
    assert purchase["time"] == int(wire.clock())
    assert book["orders"][order["id"]]["status"] == "AWAITING_COLLECTION"
    assert {unit["package_id"] for unit in book["orders"][order["id"]]["units"]} == {purchase["package_id"]}
    assert book["calls"]["POST /fulfillment/202512/packages"] == 1
    assert book["writes"] == {"POST /fulfillment/202512/packages": 1}


def test_a_violation_is_on_disk_before_its_answer(start_shop, tmp_path):
    path = tmp_path / "state.json"
    wire = start_shop(state=path)
    wire.buy(wire.with_status("ON_HOLD")["id"])
    book = json.loads(path.read_text(encoding="utf-8"))
    assert [row["kind"] for row in book["violations"]] == ["bought_on_hold"]
    assert book["refusals"] == {"21011044 POST /fulfillment/202512/packages": 1}


def test_parallel_purchases_are_each_on_disk_before_their_answer(start_shop, tmp_path):
    path = tmp_path / "state.json"
    wire = start_shop(state=path, orders=250, carrier="tiktok")
    ids = [order["id"] for order in wire.shippable("TIKTOK")][:160]
    late: list[str] = []

    def buy_all(chosen):
        client = type(wire)(wire.simulator, wire.clock)
        for order_id in chosen:
            package_id = client.buy(order_id).data["package_id"]
            book = json.loads(path.read_text(encoding="utf-8"))
            if package_id not in {row["package_id"] for row in book["purchases"]}:
                late.append(package_id)
        client.close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(buy_all, [ids[start::16] for start in range(16)]))
    assert late == []
    assert len(wire.ledger["purchases"]) == 160


def test_concurrent_writers_share_dumps(tmp_path, monkeypatch):
    from tiktok_erp.simulator import ledger as module

    book = Ledger(tmp_path / "state.json", threading.RLock())
    first_dump_runs, may_go_on = threading.Event(), threading.Event()
    dumps = []

    def slow_write(path, text):
        dumps.append(text)
        first_dump_runs.set()
        assert may_go_on.wait(10)

    monkeypatch.setattr(module, "write_atomically", slow_write)

    def write(number):
        book.add("purchases", package_id=str(number))
        book.commit()
        assert any(f'"package_id": "{number}"' in text for text in dumps)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    threads[0].start()
    assert first_dump_runs.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(book.entries("purchases")) < 20:
        pass
    may_go_on.set()
    for thread in threads:
        thread.join()
    assert len(dumps) <= 3
    assert len(json.loads(dumps[-1])["purchases"]) == 20


def test_a_dump_that_fails_is_not_taken_for_written(tmp_path):
    book = Ledger(tmp_path / "missing" / "state.json", threading.RLock())
    book.add("purchases", package_id="1")
    with pytest.raises(FileNotFoundError):
        book.commit()
    (tmp_path / "missing").mkdir()
    book.commit()
    assert "1" in (tmp_path / "missing" / "state.json").read_text(encoding="utf-8")


def test_no_temporary_file_stays_behind(start_shop, tmp_path):
    wire = start_shop(state=tmp_path / "state.json")
    order = wire.shippable("SELLER")[0]
    wire.mark(order["id"], usps_number(1))
    wire.simulator.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_stopping_writes_what_reads_left(start_shop, tmp_path):
    path = tmp_path / "state.json"
    wire = start_shop(state=path)
    wire.search()
    wire.simulator.stop()
    book = json.loads(path.read_text(encoding="utf-8"))
    assert book["calls"] == {"POST /order/202309/orders/search": 1}
    assert book["writes"] == {}
