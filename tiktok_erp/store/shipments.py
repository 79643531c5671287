"""The SQL about parcels that a label source is to quote or sell a label for: addresses, weights, and its quotes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from tiktok_erp.errors import SettingsError
from tiktok_erp.messages import tr
from tiktok_erp.model.address import Address, clean_address, fit_lines, phone_of
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.money import Money
from tiktok_erp.model.parcel import country_code
from tiktok_erp.model.rule import Rules, ShipFrom
from tiktok_erp.model.shipment import PostalAddress, Quote, Shipment, Unshippable, ship_fault
from tiktok_erp.model.us_states import state_code
from tiktok_erp.store.database import Store, utc_now


def load_shipments(store: Store, package_ids: Sequence[str], rules: Rules) -> dict[str, Shipment | Unshippable]:
    """Return what a label source must know of each of these packages, or why nothing can be asked for it.

    Weight, box, sender, signature and insurance are those of the package's decision. Raises SettingsError without a sender.
    """
    rows = store.query(
        "SELECT p.package_id, p.carrier, p.weight_g, p.box, p.ship_from, p.signature, p.insurance_minor, p.insurance_currency,"
        " r.name, r.phone, r.street1, r.street2, r.city, r.state, r.zip, r.country, r.is_masked, min(o.order_id)"
        " FROM json_each(?) j JOIN packages p ON p.package_id = j.value"
        " JOIN package_orders po USING (package_id) JOIN orders o USING (order_id) LEFT JOIN recipients r USING (order_id)"
        " GROUP BY p.package_id",
        (json.dumps(list(package_ids)),),
    )
    boxes = {box.name: box for box in rules.boxes}
    found: dict[str, Shipment | Unshippable] = {}
    for row in rows:
        told = {name: row[name] for name in ("name", "street1", "street2", "city", "state", "zip", "country", "phone")}
        address = clean_address(Address(**told, is_masked=bool(row["is_masked"])))
        to = recipient_address(address, limit=rules.addresses.line_length.get(row["carrier"] or ""))
        fault = ship_fault(to, row["weight_g"], is_masked=address.is_masked)
        box = boxes.get(row["box"] or "")
        found[row["package_id"]] = fault or Shipment(
            row["package_id"],
            postal_address(sender_of(rules, row["ship_from"])),
            to,
            row["weight_g"] or 0,
            *((box.length_mm, box.width_mm, box.height_mm) if box is not None else (None, None, None)),
            row["signature"],
            Money(row["insurance_minor"], row["insurance_currency"]) if row["insurance_minor"] else None,
        )
    return found


def sender_of(rules: Rules, name: str | None) -> ShipFrom:
    """Return the sender of that name in `senders`, or the shop's own. Raises SettingsError when there is none."""
    sender = rules.senders.get(name) if name is not None else rules.shop.ship_from
    if sender is None:
        raise SettingsError(
            tr("labels of your own need a sender"),
            subject=f"senders.{name}" if name is not None else "shop.ship_from",
            next_step=tr("add `ship_from` to `shop` in rules.yaml"),
        )
    return sender


def _country(country: str | None, state: str, zip_code: str) -> str:
    """Return the country's code; empty when nobody told one and the address is not plainly of the United States."""
    if country:
        return country_code(country) or ""
    return "US" if state_code(state) and zip_code[:5].isdecimal() and len(zip_code) >= 5 else ""


def postal_address(sender: ShipFrom) -> PostalAddress:
    """Return the sender of rules.yaml as an address."""
    return PostalAddress(
        name=sender.name,
        company=sender.company,
        street1=sender.street1,
        street2=sender.street2,
        city=sender.city,
        state=sender.state,
        zip=sender.zip,
        country=sender.country,
        phone=sender.phone,
    )


def recipient_address(address: Address, *, limit: int | None = None) -> PostalAddress:
    """Return where a parcel goes, as a label source wants it. `limit`: characters that the carrier prints of a street line."""
    street1, street2 = address.street1 or "", address.street2 or ""
    if limit is not None and street1:
        street1, street2 = (*fit_lines(address.streets(), limit), "")[:2]
    return PostalAddress(
        name=address.name or "",
        street1=street1,
        street2=street2,
        city=address.city or "",
        state=address.state or "",
        zip=address.zip or "",
        country=_country(address.country, address.state or "", address.zip or ""),
        phone=phone_of(address, "US") or "",
    )


def save_quotes(store: Store, package_id: str, source: str, quotes: Sequence[Quote], *, weight_g: int) -> None:
    """Keep what a source would ask for a package; older quotes of it go. Call inside a transaction."""
    store.execute("DELETE FROM quotes WHERE package_id = ? AND source = ?", (package_id, source))
    now = to_text(utc_now())
    # Where a source has one service twice, the cheapest, which comes first, stays.
    store.execute_many(
        "INSERT OR IGNORE INTO quotes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                package_id,
                source,
                quote.carrier,
                quote.service_level,
                quote.cost.minor,
                quote.cost.currency,
                quote.transit_days,
                quote.quote_id,
                weight_g,
                now,
            )
            for quote in quotes
        ],
    )


def load_quote(
    store: Store, package_id: str, source: str, carrier: str, service_level: str, *, at_most: timedelta, now: datetime
) -> Quote | None:
    """Return a kept quote for this service, None when there is none that still holds.

    It holds while it is no older than `at_most`, and weight and address are those that it was made for.
    """
    row = store.query_one(
        "SELECT q.* FROM quotes q JOIN packages p USING (package_id) WHERE q.package_id = ? AND q.source = ?"
        " AND q.carrier = ? AND q.service_level = ? AND q.weight_g = p.weight_g AND q.quoted_at >= ?"
        " AND NOT EXISTS (SELECT 1 FROM package_orders po JOIN orders o USING (order_id)"
        " WHERE po.package_id = q.package_id AND o.address_changed_at >= q.quoted_at)",
        (package_id, source, carrier, service_level, to_text(now - at_most)),
    )
    if row is None:
        return None
    cost = Money(row["cost_minor"], row["currency"])
    return Quote(row["carrier"], row["service_level"], cost, row["transit_days"], row["quote_id"])


def load_quoted_costs(store: Store, package_ids: Sequence[str]) -> dict[str, Money]:
    """Return what the chosen service of each of these packages was quoted, where it was and weight did not change since."""
    rows = store.query(
        "SELECT q.package_id, min(q.cost_minor) AS cost_minor, q.currency FROM json_each(?) j"
        " JOIN packages p ON p.package_id = j.value JOIN quotes q ON q.package_id = p.package_id AND q.carrier = p.carrier"
        " AND q.service_level = p.service_level AND q.weight_g = p.weight_g GROUP BY q.package_id",
        (json.dumps(list(package_ids)),),
    )
    return {row["package_id"]: Money(row["cost_minor"], row["currency"]) for row in rows}


def forget_quotes(store: Store, package_id: str) -> None:
    """Drop the quotes of a package: what was bought and given back must not be bought again. Call inside a transaction."""
    store.execute("DELETE FROM quotes WHERE package_id = ?", (package_id,))
