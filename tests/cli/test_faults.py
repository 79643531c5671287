"""A shop that answers badly: the same commands, repeated until nothing is left to do, end where a calm day ends."""

from __future__ import annotations

import pytest

ROUND = (
    ("sync",),
    ("stock", "import", "--from-channel", "tiktok"),
    ("reserve-stock",),
    ("allocate", "--no-wait"),
    ("print-labels",),
    ("print-labels", "--from", "tracking.csv"),
    ("upload-tracking",),
)
SURVIVABLE = (0, 3, 6)
ROUNDS_AT_MOST = 8

FAULTS = {
    "lost answers to purchases": (
        "tiktok",
        {"purchase_answer_lost": 0.25, "label_pending": 0.2, "cancelled_at_purchase": 0.1},
    ),
    "lost answers to numbers and stock": ("seller", {"shipment_answer_lost": 0.3, "inventory_answer_lost": 0.3}),
    "answers that are no answers, and revoked tokens": (
        "mixed",
        {"html_ok": 0.04, "html_502": 0.03, "truncated_json": 0.04, "internal_error": 0.06, "unavailable": 0.03}
        | {"connection_dropped": 0.03, "token_revoked": 0.04},
    ),
    "late and broken documents": (
        "tiktok",
        {"document_not_ready": 0.2, "pdf_truncated": 0.2, "pdf_html": 0.2, "document_expired": 0.2},
    ),
    "cancels after the look, and strange words": (
        "mixed",
        {"cancelled_after_list": 0.6, "cancel_request_after_list": 0.6, "unknown_status": 0.1, "unknown_enum": 0.1},
    ),
}


def _work_until_quiet(shop, carrier):
    """Run rounds until one ends in peace and sends nothing."""
    for number in range(ROUNDS_AT_MOST):
        before, codes = shop.ledger()["writes"], []
        for command in ROUND:
            if "tracking" in str(command) and carrier == "tiktok":
                continue
            if command[-1] == "tracking.csv" and not shop.write_tracking_list(first_serial=(number + 1) * 1_000_000):
                continue
            finished = shop.run(*command, expect=SURVIVABLE)
            assert finished.code == 0 or "next:" in finished.stderr
            codes.append(finished.code)
        if not any(codes) and shop.ledger()["writes"] == before:
            return
    raise AssertionError(f"no peace after {ROUNDS_AT_MOST} rounds: {codes}")


@pytest.mark.parametrize("name", FAULTS)
def test_a_day_with_faults_ends_as_a_calm_day(open_shop, name):
    carrier, faults = FAULTS[name]
    text = ",".join(f"{fault}:{probability}" for fault, probability in faults.items())
    shop = open_shop(orders=24, seed=4, carrier=carrier, faults=text, time_scale=20, hold_seconds=72000)
    _work_until_quiet(shop, carrier)
    assert sum(shop.ledger()["faults"].values()) >= 3
    assert shop.disagreements() == []
    assert shop.printed_twice_or_never() == []
    assert shop.shipped() == shop.due()
    shop.run("sync", "--quiet", expect=SURVIVABLE)
    shop.run("check", "--quiet")


def test_pages_that_move_while_they_are_read_hide_no_order(open_shop):
    faults = "duplicate_rows:0.7,shuffled_rows:0.7,update_time_outside:0.7"
    shop = open_shop(orders=450, seed=3, faults=faults)
    shop.run("sync")
    assert set(shop.ledger()["faults"]) == {"duplicate_rows", "shuffled_rows", "update_time_outside"}
    assert set(shop.folder.column("SELECT channel_order_id FROM orders")) == set(shop.ledger()["orders"])
