"""The one command that a newcomer types first, and the help of all others."""

from __future__ import annotations

import csv
import json
from collections import Counter

import pytest

PAPERS = (
    "labels.pdf",
    "pick-list.pdf",
    "packing-slips.pdf",
    "packages.csv",
    "tracking-list.csv",
    "tracking-upload.xlsx",
)
COMMANDS = (
    ("init",),
    ("demo",),
    ("sync",),
    ("stock",),
    ("stock", "import"),
    ("stock", "set"),
    ("stock", "show"),
    ("reserve-stock",),
    ("allocate", "--no-wait"),
    ("rules",),
    ("rules", "check"),
    ("print-labels",),
    ("labels",),
    ("labels", "list"),
    ("labels", "reprint"),
    ("labels", "reconcile"),
    ("upload-tracking",),
    ("status",),
    ("orders",),
    ("orders", "list"),
    ("orders", "show"),
    ("quarantine",),
    ("simulate",),
    ("check",),
)
GROUPS = ("stock", "rules", "labels", "orders")


def test_a_demo_in_an_empty_folder_leaves_a_days_work_and_can_be_repeated(folder):
    for orders in ("40", "20"):
        finished = folder.run("demo", "--orders", orders, "--seed", "9")
        assert finished.stderr.count("error:") == 0
        for name in PAPERS:
            assert (folder.path / name).stat().st_size > 100, name
        ledger = json.loads((folder.path / "shop-ledger.json").read_text("utf-8"))
        assert ledger["violations"] == []
        orders = Counter(
            order_id for entry in (*ledger["purchases"], *ledger["shipments"]) for order_id in entry["order_ids"]
        )
        assert set(orders.values()) == {1}
        assert folder.value("SELECT count(*) FROM labels WHERE state = 'bought' AND source = 'tiktok'") == len(
            ledger["purchases"]
        )
        with (folder.path / "tracking-list.csv").open(encoding="utf-8", newline="") as file:
            assert len(list(csv.DictReader(file))) == len(ledger["shipments"])
        assert "tiktok-erp status" in finished.stdout
    folder.run("check")
    folder.run("status")


def test_a_demo_refuses_a_database_that_it_did_not_make(folder):
    folder.run("init")
    folder.run("stock", "set", "MUG-1", "5")
    content = folder.dump()
    finished = folder.run("demo", expect=2)
    assert "next:" in finished.stderr
    assert folder.dump() == content


def test_the_simulated_shop_starts_as_a_command_and_says_where_it_listens(folder, wait_until):
    with folder.start("simulate", "--orders", "20", "--ready-file", "ready.json", "--state", "ledger.json") as process:
        wait_until(process, (folder.path / "ready.json").exists)
        ready = json.loads((folder.path / "ready.json").read_text("utf-8"))
        names = {
            "TIKTOK_SHOP_API_URL": "api_url",
            "TIKTOK_SHOP_AUTH_URL": "auth_url",
            "TIKTOK_SHOP_APP_KEY": "app_key",
            "TIKTOK_SHOP_APP_SECRET": "app_secret",
            "TIKTOK_SHOP_ACCESS_TOKEN": "access_token",
            "TIKTOK_SHOP_REFRESH_TOKEN": "refresh_token",
            "TIKTOK_SHOP_CIPHER": "cipher",
        }
        environment = {name: ready[field] for name, field in names.items()} | {"http_proxy": ""}
        folder.run("sync", environment=environment)
        process.terminate()
        process.communicate(timeout=30)
    ledger = json.loads((folder.path / "ledger.json").read_text("utf-8"))
    assert set(folder.column("SELECT channel_order_id FROM orders")) == set(ledger["orders"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_examples(folder, command):
    finished = folder.run(*command, "--help")
    assert finished.stdout.startswith("Usage: tiktok-erp")
    assert finished.stderr == ""
    if command[-1] not in GROUPS:
        assert "Examples:\n    tiktok-erp" in finished.stdout


def test_the_help_names_every_command(folder):
    told = folder.run("--help").stdout
    assert {command[0] for command in COMMANDS} <= set(told.split())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_language_is_spoken_in_results_and_errors(folder, language):
    folder.run("--lang", language, "init")
    folder.run("--lang", language, "status")
    assert folder.run("status", environment={"TIKTOK_ERP_LANG": language}).stdout
    assert folder.run("--lang", language, "orders", "show", "nobody", expect=2).stderr


def test_options_for_all_commands_may_stand_behind_the_command(folder):
    folder.run("init", "--db", "other.db", "--rules=other.yaml")
    assert {path.name for path in folder.path.iterdir()} >= {"other.db", "other.yaml"}
    assert not folder.db.exists()
    folder.run("status", "--db", "other.db")
