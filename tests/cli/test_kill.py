"""Commands that spend and publish are killed at random instants, without a warning, until they get through."""

from __future__ import annotations

import random
import subprocess
import threading
from contextlib import suppress

from tiktok_erp.simulator.calls import ConnectionLost

KILLS = 16
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


class Fuse:
    """Burns through at one of the gateway's next requests, which may have an effect and has no answer."""

    def __init__(self, gateway, dice):
        self._handle, self._dice, self._lock = gateway.handle, dice, threading.Lock()
        self._left, self._part = 0, ""
        self.is_through = threading.Event()
        gateway.handle = self._answer

    def light(self, requests, part):
        """Burn for so many requests whose path has this part in it."""
        self._left, self._part = requests, part
        self.is_through.clear()

    def _answer(self, request):
        with self._lock:
            self._left -= self._part in f"{request.method} {request.path}"
            is_last, has_effect = self._left == 0 and not self.is_through.is_set(), self._dice.random() < 0.5
        if not is_last:
            return self._handle(request)
        if has_effect:
            self._handle(request)
        self.is_through.set()
        raise ConnectionLost


def _kill_a_run(shop, fuse, dice, requests, part):
    """Kill `run` at one of so many requests or a moment later; return whether it was still at work."""
    fuse.light(dice.randint(1, requests), part)
    with shop.folder.start("run", "--quiet", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not fuse.is_through.wait(0.02):
            pass
        with suppress(subprocess.TimeoutExpired):
            process.wait(dice.choice((0, dice.uniform(0, 0.3))))
        was_at_work = process.poll() is None
        process.kill()
    return was_at_work


def test_a_whole_day_killed_at_random_instants_ships_each_order_once(open_shop):
    dice = random.Random(8)
    shop = open_shop(orders=30, seed=9)
    rules = shop.folder.rules.read_text("utf-8")
    shop.folder.rules.write_text(rules.replace("combine: {wait: 3h", "combine: {wait: 0s"), "utf-8")
    shop.call("sync", "--quiet")
    shop.call("stock", "import", "--from-channel", "tiktok", "--quiet")
    fuse = Fuse(shop.simulator.gateway, dice)
    kills = [
        _kill_a_run(shop, fuse, dice, 15, ""),
        _kill_a_run(shop, fuse, dice, 8, "POST /fulfillment/202512/packages"),
    ]
    shop.call("allocate", "--no-wait", "--quiet")
    own = shop.write_tracking_list()
    shop.call("print-labels", "--from", "tracking.csv", "--quiet")
    kills += [_kill_a_run(shop, fuse, dice, len(own), "POST /fulfillment/202610/orders") for _ in range(2)]
    assert sum(kills) > 2
    shop.call("run", "--quiet")
    assert shop.disagreements() == []
    assert shop.printed_twice_or_never() == []
    assert shop.shipped() == shop.due()
    assert set(shop.folder.column("SELECT channel_order_id FROM orders")) == set(shop.ledger()["orders"])
    shop.call("check", "--quiet")


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
