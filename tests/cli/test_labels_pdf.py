"""The printed labels are read back as a scanner at the packing table reads them."""

from __future__ import annotations

import re

import pypdfium2
import pytest
import zxingcpp

DPI = 203
FOUR_BY_SIX_IN = (4.0, 6.0)


@pytest.fixture(scope="module")
def printed(tmp_path_factory, simulated):
    """A shop with one batch of labels: all pages as (size in inches, decoded texts, text layer)."""
    path = tmp_path_factory.mktemp("labels")
    with simulated(path, orders=60, seed=4, carrier="tiktok") as shop:
        shop.allocated()
        shop.run("print-labels")
        document = pypdfium2.PdfDocument(path / "labels.pdf")
        try:
            yield shop, [_read(page) for page in document]
        finally:
            document.close()


def _read(page):
    size = tuple(round(side / 72, 2) for side in page.get_size())
    image = page.render(scale=DPI / 72, grayscale=True).to_pil()
    codes = [code.text for code in zxingcpp.read_barcodes(image)]
    return size, codes, page.get_textpage().get_text_bounded()


def _number(code):
    """Return the tracking number in a label's barcode: USPS prints 420 + ZIP before it (carriers reference, section 6)."""
    digits = re.sub(r"[^0-9A-Z]", "", code)
    usps = re.fullmatch(r"420(?:\d{5}|\d{9})(9\d{21}|9\d{25})", digits)
    return usps[1] if usps else digits


def test_every_page_scans_to_the_number_in_the_database(printed):
    shop, pages = printed
    numbers = dict(
        zip(
            shop.folder.column("SELECT position FROM v_labels WHERE batch_id = 1 ORDER BY position"),
            shop.folder.column("SELECT tracking_number FROM v_labels WHERE batch_id = 1 ORDER BY position"),
            strict=True,
        )
    )
    assert len(numbers) > 20
    assert [{_number(code) for code in codes} for size, codes, text in pages] == [
        {numbers[position]} for position in range(1, len(pages) + 1)
    ]


def test_every_page_is_four_by_six_inches(printed):
    assert {size for size, codes, text in printed[1]} == {FOUR_BY_SIX_IN}


def test_every_page_is_stamped_with_its_position(printed):
    stamps = [re.findall(r"B01-\d{3}", text) for size, codes, text in printed[1]]
    assert stamps == [[f"B01-{number:03d}"] for number in range(1, len(stamps) + 1)]


def test_every_page_is_marked_as_a_specimen(printed):
    assert all("SPECIMEN" in text for size, codes, text in printed[1])


def test_packages_csv_names_position_page_order_and_number_of_every_label(printed):
    shop, pages = printed
    rows = shop.folder.packages()
    assert [(row["position"], row["page"]) for row in rows] == [
        (f"B01-{number:03d}", str(number)) for number in range(1, len(pages) + 1)
    ]
    assert [row["tracking_number"] for row in rows] == [_number(codes[0]) for size, codes, text in pages]
    orders = {entry["tracking_number"]: set(entry["order_ids"]) for entry in shop.ledger()["purchases"]}
    told = [{order_id.removeprefix("tiktok:") for order_id in row["order_id"].split()} for row in rows]
    assert told == [orders[row["tracking_number"]] for row in rows]


def test_packages_csv_tells_sku_and_quantity_of_every_unit(printed):
    shop, _pages = printed
    for row in shop.folder.packages():
        told = {name: int(count) for name, count in (item.split(" x ") for item in row["items"].split("; "))}
        units = shop.query(
            "SELECT sku, count(*) AS pieces FROM units WHERE package_id = ? AND state <> 'cancelled' GROUP BY sku",
            row["package_id"],
        )
        assert told == {unit["sku"]: unit["pieces"] for unit in units}


def test_packing_order_is_deadline_carrier_sku(printed):
    rows = printed[0].folder.packages()
    keys = [(row["ship_by"] or "9999", row["carrier"]) for row in rows]
    assert keys == sorted(keys)


def test_the_batch_keeps_its_own_copy_of_every_paper(printed):
    shop, _pages = printed
    batch = shop.folder.path / shop.folder.value("SELECT directory FROM batches")
    names = {"labels.pdf", "packages.csv", "bags.csv", "pick-list.pdf", "packing-slips.pdf"}
    names |= {f"manifest-{row['carrier']}.csv" for row in shop.folder.packages()}
    assert {path.name for path in batch.iterdir()} == names
    assert all((batch / name).read_bytes() == (shop.folder.path / name).read_bytes() for name in names)


def test_a_reprint_buys_nothing_and_holds_the_same_labels(printed):
    shop, _pages = printed
    chosen = [row["package_id"] for row in shop.folder.packages()][3:5]
    writes = shop.ledger()["writes"]
    shop.run("labels", "reprint", *reversed(chosen))
    document = pypdfium2.PdfDocument(shop.folder.path / "reprint.pdf")
    pages = [_read(page) for page in document]
    document.close()
    numbers = [row["tracking_number"] for row in shop.folder.packages()][3:5]
    assert [_number(codes[0]) for size, codes, text in pages] == numbers
    assert shop.ledger()["writes"] == writes
