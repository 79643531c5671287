"""The words of a kit: the page for a phone, the summary in two languages, the printed list. Text in, text out.

The page is one file without anything from a network: styles and the few lines of script are in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from html import escape

from tiktok_erp.handover.plan import BUY, BUY_ELSEWHERE, DONE, LOOK, PACK, PRINT, STOP, WAIT, WORK
from tiktok_erp.messages import LANGUAGES, in_language, tr

_URGENCIES = ("late", "now", "today", "later", "unknown")


@dataclass(frozen=True, slots=True)
class ListRow:
    """A package on somebody's list. All but `pieces` is text as it is shown."""

    package_id: str
    place: str
    numbers: str
    ship_by: str
    urgency: str
    step: str
    items: str
    pieces: int
    carrier: str
    tracking_number: str
    label: str
    tells: str


@dataclass(frozen=True, slots=True)
class Row:
    """A package on the phone's page."""

    package_id: str
    place: str
    numbers: tuple[str, ...]
    step: str
    why: str
    ship_by: datetime | None
    is_estimated: bool
    urgency: str
    items: str
    carrier: str
    tracking_number: str
    person: int
    label: str


@dataclass(frozen=True, slots=True)
class View:
    """All that the pages say. Times are UTC and shown in `zone`; `as_of` is that of the last fetch."""

    shop: str
    zone: tzinfo
    made_at: datetime
    as_of: datetime | None
    steps: Mapping[str, int]
    urgency: Mapping[str, int]
    to_tell: int
    told: int
    people: Mapping[int, int]
    rows: tuple[Row, ...]


def local(moment: datetime | None, zone: tzinfo, *, is_estimated: bool = False) -> str:
    """Return a time as people read it; an estimated one is marked."""
    if moment is None:
        return tr("unknown")
    text = moment.astimezone(zone).strftime("%m-%d %H:%M")
    return tr("{time} (estimated)", time=text) if is_estimated else text


def step_text(step: str) -> str:
    """Return what a person does."""
    return {
        PACK: tr("label is printed: pack, hand over"),
        PRINT: tr("print the label, pack, hand over"),
        BUY: tr("buy the label in Seller Center, then pack"),
        BUY_ELSEWHERE: tr("buy a label elsewhere, write its number down, then pack"),
        LOOK: tr("look in Seller Center first: a label may be bought"),
        WAIT: tr("do not send yet"),
        STOP: tr("do not send: take the parcel out"),
        DONE: tr("done"),
    }[step]


def advice(step: str, why: str) -> str:
    """Return what a person does about a package that must not be sent, or is in doubt."""
    if step == LOOK:
        return tr(
            "open the order in Seller Center: if it has a tracking number, print that label; buy only if it has none"
        )
    if step == BUY:
        return tr("choose these orders under Manage Orders, To ship, and buy and print their labels, 600 at once")
    texts = {
        "order_cancelled": tr("cancelled: do not send; have the label refunded"),
        "cancel_requested": tr("the buyer asks to cancel: answer in Seller Center before anything else"),
        "on_hold": tr("on hold: not before the platform releases it"),
        "held_by_seller": tr("you keep it back yourself"),
        "held_by_rule": tr("a rule keeps it back"),
        "short": tr("not enough stock"),
        "waiting": tr("waits for more orders of the same buyer"),
        "unknown_shipping_type": tr("look in Seller Center how it is to be shipped"),
        "carrier_not_taken": tr(
            "TikTok takes no such label of your own: run `tiktok-erp allocate`, or choose TikTok Shipping in Seller Center"
        ),
        "unknown_status": tr("its status means nothing to us: look in Seller Center"),
        "fulfilled_by_channel": tr("the platform ships it"),
        "label_voided": tr("its label is being refunded: do not use it"),
        "barcode_contradiction": tr("the label's barcode says another number: do not use it"),
        "other_tracking_number": tr("the platform shows another number than the label: compare both"),
        "address_changed": tr("the address changed after the label was bought: do not send"),
        "other_address": tr("the label leads to another address than the order's: do not send"),
        "packed_but_cancelled": tr("cancelled although packed: take the parcel out"),
        "packed_but_cancel_requested": tr("the buyer asks to cancel although it is packed: take the parcel out"),
    }
    return texts.get(
        why, tr("needs a decision ({cause}): `tiktok-erp quarantine`, or look in Seller Center", cause=why)
    )


