"""`labels`: list them, print held ones again, take them back, put them on scan forms, settle purchases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import All, DryRun, Ids, Json, NamedIds, Quiet, Yes, read_names, require_paper
from tiktok_erp.cli.session import Session, agreed, existing_folder, require_credentials_or_file, run_command
from tiktok_erp.errors import UsageError
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome

if TYPE_CHECKING:
    from tiktok_erp.labels.printing import PrintOptions

labels_app = typer.Typer(
    help="List labels, print held ones again, take over what was bought elsewhere, take labels back, make scan forms,"
    " settle purchases.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(labels_app, name="labels")


@labels_app.command("list")
def list_labels(
    context: typer.Context, ids: Ids = None, everything: All = False, as_json: Json = False, quiet: Quiet = False
) -> None:
    """List labels: bought, on their way, refused, taken back with what the source says of the refund.

    On a terminal those that are not printed or have no answer come first, then the newest; else the newest come last.
    `elsewhere`: bought by another machine, in Seller Center, or before a restore. It is printed by `labels adopt` only.

    \b
    Examples:
      tiktok-erp labels list
      tiktok-erp labels list --json | jq 'select(.state == "unknown")'
      tiktok-erp labels list --json | jq 'select(.on_request == 1 and .printed_at == null)'
      tiktok-erp labels list --json | jq 'select(.refund_status == "submitted")'
    """

    def body(session: Session) -> None:
        from tiktok_erp.cli.tables import SHOWN_AT_ONCE, stream_table, terminal_width
        from tiktok_erp.labels.plan import position_text
        from tiktok_erp.store.labels import iterate_labels, load_first_labels

        only = session.packages(read_names(ids))
        if session.out.as_json:
            for row in iterate_labels(session.store, only=only):
                session.out.item(Outcome("label", {}, "done", fields=dict(row)))
            return
        is_cut = only is None and not everything and terminal_width() is not None
        first = load_first_labels(session.store, SHOWN_AT_ONCE + 1) if is_cut else []
        stream_table(
            session.out,
            [
                tr("package"),
                tr("state"),
                tr("carrier"),
                tr("tracking number"),
                tr("cost"),
                tr("position"),
                tr("on paper"),
                tr("refund"),
            ],
            (
                [
                    row["package_id"],
                    tr("{state}, elsewhere", state=row["state"])
                    if row["on_request"] and not row["printed_at"]
                    else row["state"],
                    row["carrier"],
                    row["tracking_number"],
                    f"{row['cost_minor'] / 100:.2f} {row['currency']}" if row["cost_minor"] is not None else None,
                    position_text(row["batch_id"], row["position"]) if row["position"] else None,
                    tr("yes") if row["on_paper_at"] else tr("no") if row["printed_at"] else None,
                    row["refund_status"],
                ]
                for row in (first[:SHOWN_AT_ONCE] if is_cut else iterate_labels(session.store, only=only))
            ),
        )
        if len(first) > SHOWN_AT_ONCE:
            session.out.say(tr("... and older labels: `--all`, or name packages, orders or batches"))

    run_command("labels", context, body, as_json=as_json, quiet=quiet, writes=False)


@labels_app.command("printed")
def printed(
    context: typer.Context, ids: NamedIds = None, dry_run: DryRun = False, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Say which labels are on paper: batches (B07, B01..B06), positions (B07-063, B07-063..080), packages or orders.

    A PDF that was written is not on paper before somebody says so; a printer, `pack` and the carrier say so by themselves.

    \b
    Examples:
      tiktok-erp labels printed B07
      tiktok-erp labels printed B01..B06 B08-001..040
      tiktok-erp labels printed B01..B06 --dry-run
    """

    def body(session: Session) -> None:
        from tiktok_erp.labels.on_paper import labels_at, view_paper
        from tiktok_erp.store.print_jobs import load_label_of, mark_on_paper

        names = read_names(ids)
        if names is None:
            view = view_paper(session.store)
            raise UsageError(
                tr("name the batches that are on paper"),
                subject="labels printed",
                next_step=tr("run `tiktok-erp labels printed {batches}`", batches=view.argument or "B01..B06"),
            )
        named = {}
        for name in names:
            found = labels_at(session.store, name)
            if found is None:
                labels = [load_label_of(session.store, package) for package in session.packages([name]) or []]
                found = [label for label in labels if label is not None]
                if labels and not found:
                    _tell_no_label(session, name)
            named.update({label.label_id: label for label in found})
        fresh = [label for label in named.values() if not label.is_on_paper]
        if not dry_run:
            with session.store.transaction():
                mark_on_paper(session.store, fresh)
        for label in named.values():
            result = "skipped" if label.is_on_paper else "planned" if dry_run else "done"
            cause = "known" if label.is_on_paper else None
            fields = {"batch_id": label.batch_id, "position": label.position}
            session.out.item(Outcome("package", {"package_id": label.package_id}, result, cause=cause, fields=fields))
        rest = view_paper(session.store)
        session.summary.update(rest.fields())
        text = (
            tr(
                "{count} labels would count as on paper, {known} do already",
                count=len(fresh),
                known=len(named) - len(fresh),
            )
            if dry_run
            else tr(
                "{count} labels are on paper, as you say; {known} were before",
                count=len(fresh),
                known=len(named) - len(fresh),
            )
        )
        session.out.say(text)
        if rest.batches and not dry_run:
            session.out.say(tr("not on paper: {batches} ({count} labels)", batches=rest.text, count=rest.labels))

    run_command("labels", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run)


