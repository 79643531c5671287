"""The kit that `run --watch` keeps fresh: made when it is due, beside long work, and never in the way of a stage."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.rounds import Rounds, rounds_in
from tiktok_erp.cli.print_labels import print_labels
from tiktok_erp.cli.run import Day
from tiktok_erp.errors import ErpError
from tiktok_erp.model.rule import Handover

EXPORT = Path(__file__).parents[2] / "examples" / "seller-center-export.csv"
WANTED = Handover("kit", timedelta(minutes=5), people=2)


@pytest.fixture
def watch(folder: Any) -> Iterator[Rounds]:
    """The rounds of a watch in a folder that has orders and no channel."""
    folder.write_rules()
    folder.call("sync", "--from", EXPORT, "--quiet")
    with rounds_in(folder) as rounds:
        yield rounds


def kits_made(watch: Rounds) -> int:
    return int(watch.folder.value("SELECT count(*) FROM runs WHERE command = 'handover' AND exit_code = 0"))


def play_due(watch: Rounds) -> Day:
    watch.known.kit_due_at = time.monotonic()
    return watch.play(handover=WANTED)


def test_a_kit_is_made_when_it_is_due_and_not_before(watch: Rounds) -> None:
    watch.play(handover=WANTED)
    assert (watch.folder.path / "kit" / "START-HERE.html").exists()
    assert (watch.folder.path / "kit" / "person-2").is_dir()
    watch.play(handover=WANTED)
    assert kits_made(watch) == 1
    play_due(watch)
    assert kits_made(watch) == 2


def test_without_a_folder_in_the_rules_and_without_a_watch_there_is_no_kit(watch: Rounds) -> None:
    watch.play()
    watch.play(is_watch=False, handover=WANTED)
    assert kits_made(watch) == 0
    assert not (watch.folder.path / "kit").exists()


def test_a_kit_that_cannot_be_made_stops_nothing_and_is_told_once(watch: Rounds) -> None:
    kit = watch.folder.path / "kit"
    kit.mkdir()
    (kit / "cat.jpg").write_bytes(b"cat")
    for _ in range(2):
        assert "UsageError" not in {type(error).__name__ for error in play_due(watch).stopped}
    assert watch.stderr.getvalue().count("this folder is no kit") == 1
    done = watch.folder.column("SELECT DISTINCT command FROM runs WHERE exit_code = 0")
    assert {"reserve-stock", "allocate", "print-labels", "upload-tracking"} <= set(done)
    (kit / "cat.jpg").unlink()
    play_due(watch)
    assert kits_made(watch) == 1


def test_what_people_wrote_into_the_kit_stays_and_is_told_once(watch: Rounds) -> None:
    watch.play(handover=WANTED)
    scans = watch.folder.path / "kit" / "scans.txt"
    scans.write_text("P000001\n", "utf-8")
    play_due(watch)
    play_due(watch)
    assert watch.stderr.getvalue().count("nobody has taken back") == 1
    assert scans.read_text("utf-8") == "P000001\n"


def test_while_labels_are_bought_the_kit_is_made_anew(watch: Rounds) -> None:
    class LongDay(Day):
        def stage(self, command: Callable[..., None], **options: Any) -> ErpError | None:
            error = super().stage(command, **options)
            end = time.monotonic() + 60
            while command is print_labels and kits_made(watch) < 2:
                assert time.monotonic() < end
                threading.Event().wait(0.02)
            return error

    watch.play(LongDay, handover=Handover("kit", timedelta(seconds=0.05)))
    assert kits_made(watch) >= 2
