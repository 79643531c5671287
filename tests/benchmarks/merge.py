"""Merging one-page label files as carriers make them, a picture or vectors with an embedded font, against the bare library."""

from __future__ import annotations

import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import reportlab
from PIL import Image, ImageDraw
from reportlab.graphics.barcode.code128 import Code128
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from tests.benchmarks.files import LAUNCHER
from tests.benchmarks.paper import merge_bare, merge_ours

Row = tuple[str, str, str, str]
FILES = 3000
STAMPED = 500
DIFFERENT = 100
REPEATS = 3
KINDS = ("picture", "font")


@dataclass(frozen=True, slots=True)
class Took:
    """Median seconds of one way to do it: by the clock, which a busy disk moves, and of this process's CPU."""

    seconds: float
    cpu: float


def merge(folder: Path) -> list[Row]:
    """Return the rows of both kinds: time against the bare library, peak memory of a process of its own, stamping."""
    rows: list[Row] = []
    for kind in KINDS:
        own = folder / kind
        own.mkdir()
        files = label_files(own, FILES, kind)
        size = sum(path.stat().st_size for path in files) / len(files)
        ours, bare, stamped = measure([partial(run, what, files, own) for what in ("ours", "bare", "stamped")])
        rows += [
            (
                f"P2 merge {FILES} files, {kind} ({size / 1000:.0f} kB each)",
                f"{ours.seconds:.2f} s, CPU {ours.cpu:.2f} s, {peak_mb('ours', own):.0f} MB",
                f"{ours.seconds / bare.seconds:.2f} x bare pypdfium2, CPU {ours.cpu / bare.cpu:.2f} x",
                "<= 1.3 x, <= 150 MB",
            ),
            (
                "   bare pypdfium2, nothing synced to the disk",
                f"{bare.seconds:.2f} s, CPU {bare.cpu:.2f} s, {peak_mb('bare', own):.0f} MB",
                "",
                "",
            ),
            (
                f"   positions on {STAMPED} of them",
                f"{stamped.seconds:.2f} s, CPU {stamped.cpu:.2f} s, {peak_mb('stamped', own):.0f} MB",
                f"{STAMPED / stamped.seconds:.0f} pages/s, {STAMPED / stamped.cpu:.0f} a second of CPU",
                "",
            ),
        ]
    return rows


def measure(runs: Sequence[Callable[[], None]]) -> list[Took]:
    """Return the medians of `runs`, run in turn, after one round that does not count."""
    took: list[list[tuple[float, float]]] = [[] for run in runs]
    for round_number in range(REPEATS + 1):
        for run_one, times in zip(runs, took, strict=True):
            started, cpu = time.perf_counter(), time.process_time()
            run_one()
            if round_number:
                times.append((time.perf_counter() - started, time.process_time() - cpu))
    return [Took(*(statistics.median(column) for column in zip(*times, strict=True))) for times in took]


def run(what: str, files: Sequence[Path], folder: Path) -> None:
    """Merge once: `ours`, `bare`, or `stamped`."""
    target = folder / f"{what}.pdf"
    if what == "bare":
        merge_bare(files, target)
    else:
        merge_ours(files[:STAMPED] if what == "stamped" else files, target, stamp=what == "stamped")


def label_files(folder: Path, count: int, kind: str) -> list[Path]:
    """Write `count` one-page 4x6 files: a hundred different ones over and over, since PDFium does not compare them."""
    font = Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"
    pdfmetrics.registerFont(TTFont("Vera", str(font)))
    draw = {"picture": _picture, "font": _vectors}[kind]
    files = []
    for number in range(count):
        path = folder / f"label-{number:05d}.pdf"
        files.append(path)
        if number >= DIFFERENT:
            shutil.copyfile(files[number % DIFFERENT], path)
            continue
        canvas = Canvas(str(path), pagesize=(288, 432))
        draw(canvas, number)
        canvas.showPage()
        canvas.save()
    return files


def _vectors(canvas: Canvas, number: int) -> None:
    canvas.setFont("Vera", 11)
    canvas.drawString(20, 400, f"Größe {number}: ÀÉÎÕÜ abcdefghijklmnopqrstuvwxyz")
    canvas.drawString(20, 380, "ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 .,;:-/()")
    canvas.line(8, 240, 280, 240)
    Code128(f"9400100000000000{number:06d}", barWidth=1.06, barHeight=60).drawOn(canvas, 10, 150)


def _picture(canvas: Canvas, number: int) -> None:
    dice = random.Random(number)
    picture = Image.new("1", (812, 1218), 1)
    pen = ImageDraw.Draw(picture)
    pen.text((60, 60), f"LABEL {number}", fill=0)
    for left in range(60, 700, 6):
        pen.rectangle((left, 500, left + dice.randrange(1, 5), 720), fill=0)
    # What a logo and a code of many cells weigh, in bits that hardly compress.
    picture.paste(Image.frombytes("1", (640, 230), dice.randbytes(640 * 230 // 8)), (80, 800))
    canvas.drawImage(ImageReader(picture), 0, 0, 288, 432)


def peak_mb(what: str, folder: Path) -> float:
    """Return the most memory that a process took which merges the files of `folder` and does nothing else."""
    command = [sys.executable, "-c", LAUNCHER, sys.executable, "-m", "tests.benchmarks.merge", what, str(folder)]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    _seconds, peak, code = told.split()
    if code != "0":
        raise RuntimeError(f"{what}: exit code {code}")
    return float(peak)


if __name__ == "__main__":
    run(sys.argv[1], sorted(Path(sys.argv[2]).glob("label-*.pdf")), Path(sys.argv[2]))
