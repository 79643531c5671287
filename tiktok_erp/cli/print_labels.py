"""`print-labels`: buy what is due, one PDF in packing order."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import DryRun, Ids, Json, Quiet, StaleOk, Yes, read_names, require_paper
from tiktok_erp.cli.session import Session, agreed, can_ask, existing_folder, run_command
from tiktok_erp.errors import ErpError, SettingsError, SignInError, UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome

if TYPE_CHECKING:
    from tiktok_erp.labels.printing import PrintCount, PrintOptions
    from tiktok_erp.labels.run import PurchasePlan
    from tiktok_erp.model.money import Money


_FILE_ENDINGS = (".pdf", ".csv", ".xlsx", ".xls", ".tsv", ".ods", ".zip")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("print-labels")(print_labels)


def print_labels(
    context: typer.Context,
    ids: Ids = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be bought, in which order, and stop.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=0, help="Buy at most so many.", show_default=False)
    ] = None,
    max_cost: Annotated[
        str | None,
        typer.Option("--max-cost", help="This run's cap instead of the rules': '50 USD'.", show_default=False),
    ] = None,
    from_files: Annotated[
        list[Path] | None,
        typer.Option(
            "--from", help="A tracking list, or PDFs bought in Seller Center; may be repeated.", show_default=False
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Where copies of the newest batch go.")] = Path(),
    pick_list: Annotated[bool, typer.Option("--pick-list/--no-pick-list", help="Write pick-list.pdf.")] = True,
    packing_slips: Annotated[
        bool, typer.Option("--packing-slips/--no-packing-slips", help="Write packing-slips.pdf.")
    ] = True,
    files_of: Annotated[
        int, typer.Option("--files-of", min=0, help="Labels a file: labels-01.pdf and so on; 0 is one file.")
    ] = 0,
    paper: Annotated[
        str | None,
        typer.Option(
            "--paper", help="4x6, letter or a4 (two a sheet), a6; else each label as it is.", show_default=False
        ),
    ] = None,
    printer: Annotated[
        list[str] | None,
        typer.Option(
            "--printer",
            help="A queue of CUPS, ipp://HOST/ipp/print, or tcp://HOST:9100 (ZPL); several share a batch. `open` shows the"
            " labels in the program that opens PDFs here: you print them, and say what is on paper.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume-from", help="Print a batch again from this label on: B07-063.", show_default=False),
    ] = None,
    station: Annotated[
        str | None,
        typer.Option("--station", help="Packing place: takes a part that no other place prints.", show_default=False),
    ] = None,
    pull_list: Annotated[
        bool, typer.Option("--pull-list", help="Show labelled packages that must not leave, and stop.")
    ] = False,
    yes: Yes = False,
    stale_ok: StaleOk = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Buy the labels that are due (TikTok Shipping, EasyPost), or take over labels bought elsewhere, and print one PDF.

    Nothing is ever bought twice: a run that was killed is settled by the next one. Files after --from may also stand
    as arguments (`--from *.pdf`).

    \b
    Examples:
      tiktok-erp print-labels --plan
      tiktok-erp print-labels --limit 50 --out today
      tiktok-erp print-labels --from tracking.csv
      tiktok-erp print-labels --from labels-1.pdf labels-2.pdf
      tiktok-erp print-labels --printer zebra --printer zebra-2
      tiktok-erp print-labels --printer tcp://192.168.1.50:9100 --station north
      tiktok-erp print-labels --printer open
      tiktok-erp print-labels --paper letter --files-of 100
      tiktok-erp print-labels --resume-from B07-063 --printer zebra
    """

    def body(session: Session) -> None:
        if pull_list:
            _show_pulls(session)
            return
        files, names = _files_and_names(from_files, ids)
        only = session.packages(names)
        cap = _money(max_cost)
        options = _print_options(session)
        if not (plan or dry_run):
            existing_folder(out)
        if resume is not None:
            if not dry_run:
                _resume(session, options, resume)
            return
        if not (plan or dry_run):
            _ask_what_is_on_paper(session)
        if files:
            _take_over(session, files)
        elif not plan:
            session.require_up_to_date()
        if not files and only != [] and limit != 0:
            with session.alone("print-labels" if station is not None else None) as is_alone:
                if is_alone:
                    _buy(session, only, cap)
                else:
                    session.out.warn(tr("another run is buying labels; this one prints what is held"))
        if plan or dry_run:
            return
        _print(session, options, None if files else only)

    def _print_options(session: Session) -> PrintOptions:
        from tiktok_erp.labels.printing import PrintOptions
        from tiktok_erp.labels.spool import open_printers

        printing = session.rules().printing
        chosen = paper or printing.paper
        require_paper(chosen)
        if station is not None and not station.strip().isprintable():
            raise UsageError(
                tr("{name} is no name of a station", name=station),
                subject="--station",
                next_step=tr("use a short word"),
            )
        return PrintOptions(
            out=out,
            pick_list=pick_list,
            packing_slips=packing_slips,
            files_of=files_of,
            paper=chosen,
            station=station.strip() if station is not None else None,
            printers=tuple(open_printers(printer or printing.printers, session.store, from_rules=not printer)),
            # A stage of `run` does not wait for a person.
            confirm=lambda range_: context.obj.outer is None and _is_on_paper(session, range_),
        )

    def _take_over(session: Session, paths: list[Path]) -> None:
        from tiktok_erp.labels.own import LabelImporter

        importer = LabelImporter(
            session.store, session.out, rules=session.rules(), run_id=session.run_id, dry_run=plan or dry_run
        )
        importer.import_files(paths)
        count = importer.count
        session.summary.update(taken=count.taken, already_held=count.held)
        session.out.say(tr("{taken} labels taken over, {held} were held already", taken=count.taken, held=count.held))

    def _buy(session: Session, only: list[str] | None, cap: Money | None) -> None:
        from tiktok_erp.cli.label_sources import channel_reader, source_of, vendors
        from tiktok_erp.labels.first_spend import (
            require_purchase_by_hand,
            require_real_sender,
            save_purchase_by_hand,
        )
        from tiktok_erp.labels.run import buy_labels, list_own_labels, plan_purchases, reconcile_labels
        from tiktok_erp.store.database import utc_now
        from tiktok_erp.store.labels import load_unsettled
        from tiktok_erp.store.runs import require_fresh

        rules = session.rules(required=session.settings().tiktok_is_set())
        currency = rules.spending.max_cost_per_label.currency
        if cap is not None and cap.currency != currency:
            raise UsageError(
                tr("the caps of rules.yaml are in {currency}", currency=currency),
                subject="--max-cost",
                next_step=tr("name this cap in {currency} too", currency=currency),
            )
        has_account = session.settings().tiktok_is_set()
        buys_own = rules.labels.seller_shipping == "easypost"
        quote = session.shop().quote_label if rules.labels.quote_first and has_account else None
        purchase = plan_purchases(
            session.store, rules, only=only, limit=limit, max_cost=cap, buys_own=buys_own, quote=quote
        )
        if plan or dry_run:
            _show_plan(session, purchase)
            return
        list_own_labels(session.store, session.rules(), session.out, only=only, buys_own=buys_own)
        for row in purchase.skipped:
            if not purchase.due:
                _tell_skipped(session, row["package_id"], row["obstacle"])
        names = {source_of(row) for row in purchase.due}
        names |= {row["source"] for row in load_unsettled(session.store)}
        if not has_account and "tiktok" in names:
            names.remove("tiktok")
            session.out.warn(
                tr(
                    "{count} packages wait for a label of TikTok Shipping, and there are no credentials: buy them in Seller"
                    " Center and run `tiktok-erp print-labels --from FILE.pdf`",
                    count=sum(row["shipping_type"] == "TIKTOK" for row in purchase.due),
                )
            )
        only_settled = {"easypost"} if "easypost" in names and not buys_own else set()
        try:
            if "easypost" in names - only_settled:
                require_real_sender(session.store, rules)
        except SettingsError as error:
            only_settled, session.stopped = {"easypost"}, error
        try:
            due = sum(source_of(row) in names - only_settled for row in purchase.due)
            if due and context.obj.outer is not None:
                require_purchase_by_hand(session.store, due)
        except SettingsError as error:
            only_settled, session.stopped = set(names), error
        # What was bought there before is settled, and nothing is bought.
        if to_settle := only_settled & {row["source"] for row in load_unsettled(session.store)}:
            reader = channel_reader(session)
            reconcile_labels(
                session.store, vendors(session, to_settle), rules, session.out, reader, run_id=session.run_id
            )
        names -= only_settled
        if not names:
            return
        sources = []
        for name in sorted(names, reverse=True):  # the channel's own first, as `vendors` has them
            try:
                sources += vendors(session, {name})
            except (SignInError, SettingsError) as error:
                if (
                    name == "tiktok" or not sources
                ):  # without the channel no order can be read again before it is paid for
                    raise
                session.stopped = error
        require_fresh(
            session.store, "tiktok", at_most=rules.freshness.buy, now=utc_now(), stale_ok=stale_ok, file_counts=True
        )
        if not _confirmed(session, purchase, yes=yes):
            return
        count = buy_labels(
            session.store,
            sources,
            rules,
            session.out,
            channel_reader(session),
            only=only,
            limit=limit,
            max_cost=cap,
            run_id=session.run_id,
        )
        session.summary.update(bought=count.bought, spent_minor=count.spent_minor, unsettled=count.unsettled)
        session.out.say(tr("{count} labels bought", count=count.bought))
        if count.bought and context.obj.outer is None and (yes or can_ask(session)):
            save_purchase_by_hand(session.store, utc_now())
        if "easypost" in names and count.stopped is None:
            _look_at_refunds(session)
        if count.unsettled > 0:
            session.out.warn(
                tr(
                    "{count} purchases have no certain outcome yet; run `tiktok-erp labels reconcile`",
                    count=count.unsettled,
                )
            )
        if count.cap is not None:
            session.out.item(
                Outcome(
                    "cap",
                    {"cap": count.cap},
                    "failed",
                    cause="cap_reached",
                    next_step=tr("raise it in `spending` of rules.yaml or with --max-cost, and run this again"),
                    text=tr("{cap} is reached; the other packages wait", cap=count.cap),
                )
            )
        session.stopped = count.stopped or session.stopped

    def _print(session: Session, options: PrintOptions, only: list[str] | None) -> None:
        from tiktok_erp.labels.printing import print_batch

        count = print_batch(session.store, session.rules(), session.out, options, only=only, run_id=session.run_id)
        _tell_printed(session, count, options)
        session.stopped = count.not_copied or session.stopped
        if count.directory is None and not count.on_paper:
            session.out.say(tr("nothing to print"))
        if count.held_back:
            session.out.warn(
                tr(
                    "{count} held labels are not printed: cancelled, or asked to be, or contradicting",
                    count=count.held_back,
                )
            )
        _tell_paper(session, options)
        if session.stopped is not None:
            raise session.stopped

    lock = "print-labels" if station is None else f"print-labels-{station_key(station)}"
    is_only_shown = dry_run or plan or pull_list
    run_command("print-labels", context, body, as_json=as_json, quiet=quiet, dry_run=is_only_shown, lock=lock)


