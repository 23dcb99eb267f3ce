"""What one expansion may cost: every loop, text and number of the expansion language is held against these."""

from __future__ import annotations

from nunatak.core.errors import Invalid

MOST_TEXT = 65_536
"""Characters of a text, before, while and after it is expanded."""
MOST_KEPT = 1000
"""Characters of a text of which is remembered what was made of it."""
MOST_STEPS = 20_000
"""Phrases looked up or worked out for one text, those in the values it refers to included."""
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


def bounded_text(text: str) -> str:
    """Return a text that is not too long. Raises `Invalid`."""
    if len(text) > MOST_TEXT:
        raise refuse(f"the expanded text is over {MOST_TEXT} characters", "does a value refer to itself?")
    return text


class Meter:
    """Counts the steps of one expansion."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        """Begin at none."""
        self.steps = 0

    def step(self) -> None:
        """Count one more. Raises `Invalid` when they are too many."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise refuse(f"the expansion takes over {MOST_STEPS} steps", "do values refer to each other in a circle?")
