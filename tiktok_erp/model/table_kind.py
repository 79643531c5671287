"""Which file this is: by its first bytes, by the parts of an archive, by the headers of a table. Pure.

A file given to the wrong command is called by its name, with the command that it is for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tiktok_erp.messages import deferred, tr

_SAVE_AS_TABLE = deferred("open it in a spreadsheet program and save it as XLSX, or as CSV UTF-8")
_GIVE_TABLE = deferred("give the path of a CSV or XLSX file")
_LABELS = deferred("a PDF of labels is for `tiktok-erp print-labels --from FILE`; here give a CSV or XLSX file")

# First bytes, what the file is, what to do. PNG to HEIC are pictures.
_BY_FIRST_BYTES = (
    (b"%PDF-", deferred("this is a PDF, not a table"), _LABELS),
    (b"\x89PNG", deferred("this is a picture, not a table"), _GIVE_TABLE),
    (b"\xff\xd8\xff", deferred("this is a picture, not a table"), _GIVE_TABLE),
    (b"GIF8", deferred("this is a picture, not a table"), _GIVE_TABLE),
    (b"II*\0", deferred("this is a picture, not a table"), _GIVE_TABLE),
    (b"MM\0*", deferred("this is a picture, not a table"), _GIVE_TABLE),
    (
        b"SQLite format 3\0",
        deferred("this is a database, not a table"),
        deferred("name it with --db in front of the command"),
    ),
    (b"{\\rtf", deferred("this is a text document (RTF), not a table"), _GIVE_TABLE),
    (b"\x1f\x8b", deferred("this is a packed file (GZIP)"), deferred("unpack it and give the table inside")),
    (b"7z\xbc\xaf", deferred("this is a packed file (7z)"), deferred("unpack it and give the table inside")),
    (b"Rar!", deferred("this is a packed file (RAR)"), deferred("unpack it and give the table inside")),
    (b"PK\x05\x06", deferred("this is an empty ZIP archive"), _GIVE_TABLE),
)
_OFFICE_FILE = b"\xd0\xcf\x11\xe0"  # .xls, and any Office file with a password
_OPEN_DOCUMENT = b"application/vnd.oasis.opendocument"
_JSON = re.compile(rb'[\[{]\s*["\[{\]}]')


def name_first_bytes(start: bytes, suffix: str) -> tuple[str, str] | None:
    """Return (what the file is, what to do) when `start`, its first bytes, are those of no table; else None."""
    for magic, what, step in _BY_FIRST_BYTES:
        if start.startswith(magic):
            return tr(what), tr(step)
    if start[4:12] in (b"ftypheic", b"ftypmif1", b"ftypavif") or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        return tr("this is a picture, not a table"), tr(_GIVE_TABLE)
    if start.startswith(_OFFICE_FILE):
        return (
            tr("this is an old .xls file, or one with a password"),
            tr("save it as XLSX without a password, or as CSV"),
        )
    return _name_text(start.removeprefix(b"\xef\xbb\xbf").lstrip()[:4000], suffix)


def _name_text(plain: bytes, suffix: str) -> tuple[str, str] | None:
    lower = plain.lower()
    if lower.startswith(b"<?xml") and b"urn:schemas-microsoft-com:office:spreadsheet" in lower:
        return tr("this is a spreadsheet in XML (of Excel 2003)"), tr(_SAVE_AS_TABLE)
    if lower.startswith(b"<?xml") and b"opendocument" in lower:
        return tr("this is a spreadsheet in OpenDocument's format"), tr(_SAVE_AS_TABLE)
    if lower.startswith((b"<!doctype", b"<html", b"<table", b"<meta", b"<head", b"<style")):
        # Programs that "export to Excel" often write a page with a table in it and call it .xls.
        if b"office:excel" in lower or suffix.casefold() in (".xls", ".xlsx") or lower.startswith(b"<table"):
            return tr("this is a web page with a table in it, not a spreadsheet"), tr(_SAVE_AS_TABLE)
        return tr("this is a web page, not a table"), tr("sign in and download the file again")
    if lower.startswith(b"<?xml"):
        return tr("this is XML, not a table"), tr(_GIVE_TABLE)
    if _JSON.match(plain):
        return tr("this is JSON, not a table"), tr(_GIVE_TABLE)
    return None


def name_archive(names: Collection[str], mimetype: bytes) -> tuple[str, str] | None:
    """Return (what it is, what to do) of a ZIP archive that holds no workbook of Excel's; None for one that does.

    `mimetype` is the content of the member of that name, empty where there is none.
    """
    if mimetype.startswith(_OPEN_DOCUMENT):
        return tr("this is a spreadsheet in OpenDocument's format (.ods)"), tr(_SAVE_AS_TABLE)
    if any(name.endswith("xl/workbook.bin") for name in names):
        return tr("this is a binary workbook (.xlsb)"), tr(_SAVE_AS_TABLE)
    if any((name.startswith("Index/") and name.endswith(".iwa")) or name == "Index.zip" for name in names):
        return tr("this is a file of Apple Numbers"), tr("export it from Numbers as Excel (XLSX), or as CSV")
    if any(name.startswith(("word/", "ppt/")) for name in names):
        return tr("this is a text document or a presentation, not a table"), tr(_GIVE_TABLE)
    if "[Content_Types].xml" in names or any(name.startswith("_rels/") for name in names):
        return None
    return tr("this is a ZIP archive, not a whole XLSX workbook"), tr("unpack it and give the table inside")


@dataclass(frozen=True, slots=True)
class TableKind:
    """A table that this tool, Seller Center or a person makes. `headers` as `plain_header` gives them, all of them there.

    `without`: headers that make it something else.
    """

    name: str
    what: str
    command: str
    headers: tuple[frozenset[str], ...]
    without: frozenset[str] = frozenset()


_SKU = frozenset({"sku", "seller sku"})
_ORDER = frozenset({"order id", "注文id"})
_EXPORT = frozenset({"order status", "order substatus", "注文状況"})
# The first that fits; one header of each set must be there. A `*` at a name's end stands for any further text.
_KINDS = (
    TableKind(
        "kit_list",
        deferred("this is the list of a kit"),
        deferred("the command for it is `tiktok-erp resume FOLDER`"),
        (frozenset({"package id*"}), frozenset({"packed*"})),
    ),
    TableKind(
        "order_export",
        deferred("this is an order export of Seller Center"),
        deferred("the command for it is `tiktok-erp sync --from FILE`"),
        (_ORDER, frozenset({"order status", "注文状況"}), frozenset({"sku id", "seller sku"})),
    ),
    TableKind(
        "settlements",
        deferred("this is a statement of settlements, not a list of orders"),
        deferred("nothing here reads it yet; give the file that the command asks for"),
        (frozenset({"total settlement amount", "order income", "total revenue"}),),
    ),
    TableKind(
        "packages",
        deferred("this is packages.csv, which `print-labels` writes for a warehouse's own program"),
        deferred("nothing reads it back; give the file that the command asks for"),
        (frozenset({"position"}), frozenset({"page"}), frozenset({"tracking number", "tracking"})),
    ),
    TableKind(
        "to_buy",
        deferred("this is a kit's list of labels to buy elsewhere"),
        deferred("write the numbers into list.xlsx of the kit; the command for that is `tiktok-erp resume FOLDER`"),
        (frozenset({"package id"}), frozenset({"orders"}), frozenset({"service level"}), frozenset({"street1"})),
    ),
    TableKind(
        "tracking_template",
        deferred("this is Seller Center's template for tracking numbers"),
        deferred("`tiktok-erp upload-tracking --to FILE` fills it, `upload-tracking --from FILE` takes it back"),
        (
            _ORDER,
            frozenset({"tracking id"}),
            frozenset({"shipping provider name"}),
            frozenset({"auto combine group id"}),
        ),
    ),
    TableKind(
        "split_orders",
        deferred("this is the list of split orders that `upload-tracking --to` wrote"),
        deferred("the command for it is `tiktok-erp upload-tracking --from FILE`"),
        (_ORDER, frozenset({"package"}), frozenset({"items"}), frozenset({"tracking id"})),
    ),
    TableKind(
        "tracking_list",
        deferred("this is a list of tracking numbers"),
        deferred("the command for it is `tiktok-erp print-labels --from FILE`"),
        (
            frozenset({"order id", "package id"}),
            frozenset({"tracking number", "tracking id"}),
            frozenset({"carrier", "shipping provider name", "shipping provider"}),
        ),
        without=_EXPORT,
    ),
    TableKind(
        "stock_template",
        deferred("this is Seller Center's template for stock"),
        deferred("`tiktok-erp reserve-stock --to FILE` fills it; `stock import FILE` reads counts of a SKU sheet"),
        (frozenset({"seller sku"}), frozenset({"quantity in *", "total quantity in *"})),
    ),
    TableKind(
        "sku_sheet",
        deferred("this is a SKU sheet"),
        deferred("the command for it is `tiktok-erp stock import FILE`"),
        (_SKU, frozenset({"quantity", "qty", "on hand", "stock", "库存", "数量", "weight g", "cost"})),
        without=_ORDER | _EXPORT | {"tracking number"},
    ),
)


def name_table(headers: Iterable[str]) -> TableKind | None:
    """Return which table has these headers, as `plain_header` gives them; None for one that is not known."""
    cells = {header.rstrip("* ") for header in headers if header}
    return next(
        (kind for kind in _KINDS if not cells & kind.without and all(_has_one(cells, names) for names in kind.headers)),
        None,
    )


def _has_one(cells: Collection[str], names: Collection[str]) -> bool:
    starts = tuple(name[:-1] for name in names if name.endswith("*"))
    return any(cell in names or (starts and cell.startswith(starts)) for cell in cells)
