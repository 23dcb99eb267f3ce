"""Lines as a program wrote them become pieces of plain text, each with the names of its colours. Pure, and safe for any bytes.

Colours are kept (SGR of ECMA-48), every other control sequence is dropped, and what would deceive the eye (characters
that turn the direction of writing, have no width, or are controls) is shown as an escape.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

ESCAPE = "esc"
"""The class of what stands for a character that cannot be shown."""
NOTE = "note"
"""The class of words of ours between those of the program."""

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)(?P<sgr>[0-9;:]*)m"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # other control sequences: they move the cursor, clear the screen
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # strings: titles, links, pictures
    r"|\x1b[ -/]*[0-~]?"  # the rest; a string without an end hides nothing
)
_STRANGE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_CUBE = (0, 95, 135, 175, 215, 255)
_BASIC = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
)  # fmt: skip
_FLAGS = {
    1: ("bold", True), 2: ("faint", True), 3: ("italic", True), 4: ("under", True), 7: ("swap", True), 9: ("strike", True),
    23: ("italic", False), 24: ("under", False), 27: ("swap", False), 29: ("strike", False),
}  # fmt: skip


class Piece(NamedTuple):
    """Text and the classes it is shown with; a class is a name of this module's, never the program's."""

    text: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Pen:
    """How text is written until the next change: colours 0 to 7, -1 for none."""

    ink: int = -1
    ground: int = -1
    bold: bool = False
    faint: bool = False
    italic: bool = False
    under: bool = False
    swap: bool = False
    strike: bool = False

    @property
    def kind(self) -> str:
        """Return its classes. On a coloured ground the ink is that of the page, so that it can be read."""
        ink, ground = (self.ground, self.ink) if self.swap else (self.ink, self.ground)
        if self.swap and self.ink < 0 and self.ground < 0:
            ground = 7
        names = [name for name in ("bold", "faint", "italic", "under", "strike") if getattr(self, name)]
        names += [f"g{ground}"] if ground >= 0 else [f"i{ink}"] if ink >= 0 else []
        return " ".join(names)


PLAIN = Pen()


def lines(texts: Iterable[str], pen: Pen = PLAIN) -> Iterator[list[Piece]]:
    """Yield the pieces of each line; a colour goes on into the next line, as on a terminal."""
    for text in texts:
        found, pen = line(text, pen)
        yield found


def line(text: str, pen: Pen = PLAIN) -> tuple[list[Piece], Pen]:
    """Return the pieces of one line, and how the next one goes on.

    Of what was written over itself (progress bars) the last is shown, and how often that was.
    """
    if _is_plain(text):  # as most lines are: nothing to look for
        return ([Piece(text, "" if pen is PLAIN else pen.kind)] if text else []), pen
    over = [part for part in text.rstrip("\r\n").split("\r") if part]
    for part in over[:-1]:
        pen = _after(part, pen)
    found = [Piece(f"[written over {len(over) - 1}\u00d7] ", NOTE)] if len(over) > 1 else []
    found += _pieces(over[-1] if over else "", pen)
    if over:
        pen = _after(over[-1], pen)
    return found, pen


def plain(text: str) -> str:
    """Return a line as it can be read, without colours."""
    return "".join(piece.text for piece in line(text)[0])


def _after(text: str, pen: Pen) -> Pen:
    for found in _SEQUENCE.finditer(text) if "\x1b" in text or "\x9b" in text else ():
        if found["sgr"] is not None:
            pen = _changed(pen, found["sgr"])
    return pen


def _pieces(text: str, pen: Pen) -> Iterator[Piece]:
    at = 0
    for found in _SEQUENCE.finditer(text):
        yield from _shown(text[at : found.start()], pen.kind)
        if found["sgr"] is not None:
            pen = _changed(pen, found["sgr"])
        at = found.end()
    yield from _shown(text[at:], pen.kind)


def _is_plain(text: str) -> bool:
    return text.isprintable() or ("\t" in text and text.replace("\t", "").isprintable())


def _shown(text: str, kind: str) -> Iterator[Piece]:
    """Yield text, and escapes for what has no shape of its own."""
    if _is_plain(text):
        if text:
            yield Piece(text, kind)
        return
    start = 0
    for index, letter in enumerate(text):
        if letter != "\t" and unicodedata.category(letter) in _STRANGE:
            if start < index:
                yield Piece(text[start:index], kind)
            yield Piece(_escape(letter), ESCAPE)
            start = index + 1
    if start < len(text):
        yield Piece(text[start:], kind)


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@lru_cache(maxsize=1024)
def _changed(pen: Pen, text: str) -> Pen:
    """Return a pen after a sequence of numbers. Numbers that are not known are passed over."""
    numbers = [int(part) if part.isdigit() and len(part) < 5 else 0 for part in re.split("[;:]", text)]
    rest = iter(numbers)
    for number in rest:
        if number == 0:
            pen = PLAIN
        elif number in (38, 48):
            colour = _rich(rest)
            pen = replace(pen, **{"ink" if number == 38 else "ground": colour})  # type: ignore[arg-type]
        elif number == 22:
            pen = replace(pen, bold=False, faint=False)
        elif number in _FLAGS:
            name, on = _FLAGS[number]
            pen = replace(pen, **{name: on})
        else:
            pen = _coloured(pen, number)
    return pen


def _coloured(pen: Pen, number: int) -> Pen:
    if 30 <= number <= 37 or 90 <= number <= 97:
        return replace(pen, ink=number % 10)
    if 40 <= number <= 47 or 100 <= number <= 107:
        return replace(pen, ground=number % 10)
    if number == 39:
        return replace(pen, ink=-1)
    return replace(pen, ground=-1) if number == 49 else pen


def _rich(rest: Iterator[int]) -> int:
    """Return the one of eight colours that is nearest to one of 256, or to a mixture of red, green and blue."""
    how = next(rest, 0)
    if how == 2:
        return _nearest(tuple(next(rest, 0) for _ in range(3)))
    number = next(rest, 0) if how == 5 else 0
    if number < 16:
        return number % 8
    if number >= 232:
        return 0 if number < 244 else 7
    red, rest_ = divmod(min(number, 231) - 16, 36)
    return _nearest((_CUBE[red], _CUBE[rest_ // 6], _CUBE[rest_ % 6]))


def _nearest(mixture: tuple[int, ...]) -> int:
    def distance(number: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(mixture, _BASIC[number], strict=True))

    return min(range(8), key=distance)
