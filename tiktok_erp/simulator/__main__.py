"""`python -m tiktok_erp.simulator`: serve a simulated shop until it is told to stop."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from tiktok_erp.simulator.options import CARRIERS, MODES, SELLER_TYPES, UNKNOWN_IDS
from tiktok_erp.simulator.server import FAULTS, SimulatorOptions, serve

_CHOICES = {"mode": MODES, "carrier": CARRIERS, "seller_type": SELLER_TYPES, "unknown_ids": UNKNOWN_IDS}
_HELP = {
    "port": "0 picks a free one",
    "ready_file": "written once the shop listens: JSON with URLs and credentials",
    "orders": "how many orders there are in all",
    "minutes": "orders arrive over this time from now; 0: over the hours before the start",
    "rate_limit": "requests a second and endpoint; 0: no limit",
    "time_scale": "divides the shop's own waits: arrivals, payment, hold, documents",
    "faults": "NAME:PROBABILITY,... (names below)",
    "shops": "shops that the token opens; the first has the orders, the others are empty",
    "scopes": "SCOPE,... that the seller granted; a call outside them answers 105005",
    "own_usps": "take USPS labels that the shop did not sell, as TikTok did before 2026",
    "state": "the shop's own ledger, JSON, replaced before a write is answered",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser: one option for each field of SimulatorOptions."""
    catalogue = "\n".join(f"  {name:26} {text}" for name, text in FAULTS.items())
    made = argparse.ArgumentParser(
        prog="python -m tiktok_erp.simulator",
        description="A simulated TikTok Shop on 127.0.0.1.",
        epilog=f"faults:\n{catalogue}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option in fields(SimulatorOptions):
        flag, text = "--" + option.name.replace("_", "-"), _HELP.get(option.name)
        if isinstance(option.default, bool):
            made.add_argument(flag, action=argparse.BooleanOptionalAction, default=option.default, help=text)
            continue
        kind = Path if option.default is None else float if "float" in str(option.type) else type(option.default)
        made.add_argument(flag, type=kind, default=option.default, choices=_CHOICES.get(option.name), help=text)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; 2 for bad options, 0 after a clean stop."""
    given = parser().parse_args(arguments)
    try:
        options = SimulatorOptions(**vars(given))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    serve(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
