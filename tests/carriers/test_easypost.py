"""EasyPost's client against recorded real answers, and against a stateful fake that goes wrong on purpose."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import vcr

from tests.carriers.easypost_fake import Account, EasyPostFake
from tiktok_erp.carriers.base import ScanForm
from tiktok_erp.carriers.easypost import EasyPost, ounces, read_form, read_label, read_quotes, service_words
from tiktok_erp.errors import ChannelDown, ChannelRefused, LabelFileError, OutcomeUnknown, SignInError
from tiktok_erp.model.money import Money
from tiktok_erp.model.plain_text import latin
from tiktok_erp.model.secret import Secret
from tiktok_erp.model.shipment import PostalAddress, Shipment
from tiktok_erp.transport.client import HttpClient
from tiktok_erp.transport.pace import Pace
from tiktok_erp.transport.retry import RetryPolicy

# Recordings of the real service lie beside the project and are not ours to copy.
CASSETTES = Path(os.environ.get("EASYPOST_CASSETTES", Path(__file__).parents[3] / "shared" / "fixtures" / "easypost"))
recorded = pytest.mark.skipif(not CASSETTES.is_dir(), reason="EasyPost's recordings are not beside the project")

SENDER = PostalAddress("Warehouse", "100 Main St", "Ontario", "CA", "91761", phone="9095550100")
BUYER = PostalAddress("José Núñez", "179 N Harbor Dr", "Redondo Beach", "CA", "90277")
CLIENTS: list[HttpClient] = []
PARCEL = Shipment("P000123", SENDER, BUYER, weight_g=120)


def source(url: str, key: str = "EZAKfake") -> EasyPost:
    quick = RetryPolicy(attempts=4, first_wait_s=0.001)
    http = HttpClient()
    CLIENTS.append(http)
    return EasyPost(Secret(key), url, http, Pace(start_rate=1000, max_rate=1000), retries=quick)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close the connections of a test."""
    yield
    while CLIENTS:
        CLIENTS.pop().__exit__(None, None, None)


@pytest.fixture
def fake() -> Iterator[EasyPostFake]:
    """EasyPost on a free port."""
    server = EasyPostFake(Account())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def replay(name: str) -> vcr.cassette.CassetteContextDecorator:
    return vcr.VCR(record_mode="none", match_on=["method", "uri"]).use_cassette(str(CASSETTES / f"{name}.yaml"))


@recorded
def test_recorded_rates_become_quotes_in_our_words_cheapest_first() -> None:
    with replay("shipment_create"):
        quotes = source("https://api.easypost.com/v2").quotes(PARCEL)
    told = [(quote.carrier, quote.service_level) for quote in quotes]
    assert ("usps", "ground_advantage") in told
    assert told[0] == ("usps", "ground_advantage")
    assert [quote.cost.minor for quote in quotes] == sorted(quote.cost.minor for quote in quotes)
    assert all(quote.quote_id.startswith("shp_") and "/rate_" in quote.quote_id for quote in quotes)


@recorded
def test_a_recorded_purchase_is_read_with_its_number_and_price() -> None:
    with replay("shipment_buy"):
        client = source("https://api.easypost.com/v2")
        quotes = {(quote.carrier, quote.service_level): quote for quote in client.quotes(PARCEL)}
        wanted = quotes["usps", "ground_advantage"]
        label = client.buy(wanted.quote_id, subject="P000123")
    assert label.tracking_number == "9400100208303109505657"
    assert label.cost == wanted.cost == Money(607, "USD")
    assert (label.carrier, label.service_level) == ("usps", "ground_advantage")
    assert label.shipment_id == "shp_16578f588f9546ec914afd2474e24ff5"
    assert label.format == "png"
    assert label.is_test
    assert label.request_id


@recorded
def test_a_recorded_refund_is_submitted() -> None:
    with replay("shipment_refund"):
        client = source("https://api.easypost.com/v2")
        shipment_id = client.quotes(PARCEL)[0].quote_id.partition("/")[0]
        answer, _request = client._write(f"/shipments/{shipment_id}/refund", endpoint="refund", body={}, subject="")
    assert answer["refund_status"] == "submitted"


@recorded
def test_a_recorded_scan_form_has_a_document_and_names_its_parcels() -> None:
    with replay("scanform_create"):
        form = source("https://api.easypost.com/v2").make_form(
            ["shp_c1dd0ad87cfc4a038e632cb27d1d88a6/rate_1"], subject="usps"
        )
    assert form.form_id == "sf_8eeeea1e23b44a8388cbb85b12595f46"
    assert form.url.endswith("e8f8c453570fc64e979358710bfb60dbd7.pdf")
    assert form.tracking_numbers == ("9400100208303109505725",)
    assert not form.is_failed


