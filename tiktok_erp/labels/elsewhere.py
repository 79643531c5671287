"""Ask a label source what was bought for our parcels and is not in the journal: by another machine, or since a backup.

Parcels are recognised by the reference that every database of the shop gives them (`model/reference.py`); in the older form,
a package id of whichever database bought, by where they go. Asks, compares, writes. Nothing that is found here is printed
by itself, and nothing is bought for its parcel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations

from tiktok_erp.carriers.base import LabelSource, SourcePurchase
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.plain_text import latin
from tiktok_erp.model.reference import is_package_id, key_in, parcel_key, reference_of
from tiktok_erp.signals import undisturbed
from tiktok_erp.store.bought_elsewhere import (
    OpenParcel,
    find_by_shipment,
    load_newest_purchase,
    load_oldest_open,
    load_open_parcels,
    save_bought_elsewhere,
    save_seller,
)
from tiktok_erp.store.combining import separate
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.labels import drop_intent, save_own_label, save_void
from tiktok_erp.store.packages import package_outcome
from tiktok_erp.store.quarantine import open_case, resolve_cases
from tiktok_erp.store.runs import load_as_of, load_cursor, save_cursor
from tiktok_erp.store.shipments import forget_quotes

PURCHASES = "purchases"  # the cursor of a source's list
EACH_PARCEL = (
    "purchases_by_parcel"  # as of when every parcel without a label was looked for, where the list showed nothing
)
BOUGHT_TWICE = "bought_twice"
_GIVEN_BACK = ("submitted", "refunded")
# A quote is bought for hours after its shipment was made, and lists go by that time.
_LISTED_BEFORE = timedelta(hours=14)
_LONGEST_BACK = timedelta(days=60)
_ATTEMPTS = 3
_LARGEST_GROUP = 6  # orders of one buyer of which every combination is tried


@dataclass(slots=True)
class LookCount:
    """What one look found: labels for parcels that had none, second labels, and own ones that were given back elsewhere."""

    found: int = 0
    twice: int = 0
    given_back: int = 0


@dataclass(frozen=True, slots=True)
class _Match:
    """The packages that a purchase is for; `order_id` where it is for that one order of a combined package."""

    parcels: tuple[OpenParcel, ...]
    order_id: str | None = None


def look_at_source(
    store: Store, source: LabelSource, report: Report, *, run_id: int | None, is_behind: bool, buys: bool
) -> LookCount:
    """Ask what was bought since the last look and write what this database did not know.

    `is_behind`: since its newest purchase, and each parcel by its reference where the list shows nothing. `buys`: money is
    about to be spent. Raises what the source raises: then nobody knows, and nothing may be bought.
    """
    count = LookCount()
    # Known by a look that came to its end, not by what was written: one that was killed has found some parcels only, and
    # one that was about to spend nothing has taken an empty list at its word.
    is_first = load_as_of(store, source.name, EACH_PARCEL) is None
    purchases = {found.label.shipment_id: found for found in source.purchases(_since(store, source.name, is_behind))}
    if not purchases and (is_behind or (buys and is_first)):
        purchases = {found.label.shipment_id: found for found in _find_each(store, source)}
    news = []
    for shipment_id, found in sorted(purchases.items(), key=lambda entry: (entry[1].made_at or utc_now(), entry[0])):
        ours = find_by_shipment(store, shipment_id)
        if ours is None:
            news.append(found)
        elif ours["state"] == "bought" and found.label.refund in _GIVEN_BACK and not ours["void_sent_at"]:
            _given_back(store, report, ours["package_id"], found, count)
    if news:
        _write_news(store, source.name, news, report, count, run_id)
    newest = max((found.made_at for found in purchases.values() if found.made_at is not None), default=None)
    with store.transaction():
        save_cursor(store, source.name, PURCHASES, cursor=newest, as_of=utc_now())
        if is_behind or buys:
            save_cursor(store, source.name, EACH_PARCEL, cursor=None, as_of=utc_now())
    if count.found:
        report.warn(
            tr(
                "{count} labels were bought elsewhere for our parcels; nothing is bought for these again, and `tiktok-erp"
                " labels adopt` prints them",
                count=count.found,
            )
        )
    return count


def is_due(store: Store, source: str, every: timedelta) -> bool:
    """Tell whether the last look is longer ago than `every`."""
    as_of = load_as_of(store, source, PURCHASES)
    return as_of is None or not timedelta(0) <= utc_now() - as_of < every


def _since(store: Store, source: str, is_behind: bool) -> datetime:
    now = utc_now()
    cursor = load_cursor(store, source, PURCHASES)
    if cursor is not None and not is_behind:
        return max(cursor - _LISTED_BEFORE, now - _LONGEST_BACK)
    known = (cursor, load_newest_purchase(store, source), load_oldest_open(store))
    starts = [moment for moment in known if moment is not None]
    return max(min(starts, default=now) - _LISTED_BEFORE - timedelta(days=1), now - _LONGEST_BACK)


def _find_each(store: Store, source: LabelSource) -> Iterator[SourcePurchase]:
    """Ask for every parcel without a label by its reference: a source may list nothing, and know it all the same."""
    shop = store.meta("shop") or ""
    parcels = [parcel for parcel in load_open_parcels(store) if parcel.label_state in (None, "intent")]

    def find(parcel: OpenParcel) -> SourcePurchase | None:
        key = parcel_key(shop, parcel.order_ids, parcel.unit_ids)
        for attempt in range(1, _ATTEMPTS + 1):
            found = source.find(reference_of(key, attempt))
            if found is None or found.label.refund not in _GIVEN_BACK:
                return found
        return None

    with undisturbed(), ThreadPoolExecutor(source.concurrency) as pool:
        yield from [found for found in pool.map(find, parcels) if found is not None]


def _write_news(
    store: Store, source: str, news: Sequence[SourcePurchase], report: Report, count: LookCount, run_id: int | None
) -> None:
    parcels: list[OpenParcel] = []
    matches: Mapping[str, _Match] = {}
    touched: set[str] | None = None  # packages that are not any more what `parcels` says; None: nothing was read yet
    for found in news:
        if touched is None:
            parcels, touched = load_open_parcels(store), set()
            matches = _matches(store.meta("shop") or "", parcels)
        match = _match_of(found, parcels, matches, touched)
        if match is not None and (touched & {parcel.package_id for parcel in match.parcels}):
            parcels, touched = load_open_parcels(store), set()
            matches = _matches(store.meta("shop") or "", parcels)
            match = _match_of(found, parcels, matches, touched)
        if match is None:
            continue  # another shop's of the same account, or one that is on its way
        touched |= {parcel.package_id for parcel in match.parcels}
        if found.label.refund in _GIVEN_BACK:
            with store.transaction():
                for parcel in match.parcels:
                    resolve_cases(store, package_id=parcel.package_id, causes=[BOUGHT_TWICE])
            continue
        _write(store, source, found, match, report, count, run_id)


def _match_of(
    found: SourcePurchase, parcels: Sequence[OpenParcel], matches: Mapping[str, _Match], touched: set[str]
) -> _Match | None:
    match = matches.get(key_in(found.reference) or "")
    if match is None and is_package_id(found.reference):
        return _by_address(found, [parcel for parcel in parcels if parcel.package_id not in touched])
    return match


def _matches(shop: str, parcels: Sequence[OpenParcel]) -> Mapping[str, _Match]:
    """Return what each key that a reference may have stands for here."""
    found: dict[str, _Match] = {}
    groups: dict[str, list[OpenParcel]] = defaultdict(list)
    for parcel in parcels:
        if parcel.unit_ids:
            groups[f"order {parcel.order_ids}"].append(parcel)
        elif parcel.buyer or (parcel.name and parcel.zip):
            groups[parcel.buyer or f"{parcel.name} {parcel.zip}"].append(parcel)
    for name in dict.fromkeys((shop, "")):  # a database that never met the channel knows no shop
        for group in groups.values():
            for together in _together(group):
                orders = [order_id for parcel in together for order_id in parcel.order_ids]
                found.setdefault(parcel_key(name, orders), _Match(together))
        for parcel in parcels:
            if len(parcel.order_ids) > 1:
                for order_id in parcel.order_ids:
                    found[parcel_key(name, [order_id])] = _Match((parcel,), order_id)
        for parcel in parcels:
            found[parcel_key(name, parcel.order_ids, parcel.unit_ids)] = _Match((parcel,))
    return found


def _together(group: Sequence[OpenParcel]) -> Iterator[tuple[OpenParcel, ...]]:
    """Yield the sets of packages of one buyer that somebody else may have sent as one."""
    if len(group) > _LARGEST_GROUP:
        yield tuple(group)
        return
    for size in range(2, len(group) + 1):
        yield from combinations(group, size)


def _by_address(found: SourcePurchase, parcels: Iterable[OpenParcel]) -> _Match | None:
    """Return the package that a purchase under a package id goes to: two databases number their packages differently."""
    same = [parcel for parcel in parcels if _place(parcel.name, parcel.zip) == _place(found.name, found.zip)]
    named = [parcel for parcel in same if parcel.package_id == found.reference]
    free = [parcel for parcel in same if parcel.label_state in (None, "intent")]
    chosen = named or free or same
    return _Match((chosen[0],)) if chosen and _place(found.name, found.zip)[0] else None


def _place(name: str, zip_code: str) -> tuple[str, str]:
    plain = "".join(letter for letter in (latin(name) or name).casefold() if letter.isalnum())
    return plain, zip_code.strip()[:5]


def _write(
    store: Store,
    source: str,
    found: SourcePurchase,
    match: _Match,
    report: Report,
    count: LookCount,
    run_id: int | None,
) -> None:
    first, *others = match.parcels
    label, at = found.label, found.made_at or utc_now()
    if first.label_state in ("sent", "unknown"):
        return  # settled first; the next look sees whether there are two
    if first.label_state == "bought":
        same_number = first.tracking_number == label.tracking_number
        if same_number and first.source == "channel":
            with store.transaction():
                save_seller(store, first.package_id, source=source, quote_id=found.quote_id, cost=label.cost, at=at)
        elif not same_number:
            _tell_twice(store, report, first, found, count, run_id)
        return
    with store.transaction():
        package_id = first.package_id
        if match.order_id is not None:
            drop_intent(store, package_id)
            package_id = separate(store, package_id, match.order_id, utc_now(), run_id)
        save_bought_elsewhere(
            store,
            package_id,
            source=source,
            quote_id=found.quote_id,
            carrier=label.carrier,
            service_level=label.service_level,
            tracking_number=label.tracking_number,
            cost=label.cost,
            at=at,
            run_id=run_id,
        )
        forget_quotes(store, package_id)
        resolve_cases(store, package_id=package_id, causes=[BOUGHT_TWICE])
        for parcel in others:
            _leave_together(store, parcel, package_id, found, run_id)
    count.found += 1
    report.item(
        package_outcome(
            store,
            package_id,
            "skipped",
            with_fields=report.wants_fields,
            cause="bought_elsewhere",
            next_step=tr("run `tiktok-erp labels adopt {package}` to print it here", package=package_id),
        )
    )


def _leave_together(
    store: Store, parcel: OpenParcel, package_id: str, found: SourcePurchase, run_id: int | None
) -> None:
    """Write that this package leaves under another one's label. Call inside a transaction."""
    if parcel.label_state not in (None, "intent"):
        return
    save_own_label(
        store,
        parcel.package_id,
        carrier=found.label.carrier,
        tracking_number=found.label.tracking_number,
        sha256=None,
        pages=None,
        barcode=None,
        run_id=run_id,
        at=utc_now(),
    )
    open_case(
        store,
        cause="in_other_parcel",
        detail=tr("a label that was bought elsewhere carries this together with {package}", package=package_id),
        next_step=tr("pack it together with {package}", package=package_id),
        package_id=parcel.package_id,
        order_id=parcel.order_ids[0],
        run_id=run_id,
    )


