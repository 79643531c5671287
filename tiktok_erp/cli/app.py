"""The Typer application: global options, and one module per command. Everything heavy is imported inside the commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tiktok_erp.cli import (
    alerts,
    allocate,
    auth,
    backup,
    check,
    demo,
    doctor,
    handover,
    init,
    labels,
    live,
    orders,
    pack,
    print_labels,
    quarantine,
    report,
    reserve_stock,
    resume,
    rules,
    run,
    simulate,
    status,
    stock,
    sync,
    undo,
    upload_tracking,
)
from tiktok_erp.cli.options import Globals
from tiktok_erp.cli.output import Output
from tiktok_erp.cli.system_errors import open_missing_streams, output_error, system_error, to_nowhere
from tiktok_erp.errors import ErpError
from tiktok_erp.messages import LANGUAGES, tr, use_language
from tiktok_erp.signals import interrupt_is_settled

# Options that scripts may also write behind the command.
_GLOBAL_OPTIONS = ("--db", "--rules", "--lang")

app = typer.Typer(
    name="tiktok-erp",
    help="Orders, stock, carriers, labels and tracking for one TikTok Shop seller, in one SQLite file.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def main_options(
    context: typer.Context,
    db: Annotated[Path, typer.Option("--db", envvar="TIKTOK_ERP_DB", help="The database.")] = Path("shop.db"),
    rules_file: Annotated[
        Path | None,
        typer.Option(
            "--rules", envvar="TIKTOK_ERP_RULES", help="The rules.  [default: rules.yaml]", show_default=False
        ),
    ] = None,
    lang: Annotated[str, typer.Option("--lang", envvar="TIKTOK_ERP_LANG", help="en or zh.")] = "en",
) -> None:
    """Keep the global options for the command."""
    if lang not in LANGUAGES:
        raise typer.BadParameter(tr("there are {languages}", languages=", ".join(LANGUAGES)), param_hint="--lang")
    use_language(lang)
    # Locks, tokens and labels stand beside the database: by whatever link it is reached, there must be one of each.
    context.obj = Globals(
        db.resolve() if db.is_symlink() else db, rules_file or Path("rules.yaml"), rules_given=rules_file is not None
    )


init.register(app)
demo.register(app)
sync.register(app)
stock.register(app)
reserve_stock.register(app)
allocate.register(app)
print_labels.register(app)
pack.register(app)
labels.register(app)
upload_tracking.register(app)
run.register(app)
undo.register(app)
status.register(app)
orders.register(app)
quarantine.register(app)
rules.register(app)
simulate.register(app)
check.register(app)
backup.register(app)
auth.register(app)
doctor.register(app)
alerts.register(app)
live.register(app)
report.register(app)
handover.register(app)
resume.register(app)


def main() -> None:
    """Run the command line."""
    # Nearly all that is written holds names, addresses or tokens: whatever writes it, it is for its owner alone.
    os.umask(os.umask(0o077) | 0o077)
    open_missing_streams()
    try:
        app(args=_global_options_first(sys.argv[1:]), prog_name="tiktok-erp")
    except SystemExit:
        _finish()
        raise
    except ErpError as error:  # standard output took no more where nobody looked for that
        _end_with(error)
    except OSError as error:
        _end_with(system_error(error))
    finally:
        interrupt_is_settled()


def _finish() -> None:
    """Write what is still to be written, before the interpreter does it and complains in its own way."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        to_nowhere(sys.stdout)
    except OSError as error:
        to_nowhere(sys.stdout)
        _end_with(output_error(error))
    try:
        sys.stderr.flush()
    except OSError:
        to_nowhere(sys.stderr)


def _end_with(error: ErpError) -> NoReturn:
    Output(as_json="--json" in sys.argv, quiet=False).error(error)
    raise SystemExit(error.exit_code) from None


def _global_options_first(arguments: list[str]) -> list[str]:
    """Move `--db FILE` and its like in front of the command, so that scripts may write them where they like."""
    first: list[str] = []
    rest: list[str] = []
    position = 0
    while position < len(arguments):
        word = arguments[position]
        if word == "--":
            rest.extend(arguments[position:])
            break
        if word in _GLOBAL_OPTIONS and position + 1 < len(arguments):
            first.extend(arguments[position : position + 2])
            position += 2
            continue
        (first if word.startswith(tuple(f"{name}=" for name in _GLOBAL_OPTIONS)) else rest).append(word)
        position += 1
    return first + rest


if __name__ == "__main__":
    main()
