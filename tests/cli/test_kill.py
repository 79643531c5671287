"""Commands that spend and publish are killed at random instants, without a warning, until they get through."""

from __future__ import annotations

import random

KILLS = 26
# Longer than a run without a kill takes, shorter than one that has much to settle.
LONGEST_S = 0.9


def _kill(shop, command, dice, at_most):
    """Start `command` again and again, killing it, until a run gets through; return the number of kills."""
    kills = 0
    while kills < at_most and shop.folder.run_killed(command, "--quiet", after_s=dice.uniform(0, LONGEST_S)):
        kills += 1
    return kills


def test_print_labels_killed_at_random_instants_buys_and_prints_each_label_once(open_shop):
    dice, kills, seed = random.Random(5), 0, 0
    while kills < KILLS:
        seed += 1
        shop = open_shop(f"shop-{seed}", orders=50, seed=seed, carrier="tiktok", latency_ms=20)
        shop.allocated()
        kills += _kill(shop, "print-labels", dice, KILLS - kills)
        shop.run("print-labels")
        assert shop.disagreements() == []
        assert shop.printed_twice_or_never() == []
        assert shop.shipped() >= shop.due()
        shop.run("check", "--quiet")


def test_upload_tracking_killed_at_random_instants_tells_each_number_once(open_shop):
    dice, kills, seed = random.Random(6), 0, 100
    while kills < KILLS:
        seed += 1
        shop = open_shop(f"shop-{seed}", orders=50, seed=seed, carrier="seller", latency_ms=60)
        shop.allocated()
        shop.write_tracking_list()
        shop.run("print-labels", "--from", "tracking.csv", "--quiet")
        kills += _kill(shop, "upload-tracking", dice, KILLS - kills)
        shop.run("upload-tracking")
        assert shop.disagreements() == []
        assert shop.shipped() >= shop.due()
        shop.run("check", "--quiet")


def test_a_run_that_is_asked_to_stop_ends_soon_and_the_next_one_goes_on(open_shop):
    shop = open_shop(orders=50, carrier="tiktok", latency_ms=80)
    shop.allocated()
    with shop.folder.start("print-labels") as process:
        shop.wait_for_a_purchase(process)
        process.terminate()
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stdout + stderr
    assert "tiktok-erp print-labels" in stderr
    bought = len(shop.ledger()["purchases"])
    assert 0 < bought < len(shop.due())
    assert shop.folder.value("SELECT exit_code FROM v_runs ORDER BY run_id DESC LIMIT 1") == 130
    shop.run("print-labels")
    assert shop.disagreements() == []
    assert shop.printed_twice_or_never() == []
    assert shop.shipped() == shop.due()
