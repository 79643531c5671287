"""EasyPost: labels of USPS, UPS and FedEx through one key. HTTP edge; shapes of carriers reference, section 4."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from tiktok_erp.carriers.base import SOURCES, BoughtLabel, ScanForm, SourcePurchase
from tiktok_erp.checked_json import parse_json
from tiktok_erp.errors import (
    ChannelDown,
    ChannelRefused,
    ChannelThrottled,
    ErpError,
    LabelFileError,
    NotSent,
    OutcomeUnknown,
    SignInError,
)
from tiktok_erp.messages import tr
from tiktok_erp.model.carrier import carrier_code
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.money import Money, parse_amount
from tiktok_erp.model.plain_text import latin
from tiktok_erp.model.secret import Secret
from tiktok_erp.model.shipment import PostalAddress, Quote, Shipment
from tiktok_erp.transport.client import HttpAnswer, HttpClient, require_safe_url, require_told_url
from tiktok_erp.transport.pace import Pace
from tiktok_erp.transport.retry import TOO_LARGE, RetryPolicy, parse_retry_after, with_retries

# EasyPost's service names in our words. Only USPS's are confirmed by recordings (carriers reference, section 4); a name
# that is not here is read letter by letter (`NextDayAirSaver` is `next_day_air_saver`), so that none is taken for another.
_SERVICES: Mapping[tuple[str, str], str] = {
    ("usps", "GroundAdvantage"): "ground_advantage",
    ("usps", "Priority"): "priority_mail",
    ("usps", "Express"): "priority_mail_express",
    ("usps", "MediaMail"): "media_mail",
    ("usps", "LibraryMail"): "library_mail",
    ("ups", "Ground"): "ground",
    ("ups", "UPSGroundsaver"): "ground_saver",
    ("ups", "UPSGroundSaver"): "ground_saver",
    ("ups", "3DaySelect"): "3_day_select",
    ("ups", "2ndDayAir"): "2nd_day_air",
    ("ups", "2ndDayAirAM"): "2nd_day_air_am",
    ("ups", "NextDayAirEarlyAM"): "next_day_air_early",
    ("fedex", "FEDEX_GROUND"): "ground",
    ("fedex", "GROUND_HOME_DELIVERY"): "home_delivery",
    ("fedex", "SMART_POST"): "ground_economy",
    ("fedex", "FEDEX_EXPRESS_SAVER"): "express_saver",
    ("fedex", "FEDEX_2_DAY"): "2day",
    ("fedex", "FEDEX_2_DAY_AM"): "2day_am",
}
# The same carrier under the names of EasyPost's several accounts with it.
_CARRIERS = {
    "UPSDAP": "ups",
    "UPSMailInnovations": "ups_mail_innovations",
    "FedExDefault": "fedex",
    "FedexDefault": "fedex",
}
_GRAMS_AN_OUNCE = 28.349523125
_MM_AN_INCH = 25.4
_TEST_KEY = "EZTK"
_SIGNATURES = {"standard": "SIGNATURE", "adult": "ADULT_SIGNATURE"}
_DOCUMENT_TRIES = 3
_MOST_DAYS = 365  # a longer transit is no estimate
_UNKNOWN_ID = (400, 404, 422)  # how an id that means nothing is refused is not documented
_PAGE = 100  # the most that EasyPost lists at once
_MOST_PAGES = 1000
_RETRIES = RetryPolicy()


class EasyPost:
    """One EasyPost account. Threads may share it. Quote ids are `<shipment id>/<rate id>`."""

    name = "easypost"
    capabilities = SOURCES["easypost"]

    def __init__(
        self,
        api_key: Secret,
        api_url: str,
        http: HttpClient,
        pace: Pace,
        *,
        concurrency: int = 8,
        retries: RetryPolicy = _RETRIES,
    ) -> None:
        self._key = api_key
        self._url = require_safe_url(api_url, "EASYPOST_API_URL")
        self._http = http
        self._pace = pace
        self._retries = retries
        self.concurrency = concurrency
        self.is_test = api_key.reveal().startswith(_TEST_KEY)

    def quotes(self, shipment: Shipment) -> tuple[Quote, ...]:
        """Make a shipment and return its rates, cheapest first. A shipment that is never bought costs nothing."""
        body = {"shipment": _shipment(shipment)}
        answer = self._read("POST", "/shipments", endpoint="create", body=body, subject=shipment.package_id)
        found = read_quotes(answer)
        refusals = [text for text in map(_message, _objects(answer.get("messages"))) if text]
        if not found and refusals:
            raise ChannelRefused(
                tr("no carrier takes this parcel: {reasons}", reasons="; ".join(dict.fromkeys(refusals))),
                subject=shipment.package_id,
                next_step=tr("correct address, weight or size, or choose another carrier in rules.yaml"),
                code=422,
            )
        return found

    def buy(self, quote_id: str, *, subject: str, insurance: Money | None = None) -> BoughtLabel:
        """Buy a rate. Whatever EasyPost refuses is looked up first: a second purchase of one shipment is a success."""
        shipment_id, rate_id = _split(quote_id)
        body: dict[str, Any] = {"rate": {"id": rate_id}}
        if insurance is not None:
            body["insurance"] = str(insurance).partition(" ")[0]
        try:
            answer, request_id = self._write(
                f"/shipments/{shipment_id}/buy", endpoint="buy", body=body, subject=subject
            )
        except ChannelRefused as refusal:
            if refusal.cause == "balance":
                raise
            try:
                bought = self.read(quote_id, subject=subject)
            except ChannelDown as error:
                raise _in_doubt(subject) from error
            if bought is None or bought.refund:  # a label that was given back is no label
                raise
            return bought
        label = read_label(answer, request_id)
        if label is None:
            raise _in_doubt(subject)
        return label

    def read(self, quote_id: str, *, subject: str) -> BoughtLabel | None:
        """Return what is bought of this shipment; None while nothing is."""
        path = f"/shipments/{_split(quote_id)[0]}"
        shipment = self._read("GET", path, endpoint="read", subject=subject)
        label = read_label(shipment)
        if label is None and (shipment.get("postage_label") or shipment.get("selected_rate")):
            raise _in_doubt(subject)  # bought, it seems, and without a number nobody knows as what
        return label

    def purchases(self, since: datetime) -> Iterator[SourcePurchase]:
        """List what was bought of shipments made since then, newest first (EasyPost's guide "Pagination", November 2026).

        That it leaves out what was not bought is not relied on.
        """
        query = {"page_size": str(_PAGE), "purchased": "true", "start_datetime": to_text(since)}
        seen: set[str] = set()
        for _number in range(_MOST_PAGES):
            answer = self._read("GET", "/shipments", endpoint="list", query=query, subject="EASYPOST_API_KEY")
            page = [found for found in _objects(answer.get("shipments")) if _text(found.get("id")) not in seen]
            seen.update(_text(found.get("id")) for found in page)
            made = [at for found in page if (at := _moment(found.get("created_at"))) is not None]
            for found in page:
                purchase = read_purchase(found)
                if purchase is not None:
                    yield purchase
            if not page or not answer.get("has_more", len(page) >= _PAGE) or (made and max(made) < since):
                return
            query = query | {"before_id": _text(page[-1].get("id"))}

    def find(self, reference: str) -> SourcePurchase | None:
        """Ask for a shipment by our reference, which EasyPost takes in the place of its id."""
        try:
            found = self._read("GET", f"/shipments/{quote(reference, safe='')}", endpoint="read", subject=reference)
        except ChannelRefused as refusal:
            if refusal.code not in _UNKNOWN_ID:
                raise
            return None
        purchase = read_purchase(found)
        return purchase if purchase is not None and purchase.reference == reference else None

    def download(self, label: BoughtLabel, *, subject: str) -> bytes:
        """Return the document. One that is not a PDF yet is converted by EasyPost first."""
        url = label.url
        if label.format != "pdf" or not url:
            answer = self._read(
                "GET",
                f"/shipments/{label.shipment_id}/label",
                endpoint="convert",
                query={"file_format": "PDF"},
                subject=subject,
            )
            url = str(_object(answer.get("postage_label")).get("label_pdf_url") or "")
        return self._fetch(url, subject=subject)

    def void(self, quote_id: str, *, subject: str) -> str:
        """Ask for a refund. One that was asked for before is only read, since EasyPost refuses a second wish."""
        bought = self.read(quote_id, subject=subject)
        if bought is not None and bought.refund:
            return bought.refund
        path = f"/shipments/{_split(quote_id)[0]}/refund"
        answer = self._write(path, endpoint="refund", body={}, subject=subject)[0]
        return str(answer.get("refund_status") or "")

    def make_form(self, quote_ids: Sequence[str], *, subject: str) -> ScanForm:
        """Ask for one scan form for these shipments; they must be one carrier's, one day's and one sender's."""
        body = {"scan_form": {"shipment": [{"id": _split(quote_id)[0]} for quote_id in quote_ids]}}
        answer = self._write("/scan_forms", endpoint="scan_form", body=body, subject=subject)[0]
        form = read_form(answer)
        if form is None:
            raise OutcomeUnknown(
                tr("EasyPost did not say whether the scan form was made"),
                subject=subject,
                next_step=tr("run `tiktok-erp labels scan-form` again; it asks what became of it first"),
            )
        return form

    def find_form(self, quote_id: str, *, subject: str) -> ScanForm | None:
        """Return the form that a shipment names, or that the batch names which EasyPost made of a form's shipments."""
        form = None
        try:
            shipment = self._read("GET", f"/shipments/{_split(quote_id)[0]}", endpoint="read", subject=subject)
            form = read_form(_object(shipment.get("scan_form")))
            batch_id = shipment.get("batch_id")
            if (form is None or not form.url) and isinstance(batch_id, str) and batch_id:
                batch = self._read("GET", f"/batches/{batch_id}", endpoint="batch", subject=subject)
                form = read_form(_object(batch.get("scan_form"))) or form
        except ChannelRefused:
            return form  # a shipment or batch that EasyPost does not show says nothing about a form
        return form

    def fetch_form(self, form: ScanForm, *, subject: str) -> bytes:
        """Return a scan form's document."""
        return self._fetch(form.url, subject=subject)

    def check_key(self) -> None:
        """Ask for something small. Raises SignInError when the key is not accepted."""
        self._read("GET", "/shipments", endpoint="list", query={"page_size": "1"}, subject="EASYPOST_API_KEY")

    # Wire

    def _read(
        self,
        method: str,
        path: str,
        *,
        endpoint: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        subject: str,
    ) -> dict[str, Any]:
        """Send what may be repeated: reads, and shipments, which cost nothing until one is bought."""

        def attempt() -> dict[str, Any]:
            return self._send(method, path, endpoint, body, query, is_write=False, subject=subject)[0]

        return with_retries(attempt, lambda error: isinstance(error, ChannelDown), self._retries)

    def _write(self, path: str, *, endpoint: str, body: Mapping[str, Any], subject: str) -> tuple[dict[str, Any], str]:
        def attempt() -> tuple[dict[str, Any], str]:
            return self._send("POST", path, endpoint, body, None, is_write=True, subject=subject)

        # Throttled and never-sent requests did not happen; anything else that went wrong may have.
        return with_retries(attempt, lambda error: isinstance(error, ChannelThrottled | NotSent), self._retries)

    def _send(
        self,
        method: str,
        path: str,
        endpoint: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str] | None,
        *,
        is_write: bool,
        subject: str,
    ) -> tuple[dict[str, Any], str]:
        self._pace.wait(endpoint)
        answer = self._http.send(
            method,
            self._url + path,
            params=query,
            headers={"authorization": f"Bearer {self._key.reveal()}", "content-type": "application/json"},
            content=None if body is None else json.dumps(body, separators=(",", ":")).encode(),
            subject=subject,
        )
        request_id = answer.headers.get("x-ep-request-uuid", "")
        try:
            # Half a character cannot be stored, nor shown: it becomes a question mark.
            text = json.dumps(parse_json(answer.body), ensure_ascii=False)
            found = parse_json(text.encode("utf-8", "replace"))
        except ValueError:
            found = None
        if answer.status < 300 and isinstance(found, dict):
            return found, request_id
        error = _error(answer, found, request_id, is_write=is_write, subject=subject)
        if isinstance(error, ChannelThrottled):
            self._pace.slow_down(endpoint, error.retry_after_s or 1.0)
        raise error

    def _fetch(self, url: str, *, subject: str) -> bytes:
        """Return a file. It lies on a host of its own, which gets no key."""
        if not url:
            raise _no_document(subject)
        require_told_url(url, api_url=self._url, subject=subject)

        def attempt() -> bytes:
            answer = self._http.send("GET", url, subject=subject)
            if answer.status >= 500 or answer.status == 429:
                raise ChannelDown(
                    tr("the label host answered HTTP {status}", status=answer.status),
                    subject=subject,
                    next_step=tr("run `tiktok-erp print-labels` again; the label is bought and is not bought twice"),
                )
            if answer.status != 200 or not answer.body.startswith(b"%PDF") or b"%%EOF" not in answer.body[-2048:]:
                raise _no_document(subject)
            return answer.body

        try:
            return _with_tries(
                lambda: with_retries(attempt, lambda error: isinstance(error, ChannelDown), self._retries)
            )
        except ChannelDown as error:
            if error.cause != TOO_LARGE:
                raise
            raise LabelFileError(error.what, subject=subject, next_step=error.next_step, cause=TOO_LARGE) from error


