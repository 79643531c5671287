"""EasyPost on 127.0.0.1: a second reading of carriers reference, section 4, that imports nothing of ours.

It keeps what it sold, so that a test can compare that with what we hold. Run as a program it serves until it is killed
and writes its ledger to a file after every purchase.
"""

from __future__ import annotations

import argparse
import http.server
import io
import json
import random
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from reportlab.graphics.barcode.code128 import Code128
from reportlab.pdfgen.canvas import Canvas

DOT_PT = 72 / 203
RATES = {
    ("USPS", "GroundAdvantage"): ("4.20", 3),
    ("USPS", "Priority"): ("7.42", 2),
    ("USPS", "Express"): ("34.15", 1),
    ("UPSDAP", "Ground"): ("6.90", 4),
    ("UPSDAP", "2ndDayAir"): ("18.25", 2),
    ("FedExDefault", "FEDEX_GROUND"): ("8.15", None),
}
FAULTS = (
    "drop_before_buy",
    "drop_after_buy",
    "drop_create",
    "error_500_buy",
    "throttle",
    "html_buy",
    "short_file",
    "drop_after_refund",
    "drop_before_form",
    "drop_after_form",
)


def gs1_digit(digits: str) -> str:
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def usps(serial: int) -> str:
    body = f"94001002{serial:013d}"
    return body + gs1_digit(body)


def ups(serial: int) -> str:
    body = f"5R8939{3:02d}{serial:07d}"
    values = [int(sign) if sign.isdigit() else (ord(sign) - 63) % 10 for sign in body]
    return "1Z" + body + str(-sum(value * (1 + place % 2) for place, value in enumerate(values)) % 10)


def fedex(serial: int) -> str:
    body = f"7995{serial:07d}"
    weights = (3, 1, 7) * 4
    return body + str(sum(int(digit) * weight for digit, weight in zip(body, weights, strict=False)) % 11 % 10)


def label_pdf(number: str, zip_code: str, reference: str) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(288, 432))
    canvas.setFont("Helvetica", 11)
    canvas.drawString(20, 380, f"SPECIMEN {reference}")
    payload = f"\xf1420{zip_code[:5]}\xf1{number}" if number.startswith("9") else number
    code = Code128(payload, barWidth=3 * DOT_PT, barHeight=60, quiet=False)
    code.drawOn(canvas, (288 - code.width) / 2, 170)
    canvas.drawCentredString(144, 150, number)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


@dataclass
class Account:
    """What EasyPost knows of one customer."""

    key: str = "EZAKfake"
    balance_minor: int = 10_000_000
    latency_s: float = 0.0
    faults: dict[str, float] = field(default_factory=dict)
    dice: random.Random = field(default_factory=random.Random)
    state_file: Path | None = None
    shipments: dict[str, dict[str, Any]] = field(default_factory=dict)
    purchases: list[dict[str, Any]] = field(default_factory=list)
    refunds: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    script: list[str] = field(default_factory=list)  # faults to commit once each, in order, before any dice
    unknown_addresses: set[str] = field(default_factory=set)  # packages that go to no known place
    forms: list[list[str]] = field(default_factory=list)  # the shipments on each scan form
    scan_forms: list[dict[str, Any]] = field(default_factory=list)  # as EasyPost tells of them
    shows_forms: str = "nowhere"  # what names the form of a shipment: itself (`shipment`), its `batch`, or nothing
    refund_word: str = "submitted"  # what becomes of a refund once somebody asks about it
    lists_purchases: bool = True
    finds_references: bool = True
    form_is_slow: bool = False  # made, but without an address until somebody asks again
    lock: threading.RLock = field(default_factory=threading.RLock)

    def strikes(self, fault: str) -> bool:
        with self.lock:
            if self.script and self.script[0] == fault:
                self.script.pop(0)
                return True
            return self.dice.random() < self.faults.get(fault, 0.0)

    def count(self, endpoint: str) -> None:
        with self.lock:
            self.calls[endpoint] = self.calls.get(endpoint, 0) + 1

    def save(self) -> None:
        if self.state_file is None:
            return
        with self.lock:
            fresh = self.state_file.with_suffix(".new")
            fresh.write_text(
                json.dumps(
                    {
                        "purchases": self.purchases,
                        "refunds": self.refunds,
                        "violations": self.violations,
                        "calls": self.calls,
                        "forms": self.forms,
                    }
                )
            )
            fresh.replace(self.state_file)


