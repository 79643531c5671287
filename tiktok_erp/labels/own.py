"""Take over labels that the seller bought elsewhere: tracking lists, and PDFs of Seller Center. Reads, checks, writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tiktok_erp.carriers.label_pages import (
    LabelPageMatch,
    MatchedPage,
    UnmatchedPage,
    WantedPackage,
    extract_page,
    match_label_pages,
)
from tiktok_erp.carriers.tracking_list import TrackedLabel, read_tracking_list
from tiktok_erp.errors import ErpError, LabelFileError
from tiktok_erp.labels.verify import PRINTER_DPI, LabelInspection, inspect_label
from tiktok_erp.messages import tr
from tiktok_erp.model.address import ADDRESS_CAUSES
from tiktok_erp.model.carrier import is_known
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.own_label import CARRIER_NOT_TAKEN, not_taken
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.tracking_number import check, surely_of
from tiktok_erp.store.combining import load_shared_unlabelled, separate
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.label_files import LabelFiles
from tiktok_erp.store.labels import (
    add_document,
    load_known_ids,
    load_live,
    load_users_of_number,
    overrides_used_number,
    save_own_label,
)
from tiktok_erp.store.packages import find_orders, find_packages, package_outcome
from tiktok_erp.store.quarantine import open_case, resolve_cases

CAUSES = (
    *("bad_tracking_number", "number_used", "label_file", "barcode_contradiction", "other_label_held"),
    CARRIER_NOT_TAKEN,
)
_A_FEW = 3
# Why whole files are of no use: said once a file.
_PAGES = ("unknown_order", "nothing_to_send", "nothing_known")
# TikTok reference, section 4.5.
_ORDERS_A_NUMBER = 20


@dataclass(slots=True)
class ImportCount:
    """What one import did. `held` were known before."""

    taken: int = 0
    held: int = 0
    failed: int = 0
    failed_before: int = 0


class LabelImporter:
    """Takes over labels from files; one bad row or page never stops the others.

    `place_of` tells where a person finds a row of a list that was put together from other files.
    """

    def __init__(
        self,
        store: Store,
        report: Report,
        *,
        rules: Rules,
        run_id: int | None,
        dry_run: bool,
        place_of: Callable[[Path, int], tuple[Path, int]] = lambda path, line: (path, line),
    ) -> None:
        self._store = store
        self._report = report
        self._rules = rules
        self._run_id = run_id
        self._dry_run = dry_run
        self._place_of = place_of
        self._files = LabelFiles(store.path)
        self._unknown_rows: list[tuple[Path, TrackedLabel]] = []
        self._named: set[str] = set()  # our ids of the orders that a list names
        self.count = ImportCount()

    def import_files(self, paths: Sequence[Path]) -> None:
        """Read tracking lists first, then the PDFs, whose pages may name the numbers of the lists.

        Raises InputFileError or LabelFileError for a file that cannot be read at all; nothing of it was taken over.
        """
        pdfs = [path for path in paths if path.suffix.casefold() == ".pdf" or _begins_as_pdf(path)]
        lists = [path for path in paths if path not in pdfs]
        read = [(path, read_tracking_list(path)) for path in lists]
        for path, content in read:
            for fault in content.faults:
                self._row_failed(path, fault.line, fault.order_id, "bad_row", fault.what, fault.next_step)
            self._named = {
                order_id for label in content.labels for order_id in find_orders(self._store, label.order_id)
            }
            self._take_apart(
                {label.order_id: label.tracking_number for label in content.labels if not label.package_id}
            )
            shared = _shared_files(content.labels)
            pdfs += sorted(shared - set(pdfs))
            for number, label in enumerate(content.labels, start=1):
                self._import_row(path, replace(label, label_file=None) if label.label_file in shared else label)
                self._report.progress(tr("rows"), number, len(content.labels))
            self._tell_unknown_rows()
        if pdfs:
            self._import_pdfs(pdfs)

    # Tracking lists

    def _take_apart(self, numbers: Mapping[str, str]) -> None:
        """Give orders of a combined package packages of their own where they were bought labels of their own.

        `numbers` are by what the files call the orders. What is said here goes before what `allocate` thought best.
        """
        by_package: dict[str, dict[str, str]] = {}
        for name, number in numbers.items():
            for order_id in find_orders(self._store, name):
                package_ids = load_shared_unlabelled(self._store, order_id)
                for package_id in package_ids:
                    by_package.setdefault(package_id, {})[order_id] = number
        apart = {package_id: found for package_id, found in by_package.items() if len(set(found.values())) > 1}
        if not apart or self._dry_run:
            return
        now = utc_now()
        with self._store.transaction():
            for package_id, found in sorted(apart.items()):
                stays, *leaving = sorted(found)
                for order_id in leaving:
                    if found[order_id] != found[stays]:
                        separate(self._store, package_id, order_id, now, self._run_id)
                self._report.warn(
                    tr(
                        "{package}: its orders were bought labels of their own, so they leave in packages of their own",
                        package=package_id,
                    )
                )

    def _import_row(self, path: Path, label: TrackedLabel) -> None:
        package_ids = find_packages(self._store, label.package_id or label.order_id)
        live = [package_id for package_id in package_ids if self._is_open(package_id)]
        if len(live) > 1:
            return self._row_failed(
                path,
                label.line,
                label.order_id,
                "several_packages",
                tr("the order leaves in {count} packages", count=len(live)),
                tr("add a column package_id to the list and name one of them"),
            )
        if not package_ids and find_orders(self._store, label.order_id):
            return self._row_failed(
                path,
                label.line,
                label.order_id,
                "no_package",
                tr("there is nothing to send for this order: it was cancelled, or somebody else ships it"),
                tr("look at `tiktok-erp orders show {order}`", order=label.order_id),
            )
        if not package_ids:
            return self._unknown_rows.append((path, label))
        package_id = (live or package_ids)[0]
        others = [] if label.package_id else self._company_not_named(package_id)
        if others:
            return self._row_failed(
                path,
                label.line,
                label.order_id,
                "part_of_a_package",
                tr(
                    "the order leaves in {package} together with {others}", package=package_id, others=", ".join(others)
                ),
                tr("name all of them with the same number, or add a column package_id to the list"),
            )
        document: bytes | None = None
        if label.label_file is not None:
            try:
                document = label.label_file.read_bytes()
            except OSError as error:
                return self._row_failed(
                    path,
                    label.line,
                    label.order_id,
                    "label_file",
                    tr("the label file cannot be read ({reason})", reason=error.strerror),
                    tr("correct label_file in the list, or leave it empty"),
                )
        return self._take(package_id, label.carrier, label.tracking_number, document)

    def _company_not_named(self, package_id: str) -> list[str]:
        """Return the orders of a package without a label that the list does not name.

        A number for one of several orders may be for all of them or for that one alone: the wrong guess loses a parcel.
        """
        if load_live(self._store, package_id) is not None:
            return []
        order_ids = find_orders(self._store, package_id)
        return [order_id for order_id in order_ids if order_id not in self._named] if len(order_ids) > 1 else []

    def _row_failed(self, path: Path, line: int, order_id: str, cause: str, what: str, next_step: str) -> None:
        # A row that fits no package of ours leaves no case behind: the file itself is what has to be corrected.
        path, line = self._place_of(path, line)
        self.count.failed += 1
        self._report.item(
            Outcome(
                "row",
                {"order_id": order_id, "file": str(path), "line": line},
                "failed",
                cause=cause,
                next_step=next_step,
                text=f"{path}:{line}: {what}" + (f" ({order_id})" if order_id else ""),
            )
        )

    def _tell_unknown_rows(self) -> None:
        """Say once of an old or foreign list that its orders are unknown here; a few rows, and every row to scripts."""
        rows, self._unknown_rows = self._unknown_rows, []
        if self._report.wants_fields or len(rows) <= _A_FEW:
            for path, label in rows:
                what, step = tr("no such order is in the database"), tr("run `tiktok-erp sync`, or correct the row")
                self._row_failed(path, label.line, label.order_id, "unknown_order", what, step)
            return
        self.count.failed += len(rows)
        path = self._place_of(rows[0][0], rows[0][1].line)[0]
        self._file_failed(
            path,
            "unknown_order",
            tr(
                "{count} rows name orders that are not in this database (rows {places}; {examples})",
                count=len(rows),
                places=_numbers_text([self._place_of(path, label.line)[1] for path, label in rows]),
                examples=", ".join(label.order_id for path, label in rows[:_A_FEW]),
            ),
            _foreign_step(),
        )

    def _file_failed(self, path: Path, cause: str, what: str, next_step: str) -> None:
        text = f"{path.name}: {what}"
        self._report.item(Outcome("file", {"file": str(path)}, "failed", cause=cause, next_step=next_step, text=text))

    # PDFs

    def _import_pdfs(self, paths: Sequence[Path]) -> None:
        match = self._match(paths)
        shared = [one for entry in match.ambiguous if entry.cause == "two_numbers" for one in entry.package_ids]
        # Different labels for one package of several orders: they were bought one by one.
        if self._separate_all(shared):
            match = self._match(paths)
        for number, page in enumerate(match.matches, start=1):
            self._import_page(page)
            self._report.progress(tr("labels"), number, len(match.matches))
        self._tell_unmatched(match.unmatched_pages)
        for ambiguous in match.ambiguous:
            for path, page_number in ambiguous.pages:
                self._page_failed(path, page_number, ambiguous.cause, ambiguous.why)

    def _match(self, paths: Sequence[Path]) -> LabelPageMatch:
        return match_label_pages(
            paths, self._wanted(), progress=lambda done, total: self._report.progress(tr("pages"), done, total)
        )

    def _separate_all(self, package_ids: Sequence[str]) -> bool:
        """Give every order of these packages one of its own, where no label is held yet; False when there is none such."""
        orders: dict[str, str] = {}
        for package_id in package_ids:
            for order_id in find_orders(self._store, package_id):
                if package_id in load_shared_unlabelled(self._store, order_id):
                    orders[order_id] = order_id
        self._take_apart(orders)
        return bool(orders) and not self._dry_run

    def _wanted(self) -> list[WantedPackage]:
        rows = self._store.query(
            "SELECT p.package_id, json_group_array(o.channel_order_id) AS numbers, l.tracking_number FROM packages p"
            " JOIN package_orders po USING (package_id) JOIN orders o USING (order_id)"
            " LEFT JOIN labels l ON l.package_id = p.package_id AND l.state = 'bought'"
            " WHERE p.cancelled_at IS NULL AND p.scanned_at IS NULL AND p.delivered_at IS NULL"
            " GROUP BY p.package_id ORDER BY p.package_id"
        )
        return [
            WantedPackage(row["package_id"], tuple(json.loads(row["numbers"])), row["tracking_number"]) for row in rows
        ]

    def _import_page(self, page: MatchedPage) -> None:
        live = load_live(self._store, page.package_id)
        if live is None and page.how == "order_id" and len(find_orders(self._store, page.package_id)) > 1:
            self._package_failed(
                page.package_id,
                "label_file",
                tr(
                    "the page names an order, and the package carries several: whether it is for all of them is not certain"
                ),
                tr("give number and package_id in a tracking list (`print-labels --from list.csv FILE.pdf`)"),
            )
            return
        number = page.tracking_number or (live["tracking_number"] if live is not None else None)
        if not number:
            self._package_failed(
                page.package_id,
                "label_file",
                tr("the page names the order and no tracking number could be read from it"),
                tr("give the number in a tracking list (`print-labels --from list.csv FILE.pdf`)"),
            )
            return
        try:
            document = extract_page(page.path, page.pages, page.box)
        except ErpError as error:
            self._package_failed(page.package_id, "label_file", error.what, error.next_step)
            return
        self._take(page.package_id, page.carrier, number, document)

    def _tell_unmatched(self, pages: Sequence[UnmatchedPage]) -> None:
        """Say of pages that were not used whose they are: unknown here, labelled already, or no labels at all."""
        labelled = load_known_ids(self._store, [name for page in pages for name in page.ids])
        groups: dict[tuple[Path, str], list[UnmatchedPage]] = {}
        for page in pages:
            groups.setdefault((page.path, _whose(page, labelled)), []).append(page)
        for (path, cause), group in groups.items():
            self._tell_group(path, cause, group)

    def _tell_group(self, path: Path, cause: str, group: Sequence[UnmatchedPage]) -> None:
        is_known = cause == "labelled_before"
        self.count.held += len(group) * is_known
        if self._report.wants_fields or (cause not in _PAGES and not is_known):
            for page in group:
                if is_known:
                    ids: dict[str, object] = {"file": str(path), "page": page.page + 1}
                    self._report.item(Outcome("page", ids, "skipped", cause=cause, fields={"seen": list(page.ids)}))
                else:
                    self._page_failed(path, page.page, cause, page.seen)
            return
        examples = "; ".join(" ".join(page.ids) for page in group[:_A_FEW] if page.ids)
        places = _numbers_text([page.page + 1 for page in group])
        if is_known:
            self._report.warn(
                tr(
                    "{file}: {count} pages are labels of orders that were labelled already (pages {places}; {examples})",
                    file=path.name,
                    count=len(group),
                    places=places,
                    examples=examples,
                )
            )
            return
        self.count.failed += len(group)
        what, step = _page_words(cause, len(group), places, examples)
        self._file_failed(path, cause, what, step)

    def _page_failed(self, path: Path, page: int, cause: str, what: str) -> None:
        self.count.failed += 1
        self._report.item(
            Outcome(
                "page",
                {"file": str(path), "page": page + 1},
                "failed",
                cause=cause,
                next_step=_foreign_step() if cause in _PAGES else _list_step(),
                text=tr("{file}, page {page}: {what}", file=path.name, page=page + 1, what=what),
            )
        )

    # Both

    def _is_open(self, package_id: str) -> bool:
        orders = self._store.scalar(
            "SELECT count(*) FROM packages p JOIN package_orders po USING (package_id) JOIN orders o USING (order_id)"
            " WHERE p.package_id = ? AND p.cancelled_at IS NULL AND o.base_state = 'open'",
            (package_id,),
        )
        return bool(orders)

    def _take(self, package_id: str, carrier: str | None, number: str, document: bytes | None) -> None:
        live = load_live(self._store, package_id)
        if live is not None and live["state"] in ("sent", "unknown"):
            return self._package_failed(
                package_id,
                "other_label_held",
                tr("a label is being bought for this package"),
                tr("run `tiktok-erp labels reconcile` first"),
            )
        sure = surely_of(number)
        if carrier is not None and sure is not None and not is_known(carrier):
            self._report.warn(
                tr(
                    "{package}: {carrier} is no carrier known here, and {number} is a number of {sure}: taken over for {sure}",
                    package=package_id,
                    carrier=carrier,
                    number=number,
                    sure=sure,
                )
            )
            carrier = sure
        verdict = check(number, carrier)
        if live is not None and live["state"] == "bought":
            return self._complete(package_id, live, verdict.normalised, document)
        refusal = self._refusal(package_id, carrier, number)
        if refusal is not None:
            return self._package_failed(package_id, *refusal)
        if verdict.verdict == "unchecked":
            self._report.warn(
                tr(
                    "{package}: {carrier} publishes no check digit, so only the form of the number was checked",
                    package=package_id,
                    carrier=carrier,
                )
            )
        sha256 = pages = barcode = None
        if document is not None:
            try:
                inspection = inspect_label(document, tracking_number=verdict.normalised, subject=package_id)
            except LabelFileError as error:
                return self._package_failed(package_id, "label_file", error.what, error.next_step)
            if inspection.verdict == "contradiction":
                return self._contradiction(package_id, verdict.normalised)
            self._warn_of_barcode(package_id, verdict.normalised, inspection)
            pages, barcode = inspection.pages, inspection.verdict
            sha256 = None if self._dry_run else self._files.keep(document)
        if not self._dry_run:
            with self._store.transaction():
                save_own_label(
                    self._store,
                    package_id,
                    carrier=carrier or (verdict.detected_carriers[0] if verdict.detected_carriers else None),
                    tracking_number=verdict.normalised,
                    sha256=sha256,
                    pages=pages,
                    barcode=barcode,
                    run_id=self._run_id,
                    at=utc_now(),
                )
                resolve_cases(self._store, package_id=package_id, causes=(*CAUSES, *ADDRESS_CAUSES))
        self.count.taken += 1
        self._outcome(package_id, "planned" if self._dry_run else "done")
        return None

    def _complete(self, package_id: str, live: sqlite3.Row, number: str, document: bytes | None) -> None:
        """A label is held already: the same number is nothing new, and its document may still be missing."""
        if live["tracking_number"] != number:
            return self._package_failed(
                package_id,
                "other_label_held",
                tr("the package has a label with another number ({held})", held=live["tracking_number"]),
                tr("void that label first, or correct the row"),
            )
        if document is None or live["sha256"] is not None:
            self.count.held += 1
            return self._outcome(package_id, "skipped", cause="already_held")
        try:
            inspection = inspect_label(document, tracking_number=number, subject=package_id)
        except LabelFileError as error:
            return self._package_failed(package_id, "label_file", error.what, error.next_step)
        if inspection.verdict == "contradiction":
            return self._contradiction(package_id, number)
        self._warn_of_barcode(package_id, number, inspection)
        if not self._dry_run:
            sha256 = self._files.keep(document)
            with self._store.transaction():
                add_document(self._store, package_id, sha256=sha256, pages=inspection.pages, barcode=inspection.verdict)
                resolve_cases(self._store, package_id=package_id, causes=CAUSES)
        self.count.taken += 1
        return self._outcome(package_id, "planned" if self._dry_run else "done")

    def _refusal(self, package_id: str, carrier: str | None, number: str) -> tuple[str, str, str] | None:
        """Return (cause, what, next step) when this number must not go on this package."""
        verdict = check(number, carrier)
        if not verdict.ok:
            return (
                "bad_tracking_number",
                tr("the tracking number {number} is wrong: {reason}", number=number, reason=verdict.detail),
                tr("correct number or carrier in the list and import it again"),
            )
        state = self._store.query_one(
            "SELECT p.cancelled_at, p.channel, min(o.shipping_type = 'TIKTOK') AS by_channel,"
            " max(o.base_state = 'cancelled') AS is_cancelled, max(o.cancel_requested) AS asked,"
            " max(o.base_state IN ('unpaid', 'held')) AS is_held, max(o.base_state = 'unknown') AS is_unknown"
            " FROM packages p JOIN package_orders po USING (package_id) JOIN orders o USING (order_id)"
            " WHERE p.package_id = ?",
            (package_id,),
        )
        if state is not None and (state["cancelled_at"] or state["is_cancelled"]):
            return "order_cancelled", tr("the order was cancelled"), tr("do not send the parcel; void its label")
        if state is not None and state["asked"]:
            return (
                "cancel_requested",
                tr("the buyer asks to cancel the order"),
                tr(
                    "answer the buyer: `tiktok-erp orders answer ID approve` or `reject`, or in Seller Center, then `tiktok-erp sync`"
                ),
            )
        if state is not None and (state["is_held"] or state["is_unknown"]):
            return (
                "on_hold",
                tr("the order may not be shipped yet"),
                tr("wait for the hold to end, then run this again"),
            )
        by = carrier or (verdict.detected_carriers[0] if verdict.detected_carriers else None)
        if (
            state is not None
            and by
            and not state["by_channel"]
            and not self._rules.takes_own_label(state["channel"], by)
        ):
            return (
                CARRIER_NOT_TAKEN,
                not_taken(state["channel"], by),
                tr(
                    "send it with another carrier's label; or choose TikTok Shipping for the order in Seller Center, then run"
                    " `tiktok-erp sync`"
                ),
            )
        users = load_users_of_number(self._store, verdict.normalised, package_id, utc_now())
        free = [row for row in users if row["is_free"]]
        users = [row for row in users if row not in free]
        if users and overrides_used_number(self._store, package_id):
            return None
        if not users and free:
            self._report.warn(
                tr(
                    "{package}: the number {number} was on package {other}, which was delivered long ago: taken as used again",
                    package=package_id,
                    number=number,
                    other=free[0]["package_id"],
                )
            )
        if users and (len(users) >= _ORDERS_A_NUMBER or not all(row["same_buyer"] for row in users)):
            return (
                "number_used",
                tr(
                    "the tracking number {number} is already on package {other}",
                    number=number,
                    other=users[0]["package_id"],
                ),
                tr(
                    "correct the number: one parcel has one number; or, where the carrier gave it out again,"
                    " `tiktok-erp orders retry {package} --override number_used --because TEXT`, then import it again",
                    package=package_id,
                ),
            )
        return None

    def _warn_of_barcode(self, package_id: str, number: str, inspection: LabelInspection) -> None:
        """Say where a carrier's scanner may read nothing, or something else: it is printed all the same."""
        if inspection.verdict == "unreadable":
            self._report.warn(
                tr(
                    "{package}: no barcode on the label can be read as a label printer prints it ({dpi} dpi): download it again as"
                    " a PDF that is no picture, or compare its number with {number} and try whether it scans",
                    package=package_id,
                    dpi=PRINTER_DPI,
                    number=number,
                )
            )
        elif inspection.verdict == "unknown_form":
            self._report.warn(
                tr(
                    "{package}: no barcode on the label is a tracking number: compare the number printed on it with {number}",
                    package=package_id,
                    number=number,
                )
            )
        elif inspection.needs_dpi > PRINTER_DPI:
            self._report.warn(
                tr(
                    "{package}: the barcode on the label is so fine that it can be read at {dpi} dpi, not at {less}: try whether"
                    " it scans, or print it on a printer of {dpi} dpi",
                    package=package_id,
                    dpi=inspection.needs_dpi,
                    less=PRINTER_DPI,
                )
            )

    def _contradiction(self, package_id: str, number: str) -> None:
        self._package_failed(
            package_id,
            "barcode_contradiction",
            tr("the barcode on the label is another number than {number}", number=number),
            tr("compare the label with the list; one of them belongs to another parcel"),
        )

    def _package_failed(self, package_id: str, cause: str, what: str, next_step: str) -> None:
        is_new = True
        if not self._dry_run:
            with self._store.transaction():
                is_new = open_case(
                    self._store,
                    cause=cause,
                    detail=what,
                    next_step=next_step,
                    package_id=package_id,
                    order_id=self._store.scalar(
                        "SELECT min(order_id) FROM package_orders WHERE package_id = ?", (package_id,)
                    ),
                    run_id=self._run_id,
                )
        self.count.failed += is_new
        self.count.failed_before += not is_new
        self._outcome(
            package_id, "failed", cause=cause, next_step=next_step, text=f"{package_id}: {what}", is_new=is_new
        )

    def _outcome(
        self,
        package_id: str,
        result: str,
        *,
        cause: str | None = None,
        next_step: str | None = None,
        text: str | None = None,
        is_new: bool = True,
    ) -> None:
        self._report.item(
            package_outcome(
                self._store,
                package_id,
                result,
                with_fields=self._report.wants_fields,
                cause=cause,
                next_step=next_step,
                text=text,
                is_new=is_new,
            )
        )


