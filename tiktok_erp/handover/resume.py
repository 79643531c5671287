"""Take back what people did by hand: compared with what the channel says now, written down once, reported row by row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tiktok_erp.handover.kit import Kit
from tiktok_erp.handover.plan import Mark, MarkedPackage, plan_mark
from tiktok_erp.handover.returns import NewNumber, Returns, Scan
from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.tracking_number import check
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.handwork import (
    find_by_number,
    load_states,
    load_statuses,
    load_survivors,
    save_packed,
    save_printed_by_hand,
)
from tiktok_erp.store.labels import load_live
from tiktok_erp.store.packages import find_packages
from tiktok_erp.store.quarantine import open_case, resolve_cases

_ORDER_NUMBER = re.compile(r"(tiktok:)?\d{15,20}")
_CASES = ("packed_but_cancelled", "packed_but_cancel_requested", "packed_without_a_number")


@dataclass(slots=True)
class ResumeCount:
    """What one kit brought. `moved_on` counts orders that changed since the kit was made, by what they became."""

    packed: int = 0
    printed: int = 0
    known: int = 0
    failed: int = 0
    moved_on: Counter[str] = field(default_factory=Counter)


class KitReader:
    """Takes back one kit, after the channel was asked what happened meanwhile."""

    def __init__(self, store: Store, report: Report, *, run_id: int | None) -> None:
        self._store = store
        self._report = report
        self._run_id = run_id
        self.count = ResumeCount()

    def compare(self, kit: Kit) -> None:
        """Tell in which packages the orders moved on since the kit was made."""
        ids = {order_id for told in kit.packages.values() for order_id in told["orders"]}
        statuses = load_statuses(self._store, sorted(ids))
        for package_id, told in sorted(kit.packages.items()):
            changes = [
                (before, statuses[order_id])
                for order_id, before in told["orders"].items()
                if statuses.get(order_id, before) != before
            ]
            for before, after in sorted(changes):
                self.count.moved_on[after] += 1
                self._report.item(
                    Outcome(
                        "package",
                        {"package_id": package_id},
                        "skipped",
                        cause="moved_on",
                        fields={"status_in_kit": before, "status_now": after},
                    )
                )

    def new_numbers(self, numbers: Sequence[NewNumber]) -> list[NewNumber]:
        """Return the numbers that the store does not hold yet, each under the package that it belongs to now."""
        fresh = []
        for number in numbers:
            packages = self._packages(number.name)
            plain = check(number.tracking_number, None).normalised
            held = [load_live(self._store, package_id) for package_id in packages]
            if any(label is not None and label["tracking_number"] == plain for label in held):
                self.count.known += 1
                continue
            name = packages[0] if len(packages) == 1 else number.name
            fresh.append(NewNumber(name, number.carrier, number.tracking_number, number.file, number.line))
        return fresh

    def take_marks(self, returns: Returns) -> None:
        """Write down ticks and scans."""
        marks = [*returns.marks, *self._scanned(returns.scans)]
        for remark in returns.remarks:
            self._report.item(
                Outcome(
                    "package",
                    {"package_id": remark.package_id, "file": remark.file.name, "line": remark.line},
                    "skipped",
                    cause="remark",
                    next_step=tr("read it; write x where it means done, and run this again"),
                    text=tr(
                        "{file}:{line}: {package} has a remark where a tick was expected",
                        file=remark.file.name,
                        line=remark.line,
                        package=remark.package_id,
                    ),
                )
            )
        for scan in returns.not_scanned:
            self.count.failed += 1
            place = {"file": scan.file.name, "line": scan.line}
            self._report.item(
                Outcome(
                    "row",
                    place,
                    "failed",
                    cause="not_scanned",
                    next_step=tr("scan the label again, or begin the line with #"),
                    text=tr("{file}:{line}: this is no number that a scanner wrote", **place),
                )
            )
        current: dict[str, Mark] = {}
        for mark in marks:
            packages = self._packages(mark.package_id)
            if not packages:
                self._unknown(mark.package_id, mark.file)
            for package_id in packages:
                if package_id not in current or mark.is_packed:
                    current[package_id] = Mark(package_id, mark.is_packed, mark.because, mark.file)
        states = load_states(self._store, list(current))
        for package_id, mark in sorted(current.items()):
            state = states[package_id]
            known = MarkedPackage(
                is_cancelled=bool(state["is_cancelled"]),
                asks_to_cancel=bool(state["asks"]),
                packed_before=state["packed_at"] is not None,
                label_state=state["label_state"],
                has_document=state["sha256"] is not None,
                is_printed=state["on_paper_at"] is not None,
            )
            self._take(mark, *plan_mark(mark, known))

    def _take(self, mark: Mark, result: str, cause: str) -> None:
        if result == "failed":
            return self._failed(mark, cause)
        if result == "nothing":
            self.count.known += 1
            return self._report.item(
                Outcome("package", {"package_id": mark.package_id}, "skipped", cause=cause, fields={"file": mark.file})
            )
        now = utc_now()
        with self._store.transaction():
            is_new = save_printed_by_hand(self._store, mark.package_id, now)
            if result == "packed":
                save_packed(self._store, mark.package_id, because=mark.because, run_id=self._run_id, at=now)
                resolve_cases(self._store, package_id=mark.package_id, causes=_CASES)
        self.count.packed += result == "packed"
        self.count.printed += is_new
        return self._report.item(
            Outcome("package", {"package_id": mark.package_id}, "done", fields={"mark": result, "file": mark.file})
        )

    def _failed(self, mark: Mark, cause: str) -> None:
        what, step = {
            "packed_but_cancelled": (
                tr("packed, and the order was cancelled"),
                tr("take the parcel out before the carrier comes, put the pieces back, have the label refunded"),
            ),
            "packed_but_cancel_requested": (
                tr("packed, and the buyer asks to cancel"),
                tr("keep the parcel back; answer the buyer: `tiktok-erp orders answer ID approve` or `reject`"),
            ),
            "purchase_without_an_answer": (
                tr("packed, and nobody knows whether its label was bought"),
                tr("run `tiktok-erp labels reconcile`, then this again"),
            ),
            "packed_without_a_number": (
                tr("packed, and no tracking number of it is known"),
                tr("write the number into the list, or add the label PDF or an export to incoming; run this again"),
            ),
        }[cause]
        with self._store.transaction():
            is_new = open_case(
                self._store, cause=cause, detail=what, next_step=step, package_id=mark.package_id, run_id=self._run_id
            )
        self.count.failed += 1
        self._report.item(
            Outcome(
                "package",
                {"package_id": mark.package_id},
                "failed",
                cause=cause,
                next_step=step,
                text=f"{mark.package_id}: {what}",
                is_new=is_new,
            )
        )

    # Names

    def _scanned(self, scans: Iterable[Scan]) -> list[Mark]:
        marks = []
        for scan in scans:
            packages = self._scanned_packages(scan.text)
            if not packages:
                self._unknown(scan.text, scan.file.name)
            marks += [Mark(package_id, True, "scan", scan.file.name) for package_id in packages]
        return marks

    def _scanned_packages(self, text: str) -> list[str]:
        if re.fullmatch(r"P\d+", text) or _ORDER_NUMBER.fullmatch(text):
            packages = self._packages(text)
            if packages:
                return packages
        plain = check(text, None).normalised
        return find_by_number(self._store, plain) or find_by_number(self._store, text)

    def _packages(self, name: str) -> list[str]:
        """Return the packages that a name means now: one that was combined with others lives on in its survivor."""
        return load_survivors(self._store, find_packages(self._store, name))

    def _unknown(self, name: str, file: str) -> None:
        self.count.failed += 1
        self._report.item(
            Outcome(
                "row",
                {"id": name, "file": file},
                "failed",
                cause="unknown_id",
                next_step=tr("scan the label again, or take the number over with `tiktok-erp print-labels --from`"),
                text=tr("{file}: nothing in the database is called {name}", file=file, name=name),
            )
        )
