"""What somebody may have meant to write."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint with the nearest valid spelling, or the valid ones if none is near and they are few."""
    choices = sorted({str(item) for item in known})
    near = difflib.get_close_matches(word, choices, 1, 0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"known: {', '.join(choices)}" if 0 < len(choices) <= 20 else ""
