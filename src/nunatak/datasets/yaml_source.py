"""YAML 1.2 (core schema) text to plain values, every value with its place. First step of the check of a recipe."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from nunatak.core.errors import Invalid, Problem

MOST_BYTES = 1_000_000
"""Size of a recipe."""
MOST_VALUES = 200_000
"""Values in a recipe, once aliases are written out."""
MOST_LEVELS = 40
"""Levels of lists and tables."""
LONGEST_KEY = 1024
"""Characters of a key as it is written, quotes and escapes included: YAML 1.2.2, section 7.4.2."""

Path = tuple[str | int, ...]
"""Where a value is: keys and list positions from the top."""
Place = tuple[int, int]
"""Line and column, from 1."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_LEADING_TAB = re.compile(r" *\t")


@dataclass(frozen=True, slots=True)
class Source:
    """A text that was read: its plain value, and the places of values and of the keys they stand under."""

    value: Any
    values: Mapping[Path, Place]
    keys: Mapping[Path, Place]

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Return the place of a value (or of its key), or of the nearest thing around it."""
        if key and path in self.keys:
            return self.keys[path]
        while path not in self.values and path:
            path = path[:-1]
        return self.values.get(path, (1, 1))


@dataclass(slots=True)
class _Node:
    place: Place
    value: Any = None
    items: list[_Node] | None = None
    entries: list[tuple[_Node, _Node]] | None = None
    size: int = 1


class _Wrong(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, place: Place, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.problem = Problem(message, hint=hint, line=place[0], column=place[1])


def parse(text: str | bytes, filename: str = "") -> Source:
    """Read YAML. Raises `Invalid` (code `bad-recipe`) with problems for what is not YAML 1.2 or over a limit."""
    try:
        decoded = _decode(text)
        reader = _Reader(decoded)
        root = reader.read()
    except _Wrong as wrong:
        raise failure([wrong.problem], filename) from None
    values: dict[Path, Place] = {}
    keys: dict[Path, Place] = {}
    plain = _plain(root, (), values, keys)
    if reader.problems:
        raise failure(reader.problems, filename)
    return Source(plain, values, keys)


def failure(problems: list[Problem], filename: str) -> Invalid:
    """Make the one error for all that is wrong in a recipe, in the order of the text, each thing once."""
    placed = {
        Problem(item.message, item.path, item.hint, item.file or filename, item.line, item.column) for item in problems
    }
    ordered = sorted(placed, key=lambda item: (item.line, item.column, item.path, item.message))
    many = f"{len(ordered)} problems" if len(ordered) > 1 else str(ordered[0])
    return Invalid(f"the recipe cannot be used: {many}", code="bad-recipe", problems=ordered)


def _decode(text: str | bytes) -> str:
    try:
        data = text.encode() if isinstance(text, str) else text
        if len(data) > MOST_BYTES:
            raise _Wrong((1, 1), f"the recipe is over {MOST_BYTES:,} bytes", "put large data into files")
        decoded = data.decode()
    except UnicodeEncodeError as error:
        raise _bad_encoding(error.object[: error.start]) from None
    except UnicodeDecodeError as error:
        raise _bad_encoding(error.object[: error.start].decode(errors="replace")) from None
    return decoded.removeprefix("\ufeff")


def _bad_encoding(before: str) -> _Wrong:
    lines = before.split("\n")
    return _Wrong((len(lines), len(lines[-1]) + 1), "this is not UTF-8 text", "save the file in UTF-8")


class _Reader:
    """Builds nodes from the stream of events: no tags, no merge keys, aliases counted as if written out."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.problems: list[Problem] = []
        self.anchors: dict[str, _Node] = {}
        self.count = 0

    def read(self) -> _Node:
        try:
            events = yaml.parse(self.text, Loader=_LOADER)
            documents = [
                self._document(events, event) for event in events if isinstance(event, yaml.DocumentStartEvent)
            ]
        except yaml.MarkedYAMLError as error:
            raise self._syntax(error) from None
        except yaml.reader.ReaderError as error:
            before = self.text[: error.position].split("\n")
            raise _Wrong((len(before), len(before[-1]) + 1), "a control character has no place in a recipe") from None
        if not documents:
            raise _Wrong((1, 1), "the recipe is empty", "it needs at least a name and tasks")
        if len(documents) > 1:
            raise _Wrong(documents[1].place, "a recipe is one YAML document, this is a second", "remove the line ---")
        return documents[0]

    def _syntax(self, error: yaml.MarkedYAMLError) -> _Wrong:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        lines = self.text.split("\n")
        if place[0] <= len(lines) and _LEADING_TAB.match(lines[place[0] - 1]):
            return _Wrong(place, "a line is indented with a tab", "indent with spaces")
        if place[0] <= len(lines) and _ends_long_key(lines[place[0] - 1], place[1] - 1):
            return _Wrong(place, f"a key is over {LONGEST_KEY:,} characters", "keys are names: shorten it")
        return _Wrong(place, f"this is not YAML: {error.problem or 'it cannot be read'}", _advice(str(error.problem)))

    def _document(self, events: Iterator[Any], _: Any) -> _Node:
        return self._node(events, next(events), 1)

    def _node(self, events: Iterator[Any], event: Any, level: int) -> _Node:
        place = (event.start_mark.line + 1, event.start_mark.column + 1)
        if level > MOST_LEVELS:
            raise _Wrong(place, f"lists and tables are over {MOST_LEVELS} levels deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place)
        if event.tag and event.tag != "!":
            self._problem(place, f'a tag ("{event.tag}") has no place in a recipe', "remove it")
        node = self._built(events, event, place, level)
        if event.anchor:
            self.anchors[event.anchor] = node
        self._spend(1, place)
        return node

    def _built(self, events: Iterator[Any], event: Any, place: Place, level: int) -> _Node:
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            for inner in iter(lambda: next(events), None):
                if isinstance(inner, yaml.SequenceEndEvent):
                    break
                items.append(self._node(events, inner, level + 1))
            return _Node(place, items=items, size=1 + sum(item.size for item in items))
        if isinstance(event, yaml.MappingStartEvent):
            return self._table(events, place, level)
        return _Node(place, value=self._scalar(event, place))

    def _table(self, events: Iterator[Any], place: Place, level: int) -> _Node:
        entries: dict[str, tuple[_Node, _Node]] = {}
        for inner in iter(lambda: next(events), None):
            if isinstance(inner, yaml.MappingEndEvent):
                break
            key = self._node(events, inner, level + 1)
            value = self._node(events, next(events), level + 1)
            self._enter(entries, key, value)
        return _Node(place, entries=list(entries.values()), size=1 + sum(a.size + b.size for a, b in entries.values()))

    def _enter(self, entries: dict[str, tuple[_Node, _Node]], key: _Node, value: _Node) -> None:
        if not isinstance(key.value, str):
            self._problem(key.place, "a key has to be text", "put it in quotes")
        elif key.value == "<<":
            self._problem(key.place, '"<<" (merge) is not part of YAML 1.2', "write the keys out")
        elif key.value in entries:
            first = entries[key.value][0].place[0]
            self._problem(key.place, f'"{key.value}" is given twice', f"the first is on line {first}")
        else:
            entries[key.value] = (key, value)

    def _alias(self, event: Any, place: Place) -> _Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            raise _Wrong(place, f'there is no anchor "&{event.anchor}" before this alias')
        self._spend(node.size, place)
        return node

    def _spend(self, values: int, place: Place) -> None:
        self.count += values
        if self.count > MOST_VALUES:
            raise _Wrong(place, f"the recipe has over {MOST_VALUES:,} values once aliases are written out")

    def _scalar(self, event: Any, place: Place) -> Any:
        text: str = event.value
        if event.style or event.tag:
            return text
        if _NULL.match(text):
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.match(text):
            return self._whole(text, place)
        if _FLOAT.match(text):
            value = float(text)
            if value in (float("inf"), float("-inf")):
                self._problem(place, f"{text[:40]} is too large a number")
                return 0.0
            return value
        if _NOT_FINITE.match(text):
            self._problem(place, f"{text} is not a finite number", "put it in quotes if text is meant")
            return 0.0
        return text

    def _whole(self, text: str, place: Place) -> int:
        if len(text) > 300:
            self._problem(place, "a number has over 300 digits", "put it in quotes if text is meant")
            return 0
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))

    def _problem(self, place: Place, message: str, hint: str = "") -> None:
        self.problems.append(Problem(message, hint=hint, line=place[0], column=place[1]))


def _ends_long_key(line: str, column: int) -> bool:
    """Say whether a column of a line is the colon after more text than a key may have."""
    return (
        line[column : column + 1] == ":" and column >= LONGEST_KEY and ": " not in line[column - LONGEST_KEY : column]
    )


def _advice(problem: str) -> str:
    if "mapping values" in problem:
        return 'put text with ": " in it into quotes'
    if "expected <block end>" in problem or "did not find expected" in problem:
        return "check the indentation and the brackets; text that begins with { or [ needs quotes"
    if "cannot start any token" in problem:
        return "text that begins with @, ` or % needs quotes"
    return ""


def _plain(node: _Node, path: Path, values: dict[Path, Place], keys: dict[Path, Place]) -> Any:
    values[path] = node.place
    if node.items is not None:
        return [_plain(item, (*path, number), values, keys) for number, item in enumerate(node.items)]
    if node.entries is not None:
        table = {}
        for key, value in node.entries:
            inner = (*path, key.value)
            keys[inner] = key.place
            table[key.value] = _plain(value, inner, values, keys)
        return table
    return node.value
