"""Order exports of 200,000 rows: seconds and peak memory of the whole process, CSV and XLSX. Everything is invented."""

from __future__ import annotations

import csv
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

Row = tuple[str, str, str, str]
ROWS = 200_000

_HEADER_LINE = (
    "Order ID,Order Status,Order Substatus,Cancelation/Return Type,Normal or Pre-order,SKU ID,Seller SKU,Product ID,"
    "Product Name,Variation, Virtual Bundle Seller SKU,Quantity,Sku Quantity of return,SKU Unit Original Price,"
    "SKU Subtotal Before Discount,SKU Platform Discount,SKU Seller Discount,SKU Subtotal After Discount,"
    "Shipping Fee After Discount,Original Shipping Fee,Shipping Fee Seller Discount,Co-Funded Shipping Fee Discount,"
    "Shipping Fee Platform Discount,Payment platform discount,Retail Delivery Fee,Taxes,Order Amount,"
    "Order Refund Amount,Created Time,Paid Time,RTS Time,Shipped Time,Delivered Time,Cancelled Time,Cancel By,"
    "Cancel Reason,Fulfillment Type,Warehouse Name,Tracking ID,Delivery Option Type,Delivery Option,"
    "Shipping Provider Name,Buyer Message,Buyer Nickname,Buyer Username,Recipient,Phone #,Country,State,City,Zipcode,"
    "Address Line 1,Address Line 2,Delivery Instruction,Payment Method,Weight(kg),Product Category,Package ID,"
    "Seller Note,Shipping Information,Combined Listing,Order Channel,Creator Handle"
)
HEADERS = next(csv.reader([_HEADER_LINE]))
_WITH_TAB = frozenset(
    index
    for index, name in enumerate(HEADERS)
    if name.endswith(" Time") or name in ("Order ID", "SKU ID", "Product ID", "Package ID", "Zipcode")
)
_NEWEST = datetime(2026, 11, 21, 18, 42, 11)
# Status, substatus, and how many of RTS, shipped and delivered have a time.
_STAGES = (
    ("To ship", "Awaiting shipment", 0),
    ("To ship", "Awaiting collection", 1),
    ("Shipped", "In transit", 2),
    ("Shipped", "Delivered", 3),
    ("Completed", "Completed", 3),
    ("Canceled", "Canceled", 0),
)
_PRODUCTS = (
    ("1729592969712207013", "LIP-ROSE-01", "1729592969712207008", "Velvet Matte Lip Tint", "Rosewood", 899, "0.04"),
    ("1729592969712211377", "SER-VITC-30", "1729592969712211371", "Vitamin C Serum 30 ml", "30 ml", 1850, "0.11"),
    ("1729592969712218843", "BRS-SET-12", "1729592969712218836", "Makeup Brush Set, 12 pieces", "Gold", 3200, "0.38"),
    ("1729592969712223191", "GUA-JADE", "1729592969712223184", "Jade Gua Sha Stone", "Default", 650, "0.09"),
    ("1729592969712214659", "MSK-CLAY-5", "1729592969712214652", "Pink Clay Mask, pack of 5", "Default", 1400, "0.26"),
)
_PLACES = (
    ("Texas", "Austin", "78704"),
    ("California", "Pasadena", "91101"),
    ("New York", "Brooklyn", "11215"),
    ("Massachusetts", "Cambridge", "02139"),
)
_FIRST_NAMES = ("Hattie", "Rosalind", "Orson", "Tamsin", "Beatrix", "Casimir")
_LAST_NAMES = ("Brambleworth", "Quillfeather", "Ashgrove", "Thistlewood", "Larkspur")


def export_rows(count: int, *, seed: int = 3) -> Iterator[list[str]]:
    """Yield `count` rows as Seller Center writes them: newest order first, 1 to 4 rows an order, tabs in."""
    dice = random.Random(seed)
    written = number = 0
    while written < count:
        number += 1
        rows = min(dice.choice((1, 1, 1, 2, 2, 3, 4)), count - written)
        written += rows
        yield from _order(number, rows, dice)


