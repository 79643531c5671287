"""Give every package that can go a carrier, a service level and the reason. Reads, plans (`plan.py`), writes."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tiktok_erp.allocation.plan import Allocation, NotAllocated, plan_allocation, plan_weight
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.money import Money
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.parcel import Parcel
from tiktok_erp.model.rule import Rules
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.packages import (
    load_package_units,
    load_parcels,
    load_view,
    save_allocation,
    withdraw_allocations,
)
from tiktok_erp.store.quarantine import open_case, resolve_cases

# The causes that this stage opens, and closes again once they are gone.
CAUSES = ("no_rule", "no_address", "unknown_")
_SECONDS_AN_HOUR = 3600


@dataclass(slots=True)
class AllocateCount:
    """What one run of allocate did."""

    allocated: int = 0
    short: int = 0
    failed: int = 0
    failed_before: int = 0


def allocate(
    store: Store,
    rules: Rules,
    report: Report,
    *,
    only: Sequence[str] | None,
    run_id: int | None,
    dry_run: bool,
) -> AllocateCount:
    """Decide for every open package that has no decision and is not short of stock."""
    count = AllocateCount()
    now = utc_now()
    decided: list[Allocation] = []
    failures: list[tuple[NotAllocated, bool]] = []
    with store.transaction():
        cross_border = _is_cross_border(store, rules)
        moved = [] if dry_run else withdraw_allocations(store)
        rows = load_parcels(store, only=only)
        units: dict[str, list[sqlite3.Row]] = defaultdict(list)
        for unit in load_package_units(store, [row["package_id"] for row in rows]):
            units[unit["package_id"]].append(unit)
        for row in rows:
            package_id = row["package_id"]
            if any(unit["reservation"] == "short" for unit in units[package_id]):
                count.short += 1
                continue
            parcel = _parcel(row, units[package_id], rules, now)
            decision = _no_address(row) or plan_allocation(parcel, rules, cross_border=cross_border)
            if isinstance(decision, NotAllocated):
                is_new = dry_run or open_case(
                    store,
                    cause=decision.cause,
                    detail=decision.detail,
                    next_step=decision.next_step,
                    package_id=package_id,
                    order_id=parcel.order_ids[0] if len(parcel.order_ids) == 1 else None,
                    run_id=run_id,
                )
                failures.append((decision, is_new))
                continue
            decided.append(decision)
            count.allocated += 1
            if not dry_run:
                _save(store, decision, parcel, now)
    if moved:
        report.warn(tr("{count} packages were decided anew because their address changed", count=len(moved)))
    _tell(store, report, decided, failures, count, dry_run=dry_run)
    return count


def _save(store: Store, decision: Allocation, parcel: Parcel, now: datetime) -> None:
    save_allocation(
        store,
        decision.package_id,
        carrier=decision.carrier,
        service_level=decision.service_level,
        because=decision.because,
        weight_g=parcel.weight_g,
        at=now,
    )
    old = store.query(
        "SELECT DISTINCT cause FROM quarantine WHERE package_id = ? AND resolved_at IS NULL", (decision.package_id,)
    )
    causes = [row[0] for row in old if row[0].startswith(CAUSES)]
    if causes:
        resolve_cases(store, package_id=decision.package_id, causes=causes)


def _tell(
    store: Store,
    report: Report,
    decided: Sequence[Allocation],
    failures: Sequence[tuple[NotAllocated, bool]],
    count: AllocateCount,
    *,
    dry_run: bool,
) -> None:
    fields = load_view(store, [entry.package_id for entry in decided]) if report.wants_fields else {}
    for entry in decided:
        row = fields.get(entry.package_id)
        values: dict[str, object] = dict(row) if row else {}
        if dry_run:
            values |= {"carrier": entry.carrier, "service_level": entry.service_level, "because": entry.because}
        if entry.notes:
            values["notes"] = list(entry.notes)
        report.item(
            Outcome("package", {"package_id": entry.package_id}, "planned" if dry_run else "done", fields=values)
        )
    for note, packages in sorted(Counter(note for entry in decided for note in entry.notes).items()):
        report.warn(tr("{count} packages: {note}", count=packages, note=note))
    for failure, is_new in failures:
        count.failed += is_new
        count.failed_before += not is_new
        report.item(
            Outcome(
                "package",
                {"package_id": failure.package_id},
                "failed",
                cause=failure.cause,
                next_step=failure.next_step,
                fields={"detail": failure.detail},
                text=f"{failure.package_id}: {failure.detail}",
                is_new=is_new,
            )
        )


def _no_address(row: sqlite3.Row) -> NotAllocated | None:
    """An own label needs an address; the platform's own label does not need us to see one."""
    if row["shipping_type"] != "SELLER" or row["has_address"]:
        return None
    return NotAllocated(
        row["package_id"],
        "no_address",
        tr("the order has no delivery address"),
        tr(
            "look at the order in Seller Center and ask the buyer; then run `tiktok-erp sync` and `tiktok-erp allocate`"
        ),
    )


def _is_cross_border(store: Store, rules: Rules) -> bool:
    return (store.meta("shop_kind") or rules.shop.kind) == "cross_border"


def _parcel(row: sqlite3.Row, units: Sequence[sqlite3.Row], rules: Rules, now: datetime) -> Parcel:
    total = None
    if row["total_minor"] is not None and row["currency"] and row["currencies"] == 1:
        total = Money(int(row["total_minor"]), row["currency"])
    weight = plan_weight([unit["weight_g"] for unit in units], rules.box_weight_g)
    if weight is None and row["order_weight_g"] is not None:
        weight = int(row["order_weight_g"]) + rules.box_weight_g
    creators = {unit["creator"] for unit in units if unit["creator"]}
    ship_by = from_text(row["ship_by"]) if row["ship_by"] else None
    hours_left = Decimal(int((ship_by - now).total_seconds())) / _SECONDS_AN_HOUR if ship_by is not None else None
    return Parcel(
        package_id=row["package_id"],
        channel=row["channel"],
        order_ids=tuple(json.loads(row["order_ids"])),
        order_total=total,
        weight_g=weight,
        item_count=len(units),
        skus=tuple(unit["sku"] for unit in units),
        tags=tuple(sorted({tag for unit in units for tag in _tags(unit)})),
        country=row["country"],
        state=row["state"],
        zip=row["zip"],
        shipping_type=row["shipping_type"],
        fulfillment_type=row["fulfillment_type"],
        is_presale=bool(row["is_presale"]),
        is_sample=bool(row["is_sample"]),
        has_gift=any(unit["is_gift"] for unit in units),
        buyer_note=row["buyer_note"] or "",
        creator=min(creators) if creators else "",
        delivery_option=row["delivery_option"],
        warehouse=row["warehouse"],
        hours_left=hours_left,
    )


def _tags(unit: Mapping[str, str | None] | sqlite3.Row) -> list[str]:
    return [str(tag) for tag in json.loads(unit["tags"] or "[]")]
