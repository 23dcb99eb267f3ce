"""Texts by which systems and programs give themselves away: what a clue is, and how it is looked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from nunatak.tasks.verdicts.kinds import Kind

MANY = 20
"""Needles above which it is faster to look at the words of a text first."""
_WORD = re.compile("[a-z0-9_]+")
_APART = {code: " " for code in range(128) if not re.match("[a-z0-9_]", chr(code))}  # what ends a word


class Clue(NamedTuple):
    """Any of `needles` (lower case) speaks for `kind`.

    `subject` finds in the text what it is about, for `sentence`, which may name `{subject}` and ` on {node}` as
    `{there}`; `unnamed` is the sentence if nothing was found.
    """

    kind: Kind
    needles: tuple[str, ...]
    sentence: str
    subject: re.Pattern[str] | None = None
    unnamed: str = ""


class Clues:
    """Clues in the order in which they are believed.

    Where they are many, most texts are seen to have none of them by their words: the first word of a needle has to be
    there as a whole word.
    """

    def __init__(self, *clues: Clue) -> None:
        """Keep `clues`."""
        self.clues = clues
        needles = {needle for clue in clues for needle in clue.needles}
        self._words = {_first_word(needle) for needle in needles} if len(needles) > MANY else set()

    def speaking(self, text: str) -> Iterator[Clue]:
        """Return the clues of which a needle is in `text` (lower case), in order."""
        if not self._words or not self._words.isdisjoint(_words(text)):
            for clue in self.clues:
                for needle in clue.needles:
                    if needle in text:
                        yield clue
                        break

    def first(self, text: str) -> Clue | None:
        """Return the first clue of which a needle is in `text` (lower case)."""
        return next(self.speaking(text), None)


def _words(text: str) -> list[str]:
    """Return the words of a text in lower case; what goes word by word through plain text is faster than a pattern."""
    return text.translate(_APART).split() if text.isascii() else _WORD.findall(text)


def _first_word(needle: str) -> str:
    found = _WORD.search(needle)
    return found[0] if found else ""


def subject(clue: Clue, text: str) -> str:
    """Return what the clue is about, from the text as it was written; "" if that cannot be told."""
    found = clue.subject.search(text) if clue.subject else None
    return next((part for part in found.groups() if part), "") if found else ""
