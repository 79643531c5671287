"""`doctor --before-live`: what must be in order an hour before a stream, and go or no-go. Changes nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from tiktok_erp.cli.doctor import ANSWER_TIMEOUT_S, Point, skipped
from tiktok_erp.messages import tr

if TYPE_CHECKING:
    from tiktok_erp.cli.doctor import _Findings as Findings
    from tiktok_erp.model.rule import Rules, ShipFrom

_SHOWN = 5
_OPTIONS_ASKED = 5
_LOOK_BACK = timedelta(minutes=30)  # who fetches by a timer has fetched in it
_REGULAR = 3  # so many fetches in that time are no person's
_SPACE_FOR_A_STREAM = 5_000_000_000  # bytes: labels, slips and copies of 2,800 orders, twice


def points(skus: Sequence[str]) -> tuple[tuple[str, Callable[[Findings], Iterator[Point]]], ...]:
    """Return each point's name and what looks at it; `skus` are those that the stream is to sell."""
    return (
        ("rules_tests", _rules_tests),
        ("sku_names", _sku_names),
        ("sku_weights", partial(_sku_weights, skus)),
        ("stream_stock", partial(_stream_stock, skus)),
        ("carriers", _carriers),
        ("senders", _senders),
        ("sku_counts", partial(_sku_counts, skus)),
        ("paper_tried", _paper_tried),
        ("alert_tried", _alert_tried),
        ("by_itself", _by_itself),
        ("stream_disk", _stream_disk),
    )


def _rules_tests(findings: Findings) -> Iterator[Point]:
    from tiktok_erp.allocation.rehearse import run_tests

    if findings.rules is None:
        yield skipped("rules_tests", findings)
        return
    results = run_tests(findings.rules)
    wrong = [result.test.name for result in results if result.wrong]
    fields: dict[str, object] = {"examples": len(results), "failed": wrong}
    if wrong:
        text = tr("the rules do not do what their examples expect: {names}", names=_some(wrong))
        yield Point("rules_tests", "fault", text, "not_as_expected", tr("run `tiktok-erp rules test`"), fields)
    elif not results:
        step = tr("add examples of what you rely on to `tests` in rules.yaml")
        yield Point("rules_tests", "warning", tr("the rules have no examples"), "no_examples", step, fields)
    else:
        yield Point(
            "rules_tests",
            "ok",
            tr("the rules do what their {count} examples expect", count=len(results)),
            fields=fields,
        )


def _sku_names(findings: Findings) -> Iterator[Point]:
    """An offer without a seller SKU is sold under the channel's number, which is in no count of ours."""
    if findings.store is None:
        yield skipped("sku_names", findings)
        return
    rows = findings.store.query(
        "SELECT listing_id FROM listings WHERE sku = listing_id AND coalesce(seller_sku, '') = ''"
        " AND coalesce(status, 'ACTIVATE') IN ('ACTIVATE', 'NORMAL') ORDER BY listing_id"
    )
    ids = [row[0] for row in rows]
    if not findings.store.scalar("SELECT count(*) FROM listings"):
        step = tr("run `tiktok-erp sync` with the API")
        yield Point("sku_names", "skipped", tr("offers: none were fetched yet"), "no_listings", step)
    elif ids:
        text = tr("{count} offers have no seller SKU: {names}", count=len(ids), names=_some(ids))
        step = tr("give them one in Seller Center, then run `tiktok-erp sync`")
        yield Point("sku_names", "warning", text, "unmapped", step, {"listings": ids})
    else:
        yield Point("sku_names", "ok", tr("every offer has a seller SKU"))


