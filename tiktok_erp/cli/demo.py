"""`demo`: the whole day against the simulated shop, in an empty folder, without an account."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import Globals, Json, Quiet
from tiktok_erp.cli.output import Output
from tiktok_erp.errors import ErpError, SomeItemsFailed, UsageError
from tiktok_erp.messages import language, tr
from tiktok_erp.model.outcome import Outcome

if TYPE_CHECKING:
    from tiktok_erp.simulator.server import Simulator

MADE_BY = "demo"
_FILES = (
    "labels.pdf",
    "pick-list.pdf",
    "packing-slips.pdf",
    "packages.csv",
    "tracking-list.csv",
    "tracking-upload.xlsx",
    "shop-ledger.json",
)
# Far from the serials of the simulated shop's own labels.
_FIRST_SERIAL = 9_000_001
_SETTINGS = ("TIKTOK_SHOP_", "TIKTOK_ERP_")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("demo")(demo)


def demo(
    context: typer.Context,
    orders: Annotated[int, typer.Option("--orders", min=1, help="How many orders the stream brought.")] = 300,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same day.")] = 1,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Play a whole day: a simulated shop on 127.0.0.1, a stream's orders, labels, tracking numbers.

    Needs no account and no network. Everything lands in this folder; a shop.db that the demo did not make is refused.

    \b
    Examples:
      tiktok-erp demo
      tiktok-erp demo --orders 1000
    """
    options: Globals = context.obj
    with Output(as_json=as_json, quiet=quiet) as out:
        code = 0
        try:
            _play(out, options.db.absolute(), orders, seed)
        except ErpError as error:
            out.error(error)
            code = error.exit_code
        except KeyboardInterrupt:
            code = 130
        out.summary(code)
    raise typer.Exit(code)


def _play(out: Output, db: Path, orders: int, seed: int) -> None:
    from tiktok_erp.simulator.server import Simulator, SimulatorOptions
    from tiktok_erp.store.database import open_store

    folder = db.parent
    _clear(db)
    with open_store(db, create=True) as store, store.transaction():
        store.set_meta("made_by", MADE_BY)
    rules = folder / "rules.yaml"
    if not rules.exists():
        from tiktok_erp.config.rules_file import default_rules_text

        rules.write_text(default_rules_text(), "utf-8")
    out.say(tr("A simulated TikTok Shop opens on 127.0.0.1 with {orders} orders of a live stream.", orders=orders))
    with Simulator(SimulatorOptions(orders=orders, seed=seed, state=folder / "shop-ledger.json")) as shop:
        environment = _environment(shop)
        steps: tuple[tuple[str, list[str]], ...] = (
            (tr("Orders come in"), ["sync"]),
            (tr("Stock is counted as the shop holds it"), ["stock", "import", "--from-channel", "tiktok"]),
            (tr("Every unit gets a counted piece, the rest is pushed"), ["reserve-stock"]),
            (tr("The rules choose the carriers"), ["allocate", "--no-wait"]),
            (tr("Labels of TikTok Shipping are bought, one PDF in packing order"), ["print-labels", "--yes"]),
        )
        for title, arguments in steps:
            _step(out, db, rules, environment, title, arguments)
        count = _buy_elsewhere(db, folder / "tracking-list.csv")
        out.say(tr("You buy {count} labels elsewhere: their numbers are in tracking-list.csv", count=count))
        steps = (
            (tr("The numbers are taken over"), ["print-labels", "--from", "tracking-list.csv"]),
            (tr("What Seller Center would take by hand"), ["upload-tracking", "--to", "tracking-upload.xlsx"]),
            (tr("Tracking numbers go back to the shop"), ["upload-tracking"]),
            (tr("The shop is read once more"), ["sync"]),
            (tr("The promises are proven on the file"), ["check", "--quiet"]),
            (tr("The shop on one screen"), ["status"]),
        )
        for title, arguments in steps:
            _step(out, db, rules, environment, title, arguments)
    _farewell(out, folder)


def _clear(db: Path) -> None:
    """Remove what an earlier demo left. Raises UsageError when the database is somebody's own."""
    import shutil

    if db.exists() and not _is_ours(db):
        raise UsageError(
            tr("there is a database here that the demo did not make"),
            subject=str(db),
            next_step=tr("run the demo in an empty folder"),
        )
    for path in (
        db,
        *(db.with_name(db.name + suffix) for suffix in ("-wal", "-shm", ".mark", ".tokens", ".tokens.lock")),
    ):
        path.unlink(missing_ok=True)
    for folder in (db.with_name(db.stem + ".labels"), db.with_name(db.stem + ".batches")):
        shutil.rmtree(folder, ignore_errors=True)
    for name in _FILES:
        (db.parent / name).unlink(missing_ok=True)


