"""`simulate`: a TikTok Shop on this machine, to try and rehearse everything."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tiktok_erp.cli.output import Output
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    from tiktok_erp.simulator.faults import FAULTS

    catalogue = "\n".join(f"  {name:26} {text}" for name, text in FAULTS.items())
    app.command("simulate", epilog="\b\nFaults:\n" + catalogue)(simulate)


def simulate(
    port: Annotated[int, typer.Option("--port", help="0 picks a free one.")] = 0,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            "--ready-file", help="Written once the shop listens: JSON with URLs and credentials.", show_default=False
        ),
    ] = None,
    orders: Annotated[int, typer.Option("--orders", help="How many orders there are in all.")] = 300,
    minutes: Annotated[
        float,
        typer.Option("--minutes", help="They arrive over this time from now; 0: over the hours before the start."),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same shop.")] = 1,
    latency_ms: Annotated[int, typer.Option("--latency-ms", help="Every answer takes at least so long.")] = 0,
    rate_limit: Annotated[
        float, typer.Option("--rate-limit", help="Requests a second and endpoint; 0: no limit.")
    ] = 50,
    hold_seconds: Annotated[float, typer.Option("--hold-seconds", help="How long a paid order is on hold.")] = 3600,
    time_scale: Annotated[
        float, typer.Option("--time-scale", help="Divides the shop's own waits: arrivals, hold, documents.")
    ] = 1,
    mode: Annotated[str, typer.Option("--mode", help="us-local or packages-first.")] = "us-local",
    carrier: Annotated[str, typer.Option("--carrier", help="tiktok, seller or mixed.")] = "mixed",
    faults: Annotated[str, typer.Option("--faults", help="NAME:PROBABILITY,... (names below).")] = "",
    shops: Annotated[
        int, typer.Option("--shops", help="Shops that the token opens; the first has the orders, the others are empty.")
    ] = 1,
    scopes: Annotated[
        str, typer.Option("--scopes", help="SCOPE,... that the seller granted; a call outside them answers 105005.")
    ] = "all",
    own_usps: Annotated[
        bool,
        typer.Option("--own-usps", help="Take USPS labels that the shop did not sell, as TikTok did before 2026."),
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state", help="The shop's own ledger: JSON, replaced before a write is answered.", show_default=False
        ),
    ] = None,
) -> None:
    """Serve a simulated TikTok Shop on 127.0.0.1 until Ctrl-C.

    \b
    Examples:
      tiktok-erp simulate --orders 500 --ready-file ready.json
      tiktok-erp simulate --orders 2800 --minutes 120 --time-scale 60 --faults purchase_answer_lost:0.01
      tiktok-erp simulate --shops 2 --scopes seller.authorization.info,seller.order.info
    """
    from tiktok_erp.simulator.server import SimulatorOptions, serve

    try:
        options = SimulatorOptions(
            port=port,
            ready_file=ready_file,
            orders=orders,
            minutes=minutes,
            seed=seed,
            latency_ms=latency_ms,
            rate_limit=rate_limit,
            hold_seconds=hold_seconds,
            time_scale=time_scale,
            mode=mode,
            carrier=carrier,
            faults=faults,
            shops=shops,
            scopes=scopes,
            own_usps=own_usps,
            state=state,
        )
    except ValueError as error:
        _refuse(UsageError(str(error), subject="simulate", next_step=tr("see `tiktok-erp simulate --help`")))
    try:
        serve(options)
    except (OSError, OverflowError) as error:
        _refuse(_cannot_serve(error, port, ready_file, state))


def _cannot_serve(error: OSError | OverflowError, port: int, ready_file: Path | None, state: Path | None) -> UsageError:
    """Return which of the places that the options name cannot be had."""
    of_ports = (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL)
    reason = (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
    if isinstance(error, OverflowError) or (error.errno in of_ports and error.filename is None):
        return UsageError(
            tr("the port cannot be had: {reason}", reason=reason),
            subject=f"--port {port}",
            next_step=tr("name another port, or 0 for any that is free"),
        )
    files = [
        f"{option} {path}" for option, path in (("--ready-file", ready_file), ("--state", state)) if path is not None
    ]
    return UsageError(
        tr("a file cannot be written: {reason}", reason=reason),
        subject=", ".join(files) or "simulate",
        next_step=tr("name a file in a folder that exists and can be written"),
    )


def _refuse(wrong: UsageError) -> NoReturn:
    Output(as_json=False, quiet=False).error(wrong)
    raise typer.Exit(wrong.exit_code)
