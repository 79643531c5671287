"""Take over labels that were bought elsewhere: fetch their documents, so that a person can have them printed here.

Asks, checks, writes. Nothing is bought, and nothing is printed that nobody asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from tiktok_erp.carriers.base import LabelSource
from tiktok_erp.errors import ErpError, LabelFileError
from tiktok_erp.labels.journal import HeldDocument, Task, Vendor
from tiktok_erp.labels.verify import inspect_label
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.signals import undisturbed
from tiktok_erp.store.bought_elsewhere import load_to_adopt, save_adopted
from tiktok_erp.store.database import Store
from tiktok_erp.store.label_files import LabelFiles
from tiktok_erp.store.labels import load_twins
from tiktok_erp.store.packages import package_outcome
from tiktok_erp.store.quarantine import open_case, resolve_cases

CAUSES = ("label_file", "barcode_contradiction", "same_label", "no_label_document")


@dataclass(slots=True)
class AdoptCount:
    """What one run took over; `ready` are the packages whose label can be printed now."""

    fetched: int = 0
    failed: int = 0
    ready: list[str] = field(default_factory=list)


def load_adoptable(store: Store, report: Report, only: Sequence[str] | None) -> list[sqlite3.Row]:
    """Return the labels to take over; named packages that have none are told."""
    rows = load_to_adopt(store, only=only)
    found = {row["package_id"] for row in rows}
    for package_id in only or ():
        if package_id not in found:
            report.item(
                Outcome(
                    "package",
                    {"package_id": package_id},
                    "skipped",
                    cause="nothing_to_adopt",
                    next_step=tr(
                        "see `tiktok-erp labels list {package}`; a label that is held is printed again by"
                        " `tiktok-erp labels reprint {package}`",
                        package=package_id,
                    ),
                    text=tr("{package}: no label that was bought elsewhere and is still to print", package=package_id),
                )
            )
    return rows


def adopt_labels(
    store: Store,
    vendors: Callable[[str], Vendor],
    source: Callable[[], LabelSource],
    report: Report,
    rows: Sequence[sqlite3.Row],
    *,
    run_id: int | None,
) -> AdoptCount:
    """Fetch the documents of these labels, several at once, and keep each as it comes. Raises what stopped it, at its end."""
    count = AdoptCount()
    files = LabelFiles(store.path)
    waiting = []
    for row in rows:
        if row["sha256"] and files.path_of(row["sha256"]).is_file():
            count.ready.append(row["package_id"])
        else:
            waiting.append(row)
    stopped: ErpError | None = None
    with ThreadPoolExecutor(8) as pool:
        flights: dict[Future[HeldDocument | None], sqlite3.Row] = {}
        for row in waiting:
            fetch = _fetcher(row, vendors, source)
            if fetch is None:
                _fail(store, report, row, _no_document(row), count, run_id)
                continue
            with undisturbed():
                flights[pool.submit(fetch)] = row
        while flights:
            done = wait(flights, return_when=FIRST_COMPLETED).done
            for future in done:
                row = flights.pop(future)
                try:
                    document = future.result()
                    if document is None:
                        raise _not_made(row)
                    _keep(store, files, row, document, report, count, run_id)
                except LabelFileError as error:
                    _fail(store, report, row, error, count, run_id)
                except ErpError as error:
                    if error.exit_code == 3:
                        _fail(store, report, row, error, count, run_id)
                    else:
                        stopped = stopped or error
                        for flight in flights:
                            flight.cancel()
                        flights = {flight: row for flight, row in flights.items() if not flight.cancelled()}
            report.progress(tr("labels"), len(waiting) - len(flights), len(waiting))
    if stopped is not None:
        raise stopped
    count.ready.sort()
    return count


def _fetcher(
    row: sqlite3.Row, vendors: Callable[[str], Vendor], source: Callable[[], LabelSource]
) -> Callable[[], HeldDocument | None] | None:
    """Return what fetches a label's document in a worker thread; None where nobody here can have it."""
    if row["is_platform"] and row["platform_package_id"]:
        vendor = vendors("tiktok")
        task = Task(
            row["package_id"],
            row["order_id"],
            row["channel_order_id"],
            (),
            row["weight_g"],
            row["platform_package_id"],
        )
        return lambda: vendor.document(task)
    if row["source"] == "easypost" and row["quote_id"]:
        seller, quote_id, package_id = source(), row["quote_id"], row["package_id"]

        def fetch() -> HeldDocument | None:
            label = seller.read(quote_id, subject=package_id)
            if label is None:
                return None
            return HeldDocument(seller.download(label, subject=package_id), label.tracking_number)

        return fetch
    return None