def _tell_no_label(session: Session, name: str) -> None:
    session.out.item(
        Outcome(
            "id",
            {"id": name},
            "failed",
            cause="no_label_held",
            next_step=tr("run `tiktok-erp labels list {package}`", package=name),
            text=tr("{package}: no label is held", package=name),
        )
    )


@labels_app.command("reprint")
def reprint(
    context: typer.Context,
    ids: NamedIds = None,
    out: Annotated[Path, typer.Option("--out", help="Where reprint.pdf goes.")] = Path(),
    paper: Annotated[
        str | None,
        typer.Option(
            "--paper", help="4x6, letter or a4 (two a sheet), a6; else each label as it is.", show_default=False
        ),
    ] = None,
    printer: Annotated[
        str | None,
        typer.Option("--printer", help="Print them there as well; `open` shows them in a viewer.", show_default=False),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print held labels again; nothing is ever bought here. Packages, orders, batches (B07) or positions (B07-063..080).

    Of a batch, files that were deleted (B07-labels.pdf, the pick list, ...) are made again as well.

    \b
    Examples:
      tiktok-erp labels reprint P000123
      tiktok-erp labels reprint B07-063 --printer zebra
      tiktok-erp labels reprint B07-063..080
      tiktok-erp labels list --json | jq -c 'select(.batch_id == 7)' | tiktok-erp labels reprint -
    """

    def body(session: Session) -> None:
        from tiktok_erp.labels.printing import PrintOptions
        from tiktok_erp.labels.printing import reprint as write_again
        from tiktok_erp.labels.spool import open_printers

        require_paper(paper)
        names = read_names(ids)
        packages = _at_positions(session, names)
        if packages is None:
            raise UsageError(
                tr("name the packages whose labels are to be printed again"),
                subject="labels reprint",
                next_step=tr("run `tiktok-erp labels reprint ID...`"),
            )
        printers = tuple(open_printers([printer] if printer is not None else [], session.store))
        options = PrintOptions(out=existing_folder(out), paper=paper, printers=printers)
        count = write_again(session.store, session.rules(), session.out, packages, options)
        again = [file for name in names or () for file in _write_batch_again(session, name, options)]
        session.summary.update(printed=count.printed, pages=count.pages, files=[str(file) for file in again])
        if again:
            session.out.say(tr("made again: {files}", files=", ".join(str(file) for file in again)))
        if count.directory is not None:
            session.out.say(
                tr(
                    "{printed} labels on {pages} pages: {file}",
                    printed=count.printed,
                    pages=count.pages,
                    file=out / "reprint.pdf",
                )
            )

    run_command("labels", context, body, as_json=as_json, quiet=quiet)


def _write_batch_again(session: Session, name: str, options: PrintOptions) -> tuple[Path, ...]:
    """Make the missing files of a whole batch again; nothing for any other name."""
    from tiktok_erp.labels.plan import read_range
    from tiktok_erp.labels.rewriting import rewrite_batch

    span = read_range(name)
    if span is None or span[2] is not None:
        return ()
    return rewrite_batch(session.store, session.rules(), session.out, options, span[0])


@labels_app.command("adopt")
def adopt(
    context: typer.Context,
    ids: Ids = None,
    out: Annotated[Path, typer.Option("--out", help="Where copies of the batch go.")] = Path(),
    paper: Annotated[
        str | None,
        typer.Option(
            "--paper", help="4x6, letter or a4 (two a sheet), a6; else each label as it is.", show_default=False
        ),
    ] = None,
    printer: Annotated[
        str | None, typer.Option("--printer", help="Print them there as well.", show_default=False)
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch labels that were bought elsewhere and print them as a batch of their own; nothing is bought.

    These are labels that another machine bought, or somebody in Seller Center, or this database before it was restored.
    They may be on paper already: look before you print them. Without ids: all of parcels that have not left.

    \b
    Examples:
      tiktok-erp labels adopt --dry-run
      tiktok-erp labels adopt P000123 P000124 --out today
      tiktok-erp labels adopt --printer zebra
    """

    def body(session: Session) -> None:
        from tiktok_erp.cli.label_sources import vendors
        from tiktok_erp.labels.adopt import adopt_labels, load_adoptable
        from tiktok_erp.labels.printing import PrintOptions, print_batch
        from tiktok_erp.labels.spool import open_printers

        require_paper(paper)
        rows = load_adoptable(session.store, session.out, session.packages(read_names(ids)))
        if dry_run:
            for row in rows:
                text = f"{row['package_id']} {row['carrier'] or '-'} {row['tracking_number'] or '-'}"
                session.out.item(Outcome("package", {"package_id": row["package_id"]}, "planned", text=text))
        question = tr("Print {count} labels that were bought elsewhere? They may be on paper already.", count=len(rows))
        if dry_run or (rows and not agreed(session, question, yes=yes)):
            return
        session.require_up_to_date()
        printers = tuple(open_printers([printer] if printer is not None else [], session.store))
        options = PrintOptions(out=existing_folder(out), paper=paper, printers=printers, on_request=True)
        found = adopt_labels(
            session.store,
            lambda name: vendors(session, {name})[0],
            session.label_source,
            session.out,
            rows,
            run_id=session.run_id,
        )
        session.summary.update(fetched=found.fetched, printed=0)
        if not found.ready:
            session.out.say(tr("nothing to print"))
            return
        count = print_batch(
            session.store, session.rules(), session.out, options, only=found.ready, run_id=session.run_id
        )
        session.summary.update(printed=count.printed, pages=count.pages, batch=str(count.directory or ""))
        if count.directory is not None:
            session.out.say(
                tr(
                    "{printed} labels on {pages} pages: {file} (batch {batch})",
                    printed=count.printed,
                    pages=count.pages,
                    file=count.files[0] if count.files else count.directory,
                    batch=count.directory.name,
                )
            )

    run_command("labels", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, lock="print-labels")


def _at_positions(session: Session, names: list[str] | None) -> list[str] | None:
    """Turn positions and batches among the names into packages, and the others as everywhere."""
    if names is None:
        return None
    from tiktok_erp.labels.plan import read_range
    from tiktok_erp.store.print_jobs import find_at_positions

    found: list[str] = []
    for name in names:
        span = read_range(name)
        at_positions = find_at_positions(session.store, *span) if span is not None else []
        found += at_positions or session.packages([name]) or []
    return list(dict.fromkeys(found))


@labels_app.command("void")
def void(
    context: typer.Context,
    ids: NamedIds = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take bought labels back and get the money back where the source allows it; the package can be allocated again.

    Labels of TikTok Shipping are cancelled in Seller Center. --yes also takes back those whose number the channel knows.

    \b
    Examples:
      tiktok-erp labels void P000123
      tiktok-erp labels void P000123 P000124 --dry-run
    """

    def body(session: Session) -> None:
        from tiktok_erp.labels.void import void_labels

        packages = session.packages(read_names(ids))
        if packages is None:
            raise UsageError(
                tr("name the packages whose labels are to be taken back"),
                subject="labels void",
                next_step=tr("run `tiktok-erp labels void ID...`"),
            )
        question = tr("Take back {count} labels?", count=len(packages))
        if packages and not dry_run and not agreed(session, question, yes=yes):
            return
        count = void_labels(
            session.store,
            lambda name: session.label_source(),
            session.out,
            packages,
            dry_run=dry_run,
            even_if_told=yes,
        )
        session.summary.update(voided=count.voided)
        if not dry_run and count.voided:
            session.out.say(
                tr("{count} labels taken back; run `tiktok-erp allocate` to decide anew", count=count.voided)
            )

    run_command("labels", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, lock="print-labels")


@labels_app.command("scan-form")
def scan_form(
    context: typer.Context,
    ids: Ids = None,
    out: Annotated[Path, typer.Option("--out", help="Where scan-form-CARRIER.pdf goes.")] = Path(),
    carrier: Annotated[
        str | None, typer.Option("--carrier", help="Only for this carrier: usps.", show_default=False)
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Ask for another form where nobody can tell whether the first one was made."),
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make scan forms: one barcode for all parcels of a carrier and day, handed over with them. For labels of EasyPost.

    Packages, orders, batches (B07) or positions (B07-063..080); none: every bought label that is on no form yet and whose
    parcel the carrier does not have. Labels that are named and on a form already get its document again. A carrier that
    has no such forms is told; the others go on.

    \b
    Examples:
      tiktok-erp labels scan-form --dry-run
      tiktok-erp labels scan-form --carrier usps --out today
      tiktok-erp labels scan-form B07
      tiktok-erp labels scan-form --again
    """

    def body(session: Session) -> None:
        from tiktok_erp.labels.scan_forms import FormMaker, FormOptions

        session.require_up_to_date()
        packages = _at_positions(session, read_names(ids))
        options = FormOptions(
            out=out if dry_run else existing_folder(out),
            carrier=carrier.strip().casefold() if carrier is not None else None,
            again=again,
            dry_run=dry_run,
        )
        maker = FormMaker(
            session.store,
            lambda name: session.label_source(),
            session.rules(),
            session.out,
            options,
            run_id=session.run_id,
        )

        def agree(forms: int, parcels: int) -> bool:
            return agreed(
                session, tr("Make {forms} scan forms for {parcels} parcels?", forms=forms, parcels=parcels), yes=yes
            )

        try:
            maker.run(packages, agree)
        finally:
            count = maker.count
            session.summary.update(
                forms=count.made,
                parcels=count.parcels,
                unknown=count.unknown,
                files=[str(path) for path in count.files],
            )
        if count.refused_before:
            session.out.warn(
                tr(
                    "a form was refused before for {count} labels; name them to ask again, or give --carrier",
                    count=count.refused_before,
                )
            )
        if not count.files and not dry_run and not session.out.new_failures:
            session.out.say(tr("no label waits for a scan form"))

    run_command("labels", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, lock="print-labels")


@labels_app.command("reconcile")
def reconcile(context: typer.Context, as_json: Json = False, quiet: Quiet = False) -> None:
    """Ask what became of purchases without an answer, what was bought elsewhere, and of the money of labels taken back.

    After a restore it also fetches orders, as `sync` does, and lets buying go on. `print-labels` settles purchases by itself.
    A refund takes days or weeks; each is asked about at most once an hour.

    \b
    Examples:
      tiktok-erp labels reconcile
      tiktok-erp labels reconcile --json | jq 'select(.cause == "refund_rejected")'
    """

    def body(session: Session) -> None:
        from tiktok_erp.cli.catch_up import catch_up
        from tiktok_erp.labels.refunds import follow_refunds
        from tiktok_erp.store.behind import why_behind

        _settle_purchases(session)
        if why_behind(session.store) is not None:
            _fetch_orders(session)
        catch_up(session)
        refunds = follow_refunds(session.store, lambda name: session.label_source(), session.out, run_id=session.run_id)
        session.summary.update(refunded=refunds.refunded, refunds_rejected=refunds.rejected, refunds_open=refunds.open)
        if refunds.asked or refunds.open:
            session.out.say(
                tr(
                    "refunds: {refunded} granted, {rejected} refused, {open} open",
                    refunded=refunds.refunded,
                    rejected=refunds.rejected,
                    open=refunds.open,
                )
            )

    run_command("labels", context, body, as_json=as_json, quiet=quiet, lock="print-labels")


def _fetch_orders(session: Session) -> None:
    """Ask the channel what left since, as `sync` does."""
    from tiktok_erp.sync.run import sync_channel

    require_credentials_or_file(session, tr("set the TIKTOK_SHOP_ settings: only the channel knows what left since"))
    with session.alone("sync") as is_alone:
        if not is_alone:
            raise UsageError(
                tr("another command is at work on this database"),
                subject=str(session.options.db),
                next_step=tr("wait until it has ended, then run this again"),
            )
        report = session.only_failures()
        sync_channel(session.store, session.shop(), session.rules(), report, run_id=session.run_id, sweeps=True)


def _settle_purchases(session: Session) -> None:
    from tiktok_erp.cli.label_sources import channel_reader, vendors
    from tiktok_erp.labels.run import reconcile_labels
    from tiktok_erp.store.labels import load_unsettled

    sources = {row["source"] for row in load_unsettled(session.store)}
    if not sources:
        session.out.say(tr("no purchase is without an answer"))
        return
    if "tiktok" in sources:
        require_credentials_or_file(
            session, tr("set the TIKTOK_SHOP_ settings: only the channel knows what was bought")
        )
    count = reconcile_labels(
        session.store,
        vendors(session, sources),
        session.rules(),
        session.out,
        channel_reader(session),
        run_id=session.run_id,
    )
    session.summary.update(bought=count.bought, unsettled=count.unsettled)
    session.out.say(
        tr(
            "{bought} purchases are settled and their labels held, {open} are not",
            bought=count.bought,
            open=count.unsettled + count.waiting,
        )
    )
