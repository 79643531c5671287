"""Correct a told tracking number: once an order, within 72 hours. Reads, plans, tells, reads back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from tiktok_erp.channels.tiktok_errors import TRACKING_NUMBER
from tiktok_erp.errors import ChannelRefused, ErpError, OutcomeUnknown
from tiktok_erp.messages import tr
from tiktok_erp.model.carrier import carrier_code
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.outcome import Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.signals import undisturbed
from tiktok_erp.store import outbox
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.orders import without_recipient
from tiktok_erp.store.packages import package_outcome
from tiktok_erp.store.quarantine import resolve_cases
from tiktok_erp.store.tracking import load_told_numbers, save_corrected
from tiktok_erp.tracking.plan import Correction, ToldNumber, choose_provider, plan_correction

if TYPE_CHECKING:
    from tiktok_erp.channels.tiktok import TikTokShop

ReadBack = Callable[[Sequence[str]], Collection[str]]
KIND = "correct_number"


def correct_number(
    store: Store,
    shop: TikTokShop,
    rules: Rules,
    report: Report,
    read_back: ReadBack,
    package_id: str,
    wanted: str,
    *,
    run_id: int | None,
    dry_run: bool,
) -> int:
    """Tell the channel that a package carries `wanted`, for each of its orders; return how many were corrected.

    A call without an answer is settled by reading the order: the channel takes one correction only, so nothing is sent again
    while it may have happened. Raises what stopped it.
    """
    order_ids = [row["order_id"] for row in load_told_numbers(store, [package_id], wanted)]
    if not dry_run:
        read_back(order_ids)
        _settle(store, rules, order_ids)
    count = 0
    for row in load_told_numbers(store, [package_id], wanted):
        decision = plan_correction(_told_number(row), wanted, utc_now(), rules)
        if isinstance(decision, tuple):
            is_fault = decision[0] != "already_told"
            _tell(store, report, row, "failed" if is_fault else "skipped", decision)
            continue
        if dry_run:
            _tell(store, report, row, "planned", None)
            count += 1
            continue
        refusal = _send(store, shop, rules, decision, run_id)
        _tell(store, report, row, "done" if refusal is None else "failed", refusal)
        count += refusal is None
    if count and not dry_run:
        read_back(order_ids)
    return count


def _settle(store: Store, rules: Rules, order_ids: Sequence[str]) -> None:
    """Decide from what the orders show now what became of corrections without an answer."""
    for row in outbox.load_unsettled(store, KIND, order_ids):
        payload = json.loads(row["payload"])
        shown = {
            told["told_number"] for told in load_told_numbers(store, [row["package_id"]], payload["tracking_number"])
        }
        if row["state"] == "intent":
            continue
        with store.transaction():
            if payload["tracking_number"] in shown:
                outbox.settle(store, row["outbox_id"], "done")
                save_corrected(store, row["package_id"], payload["carrier"], payload["tracking_number"])
            elif utc_now() >= from_text(row["sent_at"]) + rules.labels.settle_after:
                outbox.settle(store, row["outbox_id"], "intent")
            else:
                raise OutcomeUnknown(
                    tr("an earlier correction of this order has no certain outcome yet"),
                    subject=row["subject"],
                    next_step=tr("run this again in a few minutes; nothing is sent twice"),
                )


def _send(
    store: Store, shop: TikTokShop, rules: Rules, correction: Correction, run_id: int | None
) -> tuple[str, str, str] | None:
    """Make one call and return (cause, what, next step) if the channel refused it."""
    number = correction.number
    provider_id = _provider(shop, rules, correction)
    if provider_id is None:
        return (
            "no_provider",
            tr("the channel does not offer the carrier {carrier} for this order", carrier=correction.carrier),
            tr("enable the carrier in Seller Center, or name it in channels.tiktok.carrier_names of rules.yaml"),
        )
    with undisturbed():
        with store.transaction():
            outbox_id = outbox.queue(
                store,
                kind=KIND,
                subject=number.order_id,
                package_id=number.package_id,
                idempotency_key=f"correct/{number.order_id}/{number.package_id}/{correction.tracking_number}",
                payload={
                    "tracking_number": correction.tracking_number,
                    "carrier": correction.carrier,
                    "provider_id": provider_id,
                    "before": number.told_number,
                },
                run_id=run_id,
            )
            outbox.mark_sent(store, outbox_id)
        try:
            request_id = shop.correct_number(
                number.channel_order_id,
                tracking_number=correction.tracking_number,
                provider_id=provider_id,
                channel_package_id=number.channel_package_id if correction.by_package else None,
            )
        except ChannelRefused as refusal:
            with store.transaction():
                outbox.settle(store, outbox_id, "refused", error_code=str(refusal.code), request_id=refusal.request_id)
            return refusal.cause, without_recipient(store, number.order_id, refusal.what), _next_step(refusal)
        except ErpError as error:
            is_open = isinstance(error, OutcomeUnknown)
            with store.transaction():
                outbox.settle(store, outbox_id, "unknown" if is_open else "intent")
            raise
        with store.transaction():
            outbox.settle(store, outbox_id, "done", request_id=request_id)
            save_corrected(store, number.package_id, correction.carrier, correction.tracking_number)
            resolve_cases(store, package_id=number.package_id, causes=("other_tracking_number",))
    return None


def _next_step(refusal: ChannelRefused) -> str:
    if refusal.code in TRACKING_NUMBER:
        return tr("the channel takes one correction an order, within 72 hours; look at the order in Seller Center")
    return refusal.next_step


def _provider(shop: TikTokShop, rules: Rules, correction: Correction) -> str | None:
    option = correction.number.delivery_option_id
    if not option:
        return None
    told = [
        (entry.provider_id, entry.name, carrier_code(entry.name)) for entry in shop.fetch_shipping_providers(option)
    ]
    return choose_provider(correction.carrier, rules.channels[shop.name].carrier_names.get(correction.carrier), told)


def _told_number(row: sqlite3.Row) -> ToldNumber:
    return ToldNumber(
        package_id=row["package_id"],
        order_id=row["order_id"],
        channel_order_id=row["channel_order_id"],
        base_state=row["base_state"],
        shipping_type=row["shipping_type"],
        source=row["source"],
        has_document=row["sha256"] is not None,
        carrier=row["carrier"],
        tracking_number=row["tracking_number"],
        told_number=row["told_number"],
        channel_package_id=row["channel_package_id"],
        delivery_option_id=row["delivery_option_id"],
        shipped_at=from_text(row["shipped_at"]) if row["shipped_at"] else None,
        delivered_at=from_text(row["delivered_at"]) if row["delivered_at"] else None,
        is_split=bool(row["is_split"]),
        was_corrected=bool(row["was_corrected"]),
        used_by=row["used_by"],
    )


def _tell(store: Store, report: Report, row: sqlite3.Row, result: str, reason: tuple[str, str, str] | None) -> None:
    cause, what, step = reason or (None, None, None)
    report.item(
        package_outcome(
            store,
            row["package_id"],
            result,
            with_fields=report.wants_fields,
            order_id=row["order_id"],
            cause=cause,
            next_step=step,
            text=f"{row['package_id']} ({row['channel_order_id']}): {what}" if what is not None else None,
        )
    )
