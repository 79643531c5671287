"""`resume DIR`: take back what people did by hand while nothing worked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import DryRun, Json, Quiet
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.errors import ChannelDown, ErpError
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome

if TYPE_CHECKING:
    from tiktok_erp.handover.kit import Kit
    from tiktok_erp.handover.resume import ResumeCount
    from tiktok_erp.handover.returns import Returns


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("resume")(resume)


def resume(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The kit that people worked from.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...", help="Further exports, lists, templates or label PDFs.", show_default=False
        ),
    ] = None,
    no_sync: Annotated[
        bool,
        typer.Option("--no-sync", help="Take the files at their word; the channel cannot be asked now."),
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take back ticks, scans, numbers and labels bought by hand, and Seller Center's files; the channel is asked first.

    Nothing is done twice afterwards: what was shipped by hand is neither bought nor told again. A second run changes
    nothing.

    \b
    Examples:
      tiktok-erp resume kit --dry-run
      tiktok-erp resume kit
      tiktok-erp resume kit "All order-2026-11-21-18_30.csv" labels.pdf
    """

    def body(session: Session) -> None:
        from tiktok_erp.handover.kit import read_kit
        from tiktok_erp.handover.returns import read_returns

        kit = read_kit(folder)
        returns = read_returns(kit, files or [])
        with session.rehearsal():
            _ask_channel(session, returns, no_sync=no_sync)
            _take_back(session, kit, returns)
        if not dry_run:
            kit.mark_taken(returns.read)

    run_command("resume", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, lock="handover")


def _ask_channel(session: Session, returns: Returns, *, no_sync: bool) -> None:
    """Bring the database up to date: what the channel says now goes before what anybody wrote down."""
    from tiktok_erp.sync.run import sync_channel, sync_file

    report = session.only_failures()
    for path in list(returns.exports):
        try:
            sync_file(session.store, path, session.rules(), report, run_id=session.run_id, dry_run=False)
        except ErpError as error:
            returns.exports.remove(path)
            returns.read.remove(path)
            returns.broken.append((path, error))
    if no_sync:
        return
    if not session.settings().tiktok_is_set():
        if not returns.exports:
            session.out.warn(
                tr("nobody could ask the channel: there are no credentials, and no export of Seller Center came back")
            )
        return
    try:
        count = sync_channel(session.store, session.shop(), session.rules(), report, run_id=session.run_id)
    except ChannelDown as error:
        raise ChannelDown(
            tr("the channel cannot be asked yet: {reason}", reason=error.what),
            subject=error.subject,
            next_step=tr("run this again when it answers; with --no-sync the files are taken at their word"),
        ) from error
    session.out.say(tr("asked the channel: {count} orders changed", count=count.new + count.changed))


def _take_back(session: Session, kit: Kit, returns: Returns) -> None:
    from tempfile import TemporaryDirectory

    from tiktok_erp.handover.resume import KitReader
    from tiktok_erp.handover.returns import write_tracking_list
    from tiktok_erp.labels.own import LabelImporter
    from tiktok_erp.tracking.files import TrackingFiles

    reader = KitReader(session.store, session.out, run_id=session.run_id)
    reader.compare(kit)
    with TemporaryDirectory() as scratch:
        numbers = reader.new_numbers(returns.numbers)
        written = Path(scratch) / "numbers.csv"

        def place_of(path: Path, line: int) -> tuple[Path, int]:
            """Return where a person wrote what stands in a row."""
            number = numbers[line - 2] if path == written else None
            return (path, line) if number is None else (number.file, number.line)

        importer = LabelImporter(
            session.store,
            session.out,
            rules=session.rules(),
            run_id=session.run_id,
            dry_run=False,
            place_of=place_of,
        )
        if numbers:
            write_tracking_list(written, numbers)
        for path in [*([written] if numbers else []), *returns.lists, *returns.pdfs]:
            try:
                importer.import_files([path])
            except ErpError as error:
                if path in returns.read:
                    returns.read.remove(path)
                returns.broken.append((path, error))
    told = TrackingFiles(session.store, session.rules(), session.out, run_id=session.run_id)
    for path in returns.templates:
        told.take_back(path)
    reader.take_marks(returns)
    for path, fault in returns.broken:
        session.out.item(
            Outcome(
                "file",
                {"file": str(path)},
                "failed",
                cause=fault.cause,
                next_step=fault.next_step,
                text=f"{path}: {fault.what}",
            )
        )
    for path in returns.useless:
        session.out.warn(tr("{file} says nothing that can be taken back; it is kept", file=path.name))
    _tell(session, reader.count, importer.count.taken, told.count.told)


def _tell(session: Session, count: ResumeCount, labels: int, told: int) -> None:
    from tiktok_erp.store.database import utc_now
    from tiktok_erp.store.labels import load_candidates
    from tiktok_erp.store.print_jobs import load_to_print
    from tiktok_erp.store.tracking import load_due
    from tiktok_erp.tracking.plan import Upload, plan_upload
    from tiktok_erp.tracking.run import to_number

    rules = session.rules()
    left = {
        "to_buy": sum(row["obstacle"] is None for row in load_candidates(session.store, rules=rules)),
        "to_print": len(load_to_print(session.store)),
        "to_tell": sum(
            isinstance(plan_upload(to_number(row), utc_now(), rules), Upload) for row in load_due(session.store)
        ),
    }
    session.summary.update(
        packed=count.packed,
        printed=count.printed,
        labels=labels,
        told=told,
        known=count.known,
        moved_on=dict(count.moved_on),
        **left,
    )
    for status, packages in sorted(count.moved_on.items()):
        session.out.say(tr("{count} orders became {status} since the kit was made", count=packages, status=status))
    session.out.say(
        tr(
            "{packed} packages packed, {labels} labels taken over, {told} numbers told by hand",
            packed=count.packed,
            labels=labels,
            told=told,
        )
    )
    session.out.say(
        tr(
            "left: {to_buy} labels to buy, {to_print} to print, {to_tell} numbers to tell; go on with `tiktok-erp"
            " print-labels` and `tiktok-erp upload-tracking`",
            **left,
        )
    )
