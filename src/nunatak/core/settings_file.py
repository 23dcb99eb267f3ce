"""The one file of an installation: TOML, with the line of every key, and the engines that it describes.

Read by `core.settings`, which says what may stand in it beside the tables `[engines.NAME]`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nunatak.core.complaints import complaint
from nunatak.core.errors import Invalid, Problem

ENGINES = "engines"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}\Z")
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")


class EngineTable(BaseModel):
    """What `[engines.NAME]` says; see `nunatak serve engine NAME`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    kind: str = "local"
    """Which engine: `local`, `htcondor`, `slurm`, or another that is installed."""
    url: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    """The server, or several separated by commas; without it, the one that `host` and `port` of this file name."""
    token_file: Path | None = None
    """File with the token of this engine, for its user alone; without it, `engine.token` in the data directory."""
    options: dict[str, Any] = Field(default_factory=dict)
    """[Options of the engine](engines.md), as a table of their own."""


@dataclass(frozen=True)
class Written:
    """What a file says, and where: `lines` has every key as a tuple of its parts."""

    path: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def problem(self, message: str, *key: str, hint: str = "") -> Problem:
        """Return a complaint about a key, at its line or at that of the nearest table around it."""
        line = next((self.lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self.lines), 0)
        return Problem(message, path=".".join(key), hint=hint, file=str(self.path or ""), line=line)


def read(path: Path) -> Written:
    """Read a file. Raises `Invalid` with the line for what is no TOML."""
    try:
        text = path.read_text("utf-8")
        return Written(path, tomllib.loads(text), dict(reversed(list(_lines(text)))))
    except UnicodeDecodeError as error:
        problem = Problem(f"not valid TOML: {error}", file=str(path))
    except tomllib.TOMLDecodeError as error:
        found = _PLACE.search(str(error))
        line, column = (int(found[1]), int(found[2])) if found and found[1] else (text.rstrip("\n").count("\n") + 1, 0)
        problem = Problem(f"not valid TOML: {_PLACE.sub('', str(error))}", file=str(path), line=line, column=column)
    except OSError as error:
        problem = Problem(f"it cannot be read: {error.strerror}", file=str(path))
    raise invalid([problem])


def engines(written: Written) -> dict[str, EngineTable]:
    """Return the engines that a file describes, by name. Raises `Invalid` with all that is wrong with them."""
    tables = written.values.get(ENGINES, {})
    if not isinstance(tables, dict):
        raise invalid([written.problem("it has to be tables, as [engines.cluster]", ENGINES)])
    found, problems = {}, list[Problem]()
    for name, table in tables.items():
        try:
            found[name] = EngineTable.model_validate(table)
        except ValidationError as error:
            problems += [_engine_problem(written, name, item) for item in error.errors(include_url=False)]
        if not NAME.match(name):
            hint = "letters, digits, and _ . @ - after the first; 64 at most"
            problems.append(written.problem("this cannot be the name of an engine", ENGINES, name, hint=hint))
    if problems:
        raise invalid(problems)
    return found


def invalid(problems: Iterable[Problem]) -> Invalid:
    """Return the error for problems of settings, one sentence with all of them."""
    told = tuple(problems)
    return Invalid("; ".join(map(str, told)), code="bad-settings", problems=told)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint with the nearest spelling, or nothing."""
    near = difflib.get_close_matches(word.lower().replace("-", "_"), list(known), 1, 0.5)
    return f'did you mean "{near[0]}"?' if near else ""


def _engine_problem(written: Written, name: str, item: Any) -> Problem:
    key = [str(part) for part in item["loc"]]
    if item["type"] == "extra_forbidden":
        hint = nearest(key[-1], EngineTable.model_fields) or "options of the engine go into its table options"
        return written.problem("there is no such key of an engine", ENGINES, name, *key, hint=hint)
    return written.problem(complaint(item), ENGINES, name, *key)


def _lines(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield every key with its line. The shortest run of lines that is TOML by itself is one statement."""
    table: tuple[str, ...] = ()
    statement, began = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        statement, began = (statement + "\n" + line, began) if statement else (line, number)
        try:
            parsed: Any = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        header = statement.lstrip().startswith("[")
        keys = list(_paths(parsed, lists=header))
        if header:
            table = keys[-1]
        yield from ((key if header else (*table, *key), began) for key in keys)
        statement = ""


def _paths(parsed: Any, lists: bool, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the keys of one statement, outer ones first; into lists only for the header of one, as `[[a]]`."""
    if isinstance(parsed, list):
        parsed = parsed[-1] if parsed and lists else {}
    for key, value in parsed.items() if isinstance(parsed, dict) else ():
        yield (*above, key)
        yield from _paths(value, lists, (*above, key))
