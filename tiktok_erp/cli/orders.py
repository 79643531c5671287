"""`orders`: list them, show one, answer a buyer who asks to cancel; `order_decisions.py` has the rest of the group."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli import order_decisions, order_story
from tiktok_erp.cli.options import All, DryRun, Json, Quiet, Yes, read_names
from tiktok_erp.cli.session import Session, can_ask, require_credentials_or_file, run_command
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome
from tiktok_erp.private_files import open_lock

if TYPE_CHECKING:
    from tiktok_erp.sync.answer import OpenRequest

_WIDTH_WITH_STATUS = 100

orders_app = typer.Typer(
    help="List orders, show one, keep one back, try one again, answer a buyer who asks to cancel.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class _Word(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    order_decisions.register(orders_app)
    order_story.register(orders_app)
    app.add_typer(orders_app, name="orders")


@orders_app.command("list")
def list_orders(
    context: typer.Context,
    state: Annotated[
        str | None,
        typer.Option("--state", help="unpaid, held, open, closed, cancelled or unknown.", show_default=False),
    ] = None,
    cancel_requested: Annotated[
        bool, typer.Option("--cancel-requested", help="Those whose buyer asks to cancel, with the time left to answer.")
    ] = False,
    not_scanned: Annotated[
        bool,
        typer.Option("--not-scanned", help="Parcels whose number is told and that the carrier does not have yet."),
    ] = False,
    everything: All = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List orders: those that still promise something, most urgent first, then the others, newest first.

    \b
    Examples:
      tiktok-erp orders list --state open
      tiktok-erp orders list --cancel-requested --json | jq -r .order_id
      tiktok-erp orders list --not-scanned
    """

    def body(session: Session) -> None:
        if not_scanned:
            order_story.list_unscanned(session)
            return
        from tiktok_erp.cli.tables import SHOWN_AT_ONCE, terminal_width
        from tiktok_erp.store.orders import iterate_orders, load_asking_orders

        wanted = _state(state)
        rows = iterate_orders(session.store, wanted)
        if cancel_requested:
            rows = (row for row in load_asking_orders(session.store) if wanted in (None, row["state"]))
        if session.out.as_json:
            for row in rows:
                session.out.item(Outcome("order", {}, "done", fields=dict(row)))
            return
        width = terminal_width()
        if width is None or everything or wanted or cancel_requested:
            _print_orders(session, rows, width, with_time_left=cancel_requested)
            return
        shown = list(islice(rows, SHOWN_AT_ONCE))
        _print_orders(session, shown, width, with_time_left=False)
        if next(rows, None) is not None:
            _say_more(session, shown)

    run_command("orders", context, body, as_json=as_json, quiet=quiet, writes=False)


