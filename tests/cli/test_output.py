"""What scripts rely on: JSON lines, ids from standard input, dry runs, quiet runs, and which stream says what."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

WRITING = (
    ("sync",),
    ("stock", "import", "--from-channel", "tiktok"),
    ("stock", "set", "LIP-FIG", "7"),
    ("reserve-stock",),
    ("allocate", "--no-wait"),
    ("orders", "release", "P000001"),
    ("orders", "retry", "P000001"),
    ("print-labels",),
    ("upload-tracking",),
    ("init",),
)
READING = (
    ("status",),
    ("orders", "list"),
    ("stock", "show"),
    ("labels", "list"),
    ("quarantine",),
    ("check",),
    ("rules", "check"),
    ("rules", "test"),
    ("rules", "explain", "P000001"),
    ("rules", "diff", "rules.yaml", "rules.yaml"),
)


@pytest.fixture(scope="module")
def ready(tmp_path_factory, simulated):
    """A folder with labels to buy, to print and to tell; the tests that share it leave it as it is."""
    path = tmp_path_factory.mktemp("ready")
    with simulated(path, orders=40, seed=3) as shop:
        shop.allocated()
        shop.write_tracking_list()
        shop.run("print-labels", "--from", "tracking.csv", "--quiet")
        (path / "sheet.csv").write_text("sku,quantity\nNEVER-HEARD-OF,3\n", "utf-8")
        yield shop


def _name(command):
    return " ".join(command)


# JSON


@pytest.mark.parametrize("command", READING, ids=_name)
def test_a_reading_command_prints_json_lines_and_a_summary(ready, command):
    finished = ready.run(*command, "--json")
    assert all(isinstance(line["kind"], str) for line in finished.lines)
    assert finished.summary["kind"] == "summary"
    assert finished.summary["exit_code"] == 0
    assert [line for line in finished.lines[:-1] if line["kind"] == "summary"] == []


def test_every_command_of_a_day_prints_json_lines_and_a_summary(open_shop):
    shop = open_shop(orders=24, seed=4, carrier="tiktok")
    for command in (WRITING[-1], *WRITING[:-1]):
        finished = shop.run(*command, "--json")
        assert all("kind" in line for line in finished.lines)
        assert all(line["result"] in ("done", "planned", "skipped", "failed") for line in finished.lines[:-1])
        assert finished.summary["kind"] == "summary"
        assert finished.summary["exit_code"] == finished.code
        assert {"done", "planned", "skipped", "failed"} <= set(finished.summary)
        assert all("kind" in line for line in finished.errors)


def test_the_summary_counts_the_lines(ready):
    finished = ready.run("print-labels", "--plan", "--json")
    for result in ("done", "planned", "skipped", "failed"):
        assert finished.summary[result] == sum(line.get("result") == result for line in finished.lines[:-1])
    assert finished.summary["planned"] > 0


def test_json_lines_of_orders_carry_the_columns_of_the_view(ready):
    rows = {row["order_id"]: row for row in ready.query("SELECT * FROM v_orders")}
    orders = ready.run("orders", "list", "--json").of("order")
    assert {order["order_id"] for order in orders} == set(rows)
    for order in orders:
        row = rows[order["order_id"]]
        row["other_amounts"] = row["other_amounts"] and json.loads(row["other_amounts"])
        assert {name: order[name] for name in row} == row


def test_order_ids_of_a_package_are_a_json_array(ready):
    packages = ready.run("allocate", "--dry-run", "--json").of("package") + ready.run(
        "print-labels", "--plan", "--json"
    ).of("package")
    listed = [package["order_ids"] for package in packages if "order_ids" in package]
    assert all(isinstance(order_ids, list) for order_ids in listed)


def test_an_error_is_a_json_line_on_standard_error(folder):
    finished = folder.run("allocate", "--json", expect=5)
    assert finished.lines == [{"kind": "summary", "done": 0, "planned": 0, "skipped": 0, "failed": 0, "exit_code": 5}]
    (error,) = finished.errors
    assert error["kind"] == "error"
    assert error["exit_code"] == 5
    assert error["next_step"]


def test_an_unknown_id_fails_alone_with_exit_3(ready):
    finished = ready.run("print-labels", "P999999", "--plan", "--json", expect=3)
    (line,) = finished.of("id")
    assert (line["result"], line["cause"]) == ("failed", "unknown_id")
    assert line["next_step"]


# Ids


def test_package_order_and_channel_order_ids_name_the_same_package(ready):
    row = ready.query(
        "SELECT package_id, order_id, channel_order_id FROM package_orders JOIN orders USING (order_id)"
        " JOIN v_packages USING (package_id) WHERE shipping_type = 'TIKTOK' AND v_packages.state = 'allocated'"
        " AND base_state = 'open' AND NOT cancel_requested LIMIT 1"
    )[0]
    for name in row.values():
        planned = ready.run("print-labels", "--plan", name, "--json").of("package", result="planned")
        assert [line["package_id"] for line in planned] == [row["package_id"]]


def test_ids_are_read_from_standard_input_one_a_line(ready):
    due = [line["package_id"] for line in ready.run("print-labels", "--plan", "--json").of("package", result="planned")]
    chosen = due[:3]
    planned = ready.run("print-labels", "--plan", "-", "--json", stdin="\n".join(chosen) + "\n\n")
    assert [line["package_id"] for line in planned.of("package", result="planned")] == chosen


def test_the_json_lines_of_one_command_feed_the_next(ready):
    orders = ready.run("orders", "list", "--state", "open", "--json")
    by_order = ready.run("print-labels", "--plan", "-", "--json", stdin=orders.stdout)
    everything = ready.run("print-labels", "--plan", "--json")
    assert [line["package_id"] for line in by_order.of("package", result="planned")] == [
        line["package_id"] for line in everything.of("package", result="planned")
    ]


@pytest.mark.parametrize("command", ["reserve-stock", "allocate", "print-labels", "upload-tracking"])
def test_empty_standard_input_means_nothing(ready, command):
    content, writes = ready.folder.dump(), ready.ledger()["writes"]
    finished = ready.run(command, "-", "--json", stdin="")
    assert finished.lines[:-1] == []
    assert ready.folder.dump() == content
    assert ready.ledger()["writes"] == writes


@pytest.mark.parametrize("command", ["reserve-stock", "allocate", "print-labels", "upload-tracking", "labels list"])
def test_a_line_that_is_neither_an_id_nor_json_is_bad_usage(ready, command):
    finished = ready.run(*command.split(), "-", stdin='P000001\n{"order_id": \n', expect=2)
    assert "standard input, line 2" in finished.stderr
    assert "next:" in finished.stderr
    assert "Traceback" not in finished.stderr


# Dry runs


@pytest.mark.parametrize(
    "command",
    [*((*command, "--dry-run") for command in WRITING), ("print-labels", "--plan"), ("upload-tracking", "--plan")],
    ids=_name,
)
def test_a_dry_run_changes_neither_file_nor_shop(ready, command):
    files, content, runs = ready.folder.files(), ready.folder.dump(), ready.query("SELECT * FROM runs")
    finished = ready.run(*command, "--json")
    assert ready.ledger()["writes"] == {}
    assert ready.folder.dump() == content
    assert ready.query("SELECT * FROM runs") == runs
    assert ready.folder.files() == files
    assert finished.of("package", result="done") == []


@pytest.mark.parametrize(
    "command", [("stock", "import", "--from-channel", "tiktok"), ("reserve-stock", "--yes")], ids=_name
)
def test_a_dry_run_before_the_first_look_at_the_listings_keeps_nothing(open_shop, command):
    shop = open_shop(orders=24, seed=4)
    shop.run("sync", "--quiet")
    shop.run("stock", "set", "LIP-FIG", "9", "--quiet")
    content = shop.folder.dump()
    shop.run(*command, "--dry-run")
    assert shop.ledger()["writes"] == {}
    assert shop.folder.dump() == content


@pytest.mark.parametrize(("command", "code"), [("init", 0), ("sync", 0), ("stock set A 1", 5)])
def test_a_dry_run_in_an_empty_folder_leaves_it_empty(open_shop, command, code):
    shop = open_shop(orders=24, seed=4)
    for path in (shop.folder.rules, shop.folder.db):
        path.unlink()
    shop.run(*command.split(), "--dry-run", expect=code)
    assert [path.name for path in shop.folder.path.iterdir()] == []


def test_a_dry_run_of_a_tracking_list_takes_nothing_over(open_shop):
    shop = open_shop(orders=24, seed=4, carrier="seller")
    shop.allocated()
    shop.write_tracking_list()
    content, files = shop.folder.dump(), shop.folder.files()
    finished = shop.run("print-labels", "--from", "tracking.csv", "--dry-run", "--json")
    assert finished.summary["planned"] > 0
    assert shop.folder.dump() == content
    assert shop.folder.files() == files


def test_the_plan_names_the_packages_that_are_then_bought(open_shop):
    shop = open_shop(orders=24, seed=4)
    shop.allocated()
    planned = shop.run("print-labels", "--plan", "--json").of("package", result="planned")
    done = shop.run("print-labels", "--json").of("package", result="done")
    assert planned != []
    assert {line["package_id"] for line in done} == {line["package_id"] for line in planned}


# Streams


def test_a_quiet_day_prints_nothing(open_shop):
    shop = open_shop(orders=24, seed=4)
    for command in WRITING:
        finished = shop.run(*command, "--quiet")
        assert (finished.stdout, finished.stderr) == ("", "")


def test_notes_go_to_standard_error_only(ready):
    finished = ready.run("stock", "import", "sheet.csv", "--dry-run")
    assert "NEVER-HEARD-OF" in finished.stderr
    assert "check their spelling" not in finished.stdout


def test_piped_output_has_no_colour_and_no_frames(ready):
    for command in READING:
        finished = ready.run(*command, environment={"FORCE_COLOR": "", "TERM": "xterm-256color"})
        assert "\x1b" not in finished.stdout + finished.stderr
        assert "│" not in finished.stdout


def _read_one_line(shop, command):
    """Run a command whose reader goes away after one line."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{shlex.quote(sys.executable)} -m tiktok_erp {command} | head -1"],
        cwd=shop.folder.path,
        env=shop.folder.environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", ["", "--json"])
def test_a_reader_that_has_enough_ends_a_command_in_silence(ready, options):
    finished = _read_one_line(ready, f"orders list {options}")
    assert len(finished.stdout.splitlines()) == 1
    assert finished.stderr == ""
    assert finished.returncode == 0


def test_a_reader_that_has_enough_does_not_stop_what_was_begun(open_shop):
    shop = open_shop(orders=60, seed=4, carrier="tiktok")
    shop.allocated()
    finished = _read_one_line(shop, "print-labels --json")
    assert finished.returncode == 0
    assert [json.loads(line)["kind"] for line in finished.stderr.splitlines()] == ["warning"]
    assert shop.shipped() == shop.due()
    assert shop.disagreements() == []
    assert shop.printed_twice_or_never() == []