def column_title(name: str) -> str:
    """Return the title of a column of a person's list."""
    return {
        "package_id": tr("package"),
        "label": tr("position on the label"),
        "orders": tr("orders"),
        "ship_by": tr("ship by"),
        "do": tr("what to do"),
        "items": tr("items"),
        "pieces": tr("pieces"),
        "carrier": tr("carrier"),
        "tracking_number": tr("tracking number"),
        "where": tr("where the label is"),
        "printed": tr("x when printed"),
        "packed": tr("x when packed"),
        "new_carrier": tr("carrier of a label bought by hand"),
        "new_tracking_number": tr("number of a label bought by hand"),
    }[name]


# The summary


def render_summary(view: View) -> str:
    """Return one page of text, English and then Chinese: what is done and what is not."""
    pages = []
    for name in LANGUAGES:
        with in_language(name):
            pages.append(_summary(view))
    return ("\n" + "=" * 72 + "\n\n").join(pages)


def _summary(view: View) -> str:
    steps = view.steps
    lines = [
        tr("HANDOVER of {shop}, made {time}", shop=view.shop, time=_clock(view.made_at, view.zone)),
        _age(view),
        "",
        tr("DONE"),
        _line(steps.get(DONE, 0), tr("packages packed, scanned by the carrier, or shipped by hand")),
        _line(view.told, tr("packages whose number the platform knows")),
        "",
        tr("TO DO, most urgent first (urgent.csv)"),
        *(_line(view.urgency.get(name, 0), _urgency_text(name)) for name in _URGENCIES if view.urgency.get(name)),
        "",
        tr("HOW"),
        *(_line(steps.get(step, 0), step_text(step)) for step in WORK if steps.get(step)),
        _line(view.to_tell, tr("packages to tell the platform: upload seller-center/tracking-upload.xlsx")),
        "",
        tr("NOT TO SEND (not-now.csv)"),
        *(_line(steps.get(step, 0), step_text(step)) for step in (STOP, WAIT)),
        "",
        tr("WHO"),
        *(
            tr("  person {person}: {count} packages, folder person-{person}", person=person, count=count)
            for person, count in view.people.items()
        ),
        "",
        tr("1. Print labels-*.pdf of your folder in this order; printed/ has what is printed already."),
        tr("2. Pack by list.html; pick-list.pdf says what to fetch; a slip goes into each parcel."),
        tr("3. Tick list.xlsx, or scan every parcel's label into scans.txt."),
        tr("4. Put what Seller Center gives you (exports, label PDFs) into the folder incoming."),
        tr("5. When all works again: `tiktok-erp resume` with this folder's name. Buy nothing twice before."),
    ]
    return "\n".join(lines) + "\n"


def _line(count: int, text: str) -> str:
    return f"{count:6}  {text}"


