"""rules.yaml, read and checked whole: YAML in, `Rules` out, or every fault with its line and column. No other I/O.

Values are taken from the text as it stands in the file, not from what YAML makes of it: a bare `NO`, `010` or `16:40`
would mean something else to the next program that reads the file, so each of them is a fault. Nothing is ever guessed;
a file with one fault is not used at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import time
from functools import partial
from pathlib import Path

from tiktok_erp.config.carrier_rules import OUR_WORD, read_carrier_rules, read_rates
from tiktok_erp.config.checked_yaml import (
    ANY_TIME,
    LARGEST_FILE,
    SOME_TIME,
    Node,
    Source,
    any_number,
    choice,
    compose,
    one_or_more,
    read_clock,
    read_days,
    read_flag,
    read_group,
    read_mapping,
    read_money,
    read_percent,
    read_positive_money,
    read_private_text,
    read_rate,
    read_text,
    sequence,
    unique_name,
    whole,
)
from tiktok_erp.config.places import read_country, read_us_state, read_zip_text
from tiktok_erp.config.rule_tests import read_rule_tests
from tiktok_erp.config.rules_notes import note_whole
from tiktok_erp.config.safety_stock_rules import read_live, read_safety_stock
from tiktok_erp.errors import RulesError, SettingsError
from tiktok_erp.messages import tr
from tiktok_erp.model.money import Money
from tiktok_erp.model.printer_address import zpl_resolution_dpi
from tiktok_erp.model.rule import (
    CARRIER_NAMES,
    CHANNELS,
    ORDER_STATUSES,
    SERVICE_LEVELS,
    STATUS_WORDS,
    Addresses,
    Alerts,
    Box,
    ChannelRules,
    Combine,
    Deadlines,
    Freshness,
    Handover,
    Labels,
    OwnLabels,
    Pickup,
    Printing,
    Rules,
    SellerCenter,
    ShipFrom,
    Shop,
    Spending,
    Sync,
    WorkDays,
    shipped_channels,
)

DEFAULT_RULES = Path(__file__).with_name("default_rules.yaml")

_US_ZIP = re.compile(r"[0-9]{5}(-[0-9]{4})?")


@dataclass(frozen=True, slots=True)
class RulesCheck:
    """What reading a rules file came to: no `rules` as soon as there is one fault. Each text has file:line:column."""

    rules: Rules | None
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def load_rules(path: Path) -> Rules:
    """Return the rules in the file at `path`.

    Raises SettingsError when the file is not there or cannot be opened, and RulesError with every fault it has.
    """
    return _usable(check_rules(path), path.name)


def load_rules_text(text: str, name: str = "rules.yaml") -> Rules:
    """Return the rules written in `text`; faults call the file `name`. Raises RulesError with every fault."""
    return _usable(check_rules_text(text, name), name)


def load_rules_or_defaults(path: Path) -> Rules:
    """Return the rules in the file at `path`, or the shipped ones, with a note that says so, when there is no file.

    Raises as `load_rules` does for a file that is there.
    """
    if path.exists():
        return load_rules(path)
    rules = load_rules_text(default_rules_text(), DEFAULT_RULES.name)
    note = tr("there is no {name}: the shipped rules apply (`tiktok-erp init` writes them)", name=path.name)
    return replace(rules, notes=(note, *rules.notes))


def default_rules_text() -> str:
    """Return the shipped rules.yaml with its comments, as `tiktok-erp init` writes it."""
    return DEFAULT_RULES.read_text(encoding="utf-8")


def check_rules(path: Path) -> RulesCheck:
    """Return faults and notes of the file at `path`. Raises SettingsError when it cannot be read at all."""
    try:
        if path.stat().st_size > 4 * LARGEST_FILE:  # bytes; nothing of it is read
            return RulesCheck(None, (f"{path.name}:1:1: {tr('the file is far too large to be a rules file')}",), ())
        content = path.read_bytes()
    except FileNotFoundError:
        raise SettingsError(
            tr("there is no rules file"),
            subject=path.name,
            next_step=tr("run `tiktok-erp init` to write one, or name yours with --rules"),
        ) from None
    except OSError as cause:
        raise SettingsError(
            tr("the rules file cannot be read: {reason}", reason=cause.strerror or type(cause).__name__),
            subject=path.name,
            next_step=tr("check the file and its permissions, or name another one with --rules"),
        ) from cause
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        line = content.count(b"\n", 0, cause.start) + 1
        column = cause.start - (content.rfind(b"\n", 0, cause.start) + 1) + 1
        what = tr("this is not UTF-8 text; save the file as UTF-8")
        return RulesCheck(None, (f"{path.name}:{line}:{column}: {what}",), ())
    return check_rules_text(text, path.name)


def check_rules_text(text: str, name: str = "rules.yaml") -> RulesCheck:
    """Return faults and notes of the rules written in `text`."""
    file = Source(name)
    root = compose(file, text)
    try:
        rules = None if root is None else _rules(file, root)
    except RecursionError:
        rules = None
        file.faults.append((1, 1, tr("lists within lists, far too deep to be rules")))
    faults, notes = file.listed(file.faults), file.listed(file.notes)
    if faults or rules is None:
        return RulesCheck(None, faults, notes)
    return RulesCheck(replace(rules, notes=notes), (), notes)


def _usable(check: RulesCheck, name: str) -> Rules:
    if check.rules is not None:
        return check.rules
    count = len(check.faults)
    what = tr("the rules have one fault") if count == 1 else tr("the rules have {count} faults", count=count)
    raise RulesError(
        what,
        subject=name,
        next_step=tr("correct the lines above, then run `tiktok-erp rules check`; nothing was done"),
        faults=check.faults,
    )


_SECTIONS = (
    *("shop", "sync", "freshness", "deadlines", "pickups", "combine", "labels", "carriers", "safety_stock", "spending"),
    *("alerts", "channels", "boxes", "addresses", "senders", "rates", "listings", "printing", "privacy"),
    *("handover", "seller_center", "tests"),
    *("live", "split"),
)


def _rules(file: Source, root: Node) -> Rules | None:
    if root.id != "mapping":
        file.fault(root, tr("a rules file is made of sections such as `carriers:`"))
        return None
    sections = read_group(file, root, "", _SECTIONS)
    if sections is None:
        return None
    shipped = Rules()
    shop = sections.get("shop", _shop, shipped.shop)
    file.home = shop.ship_from.country if shop.ship_from is not None else "US"
    in_us = file.home == "US" or shop.kind == "cross_border"
    channels = sections.get("channels", partial(_channels, in_us), shipped_channels(is_us=in_us))
    file.carriers = frozenset(SERVICE_LEVELS).union(*(channel.carrier_names for channel in channels.values()))
    boxes = sections.get("boxes", _boxes, shipped.boxes)
    senders = sections.get("senders", _senders, shipped.senders)
    read_carriers = partial(read_carrier_rules, frozenset(box.name for box in boxes), frozenset(senders))
    rules = Rules(
        shop=shop,
        sync=sections.get("sync", _sync, shipped.sync),
        freshness=sections.get("freshness", _freshness, shipped.freshness),
        deadlines=sections.get("deadlines", _deadlines, shipped.deadlines),
        pickups=sections.get("pickups", _pickups, shipped.pickups),
        combine=sections.get("combine", _combine, shipped.combine),
        labels=sections.get("labels", _labels, shipped.labels),
        carriers=sections.get("carriers", read_carriers, shipped.carriers),
        safety_stock=sections.get("safety_stock", read_safety_stock, shipped.safety_stock),
        live=sections.get("live", read_live, shipped.live),
        split=sections.get("split", choice("never", "allow"), shipped.split),
        spending=sections.get("spending", _spending, shipped.spending),
        alerts=sections.get("alerts", _alerts, shipped.alerts),
        channels=channels,
        printing=sections.get("printing", _printing, shipped.printing),
        handover=sections.get("handover", _handover, shipped.handover),
        seller_center=sections.get("seller_center", _seller_center, shipped.seller_center),
        boxes=boxes,
        addresses=sections.get("addresses", _addresses, shipped.addresses),
        senders=senders,
        listings=sections.get("listings", read_mapping, shipped.listings),
        rates=sections.get("rates", read_rates, shipped.rates),
        privacy=sections.get("privacy", read_mapping, shipped.privacy),
        tests=sections.get("tests", read_rule_tests, shipped.tests),
    )
    if not file.faults:
        note_whole(file, sections, rules)
    return rules


def _shop(file: Source, node: Node, name: str) -> Shop | None:
    keys = read_group(file, node, name, ("name", "kind", "time_zone", "ship_from"))
    if keys is None:
        return None
    shipped = Shop()
    sender: ShipFrom | None = None
    if "ship_from" in keys.values:
        sender = _ship_from(file, keys.values["ship_from"], f"{name}.ship_from")
    return Shop(
        name=keys.get("name", read_text, shipped.name),
        kind=keys.get("kind", choice("local", "cross_border"), shipped.kind),
        time_zone=keys.get("time_zone", _time_zone, shipped.time_zone),
        ship_from=sender,
    )


def _time_zone(file: Source, node: Node, name: str) -> str | None:
    from zoneinfo import ZoneInfo, available_timezones

    text = read_text(file, node, name)
    if text is None:
        return None
    try:
        ZoneInfo(text)
    except (OSError, ValueError, LookupError):
        zones = {zone.lower(): zone for zone in available_timezones()}
        city = text.lower().replace(" ", "_")
        same_city = [zone for zone in sorted(zones.values()) if zone.rpartition("/")[2].lower() == city]
        fault = tr("`{name}`: there is no time zone `{zone}`", name=name, zone=text)
        file.unknown_word(node, fault, same_city[0] if same_city else text, zones.values())
        return None
    return text


def _ship_from(file: Source, node: Node, name: str) -> ShipFrom | None:
    fields = ("name", "company", "street1", "street2", "city", "state", "zip", "country", "phone")
    keys = read_group(file, node, name, fields)
    if keys is None:
        return None
    country = keys.get("country", read_country, "US")
    if country == "US":
        read_state, read_zip = read_us_state, _sender_zip
    else:
        read_state, read_zip = read_text, read_text
    return ShipFrom(
        name=keys.need("name", read_private_text, ""),
        company=keys.get("company", read_private_text, ""),
        street1=keys.need("street1", read_private_text, ""),
        street2=keys.get("street2", read_private_text, ""),
        city=keys.need("city", read_private_text, ""),
        state=keys.need("state", read_state, ""),
        zip=keys.need("zip", read_zip, ""),
        country=country,
        phone=keys.get("phone", read_private_text, ""),
    )


def _senders(file: Source, node: Node, name: str) -> Mapping[str, ShipFrom] | None:
    keys = read_group(file, node, name)
    if keys is None:
        return None
    senders = {sender: _ship_from(file, value, f"{name}.{sender}") for sender, value in keys.values.items()}
    return {sender: address for sender, address in senders.items() if address is not None}


def _addresses(file: Source, node: Node, name: str) -> Addresses | None:
    keys = read_group(file, node, name, ("line_length",))
    if keys is None:
        return None
    shipped = Addresses()
    return Addresses({**shipped.line_length, **keys.get("line_length", _line_lengths, {})})


def _line_lengths(file: Source, node: Node, name: str) -> dict[str, int] | None:
    keys = read_group(file, node, name, file.carriers)
    return None if keys is None else {carrier: keys.get(carrier, whole(1), 0) for carrier in keys.values}


def _sender_zip(file: Source, node: Node, name: str) -> str | None:
    text = read_zip_text(file, node, name)
    if text is None:
        return None
    if not _US_ZIP.fullmatch(text):
        file.fault(node, tr('`{name}`: {value} is no ZIP code; write "91761"', name=name, value=text))
        return None
    return text


def _sync(file: Source, node: Node, name: str) -> Sync | None:
    paces = ("sweep_every", "sweep_back", "products_every", "creators_every", "cancellations_every")
    keys = read_group(file, node, name, ("every", "overlap", "alert_after_failures", *paces))
    if keys is None:
        return None
    shipped = Sync()
    return Sync(
        every=keys.get("every", SOME_TIME, shipped.every),
        overlap=keys.get("overlap", ANY_TIME, shipped.overlap),
        alert_after_failures=keys.get("alert_after_failures", whole(1), shipped.alert_after_failures),
        **{pace: keys.get(pace, ANY_TIME, getattr(shipped, pace)) for pace in paces},
    )


def _freshness(file: Source, node: Node, name: str) -> Freshness | None:
    keys = read_group(file, node, name, ("buy", "push", "upload"))
    if keys is None:
        return None
    shipped = Freshness()
    return Freshness(
        buy=keys.get("buy", SOME_TIME, shipped.buy),
        push=keys.get("push", SOME_TIME, shipped.push),
        upload=keys.get("upload", SOME_TIME, shipped.upload),
    )


def _deadlines(file: Source, node: Node, name: str) -> Deadlines | None:
    fields = ("ship_within", "presale_within", "tracking_within", "late_rate_limit", "penalty", "days")
    keys = read_group(file, node, name, fields)
    if keys is None:
        return None
    shipped = Deadlines()
    return Deadlines(
        ship_within=keys.get("ship_within", SOME_TIME, shipped.ship_within),
        presale_within=keys.get("presale_within", SOME_TIME, shipped.presale_within),
        tracking_within=keys.get("tracking_within", SOME_TIME, shipped.tracking_within),
        late_rate_limit_percent=keys.get("late_rate_limit", read_percent, shipped.late_rate_limit_percent),
        penalty=keys.get("penalty", _penalty, shipped.penalty),
        days=keys.get("days", read_days, shipped.days),
    )


def _penalty(file: Source, node: Node, name: str) -> tuple[Money, Money] | None:
    amounts = one_or_more(read_money)(file, node, name)
    if amounts is None or (node.id == "sequence" and len(amounts) < len(node.value)):
        return None
    if len(amounts) > 2:
        file.fault(node, tr("`{name}` is one amount, or the least and the most", name=name))
        return None
    least, most = amounts[0], amounts[-1]
    if least.currency != most.currency:
        file.fault(node, tr("`{name}`: both amounts must be in one currency", name=name))
        return None
    if most < least:
        file.fault(node, tr("`{name}`: the smaller amount comes first", name=name))
        return None
    return least, most


def _pickups(file: Source, node: Node, name: str) -> tuple[Pickup, ...] | None:
    keys = read_group(file, node, name, file.carriers)
    if keys is None:
        return None
    pickups = []
    for carrier, value in keys.values.items():
        entry = read_group(file, value, f"{name}.{carrier}", ("at", "days"))
        if entry is not None:
            at = entry.need("at", read_clock, time(0))
            pickups.append(Pickup(carrier, at, entry.get("days", read_days, WorkDays())))
    return tuple(pickups)


def _combine(file: Source, node: Node, name: str) -> Combine | None:
    keys = read_group(file, node, name, ("wait", "margin", "max_orders"))
    if keys is None:
        return None
    shipped = Combine()
    return Combine(
        wait=keys.get("wait", ANY_TIME, shipped.wait),
        margin=keys.get("margin", ANY_TIME, shipped.margin),
        # TikTok reference, section 4.6: a package carries at most 20 orders.
        max_orders=keys.get("max_orders", whole(1, 20), shipped.max_orders),
    )


def _labels(file: Source, node: Node, name: str) -> Labels | None:
    keys = read_group(file, node, name, ("seller_shipping", "quote_first", "settle_after", "document_wait"))
    if keys is None:
        return None
    shipped = Labels()
    return Labels(
        seller_shipping=keys.get("seller_shipping", choice("file", "easypost", "off"), shipped.seller_shipping),
        quote_first=keys.get("quote_first", read_flag, shipped.quote_first),
        settle_after=keys.get("settle_after", ANY_TIME, shipped.settle_after),
        document_wait=keys.get("document_wait", SOME_TIME, shipped.document_wait),
    )


def _spending(file: Source, node: Node, name: str) -> Spending | None:
    fields = ("max_cost_per_label", "max_cost_per_run", "max_cost_per_day")
    keys = read_group(file, node, name, fields)
    if keys is None:
        return None
    shipped = Spending()
    caps = Spending(
        max_cost_per_label=keys.get("max_cost_per_label", read_positive_money, shipped.max_cost_per_label),
        max_cost_per_run=keys.get("max_cost_per_run", read_positive_money, shipped.max_cost_per_run),
        max_cost_per_day=keys.get("max_cost_per_day", read_positive_money, shipped.max_cost_per_day),
    )
    amounts = (caps.max_cost_per_label, caps.max_cost_per_run, caps.max_cost_per_day)
    if len({amount.currency for amount in amounts}) > 1:
        file.fault(node, tr("`{name}`: all caps must be in one currency, those left out are in USD", name=name))
        return None
    return caps


def _alerts(file: Source, node: Node, name: str) -> Alerts | None:
    keys = read_group(file, node, name, ("to", "silent_after", "stream_orders"))
    if keys is None:
        return None
    shipped = Alerts()
    return Alerts(
        to=keys.get("to", any_number(_alert_url), ()),
        silent_after=keys.get("silent_after", SOME_TIME, shipped.silent_after),
        stream_orders=keys.get("stream_orders", whole(1), shipped.stream_orders),
    )


def _alert_url(file: Source, node: Node, name: str) -> str | None:
    text = read_private_text(file, node, name)
    if text is None or re.match(r"\$\{\w+\}$|[a-z][a-z0-9+.-]*://\S", text, re.IGNORECASE):
        return text
    file.fault(node, tr("`{name}` is a list of addresses such as mailto://user:password@mail.example", name=name))
    return None


def _channels(in_us: bool, file: Source, node: Node, name: str) -> dict[str, ChannelRules] | None:
    keys = read_group(file, node, name, CHANNELS)
    if keys is None:
        return None
    channels: dict[str, ChannelRules] = shipped_channels(is_us=in_us)
    for channel, value in keys.values.items():
        fields = (
            "start_rate",
            "max_rate",
            "creep_after",
            "concurrency",
            "ship_batch",
            "carrier_names",
            "own_labels_by",
        )
        entry = read_group(file, value, f"{name}.{channel}", fields)
        if entry is None:
            continue
        shipped = channels[channel]
        names = {**CARRIER_NAMES[channel], **entry.get("carrier_names", _carrier_names, {})}
        carriers = frozenset(SERVICE_LEVELS) | frozenset(names)
        rules = ChannelRules(
            start_rate=entry.get("start_rate", read_rate, shipped.start_rate),
            max_rate=entry.get("max_rate", read_rate, shipped.max_rate),
            creep_after=entry.get("creep_after", SOME_TIME, shipped.creep_after),
            concurrency=entry.get("concurrency", whole(1, 64), shipped.concurrency),
            ship_batch=entry.get("ship_batch", whole(1, 100), shipped.ship_batch),
            carrier_names=names,
            own_labels_by=entry.get("own_labels_by", partial(_own_labels, carriers), shipped.own_labels_by),
        )
        if rules.max_rate < rules.start_rate:
            file.fault(value, tr("`{name}`: max_rate is below start_rate", name=entry.name))
        channels[channel] = rules
    return channels


def _own_labels(carriers: frozenset[str], file: Source, node: Node, name: str) -> OwnLabels | None:
    """Read whose labels a channel takes: `any`, a list of carriers, or of those it does not take, `[not usps]`."""
    words = one_or_more(read_text)(file, node, name)
    if words is None:
        return None
    if words == ("any",):
        return OwnLabels()
    without = {word.removeprefix("not ").strip() for word in words if word.startswith("not ")}
    only = {word for word in words if not word.startswith("not ")}
    if only and without:
        file.fault(node, tr("`{name}`: write the carriers that are taken, or with `not` those that are not", name=name))
        return None
    for word in sorted(only | without):
        if word not in carriers:
            file.unknown_word(node, tr("unknown carrier `{carrier}`", carrier=word), word, carriers | {"any"})
            return None
    return OwnLabels(frozenset(only) if only else None, frozenset(without))


def _carrier_names(file: Source, node: Node, name: str) -> dict[str, str] | None:
    keys = read_group(file, node, name)
    if keys is None:
        return None
    for carrier, key_node in keys.keys.items():
        if not OUR_WORD.fullmatch(carrier):
            file.fault(
                key_node, tr("`{name}`: write {value} in small letters and underscores", name=name, value=carrier)
            )
    return {carrier: keys.get(carrier, read_text, "") for carrier in keys.values}


def _printing(file: Source, node: Node, name: str) -> Printing | None:
    keys = read_group(file, node, name, ("language", "fonts", "header_pages", "printers", "paper"))
    if keys is None:
        return None
    return Printing(
        language=keys.get("language", choice("en", "zh"), "en"),
        fonts=keys.get("fonts", any_number(read_text), ()),
        header_pages=keys.get("header_pages", read_flag, False),
        printers=keys.get("printers", any_number(_printer), ()),
        paper=keys.get("paper", choice("4x6", "letter", "a4", "a6"), None),
    )


def _printer(file: Source, node: Node, name: str) -> str | None:
    address = read_text(file, node, name)
    try:
        if address is not None:
            zpl_resolution_dpi(address)
    except ValueError as error:
        file.fault(node, f"`{name}`: {error}")
        return None
    return address


def _handover(file: Source, node: Node, name: str) -> Handover | None:
    keys = read_group(file, node, name, ("dir", "every", "people"))
    if keys is None:
        return None
    shipped = Handover()
    return Handover(
        folder=keys.get("dir", read_text, shipped.folder),
        every=keys.get("every", SOME_TIME, shipped.every),
        people=keys.get("people", whole(1, 50), shipped.people),
    )


def _seller_center(file: Source, node: Node, name: str) -> SellerCenter | None:
    keys = read_group(file, node, name, ("status_words", "headers", "decimals"))
    if keys is None:
        return None
    return SellerCenter(
        {**STATUS_WORDS, **keys.get("status_words", _status_words, {})},
        keys.get("headers", _headers, {}),
        {"comma": ",", "dot": "."}.get(keys.get("decimals", choice("comma", "dot"), "")),
    )


def _headers(file: Source, node: Node, name: str) -> dict[str, str] | None:
    keys = read_group(file, node, name)
    return None if keys is None else {header: keys.get(header, read_text, "") for header in keys.values}


def _status_words(file: Source, node: Node, name: str) -> dict[str, str] | None:
    keys = read_group(file, node, name)
    if keys is None:
        return None
    status = choice(*ORDER_STATUSES)
    return {word: keys.get(word, status, "") for word in keys.values}


def _boxes(file: Source, node: Node, name: str) -> tuple[Box, ...] | None:
    names: dict[str, Node] = {}

    def read(file: Source, node: Node, name: str) -> Box | None:
        fields = ("name", "weight_g", "length_mm", "width_mm", "height_mm", "max_weight_g")
        keys = read_group(file, node, name, fields)
        if keys is None:
            return None
        size = whole(1)
        return Box(
            name=unique_name(keys, names),
            weight_g=keys.need("weight_g", whole(0), 0),
            length_mm=keys.get("length_mm", size, None),
            width_mm=keys.get("width_mm", size, None),
            height_mm=keys.get("height_mm", size, None),
            max_weight_g=keys.get("max_weight_g", size, None),
        )

    return sequence(read)(file, node, name)
