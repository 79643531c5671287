"""One answer that cannot be used is one package's case: the rest of the run goes on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.carriers.easypost_fake import Account, EasyPostFake, Handler
from tiktok_erp.simulator import files

BAD_ADDRESSES = (
    "http://169.254.169.254/latest/meta-data",
    "https://169.254.169.254/label.pdf",
    "https://10.0.0.5/label.pdf",
    "https://[fe80::1]/label.pdf",
    "https://user:secret@labels.example.com/label.pdf",
    "https://printer.local/label.pdf",
    "https://0x7f000001/label.pdf",
    "http://labels.example.com/label.pdf",
    "file:///etc/passwd",
    "ftp://labels.example.com/label.pdf",
    "javascript:alert(1)",
    "https://",
    "http://[::1",
    "no address at all",
)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "file:///etc/passwd"])
def test_one_bad_document_address_of_the_channel_is_one_case(
    open_shop: Any, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    made = files.shipping_document
    bad: list[str] = []

    def once(shop: Any, call: Any, key: bytes) -> Any:
        answer = made(shop, call, key)
        package = call.params["package_id"]
        bad[:] = bad or [package]
        return {**answer, "doc_url": url} if package in bad else answer

    monkeypatch.setattr(files, "shipping_document", once)
    shop = open_shop(orders=20, seed=5, carrier="tiktok")
    shop.allocated()
    ended = shop.call("print-labels", "--json", expect=3)
    (failed,) = ended.of("package", result="failed")
    assert failed["cause"] == "label_url"
    assert failed["next_step"]
    assert shop.shipped() == shop.due()
    assert ended.summary["bought"] == ended.summary["printed"] > 5
    monkeypatch.setattr(files, "shipping_document", made)
    shop.call("print-labels", "--quiet")
    assert shop.folder.column("SELECT DISTINCT state FROM labels") == ["bought"]
    assert shop.folder.column("SELECT cause FROM v_quarantine") == []
    assert shop.disagreements() == []


class SpoiltHandler(Handler):
    """EasyPost, whose answers about some parcels are spoilt, each in its own way."""

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        found = json.loads(body) if kind == "application/json" else None
        reference = (found.get("options") or {}).get("invoice_number") if isinstance(found, dict) else None
        spoil = self.server.spoil_of(reference) if reference else None  # type: ignore[attr-defined]
        if spoil is not None:
            spoilt = spoil(found)
            body = spoilt if isinstance(spoilt, bytes) else json.dumps(found if spoilt is None else spoilt).encode()
        super()._answer(status, kind, body)


class Spoilt(EasyPostFake):
    """Every second parcel that it is told of is the victim of another spoiler."""

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.RequestHandlerClass = SpoiltHandler
        self.seen: list[str] = []
        self.victims: dict[str, str] = {}
        self.lock = threading.Lock()

    def spoil_of(self, reference: str) -> Callable[[dict[str, Any]], object] | None:
        with self.lock:
            if reference not in self.seen:
                self.seen.append(reference)
                if len(self.seen) % 2 and len(self.victims) < len(SPOILT):
                    self.victims[reference] = list(SPOILT)[len(self.victims)]
            name = self.victims.get(reference)
        return SPOILT[name] if name is not None else None


def _rates(**values: Any) -> Callable[[dict[str, Any]], object]:
    def spoil(shipment: dict[str, Any]) -> object:
        for rate in shipment["rates"]:
            rate.update(values)
        return None

    return spoil


def _when_bought(**values: Any) -> Callable[[dict[str, Any]], object]:
    def spoil(shipment: dict[str, Any]) -> object:
        if shipment["tracking_code"]:
            shipment.update(values)
        return None

    return spoil


SPOILT: dict[str, Callable[[dict[str, Any]], object]] = {
    "negative price": _rates(rate="-4.20"),
    "price that is no text": _rates(rate={"a": 1}),
    "huge price": _rates(rate="9" * 40),
    "price without a currency": _rates(currency=None),
    "huge number of days": _rates(delivery_days=10**30),
    "service that is no text": _rates(service=["x"], carrier={"y": 2}),
    "half a character": _rates(service="\ud800", carrier="\udfff"),
    "rates that are no list": lambda shipment: {**shipment, "rates": "none"},
    "no id": lambda shipment: {**shipment, "id": None},
    "no JSON": lambda shipment: b"<html>oops</html>",
    "a list": lambda shipment: [1, 2],
    "nested without end": lambda shipment: b"[" * 200_000,
    "number that is no text": _when_bought(tracking_code={"x": "\ud800"}),
    "no number": _when_bought(tracking_code=None),
    "no paper": _when_bought(postage_label=None),
    "paper that is no object": _when_bought(postage_label=[1]),
    "refund that is no text": _when_bought(selected_rate=7, mode=3),
    "address that is no object": _when_bought(to_address="here"),
}
SPOILT |= {f"address {url}": _when_bought(postage_label={"label_pdf_url": url}) for url in BAD_ADDRESSES}


def test_one_bad_answer_of_the_label_source_is_one_case(open_shop: Any) -> None:
    server = Spoilt(Account(key="EZTKfake"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        shop = open_shop(orders=100, seed=4, carrier="seller")
        rules = shop.folder.rules.read_text("utf-8")
        rules = rules.replace("seller_shipping: file", "seller_shipping: easypost")
        shop.folder.rules.write_text(rules, "utf-8")
        shop.folder.environment |= {"EASYPOST_API_URL": server.api_url, "EASYPOST_API_KEY": "EZTKfake"}
        shop.allocated()
        wanted = len(shop.call("print-labels", "--plan", "--json").of("package", result="planned"))
        assert wanted > 2 * len(SPOILT)
        first = shop.call("print-labels", "--json", expect=3)
        failed = {line["package_id"] for line in first.of("package", result="failed")}
        assert failed
        assert failed <= server.victims.keys()
        shop.call("print-labels", "--quiet", expect=(0, 3))
        printed = set(
            shop.folder.column("SELECT package_id FROM labels WHERE state = 'bought' AND printed_at IS NOT NULL")
        )
        assert set(server.seen) - printed <= server.victims.keys()
        assert len(server.seen) == wanted
        sold = [sale["reference"] for sale in server.account.purchases]
        assert len(sold) == len(set(sold))
        shop.call("upload-tracking", "--quiet", expect=(0, 3))
        shop.call("check", "--quiet")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
