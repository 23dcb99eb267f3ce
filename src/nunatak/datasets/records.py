"""Lists, tables and records of a recipe, made of kinds; they check what is in them and write its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from nunatak.core.spelling import nearest
from nunatak.datasets.kinds import Kind, Schema
from nunatak.datasets.report import GONE, Report, quoted, wrong_type
from nunatak.datasets.yaml_source import Path


@dataclass(frozen=True)
class Listing:
    """A list of one kind; with `single`, one value alone stands for a list of one."""

    item: Kind
    most: int = 10_000
    single: bool = False
    least: int = 0

    @property
    def says(self) -> str:
        """What is expected."""
        return f"{self.item.says} or a list of them" if self.single else f"a list ({self.item.says})"

    def accepts(self, value: Any) -> bool:
        """Accept lists."""
        return isinstance(value, list) or (self.single and self.item.accepts(value))

    def check(self, value: Any, path: Path, report: Report) -> Any:
        """Return a list of (path, value), those reported left out."""
        if self.single and self.item.accepts(value):
            kept = self.item.check(value, path, report)
            return [] if kept is GONE else [(path, kept)]
        if not isinstance(value, list):
            return wrong_type(value, self.says, path, report)
        if not self.least <= len(value) <= self.most:
            words = "the list is empty" if not value else f"the list is over {self.most} long"
            report.add(path, words)
            return GONE
        checked = [
            ((*path, number), self.item.check(item, (*path, number), report)) for number, item in enumerate(value)
        ]
        return [(place, item) for place, item in checked if item is not GONE]

    def schema(self, shared: dict[str, Schema]) -> Schema:
        """An array."""
        item = self.item.schema(shared)
        listing = {"type": "array", "items": item, "minItems": self.least, "maxItems": self.most}
        return {"anyOf": [item, listing]} if self.single else listing


@dataclass(frozen=True)
class Table:
    """A table whose keys the user chooses, of a pattern, not reserved."""

    value: Kind
    key: str
    key_says: str
    reserved: tuple[str, ...] = ()
    least: int = 0
    most: int = 1000
    says: str = "a table"

    def accepts(self, value: Any) -> bool:
        """Accept tables."""
        return isinstance(value, Mapping)

    def check(self, value: Any, path: Path, report: Report) -> Any:
        """Return the table, reported entries left out."""
        if not isinstance(value, Mapping):
            return wrong_type(value, self.says, path, report)
        if not self.least <= len(value) <= self.most:
            report.add(
                path,
                "the table is empty, and needs an entry" if not value else f"the table has over {self.most} entries",
            )
        kept = {}
        for name, item in islice(value.items(), self.most):  # of a table that is too large, the rest is not looked at
            self._check_key(name, (*path, name), report)
            entry = self.value.check(item, (*path, name), report)
            if entry is not GONE:
                kept[name] = entry
        return kept

    def _check_key(self, name: str, path: Path, report: Report) -> None:
        if name in self.reserved:
            report.add(path, f"{quoted(name)} has a meaning of its own here", "choose another name", key=True)
        elif not re.search(self.key, name):
            report.add(path, f"{quoted(name)} is not {self.key_says}", key=True)

    def schema(self, shared: dict[str, Schema]) -> Schema:
        """An object with free keys."""
        names: Schema = {"pattern": self.key}
        if self.reserved:
            names["not"] = {"enum": sorted(self.reserved)}
        return {
            "type": "object",
            "additionalProperties": self.value.schema(shared),
            "propertyNames": names,
            "minProperties": self.least,
            "maxProperties": self.most,
        }


@dataclass(frozen=True)
class Field:
    """One key of a record."""

    kind: Kind
    says: str
    examples: tuple[Any, ...] = ()
    required: bool = False
    default: Any = None


@dataclass(frozen=True)
class Record:
    """A table with known keys."""

    title: str
    about: str
    fields: Mapping[str, Field] = field(default_factory=dict)
    says: str = "a table"

    def accepts(self, value: Any) -> bool:
        """Accept tables."""
        return isinstance(value, Mapping)

    def check(self, value: Any, path: Path, report: Report) -> Any:
        """Return the known entries that are right."""
        if not isinstance(value, Mapping):
            return wrong_type(value, self.says, path, report)
        if value and all(item is None for item in value.values()) and not set(value) & set(self.fields):
            report.add(path, f"expected {self.says}, found names in braces", "text that begins with { needs quotes")
            return GONE
        kept = {}
        for key, item in value.items():
            if key not in self.fields:
                report.add((*path, key), f"unknown key {quoted(key)}", nearest(key, self.fields), key=True)
                continue
            entry = self.fields[key].kind.check(item, (*path, key), report)
            if entry is not GONE:
                kept[key] = entry
        for key, item in self.fields.items():
            if item.required and key not in value:
                shown = f", such as {quoted(item.examples[0])}" if item.examples else ""
                report.add(
                    path, f"{quoted(key)} is missing", f"{item.says[0].lower()}{item.says[1:].rstrip('.')}{shown}"
                )
        return kept

    def schema(self, shared: dict[str, Schema]) -> Schema:
        """A reference to an object with these properties and no others."""
        name = self.title.replace(" ", "-")
        if name not in shared:
            shared[name] = {}
            shared[name] = self.body(shared)
        return {"$ref": f"#/$defs/{name}"}

    def body(self, shared: dict[str, Schema]) -> Schema:
        """Return the object itself."""
        properties = {}
        for key, item in self.fields.items():
            extra: Schema = {"description": item.says}
            if item.examples:
                extra["examples"] = list(item.examples)
            if item.default is not None:
                extra["default"] = item.default
            properties[key] = {**item.kind.schema(shared), **extra}
        required = [key for key, item in self.fields.items() if item.required]
        body: Schema = {"title": self.title, "description": self.about, "type": "object", "properties": properties}
        return {**body, "required": required, "additionalProperties": False}


@dataclass(frozen=True)
class Either:
    """One of several kinds, told apart by type."""

    options: tuple[Kind, ...]

    @property
    def says(self) -> str:
        """What is expected."""
        return " or ".join(option.says for option in self.options)

    def accepts(self, value: Any) -> bool:
        """Accept what any option does."""
        return any(option.accepts(value) for option in self.options)

    def check(self, value: Any, path: Path, report: Report) -> Any:
        """Check as the first kind of this type."""
        for option in self.options:
            if option.accepts(value):
                return option.check(value, path, report)
        return wrong_type(value, self.says, path, report)

    def schema(self, shared: dict[str, Schema]) -> Schema:
        """Any of them."""
        return {"anyOf": [option.schema(shared) for option in self.options]}
