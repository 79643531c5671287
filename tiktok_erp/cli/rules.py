"""`rules`: check the rules file, run its examples, explain a decision, compare two files on the history."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import Globals, Json, Quiet, read_names
from tiktok_erp.cli.output import Output
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.errors import ErpError, RulesError, UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.foreign_text import screen_text
from tiktok_erp.model.outcome import Outcome

if TYPE_CHECKING:
    from tiktok_erp.allocation.explain_plan import RuleAnswer
    from tiktok_erp.allocation.rehearse import Change, Difference, Explained, TestResult
    from tiktok_erp.model.carrier_rule import Price

_PLACE = re.compile(r"(?P<file>.+?):(?P<line>[0-9]+):(?P<column>[0-9]+): (?P<what>.*)", re.DOTALL)

rules_app = typer.Typer(
    help="Check the rules file, run its examples, explain a decision, compare two files.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(rules_app, name="rules")


@rules_app.command("check")
def check(context: typer.Context, as_json: Json = False, quiet: Quiet = False) -> None:
    """Read the whole rules file and report every fault with its line.

    Remarks are about what can be followed and is probably not meant: ranges that overlap or leave a gap, rules that never
    fire, no rule for everything else.

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
                        out.json_line({"kind": "fault", "result": "failed", "text": fault, **_place(fault)})
                    else:
                        typer.echo(screen_text(str(fault)))
            else:
                out.say(tr("{file} is in order", file=options.rules))
        except ErpError as error:
            out.error(error)
            code = error.exit_code
        out.summary(code)
    raise typer.Exit(code)


def _place(fault: str) -> dict[str, object]:
    match = _PLACE.match(fault)
    return {"file": match["file"], "line": int(match["line"]), "column": int(match["column"])} if match else {}


@rules_app.command("test")
def test(context: typer.Context, as_json: Json = False, quiet: Quiet = False) -> None:
    """Run the examples in the file's own section `tests`; exit code 5 when one does not come out as expected.

    \b
    Examples:
      tiktok-erp rules test
      tiktok-erp --rules new-rules.yaml rules test --json | jq 'select(.result == "failed")'
    """
    from tiktok_erp.allocation.rehearse import run_tests
    from tiktok_erp.config.rules_file import load_rules

    options: Globals = context.obj
    with Output(as_json=as_json, quiet=quiet) as out:
        try:
            rules = load_rules(options.rules)
            results = run_tests(rules)
            for result in results:
                _tell_test(out, result)
            failed = sum(bool(result.wrong) for result in results)
            code = RulesError.exit_code if failed else 0
            if results:
                out.say(tr("{count} examples, {failed} not as expected", count=len(results), failed=failed))
            else:
                out.warn(tr("{file} has no examples; add some to `tests`", file=options.rules))
        except ErpError as error:
            out.error(error)
            code = error.exit_code
        out.summary(code)
    raise typer.Exit(code)


def _tell_test(out: Output, result: TestResult) -> None:
    from tiktok_erp.allocation.explain_plan import result_of

    carrier, service_level, rule, cause = result_of(result.decision)
    fields = {"carrier": carrier, "service_level": service_level, "because": rule, "decision_cause": cause}
    if not result.wrong:
        text = tr("as expected: {name}", name=result.test.name)
        out.item(Outcome("rule_test", {"name": result.test.name}, "done", fields=fields, text=text))
        return
    wrong = ", ".join(
        tr("{what} is {seen}, not {wanted}", what=what, seen=seen or "-", wanted=wanted)
        for what, wanted, seen in result.wrong
    )
    out.item(
        Outcome(
            "rule_test",
            {"name": result.test.name},
            "failed",
            cause="not_as_expected",
            next_step=tr("correct the rules, or what the example expects"),
            fields=fields
            | {"wrong": {what: {"expected": wanted, "seen": seen} for what, wanted, seen in result.wrong}},
            text=f"{result.test.name}: {wrong}",
        )
    )


