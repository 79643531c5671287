"""`pack`: scan a label, then what goes into the box; the screen says right or wrong in letters that one reads from afar."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_erp.cli.options import DryRun, Json, Quiet
from tiktok_erp.cli.session import Session, run_command
from tiktok_erp.messages import tr
from tiktok_erp.model.foreign_text import screen_text
from tiktok_erp.model.outcome import Outcome

if TYPE_CHECKING:
    from tiktok_erp.labels.packing import PackingTable, Scan

_COLOURS = {
    "right": "42",
    "done": "42",
    "open": "44",
    "wrong": "41",
    "stop": "41",
    "unknown": "43",
    "unfinished": "43",
    "aside": "43",
}
_RED = ("wrong", "stop")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("pack")(pack)


def pack(
    context: typer.Context,
    station: Annotated[str, typer.Option("--station", help="Name of this packing place.")] = "main",
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Pack with a scanner: scan a label, then each item. An empty line or Ctrl-D ends.

    A box closes with its last item. Its own label, scanned again, puts it aside with what is in it, and later opens it
    again; any other label only shows what is MISSING. A box is open at one station. A label of an order that was cancelled
    since printing is a stop sign. Parcels are counted per station.

    \b
    Examples:
      tiktok-erp pack --station north
      printf 'B07-063\\nMUG-RED\\n' | tiktok-erp pack --json
    """

    def body(session: Session) -> None:
        from tiktok_erp.labels.packing import PackingTable

        packed = 0
        with session.named_lock("pack") as holder:
            table = PackingTable(
                session.store,
                station,
                holder=holder,
                is_alive=lambda other: session.is_locked("pack", other),
                dry_run=dry_run,
            )
            session.out.say(tr("station {name}: scan a label", name=station))
            try:
                for line in sys.stdin:
                    if not line.strip():
                        break
                    scan = table.scan(line)
                    packed += scan.verdict == "done"
                    _tell(session, table, scan)
            finally:
                left = table.put_aside()
        if left is not None:
            name = left.position or left.package_id
            session.out.say(tr("{package} is put aside: {missing} missing", package=name, missing=left.missing_text()))
        session.summary.update(packed=packed, last_hour=table.rate())
        session.out.say(tr("{count} parcels packed", count=packed))

    run_command("pack", context, body, as_json=as_json, quiet=quiet, dry_run=dry_run)


def _tell(session: Session, table: PackingTable, scan: Scan) -> None:
    is_wrong = scan.verdict in ("wrong", "stop", "unknown", "unfinished")
    if session.out.as_json:
        box = scan.box
        lines = [{"sku": sku, "packed": done, "quantity": of} for sku, _name, done, of in (box.lines() if box else ())]
        session.out.item(
            Outcome(
                "scan",
                {"code": scan.code, "package_id": box.package_id if box else scan.package_id},
                "failed" if is_wrong else "done",
                cause=scan.cause or (scan.verdict if is_wrong else None),
                next_step=scan.why or None,
                fields={"verdict": scan.verdict, "position": box.position if box else None, "lines": lines},
                is_new=False,  # a wrong scan is no failure of the run
            )
        )
        return
    words = {
        "open": scan.box.position or scan.box.package_id if scan.box else "",
        "right": "OK",
        "done": "DONE",
        "wrong": "WRONG",
        "stop": "STOP",
        "unknown": "?",
        "unfinished": "MISSING",
        "aside": "ASIDE",
    }
    session.out.say_styled(_screen(words[scan.verdict], scan, is_terminal=sys.stdout.isatty(), rate=table.rate()))


def _screen(word: str, scan: Scan, *, is_terminal: bool, rate: int) -> str:
    lines = []
    columns = shutil.get_terminal_size().columns if is_terminal else sys.maxsize
    if is_terminal:
        colour = _COLOURS[scan.verdict]
        lines.append("\x1b[2J\x1b[H" + ("\a" if scan.verdict in _RED else ""))
        lines += [f"\x1b[1;97;{colour}m{row}\x1b[0m" for row in big_letters(word, columns)]
    else:
        lines.append(word)
    if scan.why:
        lines += textwrap.wrap(screen_text(scan.why), columns)
    if scan.box is not None:
        for sku, name, done, of in scan.box.lines():
            mark = "x" if done == of else " "
            text = screen_text(f"  [{mark}] {done}/{of}  {sku}  {name}")
            lines += textwrap.wrap(text, columns, subsequent_indent=" " * 11, drop_whitespace=False)
    if scan.verdict == "done":
        lines.append(tr("{count} parcels in the last hour", count=rate))
    return "\n".join(lines)


def big_letters(word: str, columns: int = 80) -> list[str]:
    """Return a word as rows of blocks, about as high as a hand on a usual screen, and not wider than `columns`.

    A word that is too long at two columns a dot has narrower gaps, then one column a dot, and then is itself.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default_imagefont()
    left, top, right, bottom = font.getbbox(word)
    picture = Image.new("1", (int(right - left) + 2, int(bottom - top)))
    ImageDraw.Draw(picture).text((1 - left, -top), word, fill=1, font=font)
    dots = [[bool(picture.getpixel((x, y))) for y in range(picture.height)] for x in range(picture.width)]
    # One empty column between letters is enough; the font leaves up to three.
    bars = [bar for x, bar in enumerate(dots) if any(bar) or (x and any(dots[x - 1]))]
    for width, gap in ((2, 2), (2, 1), (1, 1)):
        widths = [width if any(bar) else gap for bar in bars]
        if sum(widths) <= columns:
            break
    else:
        return [word]
    rows = [
        "".join(("█" if bar[y] else " ") * wide for bar, wide in zip(bars, widths, strict=True))
        for y in range(picture.height)
    ]
    while rows and not rows[0].strip():
        rows.pop(0)
    while rows and not rows[-1].strip():
        rows.pop()
    return rows