def _order(number: int, rows: int, dice: random.Random) -> Iterator[list[str]]:
    placed = _NEWEST - timedelta(seconds=17 * number)
    times = [placed + timedelta(seconds=20), *(placed + timedelta(hours=hours) for hours in (9, 22, 70))]
    status, substatus, told = dice.choice(_STAGES)
    state, city, zip_code = dice.choice(_PLACES)
    products = dice.sample(_PRODUCTS, rows)
    quantities = [dice.choice((1, 1, 1, 2)) for product in products]
    subtotal = sum(product[5] * quantity for product, quantity in zip(products, quantities, strict=True))
    tax = subtotal * 8 // 100
    tracking = f"94001112062064{dice.randrange(10**8):08d}" if told else ""
    user = f"{dice.choice(_FIRST_NAMES).lower()}{dice.randrange(10**6)}"
    order = {
        "Order ID": str(576461413038785752 - 2635 * number),
        "Order Status": status,
        "Order Substatus": substatus,
        "Normal or Pre-order": "Normal",
        "Shipping Fee After Discount": "0",
        "Original Shipping Fee": "4.99",
        "Shipping Fee Seller Discount": "0",
        "Co-Funded Shipping Fee Discount": "0",
        "Shipping Fee Platform Discount": "4.99",
        "Payment platform discount": "0",
        "Retail Delivery Fee": "0",
        "Taxes": _plain(tax),
        "Order Amount": _plain(subtotal + tax),
        "Order Refund Amount": "0",
        "Created Time": _clock(placed),
        "Paid Time": _clock(times[0]),
        **dict(zip(("RTS Time", "Shipped Time", "Delivered Time"), map(_clock, times[1 : 1 + told]), strict=False)),
        "Fulfillment Type": "Fulfilled by seller",
        "Warehouse Name": "Ontario Warehouse",
        "Tracking ID": tracking,
        "Delivery Option Type": "TikTok Shipping",
        "Delivery Option": "Standard shipping",
        "Shipping Provider Name": "USPS" if tracking else "",
        "Buyer Message": f"please wrap number {number} well, thank you" if number % 7 == 0 else "",
        "Buyer Nickname": user[:6],
        "Buyer Username": user,
        "Recipient": f"{dice.choice(_FIRST_NAMES)} {dice.choice(_LAST_NAMES)}",
        "Phone #": f"(+1)512555{dice.randrange(10**4):04d}",
        "Country": "United States",
        "State": state,
        "City": city,
        "Zipcode": zip_code,
        "Address Line 1": f"{dice.randrange(1, 9999)} Pretend Place",
        "Address Line 2": f"Unit {dice.randrange(1, 99)}" if number % 3 == 0 else "",
        "Payment Method": "Credit card",
        "Package ID": str(1153132168123859123 + number) if tracking else "",
        "Order Channel": "LIVE",
        "Creator Handle": "glowwithkira",
    }
    if status == "Canceled":
        order |= {
            "Cancelation/Return Type": "Cancel",
            "Cancelled Time": _clock(times[1]),
            "Cancel By": "User",
            "Cancel Reason": "No longer needed",
        }
    for product, quantity in zip(products, quantities, strict=True):
        sku_id, seller_sku, product_id, name, variation, price, weight = product
        row = order | {
            "SKU ID": sku_id,
            "Seller SKU": seller_sku,
            "Product ID": product_id,
            "Product Name": name,
            "Variation": variation,
            "Quantity": str(quantity),
            "Sku Quantity of return": "0",
            "SKU Unit Original Price": _plain(price),
            "SKU Subtotal Before Discount": _plain(price * quantity),
            "SKU Platform Discount": "0",
            "SKU Seller Discount": "0",
            "SKU Subtotal After Discount": _plain(price * quantity),
            "Weight(kg)": weight,
            "Product Category": "Makeup",
        }
        yield [row.get(name, "") + ("\t" if index in _WITH_TAB else "") for index, name in enumerate(HEADERS)]