def _is_ours(db: Path) -> bool:
    import sqlite3

    try:
        connection = sqlite3.connect(f"file:{db}?mode=ro", uri=True)
        try:
            row = connection.execute("SELECT value FROM meta WHERE key = 'made_by'").fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return False
    return row is not None and row[0] == MADE_BY


def _environment(shop: Simulator) -> dict[str, str]:
    """Return this process's environment with the simulated shop's credentials and nobody else's."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return clean | {
        "TIKTOK_SHOP_API_URL": shop.api_url,
        "TIKTOK_SHOP_AUTH_URL": shop.auth_url,
        "TIKTOK_SHOP_APP_KEY": shop.app_key,
        "TIKTOK_SHOP_APP_SECRET": shop.app_secret,
        "TIKTOK_SHOP_ACCESS_TOKEN": shop.access_token,
        "TIKTOK_SHOP_REFRESH_TOKEN": shop.refresh_token,
        "TIKTOK_SHOP_CIPHER": shop.cipher,
        "NO_PROXY": "127.0.0.1",
    }


def _step(
    out: Output, db: Path, rules: Path, environment: Mapping[str, str], title: str, arguments: Sequence[str]
) -> None:
    """Run one command as a person would, and show what it says. Raises when it fails."""
    import subprocess

    out.say("")
    out.say(f"{title}\n$ tiktok-erp {' '.join(arguments)}")
    command = [
        sys.executable,
        "-m",
        "tiktok_erp",
        "--db",
        str(db),
        "--rules",
        str(rules),
        "--lang",
        language(),
        *arguments,
    ]
    if out.as_json or out.quiet:
        finished = subprocess.run(command, cwd=db.parent, env=environment, capture_output=True, text=True, check=False)
    else:
        sys.stdout.flush()
        finished = subprocess.run(command, cwd=db.parent, env=environment, text=True, check=False)
    code = finished.returncode
    out.item(
        Outcome(
            "step",
            {"command": " ".join(arguments)},
            "done" if code in (0, SomeItemsFailed.exit_code) else "failed",
            fields={"command_exit_code": code},
        )
    )
    if code not in (0, SomeItemsFailed.exit_code):
        error = ErpError(
            tr("a step of the demo ended with {code}", code=code),
            subject=" ".join(arguments),
            next_step=tr("look at the message above; run the demo again in an empty folder"),
            cause="demo_step_failed",
        )
        error.exit_code = code
        raise error


def _buy_elsewhere(db: Path, target: Path) -> int:
    """Play the seller who buys own labels elsewhere: write a tracking list for what waits for one."""
    import csv

    from tiktok_erp.simulator.numbers import ups_number, usps_number
    from tiktok_erp.store.database import open_store
    from tiktok_erp.store.labels import load_candidates

    with open_store(db) as store:
        rows = [row for row in load_candidates(store) if row["shipping_type"] != "TIKTOK" and row["obstacle"] is None]
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["order_id", "carrier", "tracking_number", "package_id"])
        for serial, row in enumerate(rows, start=_FIRST_SERIAL):
            number = ups_number(serial) if row["carrier"] == "ups" else usps_number(serial)
            writer.writerow([row["channel_order_id"], row["carrier"], number, row["package_id"]])
    return len(rows)


def _farewell(out: Output, folder: Path) -> None:
    out.say("")
    out.say(tr("Done. In {folder}:", folder=folder))
    for name, what in (
        ("labels.pdf", tr("specimen labels in packing order, each with its position")),
        ("pick-list.pdf", tr("what to fetch from which shelf")),
        ("packing-slips.pdf", tr("one for each parcel, in the same order")),
        ("packages.csv", tr("position, page, order, SKU, carrier, tracking number")),
        ("tracking-upload.xlsx", tr("the template for Seller Center, for the day the API is down")),
        ("shop-ledger.json", tr("what the simulated shop itself wrote down")),
    ):
        if (folder / name).exists():
            out.say(f"  {name:22} {what}")
    out.say(tr("Next: `tiktok-erp status`, `tiktok-erp quarantine`, `tiktok-erp orders list --state open`."))
    out.say(tr("For your own shop: an empty folder, the TIKTOK_SHOP_ settings, `tiktok-erp init`, `tiktok-erp sync`."))
