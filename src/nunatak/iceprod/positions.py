"""Where each value of a JSON text stands: lines and columns for what there is to say about it."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Mapping

Path = tuple[str | int, ...]
Place = tuple[int, int]
"""Line and column, from 1; columns count characters."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def places(text: str) -> Mapping[Path, Place]:
    """Return the place of every value of a text that is JSON, under its path; that of a table or list is its bracket."""
    lines = [0, *(found.end() for found in re.finditer("\n", text))]
    found: dict[Path, Place] = {}
    path: list[str | int] = []
    keyed: list[bool] = []  # of each bracket that is open: whether it is a table
    key = False  # the next text is a key
    for token in _TOKEN.finditer(text):
        sign = token.group()
        if sign in "}]":
            keyed.pop()
            if path and len(path) > len(keyed):
                path.pop()
            key = False
        elif sign == ",":
            if not keyed[-1]:
                path[-1] = int(path[-1]) + 1
            key = keyed[-1]
            if key:
                path.pop()
        elif sign == ":":
            continue
        elif key:
            path.append(_plain(sign))
            key = False
        else:
            line = bisect_right(lines, token.start())
            found[tuple(path)] = (line, token.start() - lines[line - 1] + 1)
            if sign in "{[":
                keyed.append(sign == "{")
                key = sign == "{"
                if not key:
                    path.append(0)
    return found


def _plain(quoted: str) -> str:
    return str(json.loads(quoted)) if "\\" in quoted else quoted[1:-1]


def nearest(path: Path, known: Mapping[Path, Place]) -> Place:
    """Return the place of a value, or of what is around it; (0, 0) where there is none."""
    while path not in known and path:
        path = path[:-1]
    return known.get(path, (0, 0))
