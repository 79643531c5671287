"""The kit that `run --watch` keeps fresh: made when it is due, beside long work, and never in the way of a stage."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tiktok_erp.cli.options import Globals
from tiktok_erp.cli.output import Output
from tiktok_erp.cli.print_labels import print_labels
from tiktok_erp.cli.run import Day, Known
from tiktok_erp.cli.session import Session
from tiktok_erp.config.rules_file import load_rules
from tiktok_erp.errors import ErpError
from tiktok_erp.model.rule import Handover
from tiktok_erp.store.database import open_store

EXPORT = Path(__file__).parents[2] / "examples" / "seller-center-export.csv"
EVERY = timedelta(minutes=5)


class Watch:
    """The rounds of one `run --watch` in this process, in a folder that has no channel."""

    def __init__(self, folder: Any, store: Any) -> None:
        self.folder = folder
        self.known = Known()
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        out = Output(as_json=False, quiet=False, stdout=self.stdout, stderr=self.stderr)
        self.session = Session(out, Globals(folder.db, folder.rules, rules_given=True), store, None, dry_run=False)

    @property
    def kit(self) -> Path:
        return self.folder.path / "kit"

    def wants(self, folder: str | None = "kit", every: timedelta = EVERY, people: int = 2) -> None:
        self.session.use_rules(replace(load_rules(self.folder.rules), handover=Handover(folder, every, people)))

    def round(self, kind: type[Day] = Day, *, is_watch: bool = True, is_due: bool = False) -> Day:
        if is_due:
            self.known.kit_due_at = time.monotonic()
        day = kind(self.session, self.known, out=self.folder.path, yes=True, is_watch=is_watch)
        day.run()
        self.known.end_round()
        return day

    def kits_made(self) -> int:
        return self.folder.value("SELECT count(*) FROM runs WHERE command = 'handover' AND exit_code = 0")


@pytest.fixture
def watch(folder: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    for name, value in folder.environment.items():
        monkeypatch.setenv(name, value)
    folder.write_rules()
    folder.run("sync", "--from", EXPORT, "--quiet")
    with open_store(folder.db) as store:
        yield Watch(folder, store)


def test_a_kit_is_made_when_it_is_due_and_not_before(watch: Watch) -> None:
    watch.wants()
    watch.round()
    assert (watch.kit / "START-HERE.html").exists()
    assert (watch.kit / "person-2").is_dir()
    watch.round()
    assert watch.kits_made() == 1
    watch.round(is_due=True)
    assert watch.kits_made() == 2


def test_without_a_folder_in_the_rules_and_without_a_watch_there_is_no_kit(watch: Watch) -> None:
    watch.wants(folder=None)
    watch.round()
    watch.wants()
    watch.round(is_watch=False)
    assert watch.kits_made() == 0
    assert not watch.kit.exists()


def test_a_kit_that_cannot_be_made_stops_nothing_and_is_told_once(watch: Watch) -> None:
    watch.wants()
    watch.kit.mkdir()
    (watch.kit / "cat.jpg").write_bytes(b"cat")
    without_a_kit = [error.cause for error in watch.round(is_due=True).stopped]
    assert [error.cause for error in watch.round(is_due=True).stopped] == without_a_kit
    assert watch.stderr.getvalue().count("this folder is no kit") == 1
    done = watch.folder.column("SELECT DISTINCT command FROM runs WHERE exit_code = 0")
    assert {"reserve-stock", "allocate", "print-labels", "upload-tracking"} <= set(done)
    (watch.kit / "cat.jpg").unlink()
    watch.round(is_due=True)
    assert watch.kits_made() == 1
    (watch.kit / "scans.txt").write_text("P000001\n", "utf-8")
    watch.round(is_due=True)
    watch.round(is_due=True)
    assert watch.stderr.getvalue().count("nobody has taken back") == 1
    assert (watch.kit / "scans.txt").read_text("utf-8") == "P000001\n"


def test_while_labels_are_bought_the_kit_is_made_anew(watch: Watch) -> None:
    class LongDay(Day):
        def stage(self, command: Callable[..., None], **options: Any) -> ErpError | None:
            error = super().stage(command, **options)
            if command is print_labels:
                end = time.monotonic() + 60
                while watch.kits_made() < 2:  # the database is asked, so this is no empty loop
                    assert time.monotonic() < end
            return error

    watch.wants(every=timedelta(seconds=0.05))
    watch.round(LongDay)
    assert watch.kits_made() >= 2
