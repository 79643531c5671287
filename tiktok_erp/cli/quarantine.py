"""`quarantine`: what cannot go on by itself, why, and what to do."""

from __future__ import annotations

from itertools import groupby

import typer

from tiktok_erp.cli.options import Json, Quiet
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome

_SHOWN_OF_A_CAUSE = 20


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("quarantine")(quarantine)


def quarantine(context: typer.Context, as_json: Json = False, quiet: Quiet = False) -> None:
    """List open cases, grouped by cause, each with its next step.

    \b
    Examples:
      tiktok-erp quarantine
      tiktok-erp quarantine --json | jq -r 'select(.cause == "no_rule") | .package_id' | tiktok-erp allocate -
    """

    def body(session: Session) -> None:
        from tiktok_erp.cli.tables import print_list
        from tiktok_erp.store.quarantine import load_cases

        cases = load_cases(session.store)
        if session.out.as_json:
            for case in cases:
                session.out.item(Outcome("quarantine", {}, "skipped", fields=dict(case)))
            return
        if not cases:
            session.out.say(tr("no open case"))
        for cause, group in groupby(cases, key=lambda case: str(case["cause"])):
            members = list(group)
            session.out.say(f"{cause}: {len(members)}")
            print_list(
                session.out,
                [
                    [str(case["package_id"] or case["order_id"] or "-"), str(case["since"]), str(case["detail"])]
                    for case in members[:_SHOWN_OF_A_CAUSE]
                ],
            )
            if len(members) > _SHOWN_OF_A_CAUSE:
                session.out.say(tr("  ... and {count} more", count=len(members) - _SHOWN_OF_A_CAUSE))
            session.out.say(tr("  next: {step}", step=members[0]["next_step"]))

    run_command("quarantine", context, body, as_json=as_json, quiet=quiet, writes=False)
