"""Stock: reserving many lines at once, `stock show` over a long ledger, eight processes on one file."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tiktok_erp.model.outcome import Outcome
from tiktok_erp.model.rule import Rules
from tiktok_erp.stock.run import reserve
from tiktok_erp.store.checks import CHECKS, find_breaches
from tiktok_erp.store.database import Store, open_store
from tiktok_erp.store.stock import settle_reservations, settle_restocking

AT = "2026-11-18T12:00:00Z"
NOTHING_KEPT = Rules(safety_stock=())


class Mute:
    wants_fields = False

    def item(self, outcome: Outcome) -> None: ...
    def say(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def progress(self, what: str, done: int, total: int | None) -> None: ...


def fill(path: Path, *, lines: int, skus: int, pieces: int, lines_an_order: int = 2) -> None:
    """Make a database with open orders of `lines` units over `skus` SKUs, the first ones hot, and `pieces` counted of each."""
    dice = random.Random(5)
    with open_store(path, create=True) as store, store.transaction():
        orders = -(-lines // lines_an_order)
        store.execute_many(
            "INSERT INTO orders (order_id, channel, channel_order_id, status, base_state, is_open, ship_by, paid_at, placed_at, source,"
            " as_of, first_seen_at, synced_at) VALUES (?, 'tiktok', ?, 'AWAITING_SHIPMENT', 'open', 1, ?, ?, ?, 'api', ?, ?, ?)",
            [
                (f"tiktok:{n}", str(n), f"2026-11-19T{n % 24:02d}:{n % 60:02d}:00Z", AT, AT, AT, AT, AT)
                for n in range(orders)
            ],
        )
        store.execute_many(
            "INSERT INTO units (unit_id, order_id, position, sku, channel_sku_id, status, state)"
            " VALUES (?, ?, ?, ?, ?, 'AWAITING_SHIPMENT', 'open')",
            [
                (f"u{n}", f"tiktok:{n // lines_an_order}", n, sku, sku)
                for n in range(lines)
                for sku in [f"SKU-{min(int(dice.expovariate(6 / skus)), skus - 1):04d}"]
            ],
        )
        store.execute_many(
            "INSERT INTO stock_moves (sku, warehouse, kind, quantity, because, at) VALUES (?, 'main', 'counted', ?, 'bench', ?)",
            [(f"SKU-{n:04d}", pieces, AT) for n in range(skus)],
        )


class Reserving:
    """100,000 lines over 500 SKUs: ours, and executemany of the rows that ours comes to."""

    def __init__(self, folder: Path, lines: int = 100_000, skus: int = 500) -> None:
        self._folder, self._number = folder, 0
        self._filled = folder / "filled.db"
        fill(self._filled, lines=lines, skus=skus, pieces=lines // 250)
        with closing(sqlite3.connect(self._filled)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        path = self._fresh()
        with open_store(path) as store:
            reserve(store, NOTHING_KEPT, Mute(), only_orders=None, dry_run=False)
            self._rows = [
                tuple(row) for row in store.query("SELECT unit_id, sku, warehouse, state, held_at FROM reservations")
            ]
        self.held = sum(row[3] == "held" for row in self._rows)

    def prepare(self) -> Path:
        """Return a filled database that nobody has reserved in."""
        return self._fresh()

    def ours(self, path: Path) -> None:
        """Read, decide, write, commit."""
        with open_store(path) as store:
            reserve(store, NOTHING_KEPT, Mute(), only_orders=None, dry_run=False)

    def bare(self, path: Path) -> None:
        """executemany of the ready rows into the same tables, with the same triggers."""
        with open_store(path) as store, store.transaction():
            store.execute_many(
                "INSERT INTO reservations (unit_id, sku, warehouse, state, held_at) VALUES (?, ?, ?, ?, ?)", self._rows
            )

    def _fresh(self) -> Path:
        self._number += 1
        path = self._folder / f"reserve-{self._number}.db"
        path.write_bytes(self._filled.read_bytes())
        return path


def timed(make: Callable[[], Path], run: Callable[[Path], None], repeats: int) -> float:
    """Return the median seconds of `run` on a fresh database each time."""
    seconds = []
    for _round in range(repeats):
        path = make()
        started = time.perf_counter()
        run(path)
        seconds.append(time.perf_counter() - started)
        path.unlink()
    return statistics.median(seconds)


def long_ledger(path: Path, moves: int = 1_000_000, skus: int = 500) -> None:
    """Make a database whose ledger has so many moves."""
    with open_store(path, create=True) as store:
        for start in range(0, moves, 100_000):
            with store.transaction():
                store.execute_many(
                    "INSERT INTO stock_moves (sku, warehouse, kind, quantity, because, reference, at) VALUES (?, 'main', ?, ?, 'bench', ?, ?)",
                    [
                        (
                            f"SKU-{n % skus:04d}",
                            "received" if n < moves // 2 + skus else "adjusted",
                            1 if n < moves // 2 + skus else -1,
                            f"r{n}",
                            AT,
                        )
                        for n in range(start, min(start + 100_000, moves))
                    ],
                )


def show_seconds(path: Path, *arguments: str) -> float:
    """Return the median seconds of a command on the database, as a person runs it."""
    seconds = []
    for _round in range(5):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "tiktok_erp", "--db", str(path), *arguments], check=True, capture_output=True
        )
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


@dataclass(slots=True)
class Soak:
    """What eight processes did to one file."""

    seconds: float = 0.0
    orders: int = 0
    held: int = 0
    waits: list[float] = field(default_factory=list)
    killed: int = 0
    errors: list[str] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    oversold: int = 0


def _worker(path: Path, number: int, rounds: int | None, until: float, log: Path, is_mortal: bool) -> None:
    """Take orders, reserve for them, ship some and cancel some, a batch of 10 at a time, until told to stop.

    A mortal one kills itself now and then, in the middle of a transaction.
    """
    from tiktok_erp.store.database import utc_now

    dice = random.Random(number)
    serial = 0
    with log.open("a", encoding="utf-8", buffering=1) as told, open_store(path) as store:
        store.execute("PRAGMA busy_timeout = 60000")
        while time.time() < until and (rounds is None or serial < rounds):
            serial += 1
            ids = [f"tiktok:{os.getpid()}-{serial}-{index}" for index in range(10)]
            started = time.perf_counter()
            try:
                with store.turn(), store.transaction():
                    waited = time.perf_counter() - started
                    dies_at = dice.randrange(30) if is_mortal else None
                    _place(store, ids, dice)
                    _perhaps_die(dies_at == 0)
                    reserve(store, NOTHING_KEPT, Mute(), only_orders=ids, dry_run=False)
                    _perhaps_die(dies_at == 1)
                    ended = ids[: dice.randrange(4)]
                    word = dice.choice(["shipped", "cancelled"])
                    store.execute_many(
                        "UPDATE units SET state = ? WHERE order_id = ?", [(word, name) for name in ended]
                    )
                    settle_reservations(store, ended, utc_now())
                    settle_restocking(store, utc_now())
                _perhaps_die(dies_at == 2)
                told.write(json.dumps({"wait": waited, "orders": len(ids)}) + "\n")
            except Exception as error:
                told.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")


def _perhaps_die(does: bool) -> None:
    if does:
        os.kill(os.getpid(), signal.SIGKILL)


def _place(store: Store, ids: list[str], dice: random.Random) -> None:
    store.execute_many(
        "INSERT INTO orders (order_id, channel, channel_order_id, status, base_state, is_open, ship_by, placed_at, source, as_of,"
        " first_seen_at, synced_at) VALUES (?, 'tiktok', ?, 'AWAITING_SHIPMENT', 'open', 1, ?, ?, 'api', ?, ?, ?)",
        [(name, name.partition(":")[2], AT, AT, AT, AT, AT) for name in ids],
    )
    rows = []
    for name in ids:
        for index in range(dice.choice([1, 1, 2])):
            sku = "SET" if dice.random() < 0.2 else f"SKU-{dice.randrange(20):04d}"
            rows.append((f"{name}/{index}", name, index, sku, sku))
    store.execute_many(
        "INSERT INTO units (unit_id, order_id, position, sku, channel_sku_id, status, state)"
        " VALUES (?, ?, ?, ?, ?, 'AWAITING_SHIPMENT', 'open')",
        rows,
    )


def soak(
    folder: Path,
    *,
    workers: int = 8,
    seconds: float = 60.0,
    rounds: int | None = None,
    kill_every: float | None = 1.0,
    pieces: int = 2000,
    are_mortal: bool = False,
) -> Soak:
    """Let `workers` processes reserve on one file at once; every `kill_every` seconds one is killed and replaced.

    Mortal ones kill themselves in the middle of their work, and are replaced too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "soak.db"
    fill(path, lines=0, skus=20, pieces=pieces)
    with open_store(path) as store, store.transaction():
        store.execute(
            "INSERT INTO sku_components VALUES ('SET', 'SKU-0000', 2, ?), ('SET', 'SKU-0001', 1, ?)", (AT, AT)
        )
    result = Soak()
    context = multiprocessing.get_context("spawn")
    until = time.time() + seconds
    logs: list[Path] = []

    def start(number: int) -> multiprocessing.process.BaseProcess:
        log = folder / f"worker-{len(logs)}.jsonl"
        logs.append(log)
        process = context.Process(target=_worker, args=(path, number, rounds, until, log, are_mortal))
        process.start()
        return process

    began = time.perf_counter()
    running = [start(number) for number in range(workers)]
    dice = random.Random(1)
    kills = 0
    while kill_every is not None and time.time() < until - kill_every:
        time.sleep(kill_every)
        victim = dice.randrange(workers)
        pid = running[victim].pid
        if pid is not None and running[victim].is_alive():
            os.kill(pid, signal.SIGKILL)
            kills += 1
        running[victim].join()
        running[victim] = start(100 + kills)
    while running:
        process = running.pop()
        process.join(90)
        if process.is_alive():
            result.errors.append("a process hangs")
            process.kill()
        elif are_mortal and process.exitcode == -signal.SIGKILL and kills < workers * 4:
            kills += 1
            running.append(start(100 + kills))
    result.seconds = time.perf_counter() - began
    result.killed = kills
    for log in logs:
        for line in log.read_text("utf-8").splitlines() if log.exists() else ():
            entry = json.loads(line)
            if "error" in entry:
                result.errors.append(entry["error"])
            else:
                result.waits.append(entry["wait"])
                result.orders += entry["orders"]
    with open_store(path) as store:
        # No package is planned here: that check is about what `sync` writes.
        result.breaches = [
            check.name for check in CHECKS if check.name != "open_units_have_a_package" and find_breaches(store, check)
        ]
        result.held = int(store.scalar("SELECT count(*) FROM reservations WHERE state IN ('held', 'shipped')"))
        taken = store.query(
            "SELECT v.sku, sum(v.quantity) AS pieces FROM v_reserved_pieces v JOIN reservations r USING (unit_id)"
            " WHERE r.state = 'held' OR r.state = 'shipped' AND r.ended_from = 'held' GROUP BY v.sku"
        )
        result.oversold = sum(max(0, row["pieces"] - pieces) for row in taken)
    return result
