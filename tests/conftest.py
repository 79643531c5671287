"""A seller's folder, a simulated shop beside it, and the command line run in it as a person runs it."""

from __future__ import annotations

import csv
import functools
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from hypothesis import settings

from tests.warm import WarmStarter, can_be_warm

if TYPE_CHECKING:
    from tiktok_erp.simulator.server import Simulator

# A busy machine is slow; a slow example is no failure.
settings.register_profile("quiet", deadline=None)
settings.load_profile("quiet")

# Long in one piece: begun last, they would keep one worker busy while the others have nothing left to do.
_BEGUN_FIRST = ("test_readme.py", "test_demo.py", "test_kill.py", "test_examples.py")

CLOSED_PORT = "http://127.0.0.1:9"
TIMEOUT_S = 120

# What differs between two runs although nothing happened: the runs themselves, and as of when something was read.
_AGES = {
    "listings": {"seen_at"},
    "shipping_providers": {"fetched_at"},
    "cancellations": {"fetched_at"},
    "commissions": {"fetched_at"},
}
_RECORDS = ("runs", "cursors", "sqlite_sequence", "api_calls", "alerts")

_FAST_LABELS = "labels: {seller_shipping: file, quote_first: false, settle_after: 1s, document_wait: 20s}\n"
_FAST_CHANNELS = "channels: {tiktok: {start_rate: 1000, max_rate: 1000, own_labels_by: any}}\n"


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than processors: a good part of the time a command waits for a shop that answers late."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first."""
    items.sort(key=lambda item: item.path.name not in _BEGUN_FIRST)


@dataclass(frozen=True, slots=True)
class Finished:
    """One command that ended."""

    arguments: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON objects on standard output; fails when a line is anything else."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        return self.lines[-1]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The JSON objects on standard error; fails when a line is anything else."""
        return [json.loads(line) for line in self.stderr.splitlines()]

    def of(self, kind: str, **fields: object) -> list[dict[str, Any]]:
        """Return the lines of one kind that have these fields."""
        return [
            line
            for line in self.lines
            if line["kind"] == kind and all(line.get(name) == value for name, value in fields.items())
        ]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass(slots=True)
