"""Each code group of the TikTok reference, section 3, becomes the error that makes the caller do the right thing."""

from __future__ import annotations

import pytest

from tiktok_erp.channels import tiktok_errors as errors
from tiktok_erp.channels.tiktok_errors import error_for
from tiktok_erp.errors import ChannelDown, ChannelRefused, ChannelThrottled, ErpError, OutcomeUnknown, SignInError

# Section 3.4, as the table groups them.
ALREADY_DONE = [21011006, 21011020, 21042056, 21008099, 11006021, 21011040, 21022025, 21008042, 21023046, 21011027]
STATE_FORBIDS = [21042057, 21008013, 21008044, 21011007, 21021010, 21011043, 10007002, 25001010, 10007014]
CANCELLED = [21011041, 21011042, 21023059]
WRONG_CHANNEL = [21008025, 21004010, 21011004, 11034002, 21008017, 21008043]
TRACKING_NUMBER = [
    *(21011022, 21011025, 21034012, 21011026, 11028006, 21004012, 21004015, 21004016, 21022032, 21011030),
    *(21011049, 21011050, 21011051, 21011052),
]
NO_SERVICE = [11021009, 21011037, 21004008, 11003011, 21032001, 21011012, 21011013]
ADDRESS = [*range(11021010, 11021026), 21014009]
NOT_READY = [11034037, 11034023, 11006010, 11034025, 21023034, 21023022, 21008109]
IMPOSSIBLE = [21023035, 21042104, 21042102]
TRANSIENT = [
    *(36009003, 11001027, 21001003, 21001008, 21001011, 21001029, 21001043, 21001055, 21008300, 21022029, 21022030),
    *(11001031, 11006005, 11006026, 21042001, 21042067, 21042076),
    36009007,  # upstream timeout: for writes re-read state first
    *(10002014, 10002015, 10037002, 10037003, 10037004),  # section 3.3: order read failed, retry
    *(12001000, 12052881, 33001002),  # section 3.5: internal
    21022026,  # label purchase: try later
]
SIGN_IN = [105002, 105005, 106001, 101000, 106013, 36004004, 36009033, 36009043, 36009044, 105999]
BAD_INPUT = [11001002, 11050001, 21001001, 21011005, 98001004, 10006402, 21008111, 36009009, 36009010, 36009014]


def answer(code: int, message: str = "said", *, http_status: int = 200, is_write: bool = False) -> ErpError:
    return error_for(
        code,
        message,
        http_status=http_status,
        request_id="202611180742110101890810281E8C70B7",
        is_write=is_write,
        subject="order 576",
        retry_after_s=7.0,
    )


