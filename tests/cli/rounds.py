"""Rounds of `run --watch` in this process, so that a test decides what is due and how long a stage takes."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock

from tiktok_erp.cli.options import Globals
from tiktok_erp.cli.output import Output
from tiktok_erp.cli.run import Day, Known
from tiktok_erp.cli.session import Session
from tiktok_erp.config.rules_file import load_rules
from tiktok_erp.store.database import Store, open_store


class Rounds:
    """What a watch keeps from round to round."""

    def __init__(self, folder: Any, store: Store) -> None:
        self.folder = folder
        self.known = Known()
        self.stderr = io.StringIO()
        out = Output(as_json=False, quiet=False, stdout=io.StringIO(), stderr=self.stderr)
        self._session = Session(out, Globals(folder.db, folder.rules, rules_given=True), store, None, dry_run=False)

    def play(
        self, kind: type[Day] = Day, *, is_watch: bool = True, every: timedelta = timedelta(minutes=1), **rules: Any
    ) -> Day:
        """Play one round by the rules in the folder, but for those given; `every` is the clock of fetch and push."""
        self._session.use_rules(replace(load_rules(self.folder.rules), **rules))
        day = kind(
            self._session, self.known, out=self.folder.path, yes=True, is_watch=is_watch, pace=lambda rules: every
        )
        day.run()
        self.known.end_round()
        return day


@contextmanager
def rounds_in(folder: Any) -> Iterator[Rounds]:
    """Open the folder's database for rounds that see the folder's environment."""
    with mock.patch.dict(os.environ, folder.environment, clear=True), open_store(folder.db) as store:
        yield Rounds(folder, store)