def _keep(
    store: Store,
    files: LabelFiles,
    row: sqlite3.Row,
    document: HeldDocument,
    report: Report,
    count: AdoptCount,
    run_id: int | None,
) -> None:
    number = row["tracking_number"] or document.tracking_number or None
    inspection = inspect_label(document.data, tracking_number=number, subject=row["package_id"])
    sha256 = files.keep(document.data)
    with store.transaction():
        save_adopted(
            store,
            row["package_id"],
            sha256=sha256,
            pages=inspection.pages,
            barcode=inspection.verdict,
            tracking_number=number,
        )
        resolve_cases(store, package_id=row["package_id"], causes=CAUSES)
    count.fetched += 1
    if inspection.verdict == "contradiction":
        return _fail(store, report, row, _contradiction(row), count, run_id)
    twins = load_twins(store, row["package_id"])
    if twins:
        return _fail(store, report, row, _same_label(row, twins), count, run_id)
    count.ready.append(row["package_id"])
    report.item(package_outcome(store, row["package_id"], "done", with_fields=report.wants_fields))
    return None


def _fail(
    store: Store, report: Report, row: sqlite3.Row, error: ErpError, count: AdoptCount, run_id: int | None
) -> None:
    with store.transaction():
        is_new = open_case(
            store,
            cause=error.cause,
            detail=error.what,
            next_step=error.next_step,
            package_id=row["package_id"],
            order_id=row["order_id"],
            run_id=run_id,
        )
    count.failed += is_new
    report.item(
        package_outcome(
            store,
            row["package_id"],
            "failed",
            with_fields=report.wants_fields,
            order_id=row["order_id"],
            cause=error.cause,
            next_step=error.next_step,
            text=f"{row['package_id']}: {error.what}",
            is_new=is_new,
        )
    )


def _not_made(row: sqlite3.Row) -> LabelFileError:
    return LabelFileError(
        tr("its document is not made yet"),
        subject=row["channel_order_id"],
        next_step=tr("run `tiktok-erp labels adopt {package}` again in a few minutes", package=row["package_id"]),
        cause="no_label_document",
    )


def _no_document(row: sqlite3.Row) -> LabelFileError:
    return LabelFileError(
        tr("where its label was bought is not known here; only its number is"),
        subject=row["channel_order_id"],
        next_step=tr("print it where it was bought, or take its PDF over: `tiktok-erp print-labels --from FILE.pdf`"),
        cause="no_label_document",
    )


def _contradiction(row: sqlite3.Row) -> LabelFileError:
    return LabelFileError(
        tr("the barcode on the label is another number than the channel told; it is not printed"),
        subject=row["channel_order_id"],
        next_step=tr(
            "look at the label with `tiktok-erp labels list` and in Seller Center before anybody sticks it on a parcel"
        ),
        cause="barcode_contradiction",
    )


def _same_label(row: sqlite3.Row, others: Sequence[str]) -> LabelFileError:
    return LabelFileError(
        tr("its label is the one that {packages} has; it is not printed", packages=", ".join(others)),
        subject=row["channel_order_id"],
        next_step=tr("look in Seller Center which orders this parcel has: they leave together, under one label"),
        cause="same_label",
    )