def _shared_files(labels: Sequence[TrackedLabel]) -> set[Path]:
    """Return the files that rows of several numbers name: each holds the labels of many parcels, and its pages are matched."""
    numbers: dict[Path, set[str]] = {}
    for label in labels:
        if label.label_file is not None:
            numbers.setdefault(label.label_file, set()).add(label.tracking_number)
    return {path for path, found in numbers.items() if len(found) > 1}


def _begins_as_pdf(path: Path) -> bool:
    """Tell whether a file is a PDF whatever it is called."""
    try:
        with path.open("rb") as file:
            return file.read(5) == b"%PDF-"
    except OSError:
        return False  # whoever reads it says so


def _whose(page: UnmatchedPage, labelled: Mapping[str, bool]) -> str:
    """Return the cause of a page that was not used, by what the store knows of the ids on it."""
    if page.cause not in ("other_order", "other_number"):
        return page.cause
    known = [labelled[name] for name in page.ids if name in labelled]
    if not known:
        return "unknown_order"
    return "labelled_before" if any(known) else "nothing_to_send"


def _page_words(cause: str, count: int, places: str, examples: str) -> tuple[str, str]:
    if cause == "unknown_order":
        what = tr(
            "{count} pages are labels of orders that are not in this database (pages {places}; {examples})",
            count=count,
            places=places,
            examples=examples,
        )
        return what, _foreign_step()
    if cause == "nothing_to_send":
        what = tr(
            "{count} pages are labels of orders for which nothing is to be sent (pages {places}; {examples})",
            count=count,
            places=places,
            examples=examples,
        )
        return what, tr("look at `tiktok-erp orders show ID`: cancelled, or shipped by somebody else")
    what = tr("{count} pages name no order and no tracking number (pages {places})", count=count, places=places)
    return what, tr("if these are labels, {step}; else give the right file", step=_list_step())


def _foreign_step() -> str:
    return tr(
        "is it an old file, or another shop's? Do not print it: `tiktok-erp sync` first if the orders are new, else give the right"
        " file"
    )


def _list_step() -> str:
    return tr("give order and tracking number in a tracking list (`print-labels --from list.csv FILE.pdf`)")


def _numbers_text(numbers: Sequence[int]) -> str:
    """Return page or row numbers as people read them: `1-139`, `2, 5, 7-9`; of many runs the first."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    return ", ".join(words[:6]) + (", ..." if len(words) > 6 else "")