def _look_at_refunds(session: Session) -> None:
    """Ask about a few old refunds where labels were bought anyway: of one that is refused somebody has to hear."""
    from tiktok_erp.labels.refunds import IN_PASSING_AFTER, MOST_IN_PASSING, follow_refunds

    try:
        follow_refunds(
            session.store,
            lambda name: session.label_source(),
            session.out,
            run_id=session.run_id,
            not_asked_for=IN_PASSING_AFTER,
            at_most=MOST_IN_PASSING,
        )
    except ErpError as error:
        session.out.warn(tr("refunds cannot be asked about now: {reason}", reason=error.what))


def station_key(name: str) -> str:
    """Return a station's name in the form of a file name."""
    return "".join(letter if letter.isalnum() else "_" for letter in name.strip())[:40] or "_"


def _resume(session: Session, options: PrintOptions, position: str) -> None:
    from tiktok_erp.labels.printing import resume_from

    count = resume_from(session.store, session.rules(), session.out, options, position, run_id=session.run_id)
    _tell_printed(session, count, options)
    _tell_paper(session, options)


def _tell_printed(session: Session, count: PrintCount, options: PrintOptions) -> None:
    from tiktok_erp.printers.base import VIEWER

    session.summary.update(
        printed=count.printed,
        pages=count.pages,
        batch=str(count.directory or ""),
        files=[str(path) for path in count.files],
    )
    if count.files and count.directory is not None:
        file = count.files[0] if len(count.files) == 1 else f"{count.files[0]} .. {count.files[-1].name}"
        session.out.say(
            tr(
                "{printed} labels on {pages} pages: {file} (batch {batch})",
                printed=count.printed,
                pages=count.pages,
                file=file,
                batch=count.directory.name,
            )
            if options.printers
            else tr(
                "PDF written: {printed} labels on {pages} pages: {file} (batch {batch})",
                printed=count.printed,
                pages=count.pages,
                file=file,
                batch=count.directory.name,
            )
        )
    if count.confirmed:
        session.out.say(tr("{count} labels count as printed, as you say", count=count.confirmed))
    if options.printers:
        session.summary.update(on_paper=count.on_paper, doubtful=count.doubtful, opened=count.opened)
        if any(printer.name != VIEWER for printer in options.printers) and (count.on_paper or count.printed):
            session.out.say(tr("{count} labels printed, as the printer says", count=count.on_paper))
        elif count.on_paper:
            session.out.say(tr("{count} labels count as printed, as you say", count=count.on_paper))


