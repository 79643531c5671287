from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.labels.plan import plan_print_order, position_text
from tiktok_erp.model.print_job import PrintItem, PrintLine

EARLY = datetime(2026, 11, 22, 8, tzinfo=UTC)
LATE = datetime(2026, 11, 23, 8, tzinfo=UTC)


def _ids(items: tuple[PrintItem, ...]) -> list[str]:
    return [item.package_id for item in items]


def test_the_earliest_deadline_is_printed_first_whatever_the_carrier(item: Callable[..., PrintItem]) -> None:
    planned = plan_print_order([item("P1", ship_by=LATE, carrier="fedex"), item("P2", ship_by=EARLY, carrier="ups")])
    assert _ids(planned) == ["P2", "P1"]


def test_packages_without_a_deadline_come_last(item: Callable[..., PrintItem]) -> None:
    planned = plan_print_order([item("P1", ship_by=None), item("P2", ship_by=LATE)])
    assert _ids(planned) == ["P2", "P1"]


def test_an_estimated_deadline_follows_the_channels_of_the_same_second(item: Callable[..., PrintItem]) -> None:
    planned = plan_print_order([item("P1", ship_by_estimated=True), item("P2")])
    assert _ids(planned) == ["P2", "P1"]


def test_within_a_deadline_carriers_and_service_levels_stay_together(item: Callable[..., PrintItem]) -> None:
    planned = plan_print_order(
        [
            item("P1", carrier="usps", service_level="priority_mail"),
            item("P2", carrier="ups", service_level="ground"),
            item("P3", carrier="usps", service_level="ground_advantage"),
        ]
    )
    assert _ids(planned) == ["P2", "P3", "P1"]


def test_packages_with_the_same_content_follow_each_other(item: Callable[..., PrintItem]) -> None:
    mug = PrintLine("MUG", "Mug", "", 1)
    two_lines_of_one = (mug, mug)
    one_line_of_two = (PrintLine("MUG", "Mug", "", 2),)
    planned = plan_print_order(
        [item("P1", lines=two_lines_of_one), item("P2", lines=(mug,)), item("P3", lines=one_line_of_two)]
    )
    assert _ids(planned) == ["P2", "P1", "P3"]


_ITEMS = st.builds(
    PrintItem,
    package_id=st.text("P0123456789", min_size=1, max_size=4),
    order_ids=st.just(()),
    channel_order_ids=st.just(()),
    ship_by=st.sampled_from([EARLY, LATE, None]),
    ship_by_estimated=st.booleans(),
    carrier=st.sampled_from(["ups", "usps"]),
    service_level=st.sampled_from(["ground", "priority_mail"]),
    tracking_number=st.none(),
    lines=st.lists(
        st.builds(PrintLine, st.sampled_from("AB"), st.just("name"), st.just(""), st.integers(1, 2)), max_size=2
    ).map(tuple),
)


@given(st.lists(_ITEMS, unique_by=lambda item: item.package_id), st.randoms())
def test_the_order_of_input_plays_no_part(items: list[PrintItem], random: object) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan_print_order(shuffled) == plan_print_order(items)


def test_a_position_has_two_digits_for_the_batch_and_three_for_the_place() -> None:
    assert position_text(7, 63) == "B07-063"


def test_a_position_grows_when_its_numbers_do() -> None:
    assert position_text(123, 2800) == "B123-2800"