class Refused(Exception):
    def __init__(self, status: int, code: str, message: object, errors: object = ()) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.errors = status, code, message, errors


class Dropped(Exception):
    """The connection closes without an answer."""


class EasyPostFake(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, account: Account, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.account = account
        self.api_url = f"http://127.0.0.1:{self.server_address[1]}/v2"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: EasyPostFake

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        account = self.server.account
        if account.latency_s:
            time.sleep(account.latency_s)
        path = self.path.partition("?")[0]
        try:
            if path.startswith("/files/form-"):
                account.count("form_file")
                number = path.removeprefix("/files/form-").removesuffix(".pdf")
                return self._answer(
                    200, "application/pdf", label_pdf(f"9275{int(number):018d}", "90277", f"FORM {number}")
                )
            if path.startswith("/files/"):
                return self._answer(200, "application/pdf", self._file(path))
            if self.headers.get("Authorization") != f"Bearer {account.key}":
                raise Refused(401, "APIKEY.INACTIVE", "This api key is no longer active.")
            if account.strikes("throttle"):
                account.count("throttled")
                self.send_response_only(429)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
            status, found = self._route(path.removeprefix("/v2"), json.loads(body) if body else {})
            return self._answer(status, "application/json", json.dumps(found).encode())
        except Refused as refusal:
            error = {"code": refusal.code, "message": refusal.message, "errors": refusal.errors}
            return self._answer(refusal.status, "application/json", json.dumps({"error": error}).encode())
        except Dropped:
            self.close_connection = True
            return None

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("x-ep-request-uuid", "fake-request")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, path: str) -> bytes:
        account = self.server.account
        account.count("file")
        shipment = account.shipments[path.rpartition("/")[2].removesuffix(".pdf")]
        data = label_pdf(shipment["tracking_code"], shipment["to_address"]["zip"], shipment["reference"])
        return data[: len(data) // 2] if account.strikes("short_file") else data

    def _route(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.command == "POST" and path == "/shipments":
            return 201, self._create(body.get("shipment") or {})
        if self.command == "GET" and path == "/shipments":
            return 200, self._list(parse_qs(urlsplit(self.path).query))
        if self.command == "POST" and path == "/scan_forms":
            return 201, self._scan_form(body["scan_form"]["shipment"])
        batch = re.fullmatch(r"/batches/batch_(\d+)", path)
        if self.command == "GET" and batch is not None:
            self.server.account.count("batch")
            return 200, {"id": f"batch_{batch[1]}", "scan_form": self.server.account.scan_forms[int(batch[1]) - 1]}
        if self.command == "GET" and path.startswith("/shipments/te-") and self.server.account.finds_references:
            self.server.account.count("find")
            for shipment in reversed(list(self.server.account.shipments.values())):
                if shipment["reference"] == unquote(path.removeprefix("/shipments/")) and shipment["tracking_code"]:
                    return 200, shipment
        parts = re.fullmatch(r"/shipments/(shp_\w+)(?:/(\w+))?", path)
        if parts is None or parts[1] not in self.server.account.shipments:
            raise Refused(404, "NOT_FOUND", "The requested resource could not be found.")
        shipment, act = self.server.account.shipments[parts[1]], parts[2]
        if self.command == "GET" and act is None:
            self.server.account.count("read")
            if shipment["refund_status"] == "submitted":
                shipment["refund_status"] = self.server.account.refund_word
            for form in self.server.account.scan_forms:  # whoever asks again gets the address
                form["form_url"] = form["form_url"] or self._form_url(form)
            return 200, shipment
        if self.command == "POST" and act == "buy":
            return 200, self._buy(shipment, body)
        if self.command == "POST" and act == "refund":
            return 200, self._refund(shipment)
        raise Refused(404, "NOT_FOUND", "The requested resource could not be found.")

    def _list(self, query: dict[str, list[str]]) -> dict[str, Any]:
        account = self.server.account
        account.count("list")
        if not account.lists_purchases:
            return {"shipments": [], "has_more": False}
        with account.lock:
            found = list(reversed(account.shipments.values()))
        if query.get("purchased") == ["true"]:
            found = [shipment for shipment in found if shipment["tracking_code"]]
        if "start_datetime" in query:
            found = [shipment for shipment in found if shipment["created_at"] >= query["start_datetime"][0]]
        if "before_id" in query:
            ids = [shipment["id"] for shipment in found]
            found = found[ids.index(query["before_id"][0]) + 1 :]
        size = min(100, int(query.get("page_size", ["20"])[0]))
        return {"shipments": found[:size], "has_more": len(found) > size}

    def _create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        account = self.server.account
        account.count("create")
        to, sender, parcel = wanted.get("to_address"), wanted.get("from_address"), wanted.get("parcel")
        missing = [name for name in ("to_address", "from_address", "parcel") if not wanted.get(name)]
        if missing:
            errors = [{"field": name, "message": "cannot be blank"} for name in missing]
            raise Refused(422, "PARAMETER.REQUIRED", "Missing required parameter.", errors)
        if not isinstance(parcel.get("weight"), int | float) or parcel["weight"] <= 0:
            raise Refused(422, "PARCEL.INVALID", "weight must be a number", ["weight is no number of ounces"])
        for address in (to, sender):
            if len(address.get("country", "")) != 2:
                account.violations.append(f"country {address.get('country')}")
            if not all(text.isascii() for text in address.values()):
                account.violations.append("letters that no carrier prints")
        if (
            to["street1"].startswith("NOWHERE")
            or wanted.get("options", {}).get("invoice_number") in account.unknown_addresses
        ):
            raise Refused(
                422,
                "ADDRESS.VERIFY.FAILURE",
                "Unable to verify address.",
                [{"field": "address", "message": "Address not found"}],
            )
        if wanted.get("options", {}).get("label_format") != "PDF":
            account.violations.append("label that is no PDF")
        with account.lock:
            shipment_id = f"shp_{len(account.shipments) + 1:032x}"
            rates = [
                {
                    "id": f"rate_{shipment_id[4:]}{number}",
                    "carrier": carrier,
                    "service": service,
                    "rate": rate,
                    "currency": "USD",
                    "delivery_days": days,
                    "est_delivery_days": days,
                    "shipment_id": shipment_id,
                }
                for number, ((carrier, service), (rate, days)) in enumerate(RATES.items())
            ]
            account.shipments[shipment_id] = {
                "id": shipment_id,
                "object": "Shipment",
                "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "mode": "test" if account.key.startswith("EZTK") else "production",
                "reference": wanted.get("reference"),
                "to_address": to,
                "from_address": sender,
                "batch_id": None,
                "scan_form": None,
                "parcel": parcel,
                "options": wanted.get("options", {}),
                "insurance": None,
                "rates": rates,
                "messages": [],
                "tracking_code": None,
                "postage_label": None,
                "selected_rate": None,
                "refund_status": None,
            }
        if account.strikes("drop_create"):
            raise Dropped
        return account.shipments[shipment_id]

    def _buy(self, shipment: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        account = self.server.account
        account.count("buy")
        if account.strikes("drop_before_buy"):
            raise Dropped
        if account.strikes("error_500_buy"):
            raise Refused(500, "INTERNAL_SERVER_ERROR", "We're sorry, something went wrong.")
        with account.lock:
            if shipment["tracking_code"]:
                account.calls["again"] = account.calls.get("again", 0) + 1
                raise Refused(422, "SHIPMENT.POSTAGE.EXISTS", "Postage already exists for this shipment.")
            rate = next((rate for rate in shipment["rates"] if rate["id"] == body.get("rate", {}).get("id")), None)
            if rate is None:
                raise Refused(422, "SHIPMENT.POSTAGE.FAILURE", "rate not found")
            cost = int(rate["rate"].replace(".", ""))
            if cost > account.balance_minor:
                raise Refused(402, "PAYMENT_REQUIRED", "Insufficient funds.")
            account.balance_minor -= cost
            serial = len(account.purchases) + 1
            make = {"USPS": usps, "UPSDAP": ups, "FedExDefault": fedex}[rate["carrier"]]
            shipment["tracking_code"] = make(serial)
            shipment["selected_rate"] = rate
            shipment["insurance"] = body.get("insurance")
            host = self.headers["Host"]
            shipment["postage_label"] = {
                "label_url": f"http://{host}/files/{shipment['id']}.pdf",
                "label_pdf_url": f"http://{host}/files/{shipment['id']}.pdf",
                "label_file_type": "application/pdf",
                "label_size": "4x6",
            }
            account.purchases.append(
                {
                    "shipment_id": shipment["id"],
                    "reference": shipment["reference"],
                    "package_id": shipment["options"].get("invoice_number"),
                    "tracking_number": shipment["tracking_code"],
                    "cost_minor": cost,
                    "carrier": rate["carrier"],
                    "service": rate["service"],
                    "ounces": shipment["parcel"]["weight"],
                }
            )
        account.save()
        if account.strikes("drop_after_buy"):
            raise Dropped
        if account.strikes("html_buy"):
            raise Refused(502, "", {"weird": True})
        return shipment

    def _refund(self, shipment: dict[str, Any]) -> dict[str, Any]:
        account = self.server.account
        account.count("refund")
        with account.lock:
            if not shipment["tracking_code"] or shipment["refund_status"]:
                raise Refused(422, "SHIPMENT.REFUND.INVALID", "cannot be refunded")
            shipment["refund_status"] = "submitted"
            account.refunds.append(shipment["id"])
        account.save()
        if account.strikes("drop_after_refund"):
            raise Dropped
        return shipment

    def _scan_form(self, wanted: list[dict[str, Any]]) -> dict[str, Any]:
        account = self.server.account
        account.count("scan_form")
        if account.strikes("drop_before_form"):
            raise Dropped
        with account.lock:
            ids = [entry["id"] for entry in wanted]
            shipments = [account.shipments[shipment_id] for shipment_id in ids]
            if {shipment["selected_rate"]["carrier"] for shipment in shipments} != {"USPS"}:
                raise Refused(422, "SCAN_FORM.INVALID", "These shipments cannot be on a scan form.")
            if len({json.dumps(shipment["from_address"], sort_keys=True) for shipment in shipments}) != 1:
                raise Refused(422, "SCAN_FORM.INVALID", "One sender a scan form.")
            if any(shipment["refund_status"] for shipment in shipments):
                account.violations.append("a form with a refunded label")
            if any(shipment_id in form for form in account.forms for shipment_id in ids):
                account.violations.append("a label on two forms")
            account.forms.append(ids)
            form = {
                "id": f"sf_{len(account.forms)}",
                "object": "ScanForm",
                "status": "creating" if account.form_is_slow else "created",
                "message": None,
                "tracking_codes": [shipment["tracking_code"] for shipment in shipments],
                "batch_id": f"batch_{len(account.forms)}",
                "form_url": None,
            }
            form["form_url"] = None if account.form_is_slow else self._form_url(form)
            account.scan_forms.append(form)
            for shipment in shipments:
                if account.shows_forms == "shipment":
                    shipment["scan_form"] = form
                elif account.shows_forms == "batch":
                    shipment["batch_id"] = form["batch_id"]
        account.save()
        if account.strikes("drop_after_form"):
            raise Dropped
        return dict(form)

    def _form_url(self, form: dict[str, Any]) -> str:
        return f"http://{self.headers['Host']}/files/form-{form['id'].removeprefix('sf_')}.pdf"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--latency-ms", type=int, default=0)
    parser.add_argument("--key", default="EZAKfake")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--balance", type=int, default=10_000_000)
    parser.add_argument("--faults", default="")
    told = parser.parse_args()
    faults = {name: float(share) for name, share in (entry.split(":") for entry in told.faults.split(",") if entry)}
    account = Account(
        key=told.key,
        balance_minor=told.balance,
        latency_s=told.latency_ms / 1000,
        faults=faults,
        dice=random.Random(told.seed),
        state_file=told.state,
    )
    account.save()
    server = EasyPostFake(account)
    fresh = told.ready_file.with_suffix(".new")
    fresh.write_text(json.dumps({"api_url": server.api_url, "key": told.key}))
    fresh.replace(told.ready_file)
    server.serve_forever()


if __name__ == "__main__":
    main()
