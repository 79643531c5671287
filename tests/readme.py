"""The README's console examples: `python -m tests.readme` runs them and writes what they print into README.md.

All examples run one after the other in one shell, in a folder that holds a copy of `examples/`, without the network. In
an expected output `...` stands for anything. An output that still fits is left as it is written.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
_MARK = "end of the example with"
_CLOSED_PORT = "http://127.0.0.1:9"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_ORDER_ID = re.compile(r"\b57\d{16}\b")
_COMMAND = re.compile(r"cd \S+ && \S+ -m tiktok_erp")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, the heading above it, the line of its first text line (from 1), and its text."""

    language: str
    section: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """One command of a console block and what the README says it prints. Lines count from 1; `end` is exclusive."""

    command: str
    expected: str
    line: int
    output_start: int
    output_end: int


def blocks(text: str) -> list[Block]:
    """Return every fenced block."""
    found: list[Block] = []
    section, language, start = "", None, 0
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if language is None and line.startswith("## "):
            section = line.removeprefix("## ")
        if not line.startswith("```"):
            continue
        if language is None:
            language, start = line.removeprefix("```"), number + 1
        else:
            found.append(Block(language, section, start, "\n".join(lines[start - 1 : number - 1])))
            language = None
    return found


def examples(text: str) -> list[Example]:
    """Return the commands of all console blocks: `$ ` begins one, `> ` goes on with it, the rest is its output."""
    return [example for block in blocks(text) if block.language == "console" for example in _examples_in(block)]


def _examples_in(block: Block) -> Iterator[Example]:
    lines = block.text.splitlines()
    starts = [index for index, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        after = start + 1
        while after < end and lines[after].startswith("> "):
            after += 1
        yield Example(
            "\n".join(line[2:] for line in lines[start:after]),
            "\n".join(lines[after:end]),
            block.line + start,
            block.line + after,
            block.line + end,
        )


def fits(expected: str, actual: str) -> bool:
    """Tell whether an output is what was expected; `...` stands for anything."""
    parts = (re.escape(part) for part in expected.split("..."))
    return re.fullmatch(".*".join(parts), actual, flags=re.DOTALL) is not None


def run(commands: Sequence[str], folder: Path) -> list[str]:
    """Run commands in one shell in `folder`, which gets a copy of the examples; return what each printed."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    with subprocess.Popen(
        ["bash", "--noprofile", "--norc"],
        cwd=folder,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    ) as shell:
        try:
            return [_answer(shell, command) for command in commands]
        finally:
            os.killpg(shell.pid, signal.SIGKILL)  # the simulated shop, too


def _answer(shell: subprocess.Popen[str], command: str) -> str:
    assert shell.stdin is not None and shell.stdout is not None
    shell.stdin.write(f"{{ {command}\n}} < /dev/null\nprintf '%s\\n' '{_MARK}'\n")
    shell.stdin.flush()
    printed: list[str] = []
    for line in shell.stdout:
        if line.endswith(_MARK + "\n"):
            return "".join([*printed, line.removesuffix(_MARK + "\n")]).rstrip("\n")
        printed.append(line)
    raise AssertionError(f"the shell ended in: {command}\n{''.join(printed)}")


def _environment() -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIKTOK_", "PYTEST_"))}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        kept |= {name: _CLOSED_PORT, name.lower(): _CLOSED_PORT}
    return kept | {
        # As on a terminal: what is said first is read first, results and notes alike.
        "PYTHONUNBUFFERED": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "LC_ALL": "C.UTF-8",
    }


def _masked(output: str, known: str) -> str:
    """Put `...` for what differs from run to run: times, folders, and ids of the simulated shop."""
    output = _COMMAND.sub("...", _TIME.sub("...", output))
    return _ORDER_ID.sub(lambda match: match[0] if match[0] in known else "...", output)


def main() -> int:
    """Write the outputs that no longer fit into README.md, and name them."""
    text = README.read_text("utf-8")
    known = text + (ROOT / "examples" / "seller-center-export.csv").read_text("utf-8-sig")
    found = examples(text)
    with tempfile.TemporaryDirectory() as folder:
        printed = run([example.command for example in found], Path(folder))
    lines = text.splitlines()
    for example, output in reversed(list(zip(found, printed, strict=True))):
        if not fits(example.expected, output):
            print(f"README.md:{example.line}: {example.command}")
            lines[example.output_start - 1 : example.output_end - 1] = _masked(output, known).splitlines()
    README.write_text("\n".join(lines) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
