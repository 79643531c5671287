"""`handover DIR`: the kit for the hour when nothing works."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import DryRun, Json, Quiet, require_ending
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.messages import tr

if TYPE_CHECKING:
    from tiktok_erp.cli.output import Output
    from tiktok_erp.handover.kit import KitWriter
    from tiktok_erp.handover.run import KitCount
    from tiktok_erp.model.outcome import Outcome

_PASSWORD = "TIKTOK_ERP_ZIP_PASSWORD"
_STOCK_NAME = "stock-update.xlsx"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("handover")(handover)


def handover(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the kit goes; a kit that is there is replaced.")],
    people: Annotated[
        int | None,
        typer.Option(
            "--people",
            min=1,
            max=50,
            help="Share the work among so many people.  [default: `handover.people` in the rules]",
            show_default=False,
        ),
    ] = None,
    tracking_template: Annotated[
        Path | None,
        typer.Option(
            "--tracking-template",
            help="Seller Center's tracking template as downloaded; the next kits use it again.",
            show_default=False,
        ),
    ] = None,
    stock_template: Annotated[
        Path | None,
        typer.Option(
            "--stock-template",
            help="Seller Center's stock template as downloaded; the next kits use it again.",
            show_default=False,
        ),
    ] = None,
    zip_file: Annotated[
        Path | None,
        typer.Option(
            "--zip",
            help="Also pack the kit into this file, with the password from TIKTOK_ERP_ZIP_PASSWORD.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write everything that people need to go on by hand: lists, labels, slips, Seller Center's files, one page to read.

    Plain files, no network. Rebuild it as often as you like: it is swapped in whole, and never over what people wrote.

    \b
    Examples:
      tiktok-erp handover kit --people 3
      tiktok-erp handover kit --people 3 --stock-template bulk-edit.xlsx
      tiktok-erp handover kit --zip kit.zip
    """

    def body(session: Session) -> None:
        if zip_file is not None:
            require_ending(zip_file, "--zip", ".zip")
        password = _zip_password(session) if zip_file is not None else ""
        count = build(
            session,
            folder,
            people=people or session.rules().handover.people,
            tracking_template=tracking_template,
            stock_template=stock_template,
            dry_run=dry_run,
        )
        session.summary.update(
            folder=str(folder), steps=dict(count.steps), urgency=dict(count.urgency), to_tell=count.to_tell
        )
        if dry_run:
            session.out.say(tr("a kit with {count} packages to work on would be written", count=_open(count)))
            return
        session.out.say(
            tr(
                "{folder}: {count} packages to work on, {urgent} late or due within 4 hours; begin with START-HERE.html",
                folder=folder,
                count=_open(count),
                urgent=count.urgency["late"] + count.urgency["now"],
            )
        )
        if zip_file is not None:
            from tiktok_erp.handover.archive import write_archive

            write_archive(folder, zip_file, password)
            session.out.say(tr("{file} holds the same, locked with the password", file=zip_file))

    run_command("handover", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run, lock="handover")


def build(
    session: Session,
    folder: Path,
    *,
    people: int,
    tracking_template: Path | None = None,
    stock_template: Path | None = None,
    dry_run: bool = False,
) -> KitCount:
    """Write the kit and return what it holds. A stage that fills a file of Seller Center's reports only its faults."""
    from tempfile import TemporaryDirectory

    from tiktok_erp.handover.kit import KitWriter, new_kit
    from tiktok_erp.handover.run import write_kit
    from tiktok_erp.messages import in_language

    rules = session.rules()
    if dry_run:
        with TemporaryDirectory() as scratch, in_language(rules.printing.language):
            return write_kit(session.store, rules, session.out, KitWriter(Path(scratch), None), people=people)
    with new_kit(folder) as kit:
        _fill_tracking(session, kit, tracking_template)
        _fill_stock(session, kit, stock_template)
        with in_language(rules.printing.language):
            count = write_kit(session.store, rules, session.out, kit, people=people)
    if kit.kept_aside is not None:
        session.out.warn(
            tr(
                "somebody wrote into the kit while the new one was made: it is kept as {folder}; run `tiktok-erp resume` on it",
                folder=kit.kept_aside,
            )
        )
    if count.missing_labels:
        session.out.warn(
            tr(
                "{count} label files are missing or damaged: print these from Seller Center",
                count=count.missing_labels,
            )
        )
    return count


def _open(count: KitCount) -> int:
    return sum(count.urgency.values())


def _fill_tracking(session: Session, kit: KitWriter, template: Path | None) -> None:
    from tiktok_erp.channels.seller_center import read_tracking_template
    from tiktok_erp.handover.run import TRACKING_FILE, TRACKING_TEMPLATE
    from tiktok_erp.tracking.files import TrackingFiles, split_orders_path

    path = kit.folder / TRACKING_FILE
    source = template or kit.file_before(TRACKING_TEMPLATE)
    if source is not None:
        read_tracking_template(source)
        kit.copied(TRACKING_TEMPLATE, source)
        kit.copied(TRACKING_FILE, source)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    files = TrackingFiles(session.store, session.rules(), session.only_failures(), run_id=session.run_id)
    files.write(path, only=None, for_kit=True)
    for written in (path, split_orders_path(path)):
        if written.exists():
            written.chmod(0o600)
            kit.made[written.relative_to(kit.folder).as_posix()] = ""


def _fill_stock(session: Session, kit: KitWriter, template: Path | None) -> None:
    from tiktok_erp.handover.run import STOCK_FILE
    from tiktok_erp.stock.push import fill_template
    from tiktok_erp.stock.run import ReserveCount

    source = template or kit.file_before(STOCK_FILE)
    if source is None:
        return
    kit.copied(STOCK_FILE, source)
    fill_template(
        session.store,
        kit.folder / STOCK_FILE,
        _Doubts(session.out),
        ReserveCount(),
        channel="tiktok",
        rules=session.rules(),
        dry_run=False,
        yes=False,
    )


class _Doubts:
    """Turns what a stage would not do by itself into a note: a kit is made all the same, without that."""

    wants_fields = False

    def __init__(self, out: Output) -> None:
        self._out = out

    def item(self, outcome: Outcome) -> None:
        if outcome.result == "failed":
            self._out.warn(tr("{file}: {text}", file=_STOCK_NAME, text=outcome.text or outcome.cause))

    def say(self, text: str) -> None:
        return None

    def warn(self, text: str) -> None:
        self._out.warn(tr("{file}: {text}", file=_STOCK_NAME, text=text))

    def progress(self, what: str, done: int, total: int | None) -> None:
        return None


def _zip_password(session: Session) -> str:
    from tiktok_erp.errors import SettingsError
    from tiktok_erp.handover.archive import require_library

    require_library()
    password = session.settings().get(_PASSWORD)
    if not password:
        raise SettingsError(
            tr("there is no password to lock the file with"),
            subject=_PASSWORD,
            next_step=tr("set TIKTOK_ERP_ZIP_PASSWORD in the environment or in the file of TIKTOK_ERP_SECRETS"),
        )
    return password
