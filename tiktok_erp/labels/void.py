"""Take bought labels back where their source allows that. Journals, asks, writes.

A wish is written down before it is sent; from then on the label is not printed. One whose answer was lost is asked for
again by the next run: sources read what became of it first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tiktok_erp.carriers.base import SOURCES, Capabilities, LabelSource
from tiktok_erp.errors import ChannelRefused, ErpError, OutcomeUnknown
from tiktok_erp.labels.plan import position_text
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.outcome import Report
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.labels import drop_intent, end_void, load_live, mark_void_sent, save_void
from tiktok_erp.store.packages import load_view, package_outcome
from tiktok_erp.store.quarantine import resolve_cases
from tiktok_erp.store.scan_forms import find_form_of
from tiktok_erp.store.shipments import forget_quotes

# Carriers reference, section 4. A carrier without a known window is asked.
_WINDOWS = {"usps": timedelta(days=30), "ups": timedelta(days=90), "fedex": timedelta(days=90)}
_GRANTED = ("submitted", "refunded")


@dataclass(slots=True)
class VoidCount:
    """What one run of taking labels back did."""

    voided: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class _Refusal:
    cause: str
    what: str
    next_step: str


def void_labels(
    store: Store,
    source: Callable[[str], LabelSource],
    report: Report,
    package_ids: Sequence[str],
    *,
    dry_run: bool,
    even_if_told: bool,
) -> VoidCount:
    """Take the labels of these packages back; each package can then be allocated again.

    `source` connects a label source by its name. `even_if_told`: also those whose number the channel knows already.
    """
    count = VoidCount()
    for number, package_id in enumerate(package_ids, start=1):
        label = load_live(store, package_id)
        refusal = _refusal(store, package_id, label, even_if_told=even_if_told, now=utc_now())
        if refusal is None and label is not None:
            refusal = None if dry_run else _void(store, source, label)
        if refusal is not None:
            count.failed += 1
            _tell(store, report, package_id, "failed", refusal)
            continue
        count.voided += 1
        _tell(store, report, package_id, "planned" if dry_run else "done", None)
        if label is not None and not dry_run:
            _warn(store, report, label)
        report.progress(tr("labels"), number, len(package_ids))
    return count


def _refusal(
    store: Store, package_id: str, label: sqlite3.Row | None, *, even_if_told: bool, now: datetime
) -> _Refusal | None:
    if label is None:
        return _Refusal("no_label", tr("there is no label to take back"), tr("nothing to do"))
    if label["state"] in ("sent", "unknown"):
        return _Refusal(
            "outcome_unknown",
            tr("a label is being bought for this package, and it is not certain yet whether it was"),
            tr("run `tiktok-erp labels reconcile` first"),
        )
    if label["state"] == "intent":
        return None
    if label["source"] in ("tiktok", "channel"):
        return _Refusal(
            "platform_label",
            tr("TikTok sold this label, and no call takes one back"),
            tr("in Seller Center open Orders > Manage Orders, the order, and cancel its shipment or its label there"),
        )
    view = load_view(store, [package_id])[package_id]
    if view["scanned_at"] or view["delivered_at"]:
        return _Refusal(
            "scanned", tr("the carrier has the parcel already"), tr("a label that was used cannot be taken back")
        )
    window = _WINDOWS.get(label["carrier"] or "")
    can = SOURCES.get(label["source"], Capabilities())
    if can.void and window is not None and now - from_text(label["bought_at"]) > window:
        return _Refusal(
            "void_window",
            tr("{carrier} takes labels back for {days} days only", carrier=label["carrier"], days=window.days),
            tr("ask the support of {source}", source=label["source"]),
        )
    if view["uploaded_at"] and not even_if_told:
        return _Refusal(
            "number_told",
            tr("the channel was told the number {number} already", number=label["tracking_number"]),
            tr(
                "run this again with --yes if the parcel does not leave with it; then correct the number in Seller Center"
            ),
        )
    return None


def _void(store: Store, source: Callable[[str], LabelSource], label: sqlite3.Row) -> _Refusal | None:
    package_id = label["package_id"]
    if label["state"] == "intent":
        with store.transaction():
            drop_intent(store, package_id)
            forget_quotes(store, package_id)
        return None
    status = "elsewhere"
    if SOURCES.get(label["source"], Capabilities()).void:
        with store.transaction():
            mark_void_sent(store, package_id)
        try:
            status = source(label["source"]).void(label["quote_id"] or "", subject=package_id)
        except OutcomeUnknown as error:
            return _Refusal("outcome_unknown", error.what, tr("run `tiktok-erp labels void {id}` again", id=package_id))
        except ChannelRefused as refusal:
            with store.transaction():
                end_void(store, package_id, None)
            return _Refusal("void_refused", refusal.what, tr("ask the support of {source}", source=label["source"]))
        except ErpError:
            with store.transaction():
                end_void(store, package_id, None)
            raise
        if status not in _GRANTED:
            with store.transaction():
                end_void(store, package_id, status)
            return _Refusal(
                "void_refused",
                tr("{source} does not give the money back ({status})", source=label["source"], status=status or "?"),
                tr("ask the support of {source}", source=label["source"]),
            )
    with store.transaction():
        save_void(store, package_id, status)
        forget_quotes(store, package_id)
        resolve_cases(store, package_id=package_id, causes=["other_address"])
    return None


def _warn(store: Store, report: Report, label: sqlite3.Row) -> None:
    package_id = label["package_id"]
    form = find_form_of(store, label["label_id"])
    if form is not None:
        report.warn(
            tr(
                "{package} is on the scan form of {carrier} of {day}: tell the carrier that this parcel does not come",
                package=package_id,
                carrier=form["carrier"],
                day=form["day"],
            )
        )
    if label["printed_at"] and label["batch_id"]:
        place = position_text(label["batch_id"], label["position"])
        report.warn(tr("{package}: throw away the printed label {place}", package=package_id, place=place))
    if label["source"] == "file" and label["state"] == "bought":
        report.warn(tr("{package}: this label was bought elsewhere; ask for the money back there", package=package_id))


def _tell(store: Store, report: Report, package_id: str, result: str, refusal: _Refusal | None) -> None:
    report.item(
        package_outcome(
            store,
            package_id,
            result,
            with_fields=report.wants_fields,
            cause=refusal.cause if refusal is not None else None,
            next_step=refusal.next_step if refusal is not None else None,
            text=f"{package_id}: {refusal.what}" if refusal is not None else None,
        )
    )
