"""`python -m tests.benchmarks`: measured figures beside their limits, taken in the same run, as ratios.

Every figure is the median of interleaved runs. Goals are those of the project's performance notes; a slow or busy
machine moves the seconds, hardly the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.benchmarks.fetch import fetch, memory
from tests.benchmarks.files import files
from tests.benchmarks.handover import kit, outage
from tests.benchmarks.history import ORDERS, history
from tests.benchmarks.ingest import Ingest
from tests.benchmarks.labels import labels
from tests.benchmarks.paper import label_files, merge_bare, merge_ours
from tests.benchmarks.stock import Reserving, long_ledger, show_seconds, soak, timed
from tests.benchmarks.upload import upload

REPEATS = 5
Row = tuple[str, str, str, str]


def main() -> None:
    """Run the benchmarks that were asked for and print one table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; none: all but {', '.join(TAKES_MINUTES)}"
    )
    parser.add_argument("--orders", type=int, default=ORDERS, help="closed orders of `history`  [default: %(default)s]")
    options = parser.parse_args()
    runs = BENCHMARKS | {"history": partial(history, orders=options.orders)}
    chosen = options.names or [name for name in BENCHMARKS if name not in TAKES_MINUTES]
    rows: list[Row] = []
    for name in chosen:
        print(f"{name} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            rows.extend(runs[name](Path(folder)))
    header: Row = ("what", "measured", "ratio", "goal")
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(4)]
    for row in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def medians(runs: Sequence[Callable[[], object]], repeats: int = REPEATS) -> list[float]:
    """Return the median seconds of each of `runs`, run in turn, after one round that does not count."""
    seconds: list[list[float]] = [[] for run in runs]
    for round_number in range(repeats + 1):
        for run, times in zip(runs, seconds, strict=True):
            started = time.perf_counter()
            run()
            if round_number:
                times.append(time.perf_counter() - started)
    return [statistics.median(times) for times in seconds]


def start(folder: Path) -> list[Row]:
    """A command with nothing to do, and --help, against an empty Python."""
    ours = [sys.executable, "-m", "tiktok_erp", "--db", str(folder / "shop.db")]
    subprocess.run([*ours, "--rules", str(folder / "rules.yaml"), "init"], check=True, capture_output=True)

    def command(*arguments: str) -> Callable[[], object]:
        return lambda: subprocess.run(arguments, check=True, capture_output=True)

    idle, helping, nothing = medians(
        [command(*ours, "upload-tracking"), command(*ours, "--help"), command(sys.executable, "-c", "pass")], 9
    )
    return [
        (
            "S1 a command with nothing to do",
            f"{idle * 1000:.0f} ms",
            f"{idle / nothing:.1f} x python -c pass",
            "<= 8 x",
        ),
        ("S3 --help", f"{helping * 1000:.0f} ms", f"{helping / nothing:.1f} x python -c pass", "<= 16 x"),
    ]


def ingest(folder: Path, orders: int = 2800) -> list[Row]:
    """Page bytes to committed rows, against executemany of the same rows made beforehand, raw answers plain."""
    bench = Ingest(folder, orders)
    first, again, limit = medians([bench.first_pass, bench.second_pass, bench.bare_rows])
    size = bench.size()
    return [
        (
            f"I1 ingest of {orders} orders",
            f"{orders / first:.0f} orders/s",
            f"{limit / first:.0%} of the limit",
            ">= 55 %",
        ),
        ("   limit: executemany of ready rows", f"{orders / limit:.0f} orders/s", "", ""),
        (
            "I2 the same pages again",
            f"{orders / again:.0f} orders/s",
            f"{first / again:.1f} x the first pass",
            ">= 1.5 x",
        ),
        ("I4 database, raw answers in", f"{size / orders / 1000:.2f} kB an order", "", "<= 1.2 kB"),
    ]


def ingest_many(folder: Path) -> list[Row]:
    """The same of 100,000 orders: takes minutes."""
    return ingest(folder, 100_000)


def rules(folder: Path) -> list[Row]:
    """Load and check 200 rules, decide with 20 and 200, replay two files on a history."""
    from tests.benchmarks.rules import rules as measure

    return measure(medians, folder)


