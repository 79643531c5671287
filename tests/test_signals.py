"""A process that was interrupted leaves with the exit code of its command, wherever the interrupt came in."""

from __future__ import annotations

import subprocess
import sys

INTERRUPTED_WHILE_IMPORTING = """
import sys
from tiktok_erp.signals import interrupt_is_settled
try:
    exec("import signal; signal.raise_signal(signal.SIGINT)")
except KeyboardInterrupt:
    pass
interrupt_is_settled()
sys.exit(3)
"""


def test_a_caught_interrupt_does_not_change_the_exit_code() -> None:
    finished = subprocess.run([sys.executable, "-c", INTERRUPTED_WHILE_IMPORTING], check=False)
    assert finished.returncode == 3