def _clock(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")


def _age(view: View) -> str:
    if view.as_of is None:
        return tr("Nothing was ever fetched from the platform.")
    minutes = max(0, int((view.made_at - view.as_of).total_seconds()) // 60)
    return tr(
        "As the platform told it at {time}, {minutes} minutes before. What happened since is not in it.",
        time=_clock(view.as_of, view.zone),
        minutes=minutes,
    )


def _urgency_text(name: str) -> str:
    return {
        "late": tr("late already"),
        "now": tr("due within 4 hours"),
        "today": tr("due within 24 hours"),
        "later": tr("due later"),
        "unknown": tr("without a known deadline"),
    }[name]


def scans_head() -> str:
    """Return what stands at the top of the file to scan into."""
    return (
        "# "
        + tr("Scan the barcode of each packed parcel here, one a line. A package id or order number does as well.")
        + "\n"
    )


def incoming_note() -> str:
    """Return what stands in the folder for what people bring."""
    return (
        "\n".join(
            (
                tr("Put here what you did outside of this kit; `tiktok-erp resume` takes it back:"),
                tr("- order exports of Seller Center (CSV, XLSX)"),
                tr("- label PDFs that were bought in Seller Center or elsewhere"),
                tr("- tracking lists with the columns order_id, carrier, tracking_number"),
                tr("- the tracking template, with a tick or the error behind each row"),
            )
        )
        + "\n"
    )


# HTML


_STYLE = """
:root{color-scheme:light dark}
*{box-sizing:border-box}
body{font:16px/1.4 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;margin:0 auto;padding:12px;max-width:760px}
h1{font-size:20px;margin:0 0 4px}h2{font-size:17px;margin:20px 0 6px}
.age{color:#777;margin:0 0 10px;font-size:14px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:8px;margin:8px 0}
.tile{border:1px solid #8886;border-radius:8px;padding:8px}.tile b{display:block;font-size:22px}
input{width:100%;font-size:16px;padding:10px;border:1px solid #8888;border-radius:8px;margin:8px 0}
details{border-top:1px solid #8884}summary{padding:10px 0;font-weight:600;cursor:pointer}
.c{border:1px solid #8886;border-left:6px solid #888;border-radius:8px;padding:8px 10px;margin:0 0 8px;content-visibility:auto;
contain-intrinsic-size:auto 110px;overflow-wrap:anywhere}
.late,.stop{border-left-color:#c0392b}.now{border-left-color:#e67e22}.today{border-left-color:#d4ac0d}.later{border-left-color:#27ae60}
.c p{margin:2px 0}.t{display:flex;justify-content:space-between;gap:8px;font-weight:600}.s{color:#777;font-size:14px}
"""
_SCRIPT = """
const q=document.querySelector("input");
q.addEventListener("input",()=>{const w=q.value.trim().toLowerCase();
for(const c of document.querySelectorAll(".c"))c.hidden=w!==""&&!c.textContent.toLowerCase().includes(w);
for(const d of document.querySelectorAll("details")){if(w!=="")d.open=!!d.querySelector(".c:not([hidden])");}});
"""
# Nothing may come from anywhere else: the page may stand on a stranger's phone.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def render_phone_page(view: View) -> str:
    """Return the page that is read on a phone: how things stand, then every package by urgency, with a search."""
    work = [row for row in view.rows if row.step in WORK]
    sections = [(_urgency_text(name), [row for row in work if row.urgency == name]) for name in _URGENCIES]
    stopped = [row for row in view.rows if row.step == STOP]
    waiting = [row for row in view.rows if row.step == WAIT]
    parts = [
        f"<h1>{_text(tr('Handover of {shop}', shop=view.shop))}</h1>",
        f'<p class="age">{_text(tr("made {time}", time=_clock(view.made_at, view.zone)))}<br>{_text(_age(view))}</p>',
        '<div class="tiles">',
        *(
            f'<div class="tile"><b>{view.steps.get(step, 0)}</b>{_text(step_text(step))}</div>'
            for step in (*WORK, STOP, WAIT, DONE)
            if view.steps.get(step) or step in (PACK, STOP)
        ),
        "</div>",
        f'<input type="search" placeholder="{_text(tr("order, package, tracking number, SKU"))}">',
        *_section(tr("Do not send"), stopped, view, is_open=bool(stopped)),
    ]
    is_first = True
    for title, rows in sections:
        parts += _section(title, rows, view, is_open=is_first and bool(rows))
        is_first = is_first and not rows
    parts += _section(tr("Not yet"), waiting, view, is_open=False)
    return _page(tr("Handover of {shop}", shop=view.shop), "\n".join(parts), _STYLE, _SCRIPT)


def _section(title: str, rows: Sequence[Row], view: View, *, is_open: bool) -> list[str]:
    if not rows:
        return []
    head = f"<details{' open' if is_open else ''}><summary>{_text(title)} ({len(rows)})</summary>"
    return [head, *(_card(row, view) for row in rows), "</details>"]


def _card(row: Row, view: View) -> str:
    kind = "stop" if row.step == STOP else row.urgency if row.step in WORK else ""
    name = row.place if row.place == row.package_id else f"{row.place} · {row.package_id}"
    due = local(row.ship_by, view.zone, is_estimated=row.is_estimated)
    what = step_text(row.step) if row.step in WORK else advice(row.step, row.why)
    facts = [_text(", ".join(row.numbers))]
    if row.tracking_number:
        facts.append(_text(f"{row.carrier} {row.tracking_number}".strip()))
    if row.label:
        facts.append(_text(row.label))
    if row.person:
        facts.append(_text(tr("person {person}", person=row.person)))
    return (
        f'<div class="c {kind}"><p class="t"><span>{_text(name)}</span><span>{_text(due)}</span></p>'
        f"<p>{_text(row.items)}</p><p>{_text(what)}</p>" + f'<p class="s">{"<br>".join(facts)}</p></div>'
    )


_LIST_STYLE = """
body{font:12px/1.3 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;margin:10px}
h1{font-size:16px;margin:0 0 6px}table{border-collapse:collapse;width:100%}
th,td{border:1px solid #999;padding:3px 5px;text-align:left;vertical-align:top;overflow-wrap:break-word}
td:nth-child(4){overflow-wrap:anywhere;min-width:120px}
thead{display:table-header-group}tr{break-inside:avoid}.late{font-weight:700}.b{width:52px}.n{white-space:nowrap}
@media (max-width:600px){thead{display:none}tr{display:block;border:1px solid #999;margin:0 0 8px;padding:4px}td{display:block;border:0}
td.b{width:auto}td.b:before{content:"\\2610 " attr(title)}}
@page{size:landscape;margin:8mm}
"""


def render_list(person: int, rows: Sequence[ListRow], made_at: datetime, zone: tzinfo) -> str:
    """Return one person's list to print, or to read on a phone."""
    heads = ("label", "ship_by", "do", "items", "pieces", "orders", "carrier", "where")
    title = tr("Person {person}: {count} packages", person=person, count=len(rows))
    head = "".join(f"<th>{_text(column_title(name))}</th>" for name in heads)
    boxes_of = (tr("printed"), tr("packed"))
    head += "".join(f'<th class="b">{_text(name)}</th>' for name in boxes_of)
    body = []
    for row in rows:
        number = f'<br><span class="n">{_text(row.tracking_number)}</span>' if row.tracking_number else ""
        name = "" if row.place == row.package_id else f'<br><span class="n">{_text(row.package_id)}</span>'
        cells = (
            f'<b class="n">{_text(row.place)}</b>{name}',
            f'<span class="n {row.urgency}">{_text(row.ship_by)}</span>',
            *(_text(step_text(row.step)), _text(row.items), str(row.pieces)),
            "<br>".join(f'<span class="n">{_text(number)}</span>' for number in row.numbers.split()),
            _text(row.carrier) + number,
            _text(row.label),
        )
        boxes = "".join(f'<td class="b" title="{_text(name)}"></td>' for name in boxes_of)
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + boxes + "</tr>")
    made = tr("made {time}", time=_clock(made_at, zone))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return _page(title, f"<h1>{_text(title)}</h1><p>{_text(made)}</p>{table}", _LIST_STYLE, "")


def _page(title: str, body: str, style: str, script: str) -> str:
    code = f"<script>{script}</script>" if script else ""
    return (
        '<!doctype html>\n<html><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><meta name="robots" content="noindex">'
        f"<title>{_text(title)}</title><style>{style}</style></head>\n<body>\n{body}\n{code}</body></html>\n"
    )


def _text(text: str) -> str:
    return escape(text, quote=True)
