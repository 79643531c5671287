"""The shop's own book of what really happened, as one JSON file replaced whole and before a write is answered.

Writers that come while a dump runs share the next one: with 32 purchases in flight the disk sees a few dumps, and each
is answered only after a dump that contains it.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from tiktok_erp.simulator.entities import Order


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace `path` by `text`: a reader sees the old file or the new one, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def order_entry(order: Order) -> dict[str, Any]:
    """Return what the ledger says about one order; `hold` tells whether it is on hold now."""
    return {
        "status": order.status,
        "hold": order.status == "ON_HOLD",
        "hold_until": order.hold_until or None,
        "cancel_request": order.cancel_requested,
        "shipping_type": order.shipping_type,
        "fulfillment_type": order.fulfillment_type,
        "units": [
            {"id": unit.id, "sku_id": unit.sku.id, "status": unit.status, "package_id": unit.package_id or None}
            for unit in order.units
        ],
    }


class Ledger:
    """Collects entries under the shop's lock; `commit` brings them to disk outside it."""

    LISTS = ("purchases", "shipments", "tracking_updates", "inventory_writes", "violations", "lost_sales")

    def __init__(self, path: Path | None, lock: threading.RLock) -> None:
        self.path = path
        self._lock = lock
        self._lists: dict[str, list[dict[str, Any]]] = {name: [] for name in self.LISTS}
        self._texts: dict[str, list[str]] = {name: [] for name in self.LISTS}
        self._counters: dict[str, Counter[str]] = {"calls": Counter(), "writes": Counter(), "refusals": Counter()}
        self._faults: Counter[str] = Counter()
        self._order_texts: dict[str, str] = {}
        self._dirty: dict[str, Order] = {}
        self._revision = 1
        self._written = 0
        self._turn = threading.Condition()
        self._dumping = False

    def add(self, kind: str, /, **entry: Any) -> None:
        """Append one entry to the list `kind`."""
        with self._lock:
            self._lists[kind].append(entry)
            self._texts[kind].append(json.dumps(entry, ensure_ascii=False))
            self._revision += 1

    def count(self, counter: str, name: str) -> None:
        """Count one event; `counter` is calls, writes or refusals."""
        with self._lock:
            self._counters[counter][name] += 1
            self._revision += 1

    def order_changed(self, order: Order) -> None:
        """Remember that this order's entry is to be written anew."""
        with self._lock:
            self._dirty[order.id] = order
            self._revision += 1

    def watch_faults(self, hits: Counter[str]) -> None:
        """Report these counts as `faults`."""
        self._faults = hits

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """Return a copy of one list."""
        with self._lock:
            return list(self._lists[kind])

    def text(self) -> str:
        """Return the whole ledger as JSON text."""
        return self._collect()[1]

    def commit(self) -> None:
        """Return once everything recorded so far is on disk; without a path there is nothing to do."""
        if self.path is None:
            return
        target = self._revision
        while True:
            with self._turn:
                while self._dumping and self._written < target:
                    self._turn.wait()
                if self._written >= target:
                    return
                self._dumping = True
            revision = 0
            try:
                revision, text = self._collect()
                write_atomically(self.path, text)
            except BaseException:
                revision = 0
                raise
            finally:
                with self._turn:
                    self._dumping = False
                    self._written = max(self._written, revision)
                    self._turn.notify_all()

    def _collect(self) -> tuple[int, str]:
        with self._lock:
            for order in self._dirty.values():
                self._order_texts[order.id] = f"{json.dumps(order.id)}: {json.dumps(order_entry(order))}"
            self._dirty.clear()
            revision = self._revision
            orders = list(self._order_texts.values())
            lists = {name: list(texts) for name, texts in self._texts.items()}
            counters = {name: dict(counter) for name, counter in self._counters.items()}
            counters["faults"] = dict(self._faults)
        parts = ['"orders": {\n' + ",\n".join(orders) + "\n}"]
        parts += [f'"{name}": [\n' + ",\n".join(texts) + "\n]" for name, texts in lists.items()]
        parts += [f'"{name}": {json.dumps(counter)}' for name, counter in counters.items()]
        return revision, "{" + ",\n".join(parts) + "}\n"
