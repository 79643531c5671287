"""Follow the money of labels that were taken back: a refund is granted or refused days after it was asked for. Asks, writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from tiktok_erp.carriers.base import SOURCES, Capabilities, LabelSource
from tiktok_erp.errors import ChannelRefused
from tiktok_erp.messages import tr
from tiktok_erp.model.money import Money
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.labels import count_open_refunds, load_open_refunds, save_refund
from tiktok_erp.store.quarantine import open_case

CAUSE = "refund_rejected"
# Sources take days to weeks. `labels reconcile` is somebody asking; buying only looks in passing.
ASK_AGAIN_AFTER = timedelta(hours=1)
IN_PASSING_AFTER = timedelta(days=1)
MOST_IN_PASSING = 20
_WAITING = "submitted"
_GRANTED = "refunded"
_REFUSED = ("rejected", "not_applicable")


@dataclass(slots=True)
class RefundCount:
    """What one look at the open refunds told; `open` are those without an end after it."""

    asked: int = 0
    refunded: int = 0
    rejected: int = 0
    open: int = 0


def follow_refunds(
    store: Store,
    source: Callable[[str], LabelSource],
    report: Report,
    *,
    run_id: int | None,
    not_asked_for: timedelta = ASK_AGAIN_AFTER,
    at_most: int | None = None,
) -> RefundCount:
    """Read the open refunds that nobody has asked about for so long, the oldest answers first, and write what they are now.

    One that was refused is a case in quarantine: the money is lost unless somebody speaks to the source. `source` connects
    a label source by its name.
    """
    count = RefundCount()
    due = [
        row
        for row in load_open_refunds(store, asked_before=utc_now() - not_asked_for)
        if SOURCES.get(row["source"], Capabilities()).void and row["quote_id"]
    ][:at_most]
    for number, row in enumerate(due, start=1):
        try:
            label = source(row["source"]).read(row["quote_id"], subject=row["package_id"])
            word = label.refund if label is not None else ""
        except ChannelRefused:  # it does not show this shipment: no word about its refund
            word = ""
        count.asked += 1
        _save(store, report, count, row, word or row["refund_status"], run_id)
        report.progress(tr("refunds"), number, len(due))
    count.open = count_open_refunds(store)
    return count


def _save(store: Store, report: Report, count: RefundCount, row: sqlite3.Row, word: str, run_id: int | None) -> None:
    ids = {"package_id": row["package_id"], "label_id": row["label_id"]}
    fields = {"refund_status": word, "tracking_number": row["tracking_number"]}
    what = {
        "source": row["source"],
        "number": row["tracking_number"],
        "cost": Money(row["cost_minor"], row["currency"]) if row["cost_minor"] is not None else "?",
        "package": row["package_id"],
    }
    if word in _REFUSED:
        count.rejected += 1
        detail = tr("{source} does not give back {cost} for the label {number} of {package}", **what)
        step = tr("ask the support of {source} why; then `tiktok-erp orders retry {package}` closes this case", **what)
        with store.transaction():
            save_refund(store, row["label_id"], word)
            # Of the order alone: a case of the package would hold up the label that it needs now.
            is_new = open_case(
                store, cause=CAUSE, detail=detail, next_step=step, order_id=row["order_id"], run_id=run_id
            )
        report.item(
            Outcome("label", ids, "failed", cause=CAUSE, next_step=step, fields=fields, text=detail, is_new=is_new)
        )
        return
    with store.transaction():
        save_refund(store, row["label_id"], word)
    if word == _GRANTED:
        count.refunded += 1
        text = tr("{source} gave back {cost} for the label {number} of {package}", **what)
        report.item(Outcome("label", ids, "done", fields=fields, text=text))
    elif word != _WAITING:
        report.warn(
            tr(
                "{package}: {source} says {word} about the refund of {number}; it is asked again",
                word=word,
                **{name: what[name] for name in ("package", "source", "number")},
            )
        )
