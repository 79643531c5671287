"""The scripts in `examples/` do what they say, against a simulated shop."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def _run_evening(shop, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    finished = subprocess.run(
        ["bash", str(EXAMPLES / "evening.sh"), *arguments],
        cwd=shop.folder.path,
        env=shop.folder.environment | {"PATH": path} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert shop.folder.private_in(finished.stdout + finished.stderr) == []
    return finished


@pytest.fixture(scope="module")
def evening(tmp_path_factory, simulated):
    """A shop after an evening of two rounds in which one rule is missing; its first outcome and the one after the cure."""
    path = tmp_path_factory.mktemp("evening")
    with simulated(path, orders=30, seed=3) as shop:
        rules = shop.folder.rules.read_text("utf-8")
        without = re.sub(r"  - name: everything else\n    use: .*\n", "", rules)
        assert without != rules
        shop.folder.rules.write_text(without, "utf-8")
        first = _run_evening(shop, "2", "0")
        yield shop, first


def test_an_evening_with_a_bad_order_goes_on_to_its_end(evening) -> None:
    shop, first = evening
    assert first.returncode == 0, first.stderr
    assert "allocate, print-labels: something failed, the rest is done" in first.stderr
    assert re.search(r"^\d+ x no_rule: add a rule to rules.yaml", first.stdout, flags=re.MULTILINE)
    assert shop.folder.value("SELECT count(*) FROM v_packages WHERE state = 'quarantined'") > 0
    assert shop.folder.value("SELECT count(*) FROM v_labels WHERE state = 'bought' AND cost_minor > 0") > 0
    assert (shop.folder.path / "labels.pdf").exists()


def test_an_evening_runs_as_many_rounds_as_it_is_told(evening) -> None:
    shop, _ = evening
    assert shop.folder.value("SELECT count(*) FROM v_runs WHERE command = 'sync'") == 2


def test_an_evening_lists_the_labels_to_buy_elsewhere(evening) -> None:
    shop, first = evening
    with (shop.folder.path / "labels-to-buy.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    waiting = shop.folder.column(
        "SELECT package_id FROM v_packages p JOIN package_orders po USING (package_id) JOIN v_orders o USING (order_id)"
        " WHERE p.state = 'allocated' AND o.shipping_type = 'SELLER' AND o.state = 'open' AND o.cancel_requested = 0"
    )
    assert sorted(row[0] for row in rows) == sorted(waiting) != []
    assert f"{len(rows)} labels to buy elsewhere: labels-to-buy.csv" in first.stdout


def test_an_evening_takes_numbers_bought_elsewhere_and_tells_them(evening) -> None:
    shop, _ = evening
    numbers = shop.write_tracking_list("tracking-list.csv")
    assert numbers
    finished = _run_evening(shop)
    assert finished.returncode == 0, finished.stderr
    assert {order_id for entry in shop.ledger()["shipments"] for order_id in entry["order_ids"]} == set(numbers)
    assert shop.disagreements() == []


def test_an_evening_stops_with_the_code_of_what_concerns_every_order(open_shop) -> None:
    shop = open_shop(orders=5)
    finished = _run_evening(shop, TIKTOK_SHOP_APP_SECRET="wrong")
    assert finished.returncode == 4
    assert "sync: exit code 4, the evening stops" in finished.stderr
    assert shop.folder.column("SELECT command FROM v_runs") == ["sync"]


def test_an_evening_stops_in_the_middle_of_a_pipeline(open_shop) -> None:
    shop = open_shop(orders=5)
    shop.folder.rules.unlink()  # only `allocate` cannot do without
    finished = _run_evening(shop)
    assert finished.returncode == 5
    assert "allocate, print-labels: exit code 5, the evening stops" in finished.stderr
    assert shop.ledger()["purchases"] == []


def test_the_cron_file_names_a_time_and_a_command_on_every_line() -> None:
    lines = (EXAMPLES / "crontab.example").read_text("utf-8").splitlines()
    jobs = [line for line in lines if line and not line.startswith("#") and not re.match(r"[A-Z_]+=", line)]
    assert len(jobs) >= 5
    for line in jobs:
        assert re.match(r"(?:[\d*/,-]+\s+){5}\S", line)
        assert "%" not in line  # cron takes it for the end of the line
