"""Reads and writes JSON by the interpreter's own scanner: importing `json` would take a third of a start.

Whatever the scanner does not take goes to `json`, which accepts it or says what is wrong.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BLANK = " \t\r\n"


class _Rules:
    """How the scanner makes values, as `json.JSONDecoder` sets it by default."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo: "Any" = {}

    @staticmethod
    def parse_constant(name: str) -> "Any":
        raise ValueError(name + " is not JSON")


def load(data: bytes) -> "Any":
    """Return the value of a JSON text in UTF-8. Raises `ValueError`."""
    text = data.decode("utf-8")
    try:
        from _json import make_scanner

        start = len(text) - len(text.lstrip(_BLANK))
        value, end = make_scanner(_Rules())(text, start)  # type: ignore[arg-type]
        if not text[end:].strip(_BLANK):
            return value
    except (ImportError, StopIteration, SystemError, ValueError, RecursionError):
        pass  # alone the scanner cannot say what is wrong: some versions end in a SystemError
    import json

    try:
        return json.loads(text, parse_constant=_Rules.parse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dump(value: "Any") -> bytes:
    """Return a JSON text. Raises `TypeError` for what JSON does not have."""
    return _text(value).encode("ascii")


def _text(value: "Any") -> str:
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(_quoted(key) + ": " + _text(value[key]) for key in sorted(value)) + "}"
    raise TypeError("{!r} cannot be written as JSON".format(value))


def _quoted(text: str) -> str:
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        from json.encoder import encode_basestring_ascii
    quoted: str = encode_basestring_ascii(text)
    return quoted