def read_quotes(shipment: Mapping[str, Any]) -> tuple[Quote, ...]:
    """Return the rates of a shipment as quotes, cheapest first; rates without a readable price are left out."""
    found = []
    for rate in _objects(shipment.get("rates")):
        cost = _money(rate.get("rate"), rate.get("currency"))
        if cost is None or cost.minor < 0 or not rate.get("id") or not shipment.get("id"):
            continue
        carrier, level = service_words(str(rate.get("carrier") or ""), str(rate.get("service") or ""))
        found.append(Quote(carrier, level, cost, _days(rate), f"{shipment['id']}/{rate['id']}"))
    return tuple(
        sorted(found, key=lambda quote: (quote.cost.currency, quote.cost.minor, quote.carrier, quote.service_level))
    )


def read_label(shipment: Mapping[str, Any], request_id: str = "") -> BoughtLabel | None:
    """Return the label that a shipment carries, None while it has no tracking number."""
    number = shipment.get("tracking_code")
    if not number:
        return None
    rate = _object(shipment.get("selected_rate"))
    carrier, level = service_words(str(rate.get("carrier") or ""), str(rate.get("service") or ""))
    paper = _object(shipment.get("postage_label"))
    url = str(paper.get("label_pdf_url") or "")
    form = "pdf"
    if not url:
        url = str(paper.get("label_url") or "")
        form = str(paper.get("label_file_type") or "").rpartition("/")[2].casefold() or "png"
    return BoughtLabel(
        shipment_id=str(shipment.get("id") or ""),
        tracking_number=str(number),
        carrier=carrier,
        service_level=level,
        cost=_money(rate.get("rate"), rate.get("currency")),
        url=url,
        format=form,
        refund=str(shipment.get("refund_status") or ""),
        request_id=request_id,
        is_test=shipment.get("mode") == "test",
        to=_read_address(shipment.get("to_address")),
    )