@pytest.mark.parametrize(
    ("codes", "cause"),
    [
        ([21011044], "on_hold"),
        (CANCELLED, "order_cancelled"),
        (STATE_FORBIDS, "order_state"),
        (WRONG_CHANNEL, "wrong_shipping_path"),
        (TRACKING_NUMBER, "tracking_number_refused"),
        (NO_SERVICE, "no_service"),
        (ADDRESS, "address_refused"),
        (NOT_READY, "document_not_ready"),
        (IMPOSSIBLE, "document_lost"),
        (ALREADY_DONE, "refused"),
        (BAD_INPUT, "refused"),
        ([12019024, 12052055, 25001021, 99999999], "refused"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("is_write", [False, True])
def test_a_refusal_carries_code_cause_and_request_id(codes: list[int], cause: str, is_write: bool) -> None:
    for code in codes:
        error = answer(code, is_write=is_write)
        assert type(error) is ChannelRefused, code
        assert (error.code, error.cause) == (code, cause)
        assert error.request_id == "202611180742110101890810281E8C70B7"
        assert str(code) in error.what
        # Refusals of an address quote it: our own words stand for them.
        assert ("said" in error.what) is (cause != "address_refused")
        assert error.next_step


@pytest.mark.parametrize("code", TRANSIENT)
def test_what_failed_inside_the_channel_may_be_read_again_but_a_write_is_in_doubt(code: int) -> None:
    assert type(answer(code)) is ChannelDown
    assert type(answer(code, is_write=True)) is OutcomeUnknown


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_status_of_the_servers_own_failure_counts_like_its_codes(status: int) -> None:
    assert type(answer(99999999, http_status=status)) is ChannelDown
    assert type(answer(99999999, http_status=status, is_write=True)) is OutcomeUnknown


@pytest.mark.parametrize(("code", "status"), [(36009002, 200), (36009037, 200), (36009002, 429), (99999999, 429)])
@pytest.mark.parametrize("is_write", [False, True])
def test_a_throttled_request_did_not_happen(code: int, status: int, is_write: bool) -> None:
    error = answer(code, http_status=status, is_write=is_write)
    assert isinstance(error, ChannelThrottled)
    assert not isinstance(error, OutcomeUnknown)
    assert error.retry_after_s == 7.0


@pytest.mark.parametrize("code", SIGN_IN)
@pytest.mark.parametrize("is_write", [False, True])
def test_what_is_wrong_with_the_sign_in_stops_with_code_4(code: int, is_write: bool) -> None:
    error = answer(code, is_write=is_write)
    assert isinstance(error, SignInError)
    assert error.exit_code == 4


def test_a_missing_scope_has_a_cause_of_its_own() -> None:
    assert (answer(105005).cause, answer(106001).cause) == ("scope_missing", "sign_in")


@pytest.mark.parametrize(
    ("message", "is_sign_in"),
    [
        ("Expired timestamp", True),
        ("invalid app_key", True),
        ("x-tts-access-token is invalid", True),
        ("sign is missing", True),
        ("unexpected shop_cipher", True),
        ("page_size must be between 1 and 100", False),
        ("invalid version", False),
    ],
)
def test_the_overloaded_code_is_told_apart_by_its_message(message: str, is_sign_in: bool) -> None:
    assert isinstance(answer(errors.PARAMETER_OVERLOADED, message, http_status=400), SignInError) is is_sign_in


def test_an_unknown_code_with_401_is_about_the_sign_in() -> None:
    assert isinstance(answer(99999999, http_status=401), SignInError)


def test_the_groups_that_callers_ask_for_are_the_documented_ones() -> None:
    assert frozenset(ALREADY_DONE) == errors.ALREADY_SHIPPED
    assert frozenset(NOT_READY) == errors.DOCUMENT_NOT_READY
    assert frozenset(IMPOSSIBLE) == errors.DOCUMENT_IMPOSSIBLE
    assert frozenset({21030005, 21030006}) == errors.PURCHASE_RUNNING
    assert errors.WRONG_ENDPOINT == 21008106
    assert frozenset({12019024, 12052055}) == errors.ZERO_REFUSED


def test_a_request_that_was_withdrawn_asks_for_a_newer_version_of_ours() -> None:
    for code in (36009014, 36009009):
        assert "newer tiktok-erp" in answer(code).next_step


def test_a_refusal_that_nobody_knows_names_the_request_id() -> None:
    assert "202611180742110101890810281E8C70B7" in answer(99999999).next_step


def test_no_code_is_in_two_groups() -> None:
    groups = [
        errors.THROTTLED,
        errors.ALREADY_SHIPPED,
        errors.PURCHASE_RUNNING,
        errors.DOCUMENT_NOT_READY,
        errors.DOCUMENT_IMPOSSIBLE,
        errors.ON_HOLD,
        errors.CANCELLED,
        errors.STATE_FORBIDS,
        errors.WRONG_CHANNEL,
        errors.TRACKING_NUMBER,
        errors.NO_SERVICE,
        errors.ADDRESS,
        errors.TRANSIENT,
        errors.ZERO_REFUSED,
    ]
    assert sum(len(group) for group in groups) == len(frozenset[int]().union(*groups))
