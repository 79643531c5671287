"""`upload-tracking`: tell the channel, or fill its template."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import DryRun, Ids, Json, Quiet, StaleOk, read_names, require_template
from tiktok_erp.cli.session import Session, require_credentials_or_file, run_command
from tiktok_erp.errors import ChannelDown, ChannelRefused, SignInError, UsageError
from tiktok_erp.messages import tr

if TYPE_CHECKING:
    from tiktok_erp.tracking.run import TrackingUploader


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("upload-tracking")(upload_tracking)


def upload_tracking(
    context: typer.Context,
    ids: Ids = None,
    plan: Annotated[bool, typer.Option("--plan", help="Check everything and tell nothing.")] = False,
    to_file: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="Fill this tracking template (XLSX) instead: one downloaded from Seller Center, or a new one in its shape.",
            show_default=False,
        ),
    ] = None,
    from_file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Take back such a file after its upload, with a tick or the error behind each row.",
            show_default=False,
        ),
    ] = None,
    correct: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--correct",
            metavar="ID NUMBER",
            help="Replace a told number: once an order, within 72 hours.",
            show_default=False,
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Read as well which parcels the carrier has by now; `run` does it.")
    ] = False,
    stale_ok: StaleOk = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell the tracking numbers of own labels to the channel, each once; TikTok Shipping knows its own.

    \b
    Examples:
      tiktok-erp upload-tracking --plan
      tiktok-erp upload-tracking
      tiktok-erp upload-tracking --to tracking-upload.xlsx
      tiktok-erp upload-tracking --correct P000123 9400111206206406260787
      tiktok-erp upload-tracking --from tracking-upload.xlsx
    """
    if to_file is not None and from_file is not None:
        raise typer.BadParameter(tr("--to writes a file and --from reads one: choose one"))

    def body(session: Session) -> None:
        if correct is not None:
            session.require_up_to_date()
            return _correct(session, *correct, dry_run=plan or dry_run)
        if from_file is not None:
            return _take_back(session, from_file)
        if to_file is not None:
            require_template(to_file, "--to", "tracking_template")
        only = session.packages(read_names(ids))
        if not _is_anything_due(session, only):
            _tell(session, 0, to_file, is_plan=plan or dry_run)
            if follow and not (plan or dry_run):
                _follow(session)
            return None
        from tiktok_erp.store.database import utc_now
        from tiktok_erp.store.runs import require_fresh
        from tiktok_erp.tracking.run import TrackingUploader

        rules = session.rules()
        if to_file is not None and not (plan or dry_run):
            return _write(session, to_file, only)
        is_online = to_file is None and not (plan or dry_run)
        if is_online:
            session.require_up_to_date()
        if is_online:
            require_credentials_or_file(
                session, tr("set the TIKTOK_SHOP_ settings, or run `tiktok-erp upload-tracking --to FILE`")
            )
        asks_carriers = (plan or dry_run) and to_file is None and session.settings().tiktok_is_set()
        uploader = TrackingUploader(
            session.store,
            rules,
            session.out,
            run_id=session.run_id,
            shop=session.shop() if is_online or asks_carriers else None,
            read_back=session.read_back if is_online else None,
        )
        try:
            if plan or dry_run:
                _plan(session, uploader, only)
            else:
                uploader.upload(
                    only=only,
                    before_sending=lambda: require_fresh(
                        session.store,
                        session.shop().name,
                        at_most=rules.freshness.upload,
                        now=utc_now(),
                        stale_ok=stale_ok,
                        file_counts=True,
                    ),
                )
        finally:
            count = uploader.count
            session.summary.update(proven=count.proven, waiting=count.waiting)
            if count.waiting:
                session.out.warn(
                    tr(
                        "{count} numbers wait in the queue, most urgent first; the next `upload-tracking` tells them",
                        count=count.waiting,
                    )
                )
            _tell(session, count.planned if plan or dry_run else count.told, to_file, is_plan=plan or dry_run)
        if follow and is_online:
            _follow(session)
        return None

    run_command(
        "upload-tracking", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run or plan, lock="upload-tracking"
    )


