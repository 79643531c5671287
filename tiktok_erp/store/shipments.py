"""The SQL about parcels that a label source is to quote or sell a label for: addresses, weights, and its quotes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from tiktok_erp.errors import SettingsError
from tiktok_erp.messages import tr
from tiktok_erp.model.address import Address, clean_address, fit_lines, phone_of
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.money import Money
from tiktok_erp.model.parcel import country_code
from tiktok_erp.model.reference import parcel_key, reference_of
from tiktok_erp.model.rule import Rules, ShipFrom
from tiktok_erp.model.shipment import PostalAddress, Quote, Shipment, Unshippable, compare_addresses, ship_fault
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
    references = load_references(store, package_ids)
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
            references[row["package_id"]],
        )
    return found


def load_references(store: Store, package_ids: Sequence[str]) -> dict[str, str]:
    """Return what each of these packages is called at a label source, by its next attempt to buy."""
    shop = store.meta("shop") or ""
    return {
        row["package_id"]: reference_of(
            parcel_key(shop, json.loads(row["order_ids"]), json.loads(row["unit_ids"]) if row["is_part"] else ()),
            int(row["given_back"]) + 1,
        )
        for row in load_parcel_contents(store, package_ids)
    }


def load_parcel_contents(store: Store, package_ids: Sequence[str]) -> list[sqlite3.Row]:
    """Return per package its orders and units as JSON, whether they leave in several packages, and the labels given back."""
    return store.query(
        "SELECT p.package_id, (SELECT json_group_array(po.order_id) FROM package_orders po WHERE po.package_id = p.package_id)"
        " AS order_ids, (SELECT json_group_array(coalesce(u.channel_unit_id, u.unit_id)) FROM units u"
        "   WHERE u.package_id = p.package_id) AS unit_ids,"
        " EXISTS (SELECT 1 FROM package_orders po JOIN units u USING (order_id) WHERE po.package_id = p.package_id"
        "   AND u.package_id <> p.package_id) AS is_part,"
        " (SELECT count(*) FROM labels l WHERE l.package_id = p.package_id AND l.state = 'voided') AS given_back"
        " FROM json_each(?) j JOIN packages p ON p.package_id = j.value",
        (json.dumps(list(package_ids)),),
    )


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


def check_label_address(store: Store, package_id: str, told: PostalAddress) -> str:
    """Return whether `told`, a label's own address, is where the package goes: `match`, `contradiction`, `unreadable`."""
    row = store.query_one(
        "SELECT r.* FROM package_orders po JOIN recipients r USING (order_id) WHERE po.package_id = ? ORDER BY po.order_id",
        (package_id,),
    )
    if row is None:
        return "unreadable"
    parts = {name: row[name] for name in ("name", "street1", "street2", "city", "state", "zip", "country", "phone")}
    return compare_addresses(recipient_address(clean_address(Address(**parts))), told)


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


def save_quotes(
    store: Store, package_id: str, source: str, quotes: Sequence[Quote], *, weight_g: int, made_for: str
) -> None:
    """Keep what a source would ask for a package; older quotes of it go. Call inside a transaction.

    `made_for` is the fingerprint of what the source was asked about.
    """
    store.execute("DELETE FROM quotes WHERE package_id = ? AND source = ?", (package_id, source))
    now = to_text(utc_now())
    # Where a source has one service twice, the cheapest, which comes first, stays.
    store.execute_many(
        "INSERT OR IGNORE INTO quotes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                made_for,
            )
            for quote in quotes
        ],
    )


def load_quote(
    store: Store,
    package_id: str,
    source: str,
    carrier: str,
    service_level: str,
    *,
    made_for: str,
    at_most: timedelta,
    now: datetime,
) -> Quote | None:
    """Return a kept quote for this service, None when there is none that still holds.

    It holds for exactly the parcel that it was `made_for`, and while it is no older than `at_most`.
    """
    row = store.query_one(
        "SELECT * FROM quotes WHERE package_id = ? AND source = ? AND carrier = ? AND service_level = ? AND made_for = ?"
        " AND quoted_at BETWEEN ? AND ?",
        (package_id, source, carrier, service_level, made_for, to_text(now - at_most), to_text(now)),
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