@recorded
def test_a_recorded_scan_form_that_is_still_being_made_has_no_document() -> None:
    path = "/batches/batch_79b95699e2644f198db68d1824c11497/scan_form"
    with replay("batch_create_scanform"):
        batch = source("https://api.easypost.com/v2")._write(path, endpoint="any", body={}, subject="")[0]
    form = read_form(batch["scan_form"])
    assert form == ScanForm("sf_a1082a2498034042a96617a8d79ff0c4")


@recorded
@pytest.mark.parametrize(
    ("name", "path", "says"),
    [
        ("error", "/shipments", "shipment cannot be blank"),
        ("error_alternative_format", "/claims", "No eligible insurance found"),
    ],
)
def test_a_recorded_refusal_says_what_is_wrong_whatever_its_form(name: str, path: str, says: str) -> None:
    with replay(name), pytest.raises(ChannelRefused) as caught:
        client = source("https://api.easypost.com/v2")
        client._write(path, endpoint="any", body={}, subject="P000123")
    assert says in caught.value.what


def test_the_wire_carries_ounces_a_plain_address_and_our_package_id(fake: EasyPostFake) -> None:
    quotes = source(fake.api_url).quotes(PARCEL)
    (shipment,) = fake.account.shipments.values()
    assert shipment["parcel"] == {"weight": 4.24}
    assert shipment["to_address"]["name"] == "Jose Nunez"
    assert shipment["options"]["invoice_number"] == "P000123"
    assert fake.account.violations == []
    assert {(quote.carrier, quote.service_level) for quote in quotes} >= {
        ("ups", "ground"),
        ("ups", "2nd_day_air"),
        ("fedex", "ground"),
        ("usps", "priority_mail"),
    }
    assert quotes[0].cost == Money(420, "USD")
    assert [quote.transit_days for quote in quotes if quote.carrier == "fedex"] == [None]


def test_a_bought_label_is_a_whole_pdf(fake: EasyPostFake) -> None:
    client = source(fake.api_url)
    label = client.buy(client.quotes(PARCEL)[0].quote_id, subject="P000123")
    assert client.download(label, subject="P000123").startswith(b"%PDF")


def test_a_second_purchase_of_one_shipment_is_the_same_label(fake: EasyPostFake) -> None:
    client = source(fake.api_url)
    quote = client.quotes(PARCEL)[0]
    first, second = (client.buy(quote.quote_id, subject="P000123") for _time in range(2))
    assert first.tracking_number == second.tracking_number
    assert len(fake.account.purchases) == 1


@pytest.mark.parametrize("fault", ["drop_after_buy", "html_buy"])
def test_a_lost_answer_is_unknown_and_reading_tells_that_it_was_bought(fake: EasyPostFake, fault: str) -> None:
    client = source(fake.api_url)
    quote = client.quotes(PARCEL)[0]
    fake.account.script = [fault]
    with pytest.raises(OutcomeUnknown):
        client.buy(quote.quote_id, subject="P000123")
    label = client.read(quote.quote_id, subject="P000123")
    assert label is not None
    assert [purchase["tracking_number"] for purchase in fake.account.purchases] == [label.tracking_number]


@pytest.mark.parametrize("fault", ["drop_before_buy", "error_500_buy"])
def test_a_purchase_that_never_happened_reads_as_none(fake: EasyPostFake, fault: str) -> None:
    client = source(fake.api_url)
    quote = client.quotes(PARCEL)[0]
    fake.account.script = [fault]
    with pytest.raises(OutcomeUnknown):
        client.buy(quote.quote_id, subject="P000123")
    assert client.read(quote.quote_id, subject="P000123") is None


def test_a_throttled_purchase_is_sent_again_and_happens_once(fake: EasyPostFake) -> None:
    client = source(fake.api_url)
    quote = client.quotes(PARCEL)[0]
    fake.account.script = ["throttle", "throttle"]
    client.buy(quote.quote_id, subject="P000123")
    assert len(fake.account.purchases) == 1
    assert fake.account.calls["throttled"] == 2


def test_no_money_left_is_a_refusal_of_its_own(fake: EasyPostFake) -> None:
    fake.account.balance_minor = 100
    client = source(fake.api_url)
    with pytest.raises(ChannelRefused) as caught:
        client.buy(client.quotes(PARCEL)[0].quote_id, subject="P000123")
    assert caught.value.cause == "balance"


