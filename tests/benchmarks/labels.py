"""The whole command `print-labels`, from what is due to one PDF: calls a label, seconds against the calls' latency, memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.files import spend
from tests.carriers.easypost_fake import Account, EasyPostFake
from tests.conftest import _simulated

Row = tuple[str, str, str, str]
LATENCY_S = 0.2
CONCURRENCY = 8
_KEY = "EZTKbench"
_SPENDING = "{max_cost_per_label: 50 USD, max_cost_per_run: 900000 USD, max_cost_per_day: 900000 USD}"


def labels(folder: Path, spikes: tuple[int, ...] = (500, 2800)) -> list[Row]:
    """Buy and print the labels of a spike, 200 ms away and eight at a time, from TikTok and from EasyPost."""
    return [
        row
        for orders in spikes
        for source in ("tiktok", "easypost")
        for row in _buy(folder / f"{source}-{orders}", source, orders)
    ]


def _buy(own: Path, source: str, orders: int) -> list[Row]:
    own.mkdir()
    carrier = "tiktok" if source == "tiktok" else "seller"
    with _simulated(own, orders=orders, seed=4, carrier=carrier, document_seconds=0) as shop, _easypost() as account:
        shop.folder.planted = set()
        shop.folder.write_rules(spending=_SPENDING)
        rules = shop.folder.rules.read_text("utf-8").replace(
            "max_rate: 1000}", f"max_rate: 1000, concurrency: {CONCURRENCY}}}"
        )
        shop.folder.rules.write_text(rules.replace("seller_shipping: file", "seller_shipping: easypost"), "utf-8")
        shop.folder.environment |= {"EASYPOST_API_URL": account.api_url, "EASYPOST_API_KEY": _KEY}
        shop.allocated()
        before = _calls(shop)
        shop.simulator._server.latency_s = account.account.latency_s = LATENCY_S  # type: ignore[union-attr]
        spent = spend(own, "print-labels", "--yes", environment=shop.folder.environment)
        calls = _calls(shop) - before + sum(account.account.calls.values())
        bought = shop.folder.value("SELECT count(*) FROM labels WHERE printed_at IS NOT NULL")
    bound = calls * LATENCY_S / CONCURRENCY
    return [
        (
            f"print-labels, {bought} of {source}, {LATENCY_S * 1000:.0f} ms, {CONCURRENCY} at a time",
            f"{spent.seconds:.1f} s, {calls / bought:.2f} calls a label, {spent.peak_mb:.0f} MB",
            f"{spent.seconds / bound:.2f} x the calls' latency ({bound:.1f} s)",
            "3 calls, < 300 MB",
        )
    ]


def _calls(shop: Any) -> int:
    return sum(shop.ledger()["calls"].values())


@contextmanager
def _easypost() -> Iterator[EasyPostFake]:
    server = EasyPostFake(Account(key=_KEY, balance_minor=1_000_000_000))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
