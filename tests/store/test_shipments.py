"""What a label source is told of a package, and quotes that hold only while nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tiktok_erp.errors import SettingsError
from tiktok_erp.model.fingerprint import quote_fingerprint
from tiktok_erp.model.money import Money
from tiktok_erp.model.rule import Box, Rules, ShipFrom, Shop
from tiktok_erp.model.shipment import Quote, Shipment, Unshippable
from tiktok_erp.store.database import Store, open_store, utc_now
from tiktok_erp.store.shipments import load_quote, load_shipments, save_quotes

AT = "2026-11-18T06:00:00Z"
SENDER = ShipFrom("Warehouse", "100 Main St", "Ontario", "CA", "91761", phone="9095550100")
EAST = ShipFrom("East", "12 Dock St", "Edison", "NJ", "08817")
BOXES = (Box("mailer", 20, 200, 150, 40), Box("carton", 140, 300, 220, 150))
RULES = Rules(shop=Shop(ship_from=SENDER), boxes=BOXES, senders={"east": EAST})
QUOTE = Quote("usps", "ground_advantage", Money(420, "USD"), 3, "shp_1/rate_1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database with one package of 120 g and a whole address."""
    with open_store(tmp_path / "shop.db", create=True) as opened:
        opened.execute(
            "INSERT INTO orders (order_id, channel, channel_order_id, status, base_state, is_open, source, as_of, first_seen_at,"
            " synced_at) VALUES ('tiktok:1', 'tiktok', '1', 'AWAITING_SHIPMENT', 'open', 1, 'api', ?1, ?1, ?1)",
            (AT,),
        )
        opened.execute(
            "INSERT INTO recipients (order_id, name, street1, city, state, zip, country, is_masked)"
            " VALUES ('tiktok:1', 'Ann Lee', '1 Elm St', 'Reno', 'NV', '89501', 'US', 0)"
        )
        opened.execute(
            "INSERT INTO packages (package_id, channel, planned_at, weight_g, box) VALUES ('P1', 'tiktok', ?, 120, 'mailer')",
            (AT,),
        )
        opened.execute("INSERT INTO package_orders (package_id, order_id) VALUES ('P1', 'tiktok:1')")
        yield opened


def parcel(store: Store) -> str:
    """Return the fingerprint of what would be quoted now."""
    shipment = load_shipments(store, ["P1"], RULES)["P1"]
    assert isinstance(shipment, Shipment)
    return quote_fingerprint(shipment)


def held(store: Store, *, at_most: timedelta = timedelta(hours=1), now: datetime | None = None) -> Quote | None:
    return load_quote(
        store,
        "P1",
        "easypost",
        "usps",
        "ground_advantage",
        made_for=parcel(store),
        at_most=at_most,
        now=now or utc_now(),
    )


def test_a_package_becomes_a_shipment_with_the_box_as_its_size(store: Store) -> None:
    shipment = load_shipments(store, ["P1"], RULES)["P1"]
    assert isinstance(shipment, Shipment)
    assert (shipment.package_id, shipment.weight_g, shipment.length_mm) == ("P1", 120, 200)
    assert (shipment.to.name, shipment.to.zip, shipment.sender.zip) == ("Ann Lee", "89501", "91761")
    assert "Ann" not in repr(shipment)


def test_what_the_rule_said_beside_the_carrier_is_in_the_shipment(store: Store) -> None:
    store.execute(
        "UPDATE packages SET box = 'carton', ship_from = 'east', signature = 'adult', insurance_minor = 5000,"
        " insurance_currency = 'USD'"
    )
    shipment = load_shipments(store, ["P1"], RULES)["P1"]
    assert isinstance(shipment, Shipment)
    assert (shipment.length_mm, shipment.sender.zip) == (300, "08817")
    assert (shipment.signature, shipment.insurance) == ("adult", Money(5000, "USD"))


def test_a_sender_that_the_rules_no_longer_have_is_no_other_one(store: Store) -> None:
    store.execute("UPDATE packages SET ship_from = 'west'")
    with pytest.raises(SettingsError):
        load_shipments(store, ["P1"], RULES)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ("UPDATE recipients SET street1 = ''", "no_address"),
        ("UPDATE recipients SET is_masked = 1", "no_address"),
        ("DELETE FROM recipients", "no_address"),
        ("UPDATE recipients SET name = '王小明'", "address_letters"),
        ("UPDATE packages SET weight_g = NULL", "unknown_weight"),
    ],
)
def test_what_is_not_known_is_never_guessed(store: Store, change: str, cause: str) -> None:
    store.execute(change)
    fault = load_shipments(store, ["P1"], RULES)["P1"]
    assert isinstance(fault, Unshippable)
    assert fault.cause == cause


@pytest.mark.parametrize(
    ("country", "state", "told"),
    [
        ("United States", "NV", "US"),
        ("US", "NV", "US"),
        (None, "NV", "US"),
        (None, "XX", None),
        ("Atlantis", "NV", None),
    ],
)
def test_a_country_is_told_as_its_code_or_not_at_all(
    store: Store, country: str | None, state: str, told: str | None
) -> None:
    store.execute("UPDATE recipients SET country = ?, state = ?", (country, state))
    shipment = load_shipments(store, ["P1"], RULES)["P1"]
    assert (shipment.to.country if isinstance(shipment, Shipment) else None) == told


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("UPDATE packages SET weight_g = 500", "UPDATE packages SET weight_g = 120"),
        ("UPDATE packages SET box = 'carton'", "UPDATE packages SET box = 'mailer'"),
        ("UPDATE packages SET ship_from = 'east'", "UPDATE packages SET ship_from = NULL"),
        ("UPDATE packages SET signature = 'adult'", "UPDATE packages SET signature = NULL"),
        ("UPDATE recipients SET street1 = '2 Elm St'", "UPDATE recipients SET street1 = '1 Elm St'"),
        ("UPDATE recipients SET name = 'Bob Lee'", "UPDATE recipients SET name = 'Ann Lee'"),
    ],
)
def test_a_quote_holds_for_the_parcel_that_it_was_made_for(store: Store, change: str, back: str) -> None:
    with store.transaction():
        save_quotes(store, "P1", "easypost", [QUOTE], weight_g=120, made_for=parcel(store))
    assert held(store) == QUOTE
    store.execute(change)
    assert held(store) is None
    store.execute(back)
    assert held(store) == QUOTE


def test_a_quote_is_not_taken_for_young_by_a_clock_that_was_set_back(store: Store) -> None:
    with store.transaction():
        save_quotes(store, "P1", "easypost", [QUOTE], weight_g=120, made_for=parcel(store))
    assert held(store, at_most=timedelta(hours=-1)) is None
    assert held(store, now=utc_now() - timedelta(hours=1)) is None


def test_new_quotes_replace_the_old_ones(store: Store) -> None:
    other = Quote("ups", "ground", Money(690, "USD"), None, "shp_2/rate_9")
    with store.transaction():
        save_quotes(store, "P1", "easypost", [QUOTE], weight_g=120, made_for=parcel(store))
        save_quotes(store, "P1", "easypost", [other, other], weight_g=120, made_for=parcel(store))
    assert held(store) is None
    assert store.scalar("SELECT count(*) FROM quotes") == 1
