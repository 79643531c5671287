"""Several processes reserve on one file at once, some are killed: nothing is sold twice, nobody waits for ever."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load(name: str) -> ModuleType:
    # By path: `tests` is no package when pytest itself is the command. Spawned processes find it by the same name.
    root = Path(__file__).parents[2]
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module(name)


stock = _load("tests.benchmarks.stock")


@pytest.mark.parametrize("are_mortal", [False, True], ids=["in peace", "killed in the middle of their work"])
def test_eight_processes_never_sell_a_piece_twice(tmp_path: Path, are_mortal: bool) -> None:
    result = stock.soak(tmp_path, seconds=90, rounds=20, kill_every=None, pieces=60, are_mortal=are_mortal)
    assert result.errors == []
    assert result.breaches == []
    assert result.oversold == 0
    assert result.held > 800, "too little was reserved to show anything"
    assert (result.killed > 3) is are_mortal