def paper(folder: Path, count: int = 1000) -> list[Row]:
    """Merge one-page labels, stamped, against a bare pypdfium2 loop."""
    files = label_files(folder, count)
    ours, stamped, bare = medians(
        [
            lambda: merge_ours(files, folder / "ours.pdf", stamp=False),
            lambda: merge_ours(files, folder / "stamped.pdf", stamp=True),
            lambda: merge_bare(files, folder / "bare.pdf"),
        ],
        3,
    )
    return [
        (f"P2 merge {count} labels", f"{ours:.2f} s", f"{ours / bare:.2f} x bare pypdfium2", "<= 1.3 x"),
        ("   the same with positions stamped", f"{stamped:.2f} s", f"{stamped / bare:.2f} x bare pypdfium2", ""),
    ]


def merge(folder: Path) -> list[Row]:
    """Merge 3,000 labels of both kinds, pictures and embedded fonts, and stamp 500: takes minutes."""
    from tests.benchmarks.merge import merge as measure

    return measure(folder)


def demo(folder: Path) -> list[Row]:
    """The whole demo of 300 orders, as a user runs it."""

    def run() -> None:
        subprocess.run([sys.executable, "-m", "tiktok_erp", "demo"], cwd=folder, check=True, capture_output=True)

    (seconds,) = medians([run], 1)
    return [("demo, 300 orders, end to end", f"{seconds:.1f} s", "", "< 60 s")]


def stock(folder: Path) -> list[Row]:
    """Reserve 100,000 lines over 500 SKUs against executemany of the same rows; read a ledger of 1,000,000 moves."""
    bench = Reserving(folder)
    ours = timed(bench.prepare, bench.ours, REPEATS)
    bare = timed(bench.prepare, bench.bare, REPEATS)
    path = folder / "ledger.db"
    long_ledger(path)
    shown, told = show_seconds(path, "stock", "show"), show_seconds(path, "stock", "why", "SKU-0001")
    proven = show_seconds(path, "check")
    return [
        ("R1 reserve 100,000 lines, 500 SKUs", f"{ours:.2f} s", f"{ours / bare:.2f} x executemany", "<= 2.5 x"),
        ("   stock show, 1,000,000 moves", f"{shown * 1000:.0f} ms", "", ""),
        ("   stock why of one SKU of them", f"{told * 1000:.0f} ms", "", ""),
        ("   check of all of them", f"{proven:.2f} s", "", ""),
    ]


def soak_stock(folder: Path) -> list[Row]:
    """Eight processes on one file for 60 s, one killed every second, against one process for 15 s: takes minutes."""
    alone = soak(folder / "alone", workers=1, seconds=15, kill_every=None, pieces=1_000_000)
    crowd = soak(folder / "crowd", workers=8, seconds=15, kill_every=None, pieces=1_000_000)
    killed = soak(folder / "killed", workers=8, seconds=60, kill_every=1.0, pieces=4000)
    speed, limit = crowd.orders / crowd.seconds, alone.orders / alone.seconds
    return [
        (
            "R2 8 processes reserving, 10 orders at a time",
            f"{speed:.0f} orders/s",
            f"{speed / limit:.0%} of one process",
            ">= 30 %",
        ),
        ("   worst wait for a turn", f"{max(crowd.waits):.2f} s", "", "<= 1 s"),
        (
            f"   60 s, {killed.killed} killed: oversold, errors, breaches",
            f"{killed.oversold}, {len(killed.errors)}, {len(killed.breaches)}",
            f"{killed.orders} orders, worst wait {max(killed.waits):.2f} s",
            "0, 0, 0",
        ),
    ]


BENCHMARKS: dict[str, Callable[[Path], list[Row]]] = {
    "start": start,
    "ingest": ingest,
    "ingest-100k": ingest_many,
    "fetch": fetch,
    "history": history,
    "memory": memory,
    "files": files,
    "rules": rules,
    "paper": paper,
    "merge": merge,
    "demo": demo,
    "kit": kit,
    "labels": labels,
    "outage": outage,
    "stock": stock,
    "stock-soak": soak_stock,
    "upload": upload,
}

TAKES_MINUTES = (
    "ingest-100k",
    "history",
    "memory",
    "merge",
    "files",
    "stock-soak",
    "upload",
    "kit",
    "labels",
    "outage",
)

if __name__ == "__main__":
    main()