@orders_app.command("show")
def show(
    context: typer.Context,
    order: Annotated[str, typer.Argument(metavar="ID", help="An order id, the channel's, or a package id.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show everything that is known of one order; the buyer's name and address stay out.

    \b
    Examples:
      tiktok-erp orders show 576461413038785752
      tiktok-erp orders show P000123 --json
    """

    def body(session: Session) -> None:
        from tiktok_erp.store.packages import find_orders

        order_ids = find_orders(session.store, order)
        if not order_ids:
            raise UsageError(
                tr("no such order is in the database"),
                subject=order,
                next_step=tr("run `tiktok-erp sync`, or check the id"),
            )
        for order_id in order_ids:
            _show(session, order_id)

    run_command("orders", context, body, as_json=as_json, quiet=quiet, writes=False)


@orders_app.command("answer")
def answer(
    context: typer.Context,
    order: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="An order id, the channel's, or a package id; `-` reads them from standard input."
        ),
    ],
    word: Annotated[_Word, typer.Argument(metavar="approve|reject", help="What the buyer is told.")],
    reason: Annotated[
        str | None,
        typer.Option(
            "--reason",
            help="Why you reject: packed, delivered, invalid, agreed (with the buyer), or the channel's own code."
            "  [default: what is known to be true of the order]",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Answer a buyer who asks to cancel an order: approve cancels and refunds it, reject lets it stand.

    The request is read from the channel just before. An answer is given once, whatever breaks off, and it cannot be
    changed. An order without a request, or answered otherwise before, fails (exit code 3). A rejection needs a reason that
    is true: without --reason only orders that are packed, with the carrier or delivered are rejected, for that reason.

    \b
    Examples:
      tiktok-erp orders answer 576461413038785752 approve
      tiktok-erp orders answer 576461413038785752 reject --reason agreed
      tiktok-erp orders list --cancel-requested
    """

    def body(session: Session) -> None:
        from tiktok_erp.channels.tiktok_reasons import REJECT_REASONS
        from tiktok_erp.sync.answer import Answer, CancelAnswerer

        session.require_up_to_date()
        chosen = Answer(word.value, _reason(word, reason))
        order_ids = session.orders(read_names([order])) or []
        if not order_ids:
            return
        require_credentials_or_file(
            session, tr("set the TIKTOK_SHOP_ settings, or answer in Seller Center: only the channel takes an answer")
        )
        with _in_turn(session):
            answerer = CancelAnswerer(
                session.store,
                session.shop(),
                session.out,
                chosen,
                run_id=session.run_id,
                read_back=session.read_back,
                reasons=REJECT_REASONS,
                dry_run=dry_run,
            )
            due = answerer.find(order_ids)
            answerer.tell_labels(due)
            if dry_run:
                answerer.tell_plan(due)
            elif word is _Word.REJECT or _confirmed(session, due, yes=yes):
                answerer.send(due)
            else:
                session.out.warn(tr("nothing was answered"))
        session.summary.update(answered=answerer.count.answered, answered_before=answerer.count.answered_before)

    run_command("orders answer", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run)


def _reason(word: _Word, reason: str | None) -> str:
    from tiktok_erp.channels.tiktok_reasons import REJECT_REASONS

    if reason is None:
        return ""
    if word is _Word.REJECT and reason.strip():
        return REJECT_REASONS.get(reason.strip(), reason.strip())
    raise UsageError(
        tr("a rejection has a reason, and an approval has none"),
        subject="--reason",
        next_step=tr("leave --reason out, or name why you reject: {reasons}", reasons=", ".join(REJECT_REASONS)),
    )


def _confirmed(session: Session, due: Sequence[OpenRequest], *, yes: bool) -> bool:
    if yes or not due or not can_ask(session):
        return True
    refunds = [target.refund() for target in due]
    known = [refund for refund in refunds if refund is not None]
    if len(known) == len(refunds) and len({refund.currency for refund in known}) == 1:
        total = known[0]
        for refund in known[1:]:
            total += refund
        question = tr(
            "Cancel {count} orders and give {refund} back? This cannot be taken back.", count=len(due), refund=total
        )
    else:
        question = tr("Cancel and refund {count} orders? This cannot be taken back.", count=len(due))
    return typer.confirm(question, default=False, err=True)


@contextmanager
def _in_turn(session: Session) -> Iterator[None]:
    """Wait until no other process answers requests from this database: then its answers are known here."""
    import fcntl
    import os

    if session.dry_run:
        yield
        return
    db = session.options.db
    handle = open_lock(db.with_name(f".{db.name}.orders-answer.lock"))
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            session.out.warn(tr("another `orders answer` is running; this one waits for it"))
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _state(word: str | None) -> str | None:
    """Return the state of orders that was asked for. Raises UsageError when there is none of that name."""
    from tiktok_erp.config.checked_yaml import closest
    from tiktok_erp.model.order_state import ORDER_STATES

    if word is None or word in ORDER_STATES:
        return word
    guess = closest(word, ORDER_STATES)
    raise UsageError(
        tr("{word} is no state of an order", word=word),
        subject="--state",
        next_step=tr("did you mean `{guess}`?", guess=guess)
        if guess is not None
        else tr("choose one of {states}", states=", ".join(ORDER_STATES)),
    )


def _print_orders(session: Session, rows: Iterable[sqlite3.Row], width: int | None, *, with_time_left: bool) -> None:
    from tiktok_erp.cli.tables import stream_table

    columns: dict[str, Callable[[sqlite3.Row], object]] = {
        tr("order"): lambda row: row["order_id"],
        tr("state"): lambda row: row["state"],
        tr("status"): lambda row: row["status"],
        tr("ship by (UTC)"): lambda row: (row["ship_by"] or "-") if width is None else _minute(row["ship_by"]),
        tr("from"): lambda row: row["ship_by_source"],
        tr("total"): lambda row: _money(row["total_minor"], row["currency"]),
    }
    # The channel's own word is the first to go: `orders show` has it.
    if width is not None and width < _WIDTH_WITH_STATUS:
        del columns[tr("status")]
    if with_time_left:
        columns[tr("time to answer")] = lambda row: _time_left(row["answer_by"]) or tr("unknown")
    stream_table(session.out, list(columns), ([cell(row) for cell in columns.values()] for row in rows))


def _say_more(session: Session, shown: Sequence[sqlite3.Row]) -> None:
    from tiktok_erp.model.order_state import STILL_PROMISED
    from tiktok_erp.store.orders import count_open_orders

    more = count_open_orders(session.store) - sum(row["state"] in STILL_PROMISED for row in shown)
    if more > 0:
        session.out.say(
            tr("... and {count} more open orders, then those that are over: `--all`, or `--state open`", count=more)
        )
    else:
        session.out.say(tr("... and older orders that are over: `--all`, or `--state closed`"))


def _show(session: Session, order_id: str) -> None:
    from tiktok_erp.store.cancellations import load_order_cancellations
    from tiktok_erp.store.creators import load_commissions
    from tiktok_erp.store.overrides import load_decisions

    store, out = session.store, session.out
    row = store.query_one("SELECT * FROM v_orders WHERE order_id = ?", (order_id,))
    lines = store.query("SELECT * FROM v_line_items WHERE order_id = ? ORDER BY line_item_id", (order_id,))
    packages = store.query(
        "SELECT v.* FROM package_orders po JOIN v_packages v USING (package_id) WHERE po.order_id = ? ORDER BY v.package_id",
        (order_id,),
    )
    cases = store.query("SELECT * FROM v_quarantine WHERE order_id = ? ORDER BY since", (order_id,))
    events = store.query("SELECT * FROM v_order_events WHERE order_id = ? ORDER BY at, seen_at, kind", (order_id,))
    cancellations = load_order_cancellations(store, order_id)
    commissions = load_commissions(store, order_id)
    decisions = load_decisions(store, order_id)
    if row is None:
        return
    if out.as_json:
        out.item(
            Outcome(
                "order",
                {},
                "done",
                fields=dict(row)
                | {
                    "other_amounts": _other_amounts(row),
                    "line_items": [dict(line) for line in lines],
                    "packages": [
                        dict(package) | {"order_ids": json.loads(package["order_ids"])} for package in packages
                    ],
                    "quarantine": [dict(case) for case in cases],
                    "events": [dict(event) for event in events],
                    "cancellations": [dict(cancellation) for cancellation in cancellations],
                    "commissions": [dict(commission) for commission in commissions],
                    "decisions": [dict(decision) for decision in decisions],
                },
            )
        )
        return
    out.say(f"{row['order_id']}  {row['state']} ({row['status']})")
    for name, value in [*_facts(row), *_amounts(row), *_deadlines(row)]:
        if value:
            out.say(tr("  {name}: {value}", name=name, value=value))
    for line in lines:
        parts = [
            f"  {line['quantity']} x {line['sku']}",
            line["product_name"] or "",
            line["state"],
            line["package_id"] or "",
        ]
        if line["is_gift"]:
            parts.append(tr("gift"))
        if line["returned"]:
            parts.append(tr("{count} returned", count=line["returned"]))
        out.say("  ".join(parts))
    for package in packages:
        parts = [
            package["package_id"],
            package["state"],
            package["carrier"],
            package["service_level"],
            package["tracking_number"],
        ]
        out.say("  " + "  ".join(str(part) for part in parts if part))
        if package["because"]:
            out.say(tr("    because: {rule}", rule=package["because"]))
    for commission in commissions:
        out.say("  " + "  ".join(part for part in _commission(commission) if part))
    for cancellation in cancellations:
        out.say("  " + "  ".join(part for part in _cancellation(cancellation) if part))
    for event in events:
        out.say("  " + "  ".join(part for part in (event["at"], event["kind"], event["detail"]) if part))
    for decision in decisions:
        out.say(
            tr(
                "  {at}  decided: {cause}, because {reason}",
                at=decision["at"],
                cause=decision["cause"],
                reason=decision["because"],
            )
        )
    for case in cases:
        out.say(f"  {case['cause']}: {case['detail']}")
        out.say(tr("  next: {step}", step=case["next_step"]))


def _facts(row: sqlite3.Row) -> list[tuple[str, str | None]]:
    estimated = tr(" (estimated)") if row["ship_by_source"] == "rules" else ""
    content = " ".join(part for part in (row["content_type"], row["content_id"]) if part)
    requested = tr("yes") if row["cancel_requested"] else None
    left = _time_left(row["answer_by"])
    if requested and left:
        requested = tr("yes; time left to answer: {left} (until {moment})", left=left, moment=row["answer_by"])
    by = " ".join(part for part in (row["cancelled_by"], row["cancel_reason"]) if part)
    flags = {
        "is_sample": tr("sample"),
        "is_presale": tr("pre-order"),
        "is_replacement": tr("replacement"),
        "is_exchange": tr("exchange"),
    }
    return [
        (tr("placed"), row["placed_at"]),
        (tr("paid"), row["paid_at"]),
        (tr("ship by"), f"{row['ship_by']}{estimated}" if row["ship_by"] else tr("unknown")),
        (tr("held until"), row["held_until"] if row["state"] == "held" else None),
        (tr("on sale from"), row["release_at"]),
        (tr("total"), _money(row["total_minor"], row["currency"])),
        (tr("kind"), ", ".join(name for flag, name in flags.items() if row[flag])),
        (tr("shipping"), row["shipping_type"]),
        (tr("combine group"), row["auto_combine_group_id"]),
        (tr("combined or split"), row["split_or_combine"]),
        (tr("buyer's note"), row["buyer_note"]),
        (tr("seller's note"), row["seller_note"]),
        (tr("creator"), row["creator"]),
        (tr("content"), content),
        (tr("commission"), _money(row["commission_minor"], row["currency"])),
        (tr("cancel requested"), requested),
        (tr("cancelled by"), by if row["state"] == "cancelled" else None),
        (tr("last read"), row["synced_at"]),
    ]


def _amounts(row: sqlite3.Row) -> list[tuple[str, str | None]]:
    named = {
        "subtotal_minor": tr("subtotal"),
        "shipping_minor": tr("shipping fee"),
        "tax_minor": tr("tax"),
        "platform_discount_minor": tr("the platform's discount"),
        "seller_discount_minor": tr("the seller's discount"),
    }
    amounts = [(name, _money(row[column], row["currency"])) for column, name in named.items() if row[column]]
    return [*amounts, *((name, _money(minor, row["currency"])) for name, minor in _other_amounts(row).items())]


def _deadlines(row: sqlite3.Row) -> list[tuple[str, str | None]]:
    if row["state"] == "cancelled":
        return []
    return [
        (tr("to be told as shipped by"), row["rts_sla_at"]),
        (tr("to be scanned by"), row["tts_sla_at"]),
        (tr("cancelled unless shipped by"), row["shipping_due_at"]),
        (tr("cancelled unless scanned by"), row["collection_due_at"]),
        (tr("to be delivered by"), row["delivery_sla_at"]),
    ]


def _commission(row: sqlite3.Row) -> tuple[str | None, ...]:
    settled = row["actual_commission_minor"] is not None
    minor = row["actual_commission_minor"] if settled else row["estimated_commission_minor"]
    money = _money(minor, row["currency"])
    rate = row["commission_rate_bp"]
    return (
        tr(
            "creator {creator}: {count} x {sku}",
            creator=row["creator"],
            count=row["quantity"],
            sku=row["channel_sku_id"],
        ),
        " ".join(part for part in (row["content_type"], row["content_id"]) if part),
        f"{rate // 100}.{rate % 100:02} %" if rate is not None else None,
        (tr("{amount} settled", amount=money) if settled else tr("{amount} estimated", amount=money))
        if money
        else None,
    )


def _cancellation(row: sqlite3.Row) -> tuple[str | None, ...]:
    left = _time_left(row["answer_by"]) if row["is_pending"] else None
    return (
        tr("cancellation {cancel_id}: {status}", cancel_id=row["cancel_id"], status=row["status"]),
        row["role"],
        row["reason"],
        _money(row["refund_minor"], row["currency"]),
        tr("time left to answer: {left}", left=left) if left else None,
    )


def _other_amounts(row: sqlite3.Row) -> dict[str, int]:
    found: dict[str, int] = json.loads(row["other_amounts"]) if row["other_amounts"] else {}
    return found


def _time_left(answer_by: str | None) -> str | None:
    """Return how long there is to answer, in whole hours; None where no deadline is known."""
    if answer_by is None:
        return None
    from tiktok_erp.model.moment import from_text
    from tiktok_erp.store.database import utc_now

    seconds = (from_text(answer_by) - utc_now()).total_seconds()
    if seconds <= 0:
        return tr("none")
    return (
        tr("{hours} h", hours=int(seconds // 3600))
        if seconds >= 3600
        else tr("{minutes} min", minutes=int(seconds // 60))
    )


def _minute(moment: str | None) -> str:
    return moment[:16].replace("T", " ") if moment else "-"


def _money(minor: int | None, currency: str | None) -> str | None:
    if minor is None or currency is None:
        return None
    from tiktok_erp.model.money import Money

    return str(Money(minor, currency))