def _tell_paper(session: Session, options: PrintOptions) -> None:
    """Say which batches are on no paper, as far as anybody said, and which files to open."""
    from tiktok_erp.labels.on_paper import paper_note, view_paper

    view = view_paper(session.store)
    session.summary.update(view.fields())
    for line in paper_note(session.store, view, options.out):
        session.out.say(line)


def _ask_what_is_on_paper(session: Session) -> None:
    """Ask at a terminal whether the PDFs of earlier runs were printed. A stage of `run` does not wait for a person."""
    from tiktok_erp.labels.on_paper import labels_at, view_paper
    from tiktok_erp.store.print_jobs import mark_on_paper

    view = view_paper(session.store)
    written = [batch for batch in view.batches if batch.is_written]
    is_asked = session.options.outer is None and not session.out.quiet and can_ask(session)
    if not written or not is_asked:
        return
    names = type(view)(tuple(written))
    question = tr("Is all of {batches} ({count} labels) on paper?", batches=names.text, count=names.labels)
    with suppress(typer.Abort):
        if typer.confirm(question, default=False, err=True):
            labels = [label for name in names.names for label in labels_at(session.store, name) or ()]
            with session.store.transaction():
                mark_on_paper(session.store, labels)


def _is_on_paper(session: Session, positions: str) -> bool:
    """Ask the person who prints from a viewer; where nobody can be asked, nothing is known."""
    if not can_ask(session):
        return False
    with suppress(typer.Abort):
        question = tr("{range} is open in the viewer. Print it at 100 %. Is all of it on paper?", range=positions)
        return typer.confirm(question, default=False, err=True)
    return False


