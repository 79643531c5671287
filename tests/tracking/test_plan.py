"""Whether and how a tracking number is told: never early, never twice, never on the wrong lines, never unverified."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.config.rules_file import load_rules_text
from tiktok_erp.model.rule import Rules
from tiktok_erp.tracking.plan import (
    Correction,
    NotUploaded,
    ToldNumber,
    UntoldNumber,
    Upload,
    choose_provider,
    plan_batch,
    plan_correction,
    plan_upload,
)

NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
# Numbers are the subject here, not whose labels TikTok takes.
ANY_LABELS = load_rules_text("channels: {tiktok: {own_labels_by: any}}\n")
UPS = "1Z999AA10123456784"  # the carrier's own published example


def usps(serial: int) -> str:
    """Return a number of 22 digits with its GS1 check digit, worked out here a second time."""
    digits = f"9400111899{serial:011d}"
    total = sum(int(digit) * (3 if index % 2 == 0 else 1) for index, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def number(**values: Any) -> UntoldNumber:
    whole: dict[str, Any] = {
        "package_id": "P000001",
        "order_id": "tiktok:576",
        "channel_order_id": "576",
        "base_state": "open",
        "held_until": None,
        "cancel_requested": False,
        "shipping_type": "SELLER",
        "source": "file",
        "carrier": "usps",
        "tracking_number": usps(7),
        "channel_package_id": None,
        "delivery_option_id": "7091",
        "auto_combine_group_id": None,
        "unit_ids": ("11", "12"),
        "is_split": False,
        "has_cancelled_units": False,
    }
    return UntoldNumber(**(whole | values))


def told(**values: Any) -> Upload:
    planned = plan_upload(number(**values), NOON, ANY_LABELS)
    assert isinstance(planned, Upload), planned
    return planned


def refused(**values: Any) -> NotUploaded:
    planned = plan_upload(number(**values), NOON, ANY_LABELS)
    assert isinstance(planned, NotUploaded), planned
    return planned


def test_a_whole_order_is_told_without_naming_its_lines() -> None:
    upload = told()
    assert (upload.kind, upload.tracking_number, upload.carrier) == ("mark_shipped", usps(7), "usps")
    assert (upload.line_item_ids, upload.warning) == ((), None)


def test_a_package_that_exists_on_the_channel_is_shipped_by_its_id() -> None:
    assert told(channel_package_id="1153").kind == "ship_package"


@pytest.mark.parametrize("flag", ["is_split", "has_cancelled_units"])
def test_a_part_of_an_order_is_told_with_its_lines(flag: str) -> None:
    assert told(**{flag: True}).line_item_ids == ("11", "12")


@pytest.mark.parametrize("flag", ["is_split", "has_cancelled_units"])
@pytest.mark.parametrize("unit_ids", [(), ("11", None), (None,)])
def test_a_part_whose_lines_are_not_known_is_never_told_for_the_whole(
    flag: str, unit_ids: tuple[str | None, ...]
) -> None:
    refusal = refused(**{flag: True}, unit_ids=unit_ids)
    assert (refusal.cause, refusal.is_fault) == ("split_order", True)


def test_a_whole_order_may_be_told_without_knowing_its_lines() -> None:
    assert told(unit_ids=(None, None)).line_item_ids == ()


@pytest.mark.parametrize(
    ("values", "cause", "is_fault"),
    [
        ({"base_state": "cancelled"}, "order_cancelled", True),
        ({"cancel_requested": True}, "cancel_requested", True),
        ({"base_state": "closed"}, "already_shipped", False),
        ({"base_state": "held"}, "on_hold", False),
        ({"base_state": "unpaid"}, "on_hold", False),
        ({"base_state": "unknown"}, "on_hold", False),
        ({"held_until": NOON + timedelta(seconds=1)}, "on_hold", False),
        ({"shipping_type": "TIKTOK"}, "told_by_channel", False),
        ({"source": "tiktok"}, "told_by_channel", False),
        ({"carrier": None, "tracking_number": "AB12345"}, "unknown_carrier", True),
        ({"tracking_number": usps(7)[:-1] + str((int(usps(7)[-1]) + 1) % 10)}, "bad_tracking_number", True),
        ({"tracking_number": "12"}, "bad_tracking_number", True),
        ({"carrier": "usps", "tracking_number": UPS}, "bad_tracking_number", True),
    ],
    ids=str,
)
def test_a_number_that_may_not_be_told_says_why_and_what_to_do(
    values: dict[str, Any], cause: str, is_fault: bool
) -> None:
    refusal = refused(**values)
    assert (refusal.cause, refusal.is_fault) == (cause, is_fault)
    assert refusal.what
    assert refusal.next_step


def test_a_hold_that_has_just_ended_holds_nothing() -> None:
    assert told(held_until=NOON)


def test_the_worst_reason_is_told_first() -> None:
    assert refused(base_state="cancelled", cancel_requested=True, tracking_number="12").cause == "order_cancelled"


def test_a_carrier_is_taken_from_the_number_when_only_one_can_be() -> None:
    assert told(carrier=None, tracking_number=UPS).carrier == "ups"


def test_spaces_and_the_zip_of_a_barcode_are_not_told() -> None:
    plain = usps(7)
    assert told(tracking_number=f"420 78704 {plain[:4]} {plain[4:]}").tracking_number == plain


def test_a_carrier_without_a_published_check_digit_is_told_with_a_warning() -> None:
    upload = told(carrier="uniuni", tracking_number="UUS1234567890")
    assert upload.warning


states = st.sampled_from(["open", "held", "unpaid", "closed", "cancelled", "unknown"])


@given(
    base_state=states,
    held=st.sampled_from([None, NOON - timedelta(hours=1), NOON + timedelta(hours=1)]),
    cancel_requested=st.booleans(),
    shipping_type=st.sampled_from(["SELLER", "TIKTOK", None]),
    source=st.sampled_from(["file", "tiktok", "channel"]),
    is_split=st.booleans(),
)
def test_nothing_is_told_for_an_order_in_doubt(
    base_state: str,
    held: datetime | None,
    cancel_requested: bool,
    shipping_type: str | None,
    source: str,
    is_split: bool,
) -> None:
    asked = replace(
        number(),
        base_state=base_state,
        held_until=held,
        cancel_requested=cancel_requested,
        shipping_type=shipping_type,
        source=source,
        is_split=is_split,
    )
    planned = plan_upload(asked, NOON, ANY_LABELS)
    may_be_told = (
        base_state == "open"
        and not cancel_requested
        and (held is None or held <= NOON)
        and shipping_type != "TIKTOK"
        and source != "tiktok"
    )
    assert isinstance(planned, Upload) is may_be_told


# The channel's carriers


PROVIDERS = [
    ("7117", "USPS", "usps"),
    ("7118", "UPS", "ups"),
    ("7119", "DHL", "dhl"),
    ("7120", "DHL eCommerce", "dhl_ecommerce"),
]


@pytest.mark.parametrize(
    ("carrier", "display_name", "expected"),
    [
        ("usps", "USPS", "7117"),
        ("usps", "usps ", "7117"),
        ("usps", None, "7117"),
        ("dhl", "DHL", "7119"),
        ("dhl_ecommerce", None, "7120"),
        ("fedex", "FedEx", None),
        ("fedex", None, None),
    ],
)
def test_a_carrier_is_found_by_its_name_or_by_what_the_name_means(
    carrier: str, display_name: str | None, expected: str | None
) -> None:
    assert choose_provider(carrier, display_name, PROVIDERS) == expected
    assert choose_provider(carrier, display_name, (entry for entry in reversed(PROVIDERS))) == expected


def test_two_that_mean_the_carrier_equally_are_none() -> None:
    twins = [("1", "USPS Ground", "usps"), ("2", "USPS Priority", "usps")]
    assert choose_provider("usps", "USPS", twins) is None
    assert choose_provider("usps", "USPS Priority", twins) == "2"
    assert choose_provider("usps", None, []) is None


# The whole batch


def batch(*numbers: UntoldNumber) -> list[str]:
    return [
        decision.cause if isinstance(decision, NotUploaded) else "told"
        for decision in plan_batch(numbers, NOON, ANY_LABELS)
    ]


def test_one_number_on_two_packages_is_told_for_neither() -> None:
    twice = [number(), number(package_id="P000002", order_id="tiktok:577")]
    assert batch(*twice, number(package_id="P000003", tracking_number=usps(8))) == ["number_used"] * 2 + ["told"]


def test_a_number_that_another_label_carries_is_not_told() -> None:
    decision = plan_batch([number(used_by="P000009")], NOON, ANY_LABELS)[0]
    assert isinstance(decision, NotUploaded)
    assert decision.cause == "number_used"
    assert "P000001, P000009" in decision.what


@pytest.mark.parametrize(("orders", "expected"), [(20, "told"), (21, "number_used_too_often")])
def test_a_number_serves_at_most_twenty_orders_of_a_package(orders: int, expected: str) -> None:
    numbers = [number(order_id=f"tiktok:{serial}") for serial in range(orders)]
    assert batch(*numbers) == [expected] * orders


def test_orders_of_one_package_go_to_one_address() -> None:
    same = [number(recipient="a|1 main st"), number(order_id="tiktok:577", recipient="a|1 main st")]
    assert batch(*same) == ["told", "told"]
    assert batch(same[0], replace(same[1], recipient="a|2 main st")) == ["different_addresses"] * 2
    assert batch(same[0], replace(same[1], recipient=None)) == ["told", "told"]  # not known is no contradiction


def test_a_recipient_is_in_no_repr() -> None:
    assert "main st" not in repr(number(recipient="a|1 main st"))


@given(st.lists(st.sampled_from(["P1", "P2", "P3"]), max_size=8), st.randoms())
def test_the_order_of_a_batch_changes_nothing(packages: list[str], dice: Any) -> None:
    numbers = [
        number(package_id=package, order_id=f"tiktok:{serial}", tracking_number=usps(serial % 4))
        for serial, package in enumerate(packages)
    ]
    before = dict(zip((entry.order_id for entry in numbers), batch(*numbers), strict=True))
    dice.shuffle(numbers)
    assert dict(zip((entry.order_id for entry in numbers), batch(*numbers), strict=True)) == before


# Corrections


def told_number(**values: Any) -> ToldNumber:
    whole: dict[str, Any] = {
        "package_id": "P000001",
        "order_id": "tiktok:576",
        "channel_order_id": "576",
        "base_state": "closed",
        "shipping_type": "SELLER",
        "source": "file",
        "has_document": False,
        "carrier": "usps",
        "tracking_number": usps(7),
        "told_number": usps(7),
        "channel_package_id": "115",
        "delivery_option_id": "7091",
        "shipped_at": NOON - timedelta(hours=72),
        "delivered_at": None,
        "is_split": False,
        "was_corrected": False,
        "used_by": None,
    }
    return ToldNumber(**(whole | values))


def test_a_number_is_corrected_by_order_and_of_a_split_order_by_package() -> None:
    whole, part = (
        plan_correction(told_number(), usps(8), NOON, ANY_LABELS),
        plan_correction(told_number(is_split=True), usps(8), NOON, ANY_LABELS),
    )
    assert isinstance(whole, Correction)
    assert isinstance(part, Correction)
    assert (whole.by_package, part.by_package) == (False, True)
    assert (whole.tracking_number, whole.carrier) == (usps(8), "usps")


def test_the_carrier_follows_a_number_that_only_one_can_have() -> None:
    decision = plan_correction(told_number(), UPS, NOON, ANY_LABELS)
    assert isinstance(decision, Correction)
    assert decision.carrier == "ups"


@pytest.mark.parametrize(
    ("values", "wanted", "cause"),
    [
        ({"shipping_type": "TIKTOK"}, usps(8), "platform_label"),
        ({"source": "tiktok"}, usps(8), "platform_label"),
        ({"base_state": "cancelled"}, usps(8), "order_cancelled"),
        ({"shipped_at": None}, usps(8), "not_told"),
        ({"delivered_at": NOON}, usps(8), "delivered"),
        ({}, usps(8)[:-1] + str((int(usps(8)[-1]) + 1) % 10), "bad_tracking_number"),
        ({}, usps(7), "already_told"),
        ({"was_corrected": True}, usps(8), "corrected_before"),
        ({"shipped_at": NOON - timedelta(hours=72, seconds=1)}, usps(8), "too_late"),
        ({"used_by": "P000002"}, usps(8), "number_used"),
        ({"has_document": True}, usps(8), "other_label"),
        ({"is_split": True, "channel_package_id": None}, usps(8), "split_order"),
    ],
)
def test_what_the_platform_would_refuse_is_refused_here(values: dict[str, Any], wanted: str, cause: str) -> None:
    decision = plan_correction(told_number(**values), wanted, NOON, ANY_LABELS)
    assert isinstance(decision, tuple)
    assert decision[0] == cause


def test_a_new_label_that_is_held_may_be_told_in_place_of_the_old_one() -> None:
    held = told_number(has_document=True, tracking_number=usps(8))
    assert isinstance(plan_correction(held, usps(8), NOON, ANY_LABELS), Correction)


def test_a_usps_number_that_tiktok_did_not_sell_is_not_sent_as_shipped() -> None:
    planned = plan_upload(number(), NOON, Rules())
    assert isinstance(planned, NotUploaded)
    assert (planned.cause, planned.is_fault) == ("carrier_not_taken", True)
    assert isinstance(plan_upload(number(carrier="ups", tracking_number=UPS), NOON, Rules()), Upload)


def test_the_carrier_of_a_number_without_one_counts_as_well() -> None:
    planned = plan_upload(number(carrier=None), NOON, Rules())
    assert isinstance(planned, NotUploaded) and planned.cause == "carrier_not_taken"


def test_a_number_is_not_corrected_to_one_of_usps() -> None:
    refused = plan_correction(told_number(carrier="ups", tracking_number=UPS, told_number=UPS), usps(8), NOON, Rules())
    assert isinstance(refused, tuple) and refused[0] == "carrier_not_taken"
