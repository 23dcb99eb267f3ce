"""What one expansion may cost: every loop, text and number of the expansion language is held against these."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from nunatak.core.errors import Invalid

MOST_TEXT = 65_536
"""Characters of a text, before, while and after it is expanded."""
MOST_KEPT = 1000
"""Characters of a text of which is remembered what was made of it."""
MOST_STEPS = 20_000
"""Phrases looked up or worked out for one text, those in the values it refers to included."""
MOST_SIZE = 1_000_000
"""Characters of all texts that come of one expansion: a list may have many, each of them long."""
MOST_WORK = 400_000
"""Steps of a whole import; a thousand characters that are read or put together count as one too."""
MOST_DEPTH = 50
"""How deep phrases may stand in each other, and how many values may refer to each other in a row."""
MOST_BITS = 4096
"""Bits of a whole number."""
MOST_WIDTH = 1000
"""Characters that one conversion of `$sprintf` may ask for."""


def refuse(message: str, hint: str = "", *, at: int = -1) -> Invalid:
    """Make the error of an expansion; `at` is the character of the text it is about, from 0."""
    if at < 0:
        return Invalid(message, code="bad-expansion", hint=hint)
    return Invalid(message, code="bad-expansion", hint=hint, at=at)


class TooMuch(Exception):  # noqa: N818 - ends an import whatever part of it is at work
    """A configuration takes more work than any that does something."""


class Work:
    """What is left of the work of one import."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        """Begin with so many steps."""
        self.left = left

    def spend(self, steps: int) -> None:
        """Take some away. Raises `TooMuch` when there are none."""
        self.left -= steps
        if self.left < 0:
            raise TooMuch


_WORK: ContextVar[Work | None] = ContextVar("iceprod_work", default=None)


@contextmanager
def bounded_work() -> Iterator[Work]:
    """Hold all expansions inside together against `MOST_WORK`. They raise `TooMuch`."""
    work = Work(MOST_WORK)
    token = _WORK.set(work)
    try:
        yield work
    finally:
        _WORK.reset(token)


def bounded_text(text: str) -> str:
    """Return a text that is not too long. Raises `Invalid`."""
    if len(text) > MOST_TEXT:
        raise refuse(f"the expanded text is over {MOST_TEXT} characters", "does a value refer to itself?")
    return text


class Meter:
    """Counts the steps of one expansion, and the characters that come of it."""

    __slots__ = ("size", "steps", "work")

    def __init__(self) -> None:
        """Begin at none."""
        self.steps = self.size = 0
        self.work = _WORK.get()

    def step(self) -> None:
        """Count one more. Raises `Invalid` when they are too many."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise refuse(f"the expansion takes over {MOST_STEPS} steps", "do values refer to each other in a circle?")
        if self.work is not None:
            self.work.spend(1)

    def weigh(self, text: str) -> str:
        """Return a text that came of an expansion. Raises `Invalid` if it is too long, or all of them together are."""
        return self.gather(bounded_text(text))

    def gather(self, text: str) -> str:
        """Return a text that came of a part of an expansion. Raises `Invalid` if all of them together are too long."""
        self.size += len(text)
        if self.size > MOST_SIZE:
            raise refuse(f"the expanded texts have over {MOST_SIZE:,} characters together", "put large data into files")
        if self.work is not None and len(text) > 1000:
            self.work.spend(len(text) // 1000)
        return text