class Folder:
    """A working directory with `shop.db` and `rules.yaml`. No output of any command may hold a planted word."""

    path: Path
    environment: dict[str, str]
    planted: set[str] = field(default_factory=set)

    @property
    def db(self) -> Path:
        return self.path / "shop.db"

    @property
    def rules(self) -> Path:
        return self.path / "rules.yaml"

    def start(
        self, *arguments: str | Path, environment: Mapping[str, str] | None = None, **pipes: Any
    ) -> subprocess.Popen[str]:
        """Start a command and return its process."""
        return subprocess.Popen(
            [sys.executable, "-m", "tiktok_erp", *map(str, arguments)],
            cwd=self.path,
            env=self.environment | dict(environment or {}),
            text=True,
            encoding="utf-8",
            start_new_session=True,
            **({"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | pipes),
        )

    def run(
        self,
        *arguments: str | Path,
        stdin: str | None = None,
        expect: int | Sequence[int] = 0,
        environment: Mapping[str, str] | None = None,
    ) -> Finished:
        """Run a command to its end; fails when it ends with another code than expected or tells what is private."""
        words, variables = tuple(map(str, arguments)), self.environment | dict(environment or {})
        if can_be_warm(variables):
            ended = _starter().run(words, cwd=self.path, environment=variables, stdin=stdin, timeout_s=TIMEOUT_S)
        else:
            ended = self._run_cold(words, stdin, environment)
        return self._checked(Finished(words, *ended), expect)

    def _run_cold(
        self, arguments: Sequence[str], stdin: str | None, environment: Mapping[str, str] | None
    ) -> tuple[int, str, str]:
        source = subprocess.DEVNULL if stdin is None else subprocess.PIPE
        with self.start(*arguments, environment=environment, stdin=source) as process:
            try:
                stdout, stderr = process.communicate(stdin, timeout=TIMEOUT_S)
            except BaseException:
                process.kill()
                raise
        return process.returncode, stdout, stderr

    def call(
        self,
        *arguments: str | Path,
        stdin: str | None = None,
        expect: int | Sequence[int] = 0,
        environment: Mapping[str, str] | None = None,
        on_terminal: bool = False,
    ) -> Finished:
        """As `run`, inside this process: where the process is not the point, most of a command's time is its start.

        `on_terminal`: results are for a person to see.
        """
        from tiktok_erp.cli.app import main

        given = tuple(map(str, arguments))
        stdout, stderr = _Terminal() if on_terminal else io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            mock.patch.dict(os.environ, self.environment | dict(environment or {}), clear=True),
        ):
            patch.chdir(self.path)
            for name, value in {
                "argv": ["tiktok-erp", *given],
                "stdin": io.StringIO(stdin or ""),
                "stdout": stdout,
                "stderr": stderr,
            }.items():
                patch.setattr(sys, name, value)
            umask = os.umask(0o022)
            try:
                with pytest.raises(SystemExit) as ended:
                    main()
            finally:
                os.umask(umask)  # the process is the tests', which goes on
        code = ended.value.code or 0
        return self._checked(Finished(given, int(code), stdout.getvalue(), stderr.getvalue()), expect)

    def _checked(self, finished: Finished, expect: int | Sequence[int]) -> Finished:
        expected = (expect,) if isinstance(expect, int) else tuple(expect)
        told = finished.stdout + finished.stderr
        assert finished.code in expected, f"{finished.arguments} ended with {finished.code}:\n{told}"
        assert self.private_in(told) == []
        return finished

    def run_killed(self, *arguments: str, after_s: float, expect: Sequence[int] = (0,)) -> bool:
        """Kill a command without a warning so long after it began to work; False when it had ended by itself, as expected."""
        earlier = self.value("SELECT max(run_id) FROM runs")
        with self.start(*arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            wait_until(process, lambda: self.value("SELECT max(run_id) FROM runs") != earlier)
            try:
                code = process.wait(after_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return True
        assert code in expect
        return False

    def private_in(self, text: str) -> list[str]:
        """Return which planted words `text` holds."""
        return sorted(word for word in self.planted if word in text)

    def query(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Return rows of the database."""
        with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, values)]

    def column(self, sql: str, *values: object) -> list[Any]:
        """Return the first column of every row."""
        return [next(iter(row.values())) for row in self.query(sql, *values)]

    def value(self, sql: str, *values: object) -> Any:
        """Return the first column of the first row."""
        return self.column(sql, *values)[0]

    def dump(self) -> dict[str, list[tuple[object, ...]]]:
        """Return every row of every table but what only says when something ran or was read."""
        names = self.column("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        content = {}
        for name in names:
            if name in _RECORDS:
                continue
            ages = _AGES.get(name, set())
            rows = self.query(f"SELECT * FROM {name}")
            content[name] = sorted(
                (tuple(value for column, value in row.items() if column not in ages) for row in rows), key=repr
            )
        return content

    def files(self) -> dict[str, tuple[int, int]]:
        """Return size and time of change of every file below the folder but locks and SQLite's own."""
        return {
            str(path.relative_to(self.path)): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and not path.name.endswith((".lock", "-wal", "-shm"))
        }

    def write_rules(self, *, spending: str | None = None, sections: str = "") -> None:
        """Write the shipped policy without the waits that only a real shop needs, and with own labels by any carrier.

        Labels and numbers of several carriers are the subject of most tests; `test_own_labels.py` has the policy as shipped.
        An empty database is made as well, as `init` does.
        """
        from tiktok_erp.config.rules_file import default_rules_text
        from tiktok_erp.store.database import open_store

        lines = []
        shipped = default_rules_text()
        for name, end in (("channels:\n", "carriers:"), ("  - name: labels of one's own", "  - name: small")):
            shipped = shipped[: shipped.index(name)] + shipped[shipped.index(end) :]
        shipped = shipped[: shipped.index("  - name: a label of one's own on TikTok is never")]
        for line in shipped.splitlines(keepends=True):
            if line.startswith("labels:"):
                lines.append(_FAST_LABELS)
            elif line.startswith("spending:") and spending is not None:
                lines.append(f"spending: {spending}\n")
            else:
                lines.append(line)
        self.rules.write_text("".join(lines) + _FAST_CHANNELS + sections, "utf-8")
        with open_store(self.db, create=True):
            pass

    def packages(self) -> list[dict[str, str]]:
        """Return the rows of packages.csv."""
        with (self.path / "packages.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


@functools.cache
def _starter() -> WarmStarter:
    return WarmStarter()


def wait_until(process: subprocess.Popen[str], is_reached: Callable[[], bool]) -> None:
    """Return once `is_reached` or the process has ended; fails when neither comes."""
    deadline = time.monotonic() + TIMEOUT_S
    while not is_reached():
        assert time.monotonic() < deadline
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
            return


def _clean_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIKTOK_", "PYTEST_"))}
    proxies = {name: "" for name in kept if name.lower().endswith("_proxy")}
    return kept | proxies | {"https_proxy": CLOSED_PORT, "http_proxy": CLOSED_PORT}


@dataclass(slots=True)
class SimulatedShop:
    """A simulated shop and the folder of the seller who works for it."""

    simulator: Simulator
    folder: Folder
    opened_at: float = field(default_factory=time.time)
    run: Callable[..., Finished] = field(init=False)
    call: Callable[..., Finished] = field(init=False)
    query: Callable[..., list[dict[str, Any]]] = field(init=False)

    def __post_init__(self) -> None:
        self.run, self.call, self.query = self.folder.run, self.folder.call, self.folder.query

    def ledger(self) -> dict[str, Any]:
        """Return what really happened, by the shop's own book."""
        return self.simulator.ledger()

    def wait_for_a_purchase(self, process: subprocess.Popen[str]) -> None:
        """Return as soon as `process` has bought something."""
        wait_until(process, lambda: bool(self.simulator.shop.ledger.entries("purchases")))
        assert process.poll() is None

    def hide(self) -> None:
        """Plant every secret and every buyer of the shop in the folder, so that no output may tell them."""
        accounts = self.simulator.accounts
        self.folder.planted |= {accounts.app_secret, accounts.cipher}
        for grant in accounts.grants.values():
            self.folder.planted |= {grant.access_token, grant.refresh_token}
        for order in self.simulator.shop.orders.values():
            buyer = order.buyer
            self.folder.planted |= {buyer.address.name, buyer.address.line1, buyer.address.phone, buyer.email}

    def write_tracking_list(self, name: str = "tracking.csv", *, first_serial: int = 8_000_001) -> list[str]:
        """Play the seller who buys the own labels elsewhere; return the channel's ids of the orders in the list."""
        from tiktok_erp.simulator.numbers import ups_number, usps_number

        rows = self.query(
            "SELECT p.package_id, o.channel_order_id, p.carrier FROM packages p JOIN package_orders po USING (package_id)"
            " JOIN orders o USING (order_id) JOIN v_orders v USING (order_id) WHERE o.shipping_type = 'SELLER'"
            " AND p.allocated_at IS NOT NULL AND p.cancelled_at IS NULL AND v.state = 'open' AND NOT o.cancel_requested"
            " AND NOT EXISTS (SELECT 1 FROM labels l WHERE l.package_id = p.package_id) ORDER BY p.package_id, o.order_id"
        )
        packages = list(dict.fromkeys(row["package_id"] for row in rows))
        with (self.folder.path / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["order_id", "carrier", "tracking_number"])
            for row in rows:
                serial = first_serial + packages.index(row["package_id"])
                number = ups_number(serial) if row["carrier"] == "ups" else usps_number(serial)
                writer.writerow([row["channel_order_id"], row["carrier"], number])
        return [row["channel_order_id"] for row in rows]

    def allocated(self) -> None:
        """Bring the folder to the point where labels can be bought."""
        self.call("sync", "--quiet")
        self.call("stock", "import", "--from-channel", "tiktok", "--quiet")
        self.call("reserve-stock", "--no-push", "--quiet")
        self.call("allocate", "--no-wait", "--quiet")

    def due(self) -> set[str]:
        """Return the orders that had to be shipped by somebody who began when this shop was opened."""
        shown_with_strange_words = {
            order_id for order_id in self.simulator.shop.orders if self.simulator.dice.marks("unknown_status", order_id)
        }
        return {
            order_id
            for order_id, order in self.ledger()["orders"].items()
            if order["fulfillment_type"] == "FULFILLMENT_BY_SELLER"
            and order_id not in shown_with_strange_words
            and not order["cancel_request"]
            and order["status"] in ("AWAITING_SHIPMENT", "AWAITING_COLLECTION", "PARTIALLY_SHIPPING")
            and (order["hold_until"] or 0) < self.opened_at
        }

    def disagreements(self) -> list[str]:
        """Compare the database with the shop's book; return every difference in money, labels and tracking numbers."""
        book = self.ledger()
        found = [f"violation: {violation}" for violation in book["violations"]]
        for kind in ("purchases", "shipments"):
            orders = Counter(order_id for entry in book[kind] for order_id in entry["order_ids"])
            found += [f"{kind}: {order_id} {count} times" for order_id, count in orders.items() if count != 1]
        bought = {
            (order_id, entry["package_id"], entry["tracking_number"])
            for entry in book["purchases"]
            for order_id in entry["order_ids"]
        }
        told = {(order_id, entry["tracking_number"]) for entry in book["shipments"] for order_id in entry["order_ids"]}
        held = {
            (row["channel_order_id"], row["channel_package_id"], row["tracking_number"])
            for row in self.query(
                "SELECT o.channel_order_id, l.channel_package_id, l.tracking_number FROM labels l JOIN package_orders po"
                " USING (package_id) JOIN orders o USING (order_id) WHERE l.source = 'tiktok' AND l.state = 'bought'"
            )
        }
        uploaded = {
            (row["channel_order_id"], row["tracking_number"])
            for row in self.query(
                "SELECT o.channel_order_id, l.tracking_number FROM labels l JOIN package_orders po USING (package_id)"
                " JOIN orders o USING (order_id) WHERE l.source = 'file' AND l.state = 'bought' AND po.uploaded_at IS NOT NULL"
            )
        }
        for name, real, ours in (("label", bought, held), ("tracking number", told, uploaded)):
            found += [f"{name} that the database lacks: {entry}" for entry in sorted(real - ours)]
            found += [f"{name} that the shop does not know: {entry}" for entry in sorted(ours - real)]
        found += [
            f"live label without an end: {row}"
            for row in self.query("SELECT package_id, state FROM labels WHERE state IN ('sent', 'unknown')")
        ]
        return found

    def printed_twice_or_never(self) -> list[str]:
        """Return the packages whose held label is not in exactly one batch."""
        printed: Counter[str] = Counter()
        for directory in self.folder.column("SELECT directory FROM batches"):
            with (self.folder.path / directory / "packages.csv").open(encoding="utf-8", newline="") as file:
                printed.update(row["package_id"] for row in csv.DictReader(file))
        held = self.folder.column("SELECT package_id FROM labels WHERE state = 'bought' AND sha256 IS NOT NULL")
        return sorted(package_id for package_id in {*held, *printed} if printed[package_id] != 1)

    def shipped(self) -> set[str]:
        """Return the orders that the shop's book calls bought or told."""
        book = self.ledger()
        return {order_id for entry in [*book["purchases"], *book["shipments"]] for order_id in entry["order_ids"]}


OpenShop = Callable[..., SimulatedShop]


@contextmanager
def _simulated(path: Path, **options: Any) -> Iterator[SimulatedShop]:
    from tiktok_erp.simulator.server import Simulator, SimulatorOptions

    # USPS numbers of one's own are the subject of most tests about labels; `test_own_labels.py` has the shop that refuses them.
    chosen = {"orders": 60, "rate_limit": 0, "document_seconds": 0.2, "own_usps": True, **options}
    with Simulator(SimulatorOptions(**chosen)) as simulator:
        environment = _clean_environment() | {
            "http_proxy": "",
            "TIKTOK_SHOP_API_URL": simulator.api_url,
            "TIKTOK_SHOP_AUTH_URL": simulator.auth_url,
            "TIKTOK_SHOP_APP_KEY": simulator.app_key,
            "TIKTOK_SHOP_APP_SECRET": simulator.app_secret,
            "TIKTOK_SHOP_ACCESS_TOKEN": simulator.access_token,
            "TIKTOK_SHOP_REFRESH_TOKEN": simulator.refresh_token,
            "TIKTOK_SHOP_CIPHER": simulator.cipher,
        }
        shop = SimulatedShop(simulator, Folder(path, environment))
        shop.hide()
        shop.folder.write_rules()
        yield shop


@pytest.fixture(scope="session")
def simulated() -> Callable[..., AbstractContextManager[SimulatedShop]]:
    """Open a simulated shop for a folder, for fixtures that several tests share."""
    return _simulated


@pytest.fixture
def open_shop(tmp_path: Path) -> Iterator[OpenShop]:
    """Open simulated shops for one test: 60 orders, no rate limit, quick documents, unless told otherwise."""
    with ExitStack() as stack:

        def start(name: str = "shop", **options: Any) -> SimulatedShop:
            path = tmp_path / name
            path.mkdir()
            return stack.enter_context(_simulated(path, **options))

        yield start


@pytest.fixture
def shop(open_shop: OpenShop) -> SimulatedShop:
    """A plain shop and a folder that holds nothing but the rules."""
    return open_shop()


@pytest.fixture(scope="session", name="wait_until")
def wait_until_() -> Callable[[subprocess.Popen[str], Callable[[], bool]], None]:
    """Wait for something that a process does."""
    return wait_until


@pytest.fixture(scope="session", autouse=True)
def _end_of_the_starter() -> Iterator[None]:
    yield
    if _starter.cache_info().currsize:
        _starter().close()


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the rate budgets of the tests out of the home of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def make_folder() -> Callable[[Path], Folder]:
    """Make a seller's folder of a directory: without credentials, and the way to the network leads to a closed port."""
    return lambda path: Folder(path, _clean_environment())


@pytest.fixture
def folder(tmp_path: Path, make_folder: Callable[[Path], Folder]) -> Folder:
    """An empty folder without credentials, whose way to the network leads to a closed port."""
    path = tmp_path / "folder"
    path.mkdir()
    return make_folder(path)