def _read_address(found: object) -> PostalAddress | None:
    """Return an address as EasyPost tells it, which may be the one that it verified; None where it tells none."""
    told = {name: text for name, text in _object(found).items() if isinstance(text, str)}
    names = ("name", "company", "street1", "street2", "city", "state", "zip", "country", "phone")
    return PostalAddress(**{name: told.get(name, "") for name in names}) if told else None


def read_purchase(shipment: Mapping[str, Any]) -> SourcePurchase | None:
    """Return a shipment that was bought, as the list has it; None for any other."""
    label = read_label(shipment)
    if label is None or not label.shipment_id:
        return None
    to = _object(shipment.get("to_address"))
    return SourcePurchase(
        reference=_text(shipment.get("reference")),
        quote_id=f"{label.shipment_id}/{_text(_object(shipment.get('selected_rate')).get('id'))}",
        label=label,
        made_at=_moment(shipment.get("created_at")),
        name=_text(to.get("name")) or _text(to.get("company")),
        zip=_text(to.get("zip")),
    )


def read_form(found: Mapping[str, Any]) -> ScanForm | None:
    """Return a scan form as EasyPost tells of it, None when what it told is none."""
    if not isinstance(found.get("id"), str) or not found["id"]:
        return None
    return ScanForm(
        form_id=found["id"],
        url=found["form_url"] if isinstance(found.get("form_url"), str) else "",
        tracking_numbers=tuple(code for code in _list(found.get("tracking_codes")) if isinstance(code, str)),
        is_failed=_text(found.get("status")).casefold() == "failed" and not found.get("form_url"),
        message=_text(found.get("message")),
    )


