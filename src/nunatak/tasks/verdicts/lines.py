"""The lines of a log that matter: the few that say why it ended, not merely the last ones."""

from __future__ import annotations

import re
from typing import NamedTuple

MOST_TAIL = 16_384
"""Characters of the end of a log that are looked at."""
MOST_LINES = 8
MOST_WIDTH = 300
_LOOKED = 120  # lines from the end in which an error is looked for
_TRACEBACK = "Traceback (most recent call last)"
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")
_FRAME = re.compile(r'\s*File "([^"]+)", line \d+, in (.+)')
_SANDBOX = re.compile(r'"/[^"]*/[\w.-]+\.\d+\.[0-9a-f]{6,16}/work/')  # where the local engine runs an attempt
_WITHIN = frozenset(("", " ", "|", "~", "^"))  # what lines of a traceback begin with
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")

_SIGNS = (
    "error", "fatal", "exception", "terminate called", "what():", "segmentation", "core dumped", "panic", "abort",
    "caused by", "killed", "cannot ", "can't open", "could not", "not found", "no such file", "failed", "traceback",
)  # fmt: skip
"""Words of a line that says what is wrong, in lower case; a line without any of them is only a last resort."""
_STRONG = re.compile(
    r"(?:error|exception|fatal|panic)(?:\s*[:\[\](-]|\s*$| in )|terminate called|what\(\):|segmentation (?:fault|violation)"
    r"|core dumped|caused by:|panicked at|command not found|: not found$|killed(?:\s\s|$)|oom[-_]kill"
)
"""Lines (in lower case) that name a cause. The others with one of the signs are taken only where there is none of these."""
_SUMMARY = re.compile(
    r"exit(?:ed|ing)?\b.*\b(?:code|status|because)|^make(?:\[\d+\])?: \*\*\*|at least one job did not complete"
    r"|see (?:the )?(?:log|above|below)|returned non-zero|shutting down"
)
"""Lines (in lower case) that only say that something else failed."""
_HARMLESS = re.compile(
    r"\b(?:0|no) (?:\w+ )?errors?\b|\berrors?\s*[:=]\s*0\b|^error (?:bars?|rate)|(?:warning|info|debug)\b"
)


class Matter(NamedTuple):
    """What a log says of its end: the line that says most, the few lines around it, and where in the program it was.

    `told`: it names an error; else these are only the last lines.
    """

    headline: str = ""
    lines: tuple[str, ...] = ()
    place: str = ""  # file and function of the innermost frame
    told: bool = True


NOTHING = Matter(told=False)


def said(line: str) -> str:
    """Return a line of a log as `Matter.lines` would have it, to find those again in the log."""
    clean = _clean(line) if _CONTROL.search(line) else line
    return _short(_SANDBOX.sub('"', clean) if "/work/" in clean else clean)


def matter(tail: str) -> Matter:
    """Return what matters in the end of a log: a traceback with what caused it, else errors, else the last lines."""
    if not tail:
        return NOTHING
    text = tail[-MOST_TAIL:]
    if not text.replace("\n", "").isprintable() and _CONTROL.search(text):
        text = "\n".join([_clean(line) for line in text.split("\n")])
    if _TRACEBACK in text:
        found = _traceback(text.split("\n"))
        if found:
            return found
    return _errors(text.split("\n")[-_LOOKED:]) or _last(text)


def _clean(line: str) -> str:
    """Return a line as it would look on a terminal, without colours and without what was written over."""
    return _ESCAPES.sub("", line.rstrip().rpartition("\r")[2]).expandtabs(4)


def _traceback(lines: list[str]) -> Matter | None:
    """Read the last Python traceback and those it is chained to, the first cause first."""
    starts = [index for index, line in enumerate(lines) if _TRACEBACK in line]
    if not starts:
        return None
    first = len(starts) - 1
    while first and _is_chained(lines, starts[first]):
        first -= 1
    told: list[str] = []
    headline = place = ""
    end = len(lines)
    chain = starts[first:]
    for start in [*chain[:1], *chain[1:][-2:]]:
        frame, place, headline, end = _one(lines, start)
        told += [line for line in (frame, headline) if line]
    if not headline:
        return None  # cut short: the process died while it was writing
    if end < len(lines):
        after = [line for line in lines[end:] if line and _is_strong(line) and _TRACEBACK not in line]
        told += [_short(line) for line in after[-2:]]
    return Matter(headline, tuple(dict.fromkeys(told))[-MOST_LINES:], place)


def _is_chained(lines: list[str], start: int) -> bool:
    return any(line.lstrip(" |+-").startswith(_CHAINED) for line in lines[max(start - 3, 0) : start])


def _one(lines: list[str], start: int) -> tuple[str, str, str, int]:
    """Return innermost frame, its place, the exception, and where the traceback ends."""
    edge = len(lines[start]) - len(lines[start].lstrip(" |+-"))
    frame, end, headline = "", len(lines), ""
    for index in range(start + 1, end):
        line = lines[index][edge:] if edge else lines[index]
        if line[:1] in _WITHIN:
            if 'File "' in line:
                frame = line
        elif line.strip():
            headline, end = _short(line), index + 1
            break
    found = _FRAME.match(frame)
    if "/work/" in frame:
        frame = _SANDBOX.sub('"', frame)
    return _short(frame), f"{found[1].rpartition('/')[2]} {found[2]}" if found else "", headline, end


def _errors(lines: list[str]) -> Matter | None:
    """Find the lines that name an error: the last of them that say a cause rather than a consequence."""
    whole = "\n".join(lines).lower()
    signs = [sign for sign in _SIGNS if sign in whole]
    strong: list[str] = []
    weak: list[str] = []
    for line, low in zip(reversed(lines), reversed(whole.split("\n")), strict=False) if signs else ():
        for sign in signs:
            if sign in low:
                break
        else:
            continue
        low = low.strip()
        if _HARMLESS.search(low):
            continue
        if _STRONG.search(low):
            strong.append(_short(line))
            if len(strong) >= 4:
                break
        else:
            weak.append(_short(line))
    found = list(dict.fromkeys(strong[::-1] or weak[:2][::-1]))
    if not found:
        return None
    causes = [line for line in found if not _SUMMARY.search(line.lower())] or found
    kept = found[found.index(causes[0]) :][-3:] if len(found) > 3 else found
    return Matter(_best(causes), tuple(kept))


def _best(causes: list[str]) -> str:
    """Return the line that says most: the root of a chain of causes, else the last."""
    for line in reversed(causes):
        if line.lower().startswith(("caused by:", "what():")):
            return line.partition(":")[2].strip() or line
    return causes[-1]


def _is_strong(line: str) -> bool:
    low = line.lower().strip()
    return _STRONG.search(low) is not None and _HARMLESS.search(low) is None


def _last(text: str) -> Matter:
    kept = [_short(line) for line in text[-2 * MOST_WIDTH :].split("\n") if line.strip()][-2:]
    return Matter(kept[-1], tuple(kept), told=False) if kept else NOTHING


def _short(line: str) -> str:
    line = line.strip()
    if line[:1] == "|":
        line = line.lstrip("|").strip()
    return line if len(line) <= MOST_WIDTH else line[: MOST_WIDTH - 3] + "..."
