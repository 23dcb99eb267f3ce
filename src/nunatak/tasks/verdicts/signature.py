"""What two failures have in common: their text without what varies from try to try."""

from __future__ import annotations

import re
from hashlib import blake2b

MOST_READ = 400
"""Characters of a text that are looked at."""
MOST_KEPT = 200
"""Characters of a pattern."""

_QUOTED = re.compile(r"""(?<!\w)(['"`‘“])[^'"`’”\n]*['"`’”](?!\w)""")
_PATH = re.compile(r"(?:[a-z][a-z0-9+.-]*:(?=//))?[\w~.@+%-]*/[^\s,;:()\[\]<>'\"`]*(?::\d+/[^\s,;()\[\]<>'\"`]*)?")
_VARYING = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)?|\d\d:\d\d:\d\d(?:[.,]\d+)?)"
    r"|(?P<id>[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})"
    r"|(?P<address>\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?)"
    r"|(?P<hex>0[xX][0-9a-fA-F]+|(?<![^\W_])(?:[a-fA-F]+\d|\d+[a-fA-F])[0-9a-fA-F]{6,}(?![^\W_]))"
    r"|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)",
    re.ASCII,
)
_NAMES = {"time": "<time>", "id": "<id>", "address": "<address>", "hex": "<hex>", "number": "<n>"}
_DIGIT = re.compile("[0-9]")


def _name(found: re.Match[str]) -> str:
    return _NAMES[found.lastgroup or "number"]


def _plain(word: str) -> str:
    if word.isdecimal():
        return "<n>"
    if "/" in word:
        word = _PATH.sub("<path>", word)
    return _VARYING.sub(_name, word) if _DIGIT.search(word) else word


def normalise(text: str) -> str:
    """Return a text with quoted values, paths, times, addresses, hexadecimal and numbers as placeholders.

    Looks at the first `MOST_READ` characters and returns at most `MOST_KEPT`. Goes word by word: most words have nothing
    that varies, and a pattern that may begin anywhere would begin at every letter.
    """
    text = text[:MOST_READ]
    if "'" in text or '"' in text or "`" in text or "‘" in text or "“" in text:
        text = _QUOTED.sub("<value>", text)
    return " ".join([word if word.isalpha() else _plain(word) for word in text.split()])[:MOST_KEPT]


def digest(pattern: str) -> str:
    """Return the short stable identifier of a pattern: ten hexadecimal digits."""
    return blake2b(pattern.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()


def signature(text: str) -> tuple[str, str]:
    """Return identifier and readable pattern of a text."""
    pattern = normalise(text)
    return digest(pattern), pattern