def _show_pulls(session: Session) -> None:
    from tiktok_erp.cli.tables import print_table
    from tiktok_erp.labels.plan import next_step_for
    from tiktok_erp.labels.printing import list_pulls

    pulls = list_pulls(session.store)
    session.summary.update(pulls=len(pulls))
    if session.out.as_json:
        for pull in pulls:
            fields = {"position": pull.position, "items": pull.items, "tracking_number": pull.tracking_number}
            ids = {"package_id": pull.package_id, "order_id": pull.order_id}
            step = next_step_for(pull.cause)
            session.out.item(Outcome("pull", ids, "done", cause=pull.cause, next_step=step, fields=fields))
        return
    if not pulls:
        session.out.say(tr("no labelled package has to be pulled out"))
        return
    words = {
        "order_cancelled": tr("cancelled"),
        "cancel_requested": tr("buyer asks to cancel"),
        "address_changed": tr("address changed"),
        "other_address": tr("another address on the label"),
    }
    print_table(
        session.out,
        [tr("position"), tr("package"), tr("why"), tr("content")],
        [[pull.position, pull.package_id, words.get(pull.cause, pull.cause), pull.items] for pull in pulls],
    )


def _files_and_names(from_files: list[Path] | None, ids: list[str] | None) -> tuple[list[Path], list[str] | None]:
    """A shell turns `--from *.pdf` into one option and many arguments: with --from the arguments are files too."""
    if not from_files:
        names = read_names(ids)
        files = [name for name in ids or () if name.casefold().endswith(_FILE_ENDINGS) or Path(name).is_file()]
        if files:
            raise UsageError(
                tr("{name} is a file", name=files[0]),
                subject="print-labels",
                next_step=tr(
                    "did you mean `tiktok-erp print-labels --from {files}`?", files=" ".join(map(quote, files))
                ),
            )
        return [], names
    return [*from_files, *(Path(entry) for entry in ids or ())], None


