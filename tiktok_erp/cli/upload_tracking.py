"""`upload-tracking`: tell the channel, or fill its template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiktok_erp.cli.options import DryRun, Ids, Json, Quiet, StaleOk, read_names
from tiktok_erp.cli.session import Session, require_credentials_or_file, run_command
from tiktok_erp.messages import tr


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
      tiktok-erp upload-tracking --from tracking-upload.xlsx
    """
    if to_file is not None and from_file is not None:
        raise typer.BadParameter(tr("--to writes a file and --from reads one: choose one"))

    def body(session: Session) -> None:
        if from_file is not None:
            return _take_back(session, from_file)
        only = session.packages(read_names(ids))
        if not _is_anything_due(session, only):
            _tell(session, 0, to_file, is_plan=plan or dry_run)
            return None
        from tiktok_erp.store.database import utc_now
        from tiktok_erp.store.runs import require_fresh
        from tiktok_erp.tracking.run import TrackingUploader

        rules = session.rules()
        if to_file is not None and not (plan or dry_run):
            return _write(session, to_file, only)
        is_online = to_file is None and not (plan or dry_run)
        if is_online:
            require_credentials_or_file(
                session, tr("set the TIKTOK_SHOP_ settings, or run `tiktok-erp upload-tracking --to FILE`")
            )
            shop = session.shop()
            require_fresh(
                session.store,
                shop.name,
                at_most=rules.freshness.upload,
                now=utc_now(),
                stale_ok=stale_ok,
                file_counts=True,
            )
        uploader = TrackingUploader(
            session.store,
            rules,
            session.out,
            run_id=session.run_id,
            shop=session.shop() if is_online else None,
            read_back=session.read_back if is_online else None,
        )
        try:
            if plan or dry_run:
                uploader.plan(only=only)
            else:
                uploader.upload(only=only)
        finally:
            count = uploader.count
            _tell(session, count.planned if plan or dry_run else count.told, to_file, is_plan=plan or dry_run)
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
    from tiktok_erp.store.tracking import load_due, load_unsettled_uploads

    return bool(load_due(session.store, only=only)) or bool(load_unsettled_uploads(session.store))


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
