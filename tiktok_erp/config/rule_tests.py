"""`tests` of rules.yaml: packages as examples, and what the rules must make of them. Pure."""

from __future__ import annotations

from functools import partial

from tiktok_erp.config.carrier_rules import list_entry, read_carrier, read_region, read_service_level
from tiktok_erp.config.checked_yaml import (
    Node,
    Read,
    Source,
    T,
    choice,
    kind_of,
    one_or_more,
    read_flag,
    read_group,
    read_hours,
    read_money,
    read_text,
    sequence,
    unique_name,
    whole,
)
from tiktok_erp.config.places import read_country, read_us_state, read_zip_text
from tiktok_erp.messages import tr
from tiktok_erp.model.condition import BAND_CONDITIONS, FLAG_CONDITIONS, LIST_CONDITIONS
from tiktok_erp.model.parcel import Parcel
from tiktok_erp.model.rule import CHANNELS, Expectation, RuleTest
from tiktok_erp.model.us_states import MILITARY_STATES


def read_rule_tests(file: Source, node: Node, name: str) -> tuple[RuleTest, ...] | None:
    """Read the section `tests`: examples of packages, and what the rules must make of them."""
    names: dict[str, Node] = {}

    def read(file: Source, node: Node, name: str) -> RuleTest | None:
        keys = read_group(file, node, name, ("name", "package", "expect"))
        if keys is None:
            return None
        title = unique_name(keys, names)
        parcel = keys.need("package", partial(_test_parcel, title), Parcel(package_id=title))
        return RuleTest(title, parcel, keys.need("expect", _expectation, Expectation()))

    return sequence(read)(file, node, name)


def _expectation(file: Source, node: Node, name: str) -> Expectation | None:
    keys = read_group(file, node, name, ("carrier", "service_level", "rule", "cause"))
    if keys is None:
        return None
    if ("carrier" in keys.keys) == ("cause" in keys.keys):
        file.fault(node, tr("`{name}` is either a carrier or the cause why there is none", name=name))
        return None
    carrier = keys.get("carrier", read_carrier, "")
    return Expectation(
        carrier=carrier or None,
        service_level=keys.get("service_level", partial(read_service_level, carrier), None),
        rule=keys.get("rule", read_text, None),
        cause=keys.get("cause", read_text, None),
    )


def _test_parcel(title: str, file: Source, node: Node, name: str) -> Parcel | None:
    """Read the facts of a test's package. What it leaves out is as on an ordinary day; `~` makes a fact unknown."""
    facts = (*BAND_CONDITIONS, *(key for key in LIST_CONDITIONS if key != "all_skus"), *FLAG_CONDITIONS)
    keys = read_group(file, node, name, facts)
    if keys is None:
        return None

    def fact(key: str, read: Read[T], ordinary: T | None) -> T | None:
        value = keys.values.get(key)
        if value is not None and value.id == "scalar" and kind_of(value) == "null":
            return None
        return keys.get(key, read, ordinary)

    def words(key: str) -> tuple[str, ...]:
        return fact(key, one_or_more(read_text), ()) or ()

    country = fact("country", read_country, file.home)
    state = fact("state", read_us_state if country == "US" else read_region, None)
    has_note = fact("has_note", read_flag, False)
    note = "..." if has_note else None if has_note is None else ""
    has_creator = fact("has_creator", read_flag, False)
    creator = "..." if has_creator else None if has_creator is None else ""
    is_live = fact("live", read_flag, False)
    sessions = ("...",) if is_live else None if is_live is None else ()
    return Parcel(
        package_id=title,
        channel=fact("channel", choice(*CHANNELS), "tiktok"),
        order_total=fact("order_total", read_money, None),
        weight_g=fact("weight_g", whole(0), None),
        item_count=fact("item_count", whole(0), None),
        skus=words("sku"),
        tags=words("tags"),
        country=country,
        state=state,
        zip=fact("zip", read_zip_text, None),
        shipping_type=fact("shipping_type", list_entry("shipping_type", True), None),
        fulfillment_type=fact("fulfillment_type", list_entry("fulfillment_type", True), None),
        is_presale=fact("presale", read_flag, False),
        is_sample=fact("sample", read_flag, False),
        has_gift=fact("gift", read_flag, False),
        buyer_note=fact("buyer_note", read_text, note),
        creator=fact("creator", read_text, creator),
        delivery_option=fact("delivery_option", read_text, None),
        warehouse=fact("warehouse", read_text, None),
        hours_left=fact("hours_left", read_hours, None),
        repeat_orders=fact("repeat_orders", whole(0), 0),
        live_sessions=fact("live_session", one_or_more(read_text), sessions),
        is_military=fact("military", read_flag, state in MILITARY_STATES),
        is_po_box=fact("po_box", read_flag, False),
        is_residential=fact("residential", read_flag, None),
    )