def _sku_weights(skus: Sequence[str], findings: Findings) -> Iterator[Point]:
    if findings.store is None or findings.rules is None:
        yield skipped("sku_weights", findings)
        return
    weights = {
        row["sku"]: row["weight_g"]
        for row in findings.store.query(
            "SELECT g.sku, coalesce(max(k.weight_g), max(g.weight_g)) AS weight_g FROM listings g"
            " LEFT JOIN skus k ON k.sku = g.sku GROUP BY g.sku"
            " UNION SELECT sku, weight_g FROM skus WHERE sku NOT IN (SELECT sku FROM listings)"
        )
    }
    asked = sorted(skus) if skus else sorted(weights)
    missing = [sku for sku in asked if weights.get(sku) is None]
    needs = any("weight_g" in one.fact_keys for rule in findings.rules.carriers for one in rule.conditions)
    fields: dict[str, object] = {"skus": missing, "rules_ask_for_weight": needs}
    if not missing:
        yield Point("sku_weights", "ok", tr("every SKU has a weight"), fields=fields)
        return
    text = tr("{count} SKUs have no weight: {names}", count=len(missing), names=_some(missing))
    step = tr("run `tiktok-erp stock set SKU --weight 120g` for each of them")
    if needs:
        text = tr("{text}; rules ask for it, so their packages would be quarantined", text=text)
    yield Point("sku_weights", "fault" if needs else "warning", text, "no_weight", step, fields)


def _stream_stock(skus: Sequence[str], findings: Findings) -> Iterator[Point]:
    if findings.store is None:
        yield skipped("stream_stock", findings)
        return
    if not skus:
        text = tr("stock of the stream: no SKU is named with --sku")
        yield Point("stream_stock", "skipped", text, "none_named")
        return
    for sku in skus:
        row = findings.store.query_one(
            "SELECT sum(on_hand) AS on_hand, sum(available_to_sell) AS free FROM v_stock WHERE sku = ?", (sku,)
        )
        on_hand, free = (row["on_hand"], row["free"]) if row is not None else (None, None)
        fields = {"sku": sku, "on_hand": on_hand, "available_to_sell": free}
        if on_hand is None:
            step = tr("count it: `tiktok-erp stock set {sku} QUANTITY`", sku=sku)
            yield Point("stream_stock", "fault", tr("{sku} was never counted", sku=sku), "never_counted", step, fields)
        elif not free:
            step = tr("restock and count it, or leave it out of the stream")
            text = tr("{sku}: {count} on hand, nothing left to sell", sku=sku, count=on_hand)
            yield Point("stream_stock", "fault", text, "sold_out", step, fields)
        else:
            text = tr("{sku}: {count} on hand, {free} to sell", sku=sku, count=on_hand, free=free)
            yield Point("stream_stock", "ok", text, fields=fields)


def _carriers(findings: Findings) -> Iterator[Point]:
    """Every carrier that a rule may choose for an own label must be one that the channel takes numbers of."""
    if findings.store is None or findings.rules is None:
        yield skipped("carriers", findings)
        return
    options = [
        row[0]
        for row in findings.store.query(
            "SELECT delivery_option_id, max(placed_at) FROM orders WHERE channel = 'tiktok' AND shipping_type = 'SELLER'"
            " AND delivery_option_id IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT ?",
            (_OPTIONS_ASKED,),
        )
    ]
    if findings.rules.labels.seller_shipping == "off" or not options:
        text = tr("carriers: no order with a label of your own says what the channel takes")
        yield Point("carriers", "skipped", text, "no_own_labels")
        return
    names = _enabled(findings, options)
    if names is None:
        yield skipped("carriers", findings)
        return
    missing = _not_enabled(findings.rules, names)
    fields: dict[str, object] = {"enabled": sorted({name for found in names.values() for name in found})}
    if missing:
        text = tr("the channel does not offer these carriers of the rules: {names}", names=_some(missing))
        step = tr("enable them in Seller Center, or name them in channels.tiktok.carrier_names of rules.yaml")
        yield Point("carriers", "fault", text, "not_enabled", step, fields | {"missing": missing})
        return
    yield Point("carriers", "ok", tr("the channel takes numbers of every carrier in the rules"), fields=fields)