def service_words(carrier: str, service: str) -> tuple[str, str]:
    """Return EasyPost's carrier and service in our words."""
    code = _CARRIERS.get(carrier) or carrier_code(carrier)
    known = _SERVICES.get((code, service))
    if known is not None:
        return code, known
    words = []
    for index, letter in enumerate(service):
        before = service[index - 1] if index else ""
        if letter.isupper() and before and (before.islower() or before.isdigit()):
            words.append("_")
        words.append(letter.lower() if letter.isalnum() else "_")
    return code, "".join(words)


def ounces(weight_g: int) -> float:
    """Return grams in ounces, as EasyPost wants them; rounded up to a hundredth, so that no parcel is underpaid."""
    return -int(-weight_g * 100 // _GRAMS_AN_OUNCE) / 100


def _shipment(shipment: Shipment) -> dict[str, Any]:
    parcel: dict[str, Any] = {"weight": ounces(shipment.weight_g)}
    sizes = (shipment.length_mm, shipment.width_mm, shipment.height_mm)
    if all(size is not None for size in sizes):
        for name, size in zip(("length", "width", "height"), sizes, strict=True):
            parcel[name] = round((size or 0) / _MM_AN_INCH, 2)
    confirmation = {} if shipment.signature is None else {"delivery_confirmation": _SIGNATURES[shipment.signature]}
    return {
        "to_address": _address(shipment.to),
        "from_address": _address(shipment.sender),
        "parcel": parcel,
        "reference": shipment.reference or shipment.package_id,
        # Only a PNG can be converted later, so what is printed is asked for at once.
        "options": {"label_format": "PDF", "invoice_number": shipment.package_id, **confirmation},
    }


def _address(address: PostalAddress) -> dict[str, str]:
    lines = {
        "name": address.name,
        "company": address.company,
        "street1": address.street1,
        "street2": address.street2,
        "city": address.city,
        "state": address.state,
        "zip": address.zip,
        "country": address.country,
        "phone": address.phone,
        "email": address.email,
    }
    return {name: latin(text) or "" for name, text in lines.items() if text}


def _error(answer: HttpAnswer, found: object, request_id: str, *, is_write: bool, subject: str) -> ErpError:
    """Return what an answer that is no success means. Nothing of it is trusted to have the documented form."""
    status = answer.status
    if status == 429:
        wait = parse_retry_after(answer.headers.get("retry-after"), datetime.now(UTC), date=answer.headers.get("date"))
        return ChannelThrottled(
            tr("EasyPost asks to slow down"),
            subject=subject,
            next_step=tr("run this again in a few minutes"),
            retry_after_s=wait,
        )
    error = _object(_object(found).get("error"))
    if status < 400 or status >= 500 or not error:
        if status in (401, 403):
            return _bad_key(subject)
        if status == 404 and not is_write:
            return ChannelRefused(
                tr("EasyPost does not know this"), subject=subject, next_step=tr("nothing to do"), code=status
            )
        kind = OutcomeUnknown if is_write else ChannelDown
        return kind(
            tr("EasyPost answered HTTP {status} and not in its own language", status=status)
            if status < 500
            else tr("EasyPost is out of order (HTTP {status})", status=status),
            subject=subject,
            next_step=tr("run this again; what was sent is read back before anything is repeated"),
        )
    if status in (401, 403):
        return _bad_key(subject)
    code, text = str(error.get("code") or ""), _sentence(error)
    if status == 402:
        refusal = ChannelRefused(
            tr("EasyPost has no money left to buy with: {text}", text=text),
            subject="EASYPOST_API_KEY",
            next_step=tr("top up the EasyPost account, then run `tiktok-erp print-labels` again"),
            code=status,
            request_id=request_id,
        )
        refusal.cause = "balance"
        return refusal
    refusal = ChannelRefused(
        tr("EasyPost refuses: {text}", text=text),
        subject=subject,
        next_step=tr("correct what it names, then name the package to try it again"),
        code=status,
        request_id=request_id,
    )
    refusal.cause = (
        "address_refused" if code.upper().startswith("ADDRESS") or "address" in _fields(error) else "refused"
    )
    return refusal


def _in_doubt(subject: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        tr("EasyPost did not say whether the label was bought"),
        subject=subject,
        next_step=tr("run `tiktok-erp labels reconcile`; nothing is bought twice"),
    )


def _bad_key(subject: str) -> SignInError:
    return SignInError(
        tr("EasyPost does not accept the key"),
        subject="EASYPOST_API_KEY",
        next_step=tr("set EASYPOST_API_KEY to a key of the EasyPost account, then run this again"),
    )


def _sentence(error: Mapping[str, Any]) -> str:
    """Return what an error says. `message` may be anything, and `errors` objects or plain text."""
    parts = [_text(error.get("message")) or str(error.get("code") or "")]
    for entry in _list(error.get("errors")):
        if isinstance(entry, Mapping):
            parts.append(" ".join(filter(None, (_text(entry.get("field")), _text(entry.get("message"))))))
        else:
            parts.append(_text(entry))
    return "; ".join(dict.fromkeys(part for part in parts if part)) or "?"


def _fields(error: Mapping[str, Any]) -> str:
    entries = _list(error.get("errors"))
    return " ".join(_text(entry.get("field")) for entry in entries if isinstance(entry, Mapping))


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _message(message: Mapping[str, Any]) -> str:
    text = _text(message.get("message"))
    return f"{_text(message.get('carrier'))}: {text}" if text else ""


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _days(rate: Mapping[str, Any]) -> int | None:
    for name in ("delivery_days", "est_delivery_days"):
        value = rate.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_DAYS:
            return value
    return None


def _money(amount: object, currency: object) -> Money | None:
    if not isinstance(amount, str) or not isinstance(currency, str) or not currency:
        return None
    try:
        return parse_amount(amount, currency)
    except ValueError:
        return None


def _split(quote_id: str) -> tuple[str, str]:
    parts = quote_id.partition("/")
    return parts[0], parts[2]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in _list(value) if isinstance(entry, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _no_document(subject: str) -> LabelFileError:
    return LabelFileError(
        tr("what the label host sent is not a whole PDF"),
        subject=subject,
        next_step=tr("run `tiktok-erp print-labels` again; the label is bought and is not bought twice"),
    )


def _with_tries(fetch: Callable[[], bytes]) -> bytes:
    """A file that arrives cut off is fetched again before anybody is told."""
    for tries in range(1, _DOCUMENT_TRIES + 1):
        try:
            return fetch()
        except LabelFileError:
            if tries == _DOCUMENT_TRIES:
                raise
    raise AssertionError("a try ends in bytes or in an error")