def _money(text: str | None) -> Money | None:
    if text is None:
        return None
    from tiktok_erp.model.money import parse_money

    try:
        return parse_money(text)
    except ValueError as error:
        raise UsageError(
            tr("{text} is not money", text=text), subject="--max-cost", next_step=tr("write it as '50 USD'")
        ) from error


def _show_plan(session: Session, purchase: PurchasePlan) -> None:
    total = len(purchase.due)
    if purchase.cap is not None:
        session.out.say(
            tr(
                "{cap} may be reached after {count} of {total}",
                cap=purchase.cap,
                count=purchase.cap_after,
                total=total,
            )
        )
    sum_text = purchase.quoted if purchase.quoted is not None else tr("unknown")
    session.out.say(tr("{count} labels would be bought, cost {cost}", count=total, cost=sum_text))
    for number, row in enumerate(purchase.due, start=1):
        cost = purchase.costs.get(row["package_id"])
        session.out.item(
            Outcome(
                "package",
                {"package_id": row["package_id"], "order_id": row["order_id"]},
                "planned",
                fields={
                    "place": number,
                    "ship_by": row["ship_by"],
                    "carrier": row["carrier"],
                    "service_level": row["service_level"],
                    "cost_minor": cost.minor if cost is not None else None,
                },
                text=f"{number:5} {row['package_id']} {row['ship_by'] or '-':20} {row['carrier']} {row['service_level'] or ''}"
                + (f" {cost}" if cost is not None else ""),
            )
        )
    for row in (*purchase.skipped, *purchase.own):
        _tell_skipped(session, row["package_id"], row["obstacle"] or "own_label_needed")
    session.summary.update(
        cap_after=purchase.cap_after if purchase.cap is not None else None,
        cost_minor=purchase.quoted.minor if purchase.quoted is not None else None,
    )


def _tell_skipped(session: Session, package_id: str, obstacle: str) -> None:
    from tiktok_erp.labels.plan import next_step_for

    session.out.item(
        Outcome("package", {"package_id": package_id}, "skipped", cause=obstacle, next_step=next_step_for(obstacle))
    )


def _confirmed(session: Session, purchase: PurchasePlan, *, yes: bool) -> bool:
    if not purchase.due:
        return True
    cost = purchase.quoted if purchase.quoted is not None else tr("unknown until bought")
    return agreed(session, tr("Buy {count} labels (cost: {cost})?", count=len(purchase.due), cost=cost), yes=yes)