def _enabled(findings: Findings, options: Sequence[str]) -> dict[str, list[str]] | None:
    """Return the carriers' names by delivery option, asked for now; None when the channel cannot be asked."""
    from tiktok_erp.cli.sign_in import KeptTokens, OneTryClient, open_client, shop_in_use
    from tiktok_erp.errors import ErpError

    if findings.credentials is None or findings.tokens is None or findings.settings is None or not findings.shops:
        return None
    owner = findings.store.meta("shop") if findings.store is not None else None
    shop = shop_in_use(findings.shops, findings.settings.get("TIKTOK_SHOP_CIPHER"), owner)
    if shop is None or findings.rules is None:
        return None
    with OneTryClient(answer_timeout_s=ANSWER_TIMEOUT_S) as http:
        client = open_client(findings.credentials, KeptTokens(findings.tokens.pair), findings.rules, http, writes=False)
        client.use_cipher(shop.cipher)
        try:
            return {option: [entry.name for entry in client.fetch_shipping_providers(option)] for option in options}
        except ErpError:
            return None


def _not_enabled(rules: Rules, names: dict[str, list[str]]) -> list[str]:
    from tiktok_erp.model.carrier import carrier_code

    display = rules.channels["tiktok"].carrier_names
    wanted = sorted({choice.carrier for rule in rules.carriers for choice in rule.choices})

    def takes(carrier: str, offered: Sequence[str]) -> bool:
        title = display.get(carrier, "").casefold()
        return any(name.strip().casefold() == title or carrier_code(name) == carrier for name in offered)

    return [carrier for carrier in wanted if not any(takes(carrier, offered) for offered in names.values())]


def _senders(findings: Findings) -> Iterator[Point]:
    if findings.rules is None:
        yield skipped("senders", findings)
        return
    senders: dict[str, ShipFrom | None] = {"shop.ship_from": findings.rules.shop.ship_from, **findings.rules.senders}
    for name, sender in senders.items():
        if sender is None:
            step = tr("add `ship_from` to `shop` in rules.yaml")
            yield Point("senders", _serious(findings), tr("no sender is set"), "no_sender", step)
        elif sender.is_example:
            text = tr("`{name}` is still the example's address", name=name)
            yield Point("senders", _serious(findings), text, "example_sender", tr("put in where you send from"))
        else:
            yield _sender(name, sender)


def _sender(name: str, sender: ShipFrom) -> Point:
    from tiktok_erp.allocation.parcels import states_near_zip, states_of_zip
    from tiktok_erp.model.address import Address, clean_address, find_fault

    address = Address(
        sender.name, sender.street1, sender.street2, sender.city, sender.state, sender.zip, sender.country, sender.phone
    )
    fault = find_fault(
        clean_address(address), home=sender.country, states_of_zip=states_of_zip, states_near_zip=states_near_zip
    )
    if fault is not None:
        text = tr("`{name}`: {fault}", name=name, fault=fault.detail)
        return Point("senders", "fault", text, fault.cause, tr("correct it in rules.yaml"))
    if not sender.phone:
        text = tr("`{name}` has no telephone number; UPS and FedEx ask for it", name=name)
        return Point("senders", "warning", text, "no_phone", tr("add `phone` in rules.yaml"))
    return Point("senders", "ok", tr("`{name}` is a whole address", name=name))


def _serious(findings: Findings) -> str:
    """What a stream cannot do without is a fault; a rehearsal in a simulated shop goes on without it."""
    return "warning" if findings.store is not None and findings.store.is_simulated else "fault"


def _sku_counts(skus: Sequence[str], findings: Findings) -> Iterator[Point]:
    """What was never counted is never pushed: the channel sells what it shows. With --sku only those decide."""
    from tiktok_erp.store.readiness import load_uncounted

    if findings.store is None:
        yield skipped("sku_counts", findings)
        return
    missing = load_uncounted(findings.store)
    if not missing:
        yield Point("sku_counts", "ok", tr("every SKU that is for sale was counted"))
        return
    text = tr("{count} SKUs that are for sale were never counted: {names}", count=len(missing), names=_some(missing))
    step = tr("run `tiktok-erp stock import FILE`, or name the SKUs of the stream with --sku")
    level = "warning" if skus and not set(skus) & set(missing) else _serious(findings)
    yield Point("sku_counts", level, text, "never_counted", step, {"skus": missing})


