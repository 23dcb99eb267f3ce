"""The pages for users, read as a user would: every console block is typed into a shell, every session into Python.

A `console` block is a transcript: lines after `$ ` (and `> `, where a command goes on) are typed, the others have to
come. A line `...` stands for any lines, `…` for anything within a line; times, amounts, ports and the width of columns
may differ. A block with a name after its language, as `yaml fits.yaml`, is a file that the reader saves. A `pycon` block is
a Python session. `$ nunatak up` starts a server; a page without it finds one running. What installs something stands in
a `sh` block, what other machines would have to do first in a `text` block: neither is typed here.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
USED = [ROOT / "README.md", *sorted((DOCS / "tutorials").glob("*.md")), *sorted((DOCS / "how-to").glob("*.md"))]
ALL = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
BLOCK = re.compile(r"^```(?P<kind>\w+)(?: (?P<file>[\w./-]+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)?(?:#([^)\s]+))?\)|(?:src|srcset)=\"(?!\w+:)([^\"]+)\"")
END = "\x1e"
USER = "/home/anna"
"""What pages call the directory of the user."""
SECONDS = 150.0
VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?"), "TIME"),
    (re.compile(r"127\.0\.0\.1:\d+"), "SERVER"),
    (re.compile(r"\b\d+(\.\d+)? (s|min|h|d)\b"), "DURATION"),
    (re.compile(r"\b\d+(\.\d+)? (B|kB|MB|GB|TB)\b"), "AMOUNT"),
    (re.compile(r"[ \t]+"), " "),
)


@dataclass(frozen=True)
class Step:
    """Something to type, and the lines that have to come; or a file to save under a name."""

    typed: str
    expected: tuple[str, ...] = ()
    file: str = ""


def steps_of(page: str) -> Iterator[Step]:
    """Yield what a reader of a page does, in order; all Python sessions together at the end."""
    sessions = []
    for block in BLOCK.finditer(page):
        if block["kind"] == "console":
            yield from _commands(block["text"].splitlines())
        elif block["kind"] == "pycon":
            sessions.append(block["text"])
        elif block["file"]:
            yield Step(block["text"], file=block["file"])
    if sessions:
        yield Step("\n".join(sessions), file="session.txt")
        yield Step("python -m doctest -o ELLIPSIS -o NORMALIZE_WHITESPACE session.txt")


def _commands(lines: Sequence[str]) -> Iterator[Step]:
    typed, expected = "", []
    for line in lines:
        if line.startswith("$ "):
            if typed:
                yield Step(typed, tuple(expected))
            typed, expected = line[2:], []
        elif line.startswith("> ") and not expected:
            typed += "\n" + line[2:]
        else:
            expected.append(line)
    yield Step(typed, tuple(expected))


def matches(expected: Sequence[str], printed: Sequence[str]) -> bool:
    """Compare lines with what has to come."""
    if not expected:
        return not printed
    if expected[0] == "...":
        return any(matches(expected[1:], printed[start:]) for start in range(len(printed) + 1))
    if not printed:
        return False
    pattern = ".*".join(re.escape(part) for part in _plain(expected[0]).split("…"))
    return bool(re.fullmatch(pattern, _plain(printed[0]))) and matches(expected[1:], printed[1:])


def _plain(line: str) -> str:
    for pattern, word in VARYING:
        line = pattern.sub(word, line)
    return line.strip()


class Shell:
    """A shell in a directory, and the server it started."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self._home, self._environ = home, environ
        self._server: subprocess.Popen[bytes] | None = None
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=home / "nunatak", env=environ, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def type(self, command: str) -> list[str]:
        """Run a command and return the lines it prints; exit code and directory live on."""
        if command == "nunatak up":
            return self._up()
        assert self._bash.stdin
        script = f"{{ {command}\n}} </dev/null; _code=$?; printf '\\036'; (exit $_code)\n"
        self._bash.stdin.write(script.encode())
        self._bash.stdin.flush()
        assert self._bash.stdout
        return self._read(self._bash.stdout.fileno(), END).removesuffix(END).splitlines()

    def _up(self) -> list[str]:
        self._server = subprocess.Popen(
            ["nunatak", "up"],
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._server.stdout
        return self._read(self._server.stdout.fileno(), "Ctrl-C stops it\n").splitlines()

    def _read(self, pipe: int, end: str) -> str:
        """Read until what was printed ends in `end`."""
        text, until = b"", time.monotonic() + SECONDS
        while not text.endswith(end.encode()):
            found, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
            more = os.read(pipe, 65536) if found else b""
            assert more, f"no end after {SECONDS:.0f} s, or too early: {text.decode()[-2000:]}"
            text += more
        return text.decode().replace(str(self._home), USER)

    def save(self, name: str, text: str) -> None:
        """Save a file in the shell's directory."""
        place = self.type("pwd")[0].replace(USER, str(self._home))
        (Path(place) / name).write_text(text)

    def close(self) -> None:
        """End the shell and the server."""
        self._bash.kill()
        self._bash.wait()
        assert self._bash.stdin
        assert self._bash.stdout
        self._bash.stdin.close()
        self._bash.stdout.close()
        if self._server:
            self._server.send_signal(signal.SIGINT)
            assert self._server.stdout
            self._server.stdout.read()
            self._server.stdout.close()
            self._server.wait(30)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in a copy of the examples, of a user who never used Nunatak before."""
    for name in ("fit", "muons"):
        shutil.copytree(ROOT / "examples" / name, tmp_path / "nunatak" / "examples" / name)
    environ = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "NUNATAK_PORT": "0",
        "NUNATAK_CORES": "2",
    }
    opened = Shell(tmp_path, environ)
    yield opened
    opened.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem)
        for page in USED
        if "```console" in page.read_text() or "```pycon" in page.read_text()
    ],
)
def test_what_a_page_shows_is_what_happens(page: Path, shell: Shell) -> None:
    steps = list(steps_of(page.read_text("utf-8")))
    if not any(step.typed == "nunatak up" for step in steps):
        shell.type("nunatak up")
    for step in steps:
        if step.file:
            shell.save(step.file, step.typed)
            continue
        printed = shell.type(step.typed)
        assert matches(step.expected, printed), (
            f"{page.name}: $ {step.typed}\n--- the page says\n"
            + "\n".join(step.expected)
            + "\n--- it prints\n"
            + "\n".join(printed)
        )


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in ALL])
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for link in LINK.finditer(text):
        name, anchor, picture = link.groups()
        target = page.parent / (name or picture) if name or picture else page
        assert target.exists(), f"{page.name} links to {target}"
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target.read_text("utf-8")), f"{page.name} links to #{anchor} of {target.name}"


def _anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    words = [re.sub(r"<[^>]*>|[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads]
    return {*words, *re.findall(r'id="([^"]+)"', text)}


def test_every_decision_is_listed_in_its_order() -> None:
    listed = re.findall(r"\]\(decisions/([^)]+)\)", (DOCS / "README.md").read_text("utf-8"))
    assert listed == sorted(path.name for path in (DOCS / "decisions").glob("*.md"))


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "docs.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        (["1 fit: done"], ["1 fit: failed"]),
        (["a"], []),
        ([], ["a"]),
        (["a", "..."], ["b"]),
        (["...", "b"], ["b", "c"]),
        (["2/0/fit…"], ["2/1/fit"]),
    ],
)
def test_a_page_that_says_something_else_is_noticed(expected: list[str], printed: list[str]) -> None:
    assert not matches(expected, printed)


def test_times_amounts_and_gaps_may_differ() -> None:
    assert matches(
        ["at 127.0.0.1:1 since 2026-01-01 00:00:00   took 3 s, 10 MB", "...", "end …"],
        ["at 127.0.0.1:8642 since 2027-02-03 04:05:06 took 0.25 s, 2.5 GB", "x", "y", "end of it"],
    )