@rules_app.command("explain")
def explain(
    context: typer.Context,
    ids: Annotated[
        list[str],
        typer.Argument(
            metavar="ID...",
            help="Package ids, order ids or the channel's order ids; `-` reads them from standard input.",
        ),
    ],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show every rule in order, the condition that failed and what it saw, and what the winner costs against the others.

    \b
    Examples:
      tiktok-erp rules explain 576461413038785752
      tiktok-erp quarantine --json | tiktok-erp rules explain - --json
    """

    def body(session: Session) -> None:
        from tiktok_erp.allocation.rehearse import explain_packages

        package_ids = session.packages(read_names(ids)) or []
        for explained in explain_packages(session.store, session.rules(), package_ids):
            _tell_explained(session.out, explained)

    run_command("rules explain", context, body, as_json=as_json, quiet=quiet, writes=False)


def _tell_explained(out: Output, explained: Explained) -> None:
    from tiktok_erp.allocation.explain_plan import result_of

    package_id = explained.row["package_id"]
    out.say(tr("{package}  {facts}", package=package_id, facts=_facts(explained)))
    for position, answer in enumerate(explained.explanation.answers, start=1):
        fields: dict[str, object] = {
            "position": position,
            "rule": answer.rule,
            "answer": answer.answer,
            "condition": answer.condition,
            "seen": answer.seen,
            "decides": answer.decides,
        }
        text = f"  {position:>3}  {_answer_text(answer)}"
        out.item(Outcome("rule", {"package_id": package_id}, "done", fields=fields, text=text))
    carrier, service_level, rule, cause = result_of(explained.decision)
    chosen = (carrier, service_level)
    for price in explained.explanation.prices:
        _tell_price(out, package_id, price, chosen, explained.explanation.prices)
    detail = getattr(explained.decision, "detail", None) or getattr(explained.decision, "reason", None)
    fields = {
        "carrier": carrier,
        "service_level": service_level,
        "because": rule,
        "cause": cause,
        "detail": detail,
        "next_step": getattr(explained.decision, "next_step", None),
        "notes": list(getattr(explained.decision, "notes", ())),
        "allocated_carrier": explained.row["carrier"],
        "allocated_service_level": explained.row["service_level"],
        "allocated_because": explained.row["because"],
    }
    if cause is None:
        text = tr("  so: {carrier} {level}, by `{rule}`", carrier=carrier, level=service_level, rule=rule)
    else:
        text = tr("  so: no carrier ({cause}): {detail}", cause=cause, detail=detail)
    before = explained.row["because"]
    if explained.row["allocated_at"] is not None and before != rule:
        text += "\n" + tr(
            "  decided before: {carrier} {level}, by `{rule}`",
            carrier=explained.row["carrier"],
            level=explained.row["service_level"] or "-",
            rule=before,
        )
    out.item(Outcome("package", {"package_id": package_id}, "done", fields=fields, text=text))


def _facts(explained: Explained) -> str:
    parcel = explained.parcel
    facts = [
        str(parcel.order_total) if parcel.order_total is not None else "",
        f"{parcel.weight_g} g" if parcel.weight_g is not None else tr("weight unknown"),
        tr("{count} pieces", count=parcel.item_count),
        parcel.state or "",
        parcel.shipping_type or "",
    ]
    return ", ".join(fact for fact in facts if fact)


def _answer_text(answer: RuleAnswer) -> str:
    if answer.answer == "misses":
        seen = answer.seen or tr("none")
        text = tr(
            "{rule}: no, asks for {condition}; it is {seen}", rule=answer.rule, condition=answer.condition, seen=seen
        )
    elif answer.answer == "unknown":
        text = tr("{rule}: asks for {condition}, which is not known", rule=answer.rule, condition=answer.condition)
    elif answer.answer == "passed_over":
        text = tr("{rule}: passed over, the channel takes no own label of its carriers", rule=answer.rule)
    elif answer.answer == "adds":
        text = tr("{rule}: yes, and adds to it", rule=answer.rule)
    else:
        text = tr("{rule}: yes", rule=answer.rule)
    return f"{text}  <==" if answer.decides else text


def _tell_price(
    out: Output, package_id: str, price: Price, chosen: tuple[str | None, str | None], prices: tuple[Price, ...]
) -> None:
    winner = next((one for one in prices if tuple(one.choice) == chosen), None)
    more = None
    if winner is not None and winner.cost.currency == price.cost.currency:
        more = price.cost.minor - winner.cost.minor
    days = "" if price.transit_days is None else tr(", {days} days", days=price.transit_days)
    mark = "  <==" if winner is price else ""
    difference = f" ({_signed(more, price.cost.currency)})" if more else ""
    fields: dict[str, object] = {
        "carrier": price.choice.carrier,
        "service_level": price.choice.service_level,
        "cost_minor": price.cost.minor,
        "currency": price.cost.currency,
        "transit_days": price.transit_days,
        "more_minor": more,
        "source": price.source,
        "is_chosen": winner is price,
    }
    text = f"       {price.choice}: {price.cost}{difference}{days}{mark}"
    out.item(Outcome("price", {"package_id": package_id}, "done", fields=fields, text=text))


@rules_app.command("diff")
def diff(
    context: typer.Context,
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The rules as they are.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The rules as they would be.")],
    on: Annotated[str, typer.Option("--on", help="How much of the history to replay: 90d, 12h.")] = "90d",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Replay two rules files on the packages of the database: what would have been sent otherwise, and at what cost.

    \b
    Examples:
      tiktok-erp rules diff rules.yaml new-rules.yaml --on 90d
      tiktok-erp rules diff rules.yaml new-rules.yaml --json | jq 'select(.kind == "move")'
    """

    def body(session: Session) -> None:
        from tiktok_erp.allocation.rehearse import compare_rules
        from tiktok_erp.config.rules_file import load_rules
        from tiktok_erp.store.database import utc_now

        since = utc_now() - _length(on)
        difference = compare_rules(session.store, load_rules(old), load_rules(new), session.out, since=since)
        session.out.end_progress()
        _tell_difference(session, difference)

    run_command("rules diff", context, body, as_json=as_json, quiet=quiet, writes=False)


def _length(text: str) -> timedelta:
    from tiktok_erp.model.moment import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(
            tr("{text} is no length of time", text=text), subject="--on", next_step=tr("write 90d, 12h or 30m")
        ) from error


def _tell_difference(session: Session, difference: Difference) -> None:
    out = session.out
    out.say(
        tr(
            "{changed} of {packages} packages would go otherwise",
            changed=difference.changed,
            packages=difference.packages,
        )
    )
    for (before, after), count in sorted(difference.moves.items(), key=lambda item: (-item[1], item[0])):
        fields: dict[str, object] = {"old": before, "new": after, "packages": count}
        out.item(Outcome("move", {}, "done", fields=fields, text=f"  {count:>7}  {before} -> {after}"))
    for change in difference.examples:
        _tell_change(out, change)
    cost = ", ".join(_signed(minor, currency) for currency, minor in sorted(difference.cost_minor.items()))
    session.summary.update(
        packages=difference.packages,
        changed=difference.changed,
        cost_minor=dict(difference.cost_minor),
        cost_known_for=difference.costed,
        transit_days=difference.days,
        transit_known_for=difference.timed,
    )
    if not difference.changed:
        return
    out.say(
        tr("postage: {cost} for the {count} whose rates are known", cost=cost, count=difference.costed)
        if difference.costed
        else tr("postage: unknown; `rates` of both files tell none for these packages")
    )
    if difference.timed:
        out.say(tr("in transit: {days} days in all for {count}", days=f"{difference.days:+}", count=difference.timed))


def _tell_change(out: Output, change: Change) -> None:
    def side(result: tuple[str | None, str | None, str | None, str | None]) -> str:
        carrier, service_level, rule, cause = result
        return f"{carrier} {service_level} ({rule})" if carrier else f"({cause})"

    cost = (
        ""
        if change.cost_minor is None or change.currency is None
        else f"  {_signed(change.cost_minor, change.currency)}"
    )
    fields: dict[str, object] = {
        **dict(zip(("old_carrier", "old_service_level", "old_because", "old_cause"), change.old, strict=True)),
        **dict(zip(("new_carrier", "new_service_level", "new_because", "new_cause"), change.new, strict=True)),
        "cost_minor": change.cost_minor,
        "currency": change.currency,
    }
    text = f"  {change.package_id}  {side(change.old)} -> {side(change.new)}{cost}"
    out.item(Outcome("package", {"package_id": change.package_id}, "done", fields=fields, text=text))


def _signed(minor: int, currency: str) -> str:
    from tiktok_erp.model.money import Money

    return f"{'+' if minor >= 0 else ''}{Money(minor, currency)}"