def _paper_tried(findings: Findings) -> Iterator[Point]:
    from tiktok_erp.printers.base import VIEWER, open_printer
    from tiktok_erp.store.readiness import has_printed

    if findings.store is None or findings.rules is None:
        yield skipped("paper_tried", findings)
        return
    names = [open_printer(name).name for name in findings.rules.printing.printers if name != VIEWER]
    missing = [name for name in names if not has_printed(findings.store, name)]
    if names and not missing:
        yield Point("paper_tried", "ok", tr("labels came out of {names}", names=_some(names)))
    elif names:
        text = tr("no label ever came out of {names}, as far as is known", names=_some(missing))
        step = tr("print one: `tiktok-erp print-labels --limit 1 --printer {name}`", name=missing[0])
        yield Point("paper_tried", _serious(findings), text, "printer_not_tried", step, {"printers": missing})
    elif has_printed(findings.store, None):
        yield Point("paper_tried", "ok", tr("labels of this database came out on paper"))
    else:
        text = tr("no label is known to be on paper, and no printer is set up")
        step = tr("print one at 100 % and run `tiktok-erp labels printed B01`, or set up `printing.printers`")
        yield Point("paper_tried", _serious(findings), text, "printer_not_tried", step)


def _alert_tried(findings: Findings) -> Iterator[Point]:
    from tiktok_erp.alerts.run import addresses_digest
    from tiktok_erp.store.readiness import is_alert_tried

    if findings.store is None or findings.rules is None:
        yield skipped("alert_tried", findings)
    elif not findings.rules.alerts.to:
        step = tr("write an address into `alerts` of rules.yaml, then run `tiktok-erp alerts test`")
        text = tr("nobody hears it when fetching fails during the stream")
        yield Point("alert_tried", _serious(findings), text, "no_alerts", step)
    elif is_alert_tried(findings.store, addresses_digest(findings.rules)):
        yield Point("alert_tried", "ok", tr("the addresses of alerts took a message"))
    else:
        text = tr("the addresses of alerts were never tried")
        yield Point("alert_tried", _serious(findings), text, "alert_not_tried", tr("run `tiktok-erp alerts test`"))


def _by_itself(findings: Findings) -> Iterator[Point]:
    """A stream needs somebody who fetches and pushes every minute: a watch, a line of cron, or a timer of another kind."""
    from tiktok_erp.cli.session import is_running
    from tiktok_erp.store.readiness import load_fetches

    if findings.store is None or findings.rules is None:
        yield skipped("by_itself", findings)
        return
    fetches = load_fetches(findings.store, findings.now - _LOOK_BACK)
    step = tr("leave `tiktok-erp run --watch` running in a terminal of its own, or install `tiktok-erp init --cron`")
    if any(is_running(findings.options.db, name) for name in ("run", "sync")):
        yield Point("by_itself", "ok", tr("a watch is at work"))
    elif _cron_lines():
        yield Point("by_itself", "ok", tr("cron has a line that fetches"))
    elif len(fetches) >= _REGULAR and fetches[-1] - fetches[0] >= _LOOK_BACK / 3:
        yield Point("by_itself", "ok", tr("orders were fetched {count} times in half an hour", count=len(fetches)))
    else:
        text = tr("nothing fetches orders by itself: no watch runs, and cron has no line of this tool")
        yield Point("by_itself", _serious(findings), text, "not_watched", step)


def _cron_lines() -> list[str]:
    """Return this user's lines of cron that fetch; none where there is no cron."""
    import subprocess

    try:
        listed = subprocess.run(["crontab", "-l"], capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    lines = [line.strip() for line in listed.splitlines()]
    return [
        line
        for line in lines
        if not line.startswith("#") and re.search(r"tiktok[-_]erp", line) and re.search(r"\s(run|sync)\b", line)
    ]


def _stream_disk(findings: Findings) -> Iterator[Point]:
    free = shutil.disk_usage(findings.options.db.absolute().parent).free
    text = tr("{size} GB free for the labels of the stream", size=f"{free / 1e9:.1f}")
    if free < _SPACE_FOR_A_STREAM:
        yield Point("stream_disk", "fault", text, "disk_full", tr("free space: 5 GB are safe"), {"free_bytes": free})
        return
    yield Point("stream_disk", "ok", text, fields={"free_bytes": free})


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    more = len(names) - _SHOWN
    return tr("{names} and {count} more", names=shown, count=more) if more > 0 else shown