def _write(session: Session, path: Path, only: list[str] | None) -> None:
    from tiktok_erp.tracking.files import TrackingFiles, split_orders_path

    files = TrackingFiles(session.store, session.rules(), session.out, run_id=session.run_id)
    files.write(path, only=only)
    count = files.count
    session.summary.update(split=count.split, cells=count.cells)
    if count.split:
        session.out.warn(
            tr(
                "{count} split orders cannot be told by the template: {file} says what to do",
                count=count.split,
                file=split_orders_path(path),
            )
        )
    _tell(session, count.written, path, is_plan=False)


def _take_back(session: Session, path: Path) -> None:
    from tiktok_erp.tracking.files import TrackingFiles

    with session.rehearsal():
        files = TrackingFiles(session.store, session.rules(), session.out, run_id=session.run_id)
        files.take_back(path)
    count = files.count
    session.summary.update(told=count.told, refused=count.refused)
    session.out.say(
        tr("{told} rows ticked as told, {refused} refused by Seller Center", told=count.told, refused=count.refused)
    )
    if not count.told + count.refused + count.skipped + count.failed:
        session.out.warn(
            tr("no row of the file has a tick or an error behind it: write x in the column after the last")
        )


def _is_anything_due(session: Session, only: list[str] | None) -> bool:
    from tiktok_erp.store.tracking import load_due, load_queue, load_unsettled_uploads

    store = session.store
    return bool(load_due(store, only=only)) or bool(load_unsettled_uploads(store)) or bool(load_queue(store))


def _follow(session: Session) -> None:
    from tiktok_erp.store.scans import load_oldest_unscanned
    from tiktok_erp.tracking.states import follow_packages

    if load_oldest_unscanned(session.store) is None or not session.settings().tiktok_is_set():
        return
    try:
        news = follow_packages(session.store, session.shop())
    except (ChannelDown, ChannelRefused, SignInError) as error:
        session.out.warn(tr("which parcels the carrier has cannot be read now ({reason})", reason=error.what))
        return
    session.summary.update(scanned=news)
    if news:
        session.out.say(tr("{count} parcels are with their carrier or delivered", count=news))


def _plan(session: Session, uploader: TrackingUploader, only: list[str] | None) -> None:
    try:
        uploader.plan(only=only)
    except ChannelDown as error:
        session.out.warn(tr("the channel's carriers cannot be asked for now ({reason})", reason=error.what))
        uploader.plan_offline(only=only)


def _correct(session: Session, name: str, wanted: str, *, dry_run: bool) -> None:
    from tiktok_erp.tracking.correct import correct_number

    packages = session.packages([name])
    if not packages:
        return
    if len(packages) > 1:
        raise UsageError(
            tr("the order is in {count} packages: {packages}", count=len(packages), packages=", ".join(packages)),
            subject=name,
            next_step=tr("name the package whose number is wrong"),
        )
    require_credentials_or_file(session, tr("set the TIKTOK_SHOP_ settings, or correct the number in Seller Center"))
    count = correct_number(
        session.store,
        session.shop(),
        session.rules(),
        session.out,
        session.read_back,
        packages[0],
        wanted,
        run_id=session.run_id,
        dry_run=dry_run,
    )
    session.summary.update(corrected=count)
    if count and not dry_run:
        session.out.say(tr("the number of {count} orders is corrected: {number}", count=count, number=wanted))


def _tell(session: Session, count: int, to_file: Path | None, *, is_plan: bool) -> None:
    from tiktok_erp.store.tracking import count_told_by_channel

    by_channel = count_told_by_channel(session.store)
    session.summary.update(
        told=count if to_file is None and not is_plan else 0,
        written=count if to_file is not None and not is_plan else 0,
        told_by_channel=by_channel,
    )
    if is_plan:
        session.out.say(tr("{count} tracking numbers would be told", count=count))
    elif to_file is None:
        session.out.say(tr("{count} tracking numbers told", count=count))
    elif count:
        session.out.say(
            tr("{count} tracking numbers written to {file}; upload it in Seller Center", count=count, file=to_file)
        )
    else:
        session.out.say(tr("nothing to write"))
    session.out.say(tr("already told by TikTok: {count}", count=by_channel))
