"""What `stock why` tells of one SKU."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from tiktok_erp.cli.session import Session
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome

_ORDERS_SHOWN = 10


def tell_story(session: Session, sku: str, moves: int) -> None:
    """Tell everything that decides what can be sold of `sku`. Raises UsageError for a SKU that nobody knows."""
    from tiktok_erp.store.bundles import load_own_bundles
    from tiktok_erp.store.story import load_story

    story = load_story(session.store, sku, moves)
    parts = load_own_bundles(session.store).get(sku, {})
    if not story.is_known and not parts:
        raise UsageError(
            tr("no such SKU is known"), subject=sku, next_step=tr("run `tiktok-erp stock show` for the SKUs that are")
        )
    if session.out.as_json:
        for kind, rows in (
            ("stock", story.stock),
            ("safety_stock", story.safety),
            ("listing", story.listings),
            ("reservation", story.reservations),
            ("move", story.moves),
        ):
            for row in rows:
                fields = {name: value for name, value in dict(row).items() if name != "basis"}
                if "basis" in row.keys():  # noqa: SIM118 - a row looks for values, not for names
                    fields |= {"basis": json.loads(row["basis"] or "{}"), "text": kept_back_text(row)}
                if kind == "move":  # its own kind would take the place of the line's
                    fields["move"] = fields.pop("kind")
                session.out.item(Outcome(kind, {"sku": sku}, "done", fields=fields))
        if parts:
            session.out.item(Outcome("bundle", {"sku": sku}, "done", fields={"components": parts}))
        return
    say = session.out.say
    if parts:
        say(
            tr(
                "{sku} is a bundle and has no count of its own: one is packed from {parts}",
                sku=sku,
                parts=", ".join(f"{number} {part}" for part, number in parts.items()),
            )
        )
    for row in story.stock:
        say(
            tr(
                "{place}: {on_hand} on hand - {reserved} reserved - {kept} kept back = {available} to sell (last counted {at})",
                place=row["warehouse"],
                on_hand=row["on_hand"],
                reserved=row["reserved"],
                kept=row["safety_stock"],
                available=row["available_to_sell"],
                at=row["counted_at"] or tr("never"),
            )
        )
    if not story.stock and not parts:
        say(tr("never counted: it holds no order back and is never pushed"))
    for row in story.safety:
        say("  " + kept_back_text(row))
    for row in story.bundles:
        say(tr("  it is part of {sku}: {quantity} in each", sku=row["sku"], quantity=row["quantity"]))
    for row in story.listings:
        say("  " + _listing_text(row))
    _say_reservations(session, story.reservations)
    _say_moves(session, story.moves, has_older=story.has_older_moves)


def kept_back_text(row: Mapping[str, Any] | sqlite3.Row) -> str:
    """Return in words why so much is kept back."""
    basis = json.loads(row["basis"] or "{}")
    kind, kept = basis.get("kind"), row["quantity"]
    if kind == "auto":
        text = tr(
            "kept back {kept}: {speed} sold a minute at the busiest x {blind} s unseen x {factor}",
            kept=kept,
            speed=basis["per_minute"],
            blind=basis["blind_s"],
            factor=basis["factor"],
        )
    elif kind == "auto_percent":
        text = tr(
            "kept back {kept}: too little was sold to tell a speed, so {percent} % of what is free",
            kept=kept,
            percent=basis["percent"],
        )
    elif kind == "percent":
        text = tr("kept back {kept}: {percent} % of what is free", kept=kept, percent=basis["percent"])
    elif kind == "units":
        text = tr("kept back {kept}: a fixed number", kept=kept)
    else:
        return tr("kept back {kept}: no rule says more", kept=kept)
    if "at_least" in basis and basis["at_most"] is None:
        text += tr(", but at least {least}", least=basis["at_least"])
    elif "at_least" in basis:
        text += tr(", but from {least} to {most}", least=basis["at_least"], most=basis["at_most"])
    where = [basis["sku"]]
    where += [str(basis[name]) for name in ("channel", "warehouse") if name in basis]
    where += [tr("in a stream") if basis["live"] else tr("not in a stream")] if "live" in basis else []
    place = row["warehouse"] if row["channel"] is None else f"{row['channel']}, {row['warehouse']}"
    return tr("{text} (rule for {where}; {place})", text=text, where=", ".join(where), place=place)


def _listing_text(row: sqlite3.Row) -> str:
    if row["is_channel_bundle"]:
        return tr(
            "listing {listing} on {channel}: a bundle whose number the channel works out itself",
            listing=row["listing_id"],
            channel=row["channel"],
        )
    unknown = tr("unknown")
    return tr(
        "listing {listing} on {channel}: shows {shown}, should show {wanted}, last pushed {pushed} at {at}",
        listing=row["listing_id"],
        channel=row["channel"],
        shown=unknown if row["channel_quantity"] is None else row["channel_quantity"],
        wanted=unknown if row["wanted_quantity"] is None else row["wanted_quantity"],
        pushed=tr("nothing") if row["pushed_quantity"] is None else row["pushed_quantity"],
        at=row["pushed_at"] or "-",
    )


def _say_reservations(session: Session, rows: list[sqlite3.Row]) -> None:
    words = {"held": tr("held"), "short": tr("short")}
    for row in rows[:_ORDERS_SHOWN]:
        session.out.say(
            tr(
                "  {state}: {pieces} for order {order}, ship by {ship_by}",
                state=words.get(row["state"], row["state"]),
                pieces=row["pieces"],
                order=row["order_id"],
                ship_by=row["ship_by"] or tr("unknown"),
            )
        )
    if len(rows) > _ORDERS_SHOWN:
        session.out.say(
            tr("  ... and {count} orders more; `--json` lists all of them", count=len(rows) - _ORDERS_SHOWN)
        )


def _say_moves(session: Session, rows: list[sqlite3.Row], *, has_older: bool) -> None:
    from tiktok_erp.cli.tables import print_table, terminal_width

    if has_older:
        session.out.say(tr("the last {count} moves; `--moves` shows more", count=len(rows)))
    headers = [
        tr("at (UTC)"),
        tr("warehouse"),
        tr("move"),
        tr("on hand"),
        tr("reserved"),
        tr("because"),
        tr("reference"),
    ]
    table = [
        [
            row["at"],
            row["warehouse"],
            row["kind"],
            f"{row['quantity']:+d}" if row["quantity"] else "",
            f"{row['reserved']:+d}" if row["reserved"] else "",
            "" if row["because"] == row["kind"] else row["because"],
            row["reference"],
        ]
        for row in rows
    ]
    if terminal_width() is not None:  # what a screen has room for
        for line in table:
            line[0] = f"{line[0][5:10]} {line[0][11:19]}"
        if len({row["warehouse"] for row in rows}) == 1:
            for line in (headers, *table):
                del line[1]
    print_table(session.out, headers, table)
