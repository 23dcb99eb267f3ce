"""Reads a text with phrases into a tree, each part with its place; what strict expansion and the importer work on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from nunatak.iceprod.bounds import MOST_DEPTH, MOST_KEPT, bounded_text, refuse


@dataclass(frozen=True, slots=True)
class Phrase:
    """`$name(value)`; `name` is empty for `$(key)`, `at` the character where it begins, `text` how it is written."""

    name: str
    value: Text
    at: int
    text: str


@dataclass(frozen=True, slots=True)
class LookUp:
    """`owner[index]`: a part of what a phrase stands for."""

    owner: Phrase | LookUp
    index: Text
    at: int
    text: str


@dataclass(frozen=True, slots=True)
class Literal:
    """Characters that stand for themselves; `escaped` tells which of them were written after a backslash."""

    text: str
    escaped: frozenset[int] = frozenset()


Part = Literal | Phrase | LookUp


@dataclass(frozen=True)
class Text:
    """Parts in a row."""

    parts: tuple[Part, ...]

    @property
    def sole(self) -> Phrase | LookUp | None:
        """The one phrase or look-up that the text is, if it is nothing else."""
        if len(self.parts) != 1:
            return None
        only = self.parts[0]
        return None if type(only) is Literal else only  # type: ignore[return-value]

    @cached_property
    def pieces(self) -> list[Text]:
        """What is between the commas that are written here, those in quotes not counted."""
        return split(self, quotes=True)

    @property
    def constant(self) -> str | None:
        """The text, if it has no phrase."""
        if not self.parts:
            return ""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only.text if isinstance(only, Literal) else None


def read(text: str) -> Text:
    """Read a text. Raises `Invalid` for a phrase or an index that does not end, and one that is nested too deep."""
    bounded_text(text)
    return _read(text) if len(text) <= MOST_KEPT else _Reading(text).upto("", 0)


@lru_cache(maxsize=4096)
def _read(text: str) -> Text:
    return _Reading(text).upto("", 0)


class _Reading:
    """A recursive descent over one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def upto(self, closing: str, depth: int) -> Text:
        """Read parts until `closing`, which is taken; "" is the end of the text."""
        if depth > MOST_DEPTH:
            raise refuse(f"phrases stand over {MOST_DEPTH} deep in each other", at=self.at)
        start, parts = self.at, list[Part]()
        letters, escaped, inner = list[str](), set[int](), 0
        opening = {")": "(", "]": "["}.get(closing, "")
        while self.at < len(self.text):
            letter = self.text[self.at]
            if letter == "$" and (phrase := self._phrase(depth)) is not None:
                _keep(parts, letters, escaped)
                parts.append(phrase)
                continue
            if letter == closing and not inner:
                self.at += 1
                _keep(parts, letters, escaped)
                return Text(tuple(parts))
            inner += (letter == opening) - (letter == closing)
            if letter == "\\" and self.at + 1 < len(self.text):
                self.at += 1
                escaped.add(len(letters))
            letters.append(self.text[self.at])
            self.at += 1
        if closing:
            raise refuse(f'a "{closing}" is missing', f'write "\\{opening}" for the sign itself', at=max(start - 1, 0))
        _keep(parts, letters, escaped)
        return Text(tuple(parts))

    def _phrase(self, depth: int) -> Phrase | LookUp | None:
        start = self.at
        end = self.at + 1
        while end < len(self.text) and self.text[end] not in "$()[]\\":
            end += 1
        if self.text[end : end + 1] != "(":
            return None
        name, chained = self.text[start + 1 : end], 0
        self.at = end + 1
        found: Phrase | LookUp = Phrase(name, self.upto(")", depth + 1), start, self.text[start : self.at])
        while self.text[self.at : self.at + 1] == "[":
            place, chained = self.at, chained + 1
            if chained > MOST_DEPTH:
                raise refuse(f"over {MOST_DEPTH} parts of parts of a phrase", at=self.at)
            self.at += 1
            found = LookUp(found, self.upto("]", depth + 1), place, self.text[start : self.at])
        return found


def _keep(parts: list[Part], letters: list[str], escaped: set[int]) -> None:
    if letters:
        parts.append(Literal("".join(letters), frozenset(escaped)))
        letters.clear()
        escaped.clear()


def split(value: Text, *, quotes: bool) -> list[Text]:
    """Cut a phrase's value at the commas that are written in it (not at those in what it refers to).

    With `quotes`, commas in quotes do not count. White space around each piece is dropped.
    """
    pieces: list[list[Part]] = [[]]
    quote = ""
    for part in value.parts:
        if not isinstance(part, Literal):
            pieces[-1].append(part)
            continue
        start = 0
        for at, letter in enumerate(part.text):
            if at in part.escaped:
                continue
            if quotes and letter in "'\"" and quote in ("", letter):
                quote = "" if quote else letter
            elif letter == "," and not quote:
                _piece(pieces[-1], part.text[start:at])
                pieces.append([])
                start = at + 1
        _piece(pieces[-1], part.text[start:])
    return [_stripped(piece) for piece in pieces]


def inner(value: Text) -> Text:
    """Return what a list written as `[a, b]` has in its brackets; a text that is no such list as it is."""
    parts = list(value.parts)
    first, last = (parts[0], parts[-1]) if parts else (None, None)
    if not (
        isinstance(first, Literal)
        and isinstance(last, Literal)
        and first.text.startswith("[")
        and last.text.endswith("]")
    ):
        return value
    parts[0] = Literal(first.text[1:])
    end = parts[-1]
    parts[-1] = Literal(end.text[:-1]) if isinstance(end, Literal) else end
    return Text(tuple(parts))


def _piece(parts: list[Part], text: str) -> None:
    if text:
        parts.append(Literal(text))


def _stripped(parts: list[Part]) -> Text:
    if parts and isinstance(parts[0], Literal):
        parts[0] = Literal(parts[0].text.lstrip())
    if parts and isinstance(parts[-1], Literal):
        parts[-1] = Literal(parts[-1].text.rstrip())
    return Text(tuple(part for part in parts if not isinstance(part, Literal) or part.text))