def _plain(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def _clock(moment: datetime) -> str:
    return f"{moment:%m/%d/%Y} {moment.hour % 12 or 12}:{moment:%M:%S %p}"


def write_csv(path: Path, count: int) -> None:
    """Write an export of `count` rows as CSV with BOM and CRLF."""
    with path.open("w", encoding="utf-8-sig", newline="") as target:
        writer = csv.writer(target, lineterminator="\r\n")
        writer.writerow(HEADERS)
        writer.writerows(export_rows(count))


def write_xlsx(path: Path, count: int, *, shared: bool) -> None:
    """Write an export of `count` rows as XLSX: texts in the shared table (its hardest case) or in the cells."""
    strings: dict[str, int] = {}
    columns = [_column_name(index) for index in range(len(HEADERS))]

    def cell(column: str, line: int, text: str) -> str:
        if shared:
            return f'<c r="{column}{line}" t="s"><v>{strings.setdefault(text, len(strings))}</v></c>'
        return f'<c r="{column}{line}" t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'

    def rows() -> Iterator[list[str]]:
        yield list(HEADERS)
        yield ["Platform unique order ID.", "Current order status.", *[""] * (len(HEADERS) - 2)]
        yield from export_rows(count)

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, text in _PARTS.items():
            archive.writestr(name, text)
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            sheet.write(f'{_XML}<worksheet xmlns="{_MAIN}"><dimension ref="A1:A1"/><sheetData>'.encode())
            for line, row in enumerate(rows(), start=1):
                cells = "".join(cell(column, line, text) for column, text in zip(columns, row, strict=True) if text)
                sheet.write(f'<row r="{line}">{cells}</row>'.encode())
            sheet.write(b"</sheetData></worksheet>")
        with archive.open("xl/sharedStrings.xml", "w", force_zip64=True) as table:
            table.write(f'{_XML}<sst xmlns="{_MAIN}" count="{len(strings)}">'.encode())
            for text in strings:
                table.write(f'<si><t xml:space="preserve">{escape(text)}</t></si>'.encode())
            table.write(b"</sst>")


def _column_name(index: int) -> str:
    return (chr(64 + index // 26) if index >= 26 else "") + chr(65 + index % 26)


_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SHEETML = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PARTS = {
    "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEETML}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_SHEETML}.worksheet+xml"/>'
    f'<Override PartName="/xl/sharedStrings.xml" ContentType="{_SHEETML}.sharedStrings+xml"/></Types>',
    "_rels/.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
    '<sheet name="OrderSKUList" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
}


@dataclass(frozen=True, slots=True)
class Spent:
    """What one process took."""

    seconds: float
    peak_mb: float


# A process counts the memory of the one that started it as its own, so a small one stands between.
LAUNCHER = """
import os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(time.perf_counter() - started, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))
"""


def spend(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Spent:
    """Run `tiktok-erp` in `folder` and return what it took, its whole process and nothing else."""
    command = [sys.executable, "-c", LAUNCHER, sys.executable, "-m", "tiktok_erp", *arguments]
    told = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds, peak_mb, code = told.split()
    if code != "0":
        raise RuntimeError(f"tiktok-erp {' '.join(arguments)}: exit code {code}")
    return Spent(float(seconds), float(peak_mb))


def files(folder: Path, rows: int = ROWS) -> list[Row]:
    """Take over an export of `rows` rows into an empty database, and audit it: one table row each."""
    write_csv(folder / "orders.csv", rows)
    write_xlsx(folder / "shared.xlsx", rows, shared=True)
    write_xlsx(folder / "inline.xlsx", rows, shared=False)
    found = []
    for name in ("orders.csv", "inline.xlsx", "shared.xlsx"):
        own = folder / name.replace(".", "-")
        own.mkdir()
        for label, option in (("sync --from", "--from"), ("sync --audit", "--audit")):
            spent = spend(own, "sync", option, str(folder / name))
            found.append(
                (
                    f"F {label} {name}, {rows} rows",
                    f"{spent.seconds:.1f} s",
                    f"{spent.peak_mb:.0f} MB at its peak",
                    "< 300 MB",
                )
            )
    return found