def _tell_twice(
    store: Store, report: Report, parcel: OpenParcel, found: SourcePurchase, count: LookCount, run_id: int | None
) -> None:
    """Two labels are paid for one parcel: a person says which one leaves, and gets the money of the other back."""
    what = tr(
        "two labels are paid for this parcel: {ours} here and {theirs} bought elsewhere",
        ours=parcel.tracking_number,
        theirs=found.label.tracking_number,
    )
    step = tr(
        "see which one is on the parcel; `tiktok-erp labels void {package}` gives this one back, on the other machine the"
        " other one, or in the account of the source",
        package=parcel.package_id,
    )
    with store.transaction():
        is_new = open_case(
            store,
            cause=BOUGHT_TWICE,
            detail=what,
            next_step=step,
            package_id=parcel.package_id,
            order_id=parcel.order_ids[0],
            run_id=run_id,
        )
    count.twice += is_new
    report.item(
        Outcome(
            "package",
            {"package_id": parcel.package_id, "order_id": parcel.order_ids[0]},
            "failed",
            cause=BOUGHT_TWICE,
            next_step=step,
            text=f"{parcel.package_id}: {what}",
            is_new=is_new,
        )
    )


def _given_back(store: Store, report: Report, package_id: str, found: SourcePurchase, count: LookCount) -> None:
    """A label that we hold was taken back elsewhere, or since the backup: it must not go onto a parcel."""
    with store.transaction():
        save_void(store, package_id, found.label.refund)
        forget_quotes(store, package_id)
        resolve_cases(store, package_id=package_id, causes=[BOUGHT_TWICE])
    count.given_back += 1
    report.warn(
        tr(
            "{package}: its label {number} was taken back elsewhere; throw it away if it is printed",
            package=package_id,
            number=found.label.tracking_number,
        )
    )
