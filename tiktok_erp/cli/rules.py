"""`rules`: check the rules file."""

from __future__ import annotations

import typer

from tiktok_erp.cli.options import Globals, Json, Quiet
from tiktok_erp.cli.output import Output
from tiktok_erp.errors import ErpError, RulesError
from tiktok_erp.messages import tr

rules_app = typer.Typer(help="Check the rules file.", no_args_is_help=True, rich_markup_mode=None)


@rules_app.callback()
def _group() -> None:
    """Check the rules file."""


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(rules_app, name="rules")


@rules_app.command("check")
def check(context: typer.Context, as_json: Json = False, quiet: Quiet = False) -> None:
    """Read the whole rules file and report every fault with its line.

    \b
    Examples:
      tiktok-erp rules check
      tiktok-erp --rules new-rules.yaml rules check
    """
    from tiktok_erp.config.rules_file import check_rules

    options: Globals = context.obj
    with Output(as_json=as_json, quiet=quiet) as out:
        code = 0
        try:
            result = check_rules(options.rules)
            for note in result.notes:
                out.warn(note)
            if result.faults:
                code = RulesError.exit_code
                for fault in result.faults:
                    if as_json:
                        out.json_line({"kind": "fault", "result": "failed", "text": fault})
                    else:
                        typer.echo(fault)
            else:
                out.say(tr("{file} is in order", file=options.rules))
        except ErpError as error:
            out.error(error)
            code = error.exit_code
        out.summary(code)
    raise typer.Exit(code)
