"""`foreach` to items: the names each job adds, for the files of a pattern, a list, or the points of a grid."""

from __future__ import annotations

import itertools
import math
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.datasets.manifest import is_pattern
from nunatak.datasets.report import Report, quoted
from nunatak.datasets.schema import FILE_NAMES, GIVEN
from nunatak.datasets.shelf import Shelf
from nunatak.datasets.template import Mentioned, Scope, compile_value
from nunatak.datasets.yaml_source import Path

MOST_POINTS = 100_000
"""Items of a `foreach`."""
PATH: Path = ("foreach",)

Items = list[Mapping[str, Any]]


def items_of(value: Any, parameters: Mapping[str, Mentioned], shelf: Shelf, report: Report) -> Items:
    """Return the items of a checked `foreach`, [] after reporting."""
    if isinstance(value, str):
        return _files([(PATH, value)], shelf, report)
    if isinstance(value, Mapping):
        return _grid(value, parameters, report)
    if all(isinstance(item, str) and is_pattern(item) for _, item in value):
        return _files(value, shelf, report)
    return _listed(value, report)


def _files(patterns: Iterable[tuple[Path, str]], shelf: Shelf, report: Report) -> Items:
    items: Items = []
    for path, pattern in patterns:
        names = _matches(pattern, path, shelf, report) if "://" in pattern else shelf.names(pattern, path)
        for name in names:
            base = posixpath.basename(name)
            stem, suffix = posixpath.splitext(base)
            items.append({"path": name, "name": base, "stem": stem, "suffix": suffix})
    return items


def _matches(pattern: str, path: Path, shelf: Shelf, report: Report) -> list[str]:
    """Look up a pattern of files that lie elsewhere, as `file:///data/*.i3`."""
    if not pattern.startswith("file:///"):
        report.add(path, f"{quoted(pattern)} cannot be listed", "patterns are for files: write file:///dir/*.i3")
        return []
    try:
        names = shelf.manifest.matches.get(pattern, ())
        shelf.files.update({name: shelf.manifest.files[name] for name in names})
    except Invalid as error:
        report.error(path, error)
        return []
    if not names:
        report.add(path, f"no file matches {quoted(pattern)}")
    return list(names)


def _listed(value: list[tuple[Path, Any]], report: Report) -> Items:
    """Return items of a list: single values are called `item`, tables give their own names."""
    if not all(isinstance(item, Mapping) for _, item in value):
        for path, item in value:
            if isinstance(item, Mapping | list):
                report.add(
                    path, "a list for foreach has either single values or tables", "give every item the same form"
                )
        return [{"item": item} for _, item in value]
    keys = set(value[0][1])
    for path, item in value:
        if set(item) != keys:
            odd = ", ".join(sorted(set(item) ^ keys))
            report.add(path, f"the items of foreach have different names: {odd}", "give every item the same names")
        for name in item:
            _check_name(name, (*path, name), report)
    return [dict(item) for _, item in value]


def _check_name(name: str, path: Path, report: Report) -> None:
    if name in (*GIVEN, *FILE_NAMES):
        report.add(path, f"{quoted(name)} has a meaning of its own here", "choose another name", key=True)
    elif not name.isidentifier():
        report.add(path, f"{quoted(name)} is not a name (letters, digits and _, a letter first)", key=True)


def _grid(value: Mapping[str, Any], parameters: Mapping[str, Mentioned], report: Report) -> Items:
    axes = {name: _axis(name, entry, parameters, report) for name, entry in value.items()}
    points = math.prod(len(axis) for axis in axes.values())
    if points > MOST_POINTS:
        report.add(PATH, f"the grid has {points:,} points, over {MOST_POINTS:,}", "split it over several datasets")
        return []
    return [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]


def _axis(name: str, entry: Any, parameters: Mapping[str, Mentioned], report: Report) -> list[Any]:
    """Return the values along one direction of a grid: listed, or given by an expression over the parameters."""
    path: Path = ("foreach", name)
    if not isinstance(entry, str):
        return [item for _, item in entry]
    try:
        found = compile_value(entry).evaluate(Scope({}, parameters))
    except Invalid as error:
        report.error(path, error)
        return []
    if not isinstance(found, list | tuple) or not found:
        report.add(path, "expected a list of values", 'write [1, 2, 3] or "{range(1, 10)}"')
        return []
    return list(found)