def test_a_bad_address_is_refused_with_its_cause(fake: EasyPostFake) -> None:
    bad = Shipment("P1", SENDER, PostalAddress("A", "NOWHERE 1", "X", "CA", "90277"), weight_g=100)
    with pytest.raises(ChannelRefused) as caught:
        source(fake.api_url).quotes(bad)
    assert caught.value.cause == "address_refused"


def test_a_wrong_key_is_a_sign_in_error(fake: EasyPostFake) -> None:
    with pytest.raises(SignInError):
        source(fake.api_url, key="EZAKother").check_key()


def test_a_file_that_arrives_cut_off_is_fetched_again_and_then_given_up(fake: EasyPostFake) -> None:
    client = source(fake.api_url)
    label = client.buy(client.quotes(PARCEL)[0].quote_id, subject="P000123")
    fake.account.script = ["short_file", "short_file"]
    assert client.download(label, subject="P000123").rstrip().endswith(b"%%EOF")
    fake.account.faults = {"short_file": 1.0}
    with pytest.raises(LabelFileError):
        client.download(label, subject="P000123")


def test_a_refund_is_asked_for_once(fake: EasyPostFake) -> None:
    client = source(fake.api_url)
    quote = client.quotes(PARCEL)[0]
    client.buy(quote.quote_id, subject="P000123")
    assert [client.void(quote.quote_id, subject="P000123") for _time in range(2)] == ["submitted", "submitted"]
    assert fake.account.calls["refund"] == 1


@pytest.mark.parametrize(("shows", "is_told"), [("shipment", True), ("batch", True), ("nowhere", False)])
def test_a_form_whose_answer_was_lost_is_found_where_easypost_shows_it(
    fake: EasyPostFake, shows: str, is_told: bool
) -> None:
    fake.account.shows_forms = shows
    client = source(fake.api_url)
    quote = client.quotes(PARCEL)[0].quote_id
    label = client.buy(quote, subject="P000123")
    assert client.find_form(quote, subject="usps") is None
    fake.account.script = ["drop_after_form"]
    with pytest.raises(OutcomeUnknown):
        client.make_form([quote], subject="usps")
    form = client.find_form(quote, subject="usps")
    assert (form is not None) == is_told
    if form is not None:
        assert form.tracking_numbers == (label.tracking_number,)
        assert client.fetch_form(form, subject="usps").startswith(b"%PDF")


def test_a_form_that_could_not_be_made_is_told_and_no_form_is_none() -> None:
    assert read_form({"id": "sf_1", "status": "failed", "message": "too late", "form_url": None}) == ScanForm(
        "sf_1", is_failed=True, message="too late"
    )
    assert read_form({"id": "sf_1", "status": "failed", "form_url": "https://x/1.pdf"}) == ScanForm(
        "sf_1", "https://x/1.pdf"
    )
    assert read_form({}) is None


def test_a_closed_port_sends_nothing() -> None:
    with pytest.raises(ChannelDown):
        source("http://127.0.0.1:9/v2").quotes(PARCEL)


@pytest.mark.parametrize(
    ("weight_g", "wanted"), [(1, 0.04), (28, 0.99), (29, 1.03), (113, 3.99), (114, 4.03), (454, 16.02)]
)
def test_ounces_are_rounded_up_to_a_hundredth(weight_g: int, wanted: float) -> None:
    assert ounces(weight_g) == wanted
    assert ounces(weight_g) * 28.349523125 >= weight_g


@pytest.mark.parametrize(
    ("carrier", "service", "wanted"),
    [
        ("USPS", "Priority", ("usps", "priority_mail")),
        ("UPS", "NextDayAirSaver", ("ups", "next_day_air_saver")),
        ("UPSDAP", "3DaySelect", ("ups", "3_day_select")),
        ("FedEx", "STANDARD_OVERNIGHT", ("fedex", "standard_overnight")),
        ("FedEx", "FEDEX_2_DAY", ("fedex", "2day")),
        ("UniUni", "Standard", ("uniuni", "standard")),
    ],
)
def test_services_are_told_in_our_words(carrier: str, service: str, wanted: tuple[str, str]) -> None:
    assert service_words(carrier, service) == wanted


def test_a_rate_without_a_readable_price_is_left_out() -> None:
    rates = [
        {"id": "r1", "carrier": "USPS", "service": "Priority", "rate": price, "currency": "USD"}
        for price in (None, "x", 7)
    ]
    assert read_quotes({"id": "shp_1", "rates": rates}) == ()
    assert read_label({"id": "shp_1", "tracking_code": ""}) is None


def test_letters_that_no_carrier_prints_are_not_guessed() -> None:
    assert latin("Łódź “Café” №5") is not None
    assert latin("王小明") is None
    assert latin("Anna 🌸 Lee") == "Anna Lee"
