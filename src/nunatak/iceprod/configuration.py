"""A configuration's JSON to one form: defaults filled in, older spellings translated, every key known or noted."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.core.spelling import nearest
from nunatak.iceprod import strict
from nunatak.iceprod.findings import Findings, Path

MOST_BYTES = 4_000_000
"""Size of a configuration."""
MOST_DIGITS = 300
"""Digits of a number, its sign among them: recipes have no longer ones."""
MOST_STRANGERS = 1000
"""Keys of one table that are not known."""
MOST_NESTED = 100
"""How deep lists and tables of a configuration stand in each other."""

_TOP: Mapping[str, Any] = {
    "version": 3.1,
    "description": "",
    "tasks": [],
    "options": {},
    "steering": {},
    "difplus": {},
    "categories": [],
}
_STEERING: Mapping[str, Any] = {"parameters": {}, "batchsys": {}, "data": [], "resources": []}
_TASK: Mapping[str, Any] = {
    "name": "", "trays": [], "depends": [], "task_files": False, "data": [], "parameters": {}, "batchsys": {},
    "requirements": {}, "container": "", "token_scopes": {}, "resources": [],
}  # fmt: skip
_TRAY: Mapping[str, Any] = {"name": "", "iterations": 1, "parameters": {}, "modules": [], "data": [], "resources": []}
_MODULE: Mapping[str, Any] = {
    "name": "", "parameters": {}, "src": "", "running_class": "", "args": "", "env_shell": "", "env_clear": True,
    "configs": {}, "data": [], "resources": [],
}  # fmt: skip
_DATA: Mapping[str, Any] = {"remote": "", "local": "", "type": "permanent", "movement": "input", "transfer": True}
_REQUIREMENTS: Mapping[str, Any] = {"cpu": 1, "gpu": 0, "memory": 1.0, "disk": 1.0, "time": 1.0, "os": [], "site": ""}

_UNUSED = "IceProd 3 does not use it either"
_OLD: Mapping[str, Mapping[str, str]] = {
    "the configuration": {
        "dataset": "the dataset gets a number of its own", "parent_id": "not kept: name the other dataset in `depends`",
    },
    "a task": {"classes": "", "projects": "", "plugins": ""},
    "steering": {"classes": "", "projects": "", "system": "kept for $system(...)"},
    "a tray": {"classes": "", "projects": ""},
    "a module": {"classes": "", "projects": ""},
    "data": {"compression": _UNUSED, "size": _UNUSED, "filecatalog": _UNUSED},
}  # fmt: skip
"""Keys of older versions that have no meaning of their own here, and what becomes of them."""
_SOFTWARE = "software is not downloaded: name an env_shell or a container that has it"


def load(text: str | bytes, filename: str) -> dict[str, Any]:
    """Return a configuration as it is written. Raises `Invalid` (code `bad-configuration`) for what is no JSON object."""
    if len(text) > MOST_BYTES:
        raise Invalid(f"{filename} is over {MOST_BYTES:,} bytes", code="bad-configuration")
    try:
        plain = json.loads(decoded(text), object_pairs_hook=_pairs, parse_int=_whole_number)
        json.dumps(plain, ensure_ascii=False).encode()  # half a character, as \\ud800, is none
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Invalid(f"{filename} is no JSON: {error.msg} at {place}", code="bad-configuration") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise Invalid(f"{filename} is no JSON: {error}", code="bad-configuration") from None
    if _too_deep(plain):
        message = f"{filename} has lists and tables over {MOST_NESTED} deep in each other"
        raise Invalid(message, code="bad-configuration")
    if not isinstance(plain, dict):
        raise Invalid(f"{filename} is no configuration: it holds no JSON object", code="bad-configuration")
    return plain


def _too_deep(plain: Any) -> bool:
    level = [plain] if isinstance(plain, dict | list) else []
    for _ in range(MOST_NESTED):
        level = [
            item
            for outer in level
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def no_numbers(plain: Any) -> Iterator[Path]:
    """Give the paths of numbers that are none to count with: NaN, without end, or of too many digits."""
    level: list[tuple[Path, Any]] = [((), plain)]
    while level:
        inner: list[tuple[Path, Any]] = []
        for path, outer in level:
            for key, item in outer.items() if isinstance(outer, dict) else enumerate(outer):
                if isinstance(item, dict | list):
                    inner.append(((*path, key), item))
                elif isinstance(item, float) and not math.isfinite(item):
                    yield (*path, key)
        level = inner


def _whole_number(text: str) -> int | float:
    return int(text) if len(text) <= MOST_DIGITS else math.inf


def decoded(text: str | bytes) -> str:
    """Return a configuration as text. Raises `ValueError` for what is not UTF-8."""
    return text.decode("utf-8-sig") if isinstance(text, bytes) else text


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key in counts if counts[key] > 1)
        raise ValueError(f'the key "{twice}" stands twice in one object')
    return found


def complete(plain: Mapping[str, Any], findings: Findings) -> dict[str, Any]:
    """Return the configuration with all defaults, of one form whatever its version; note what is unknown or of no use."""
    whole = _filled(plain, _TOP, (), "the configuration", findings, strangers=True)
    _version(plain.get("version"), findings)
    whole["categories"] = [item for _, item in _items(whole["categories"], ("categories",), findings)]
    if whole["categories"]:
        findings.add("translated", ("categories",), "categories are a line of the description")
    whole["options"] = _table(whole["options"], ("options",), findings)
    if "job" in whole["options"]:
        said = "$(job) is this in every job, and not the number of the job"
        findings.add("translated", ("options", "job"), said, "take it out, unless that is meant")
    steering = _table(whole["steering"], ("steering",), findings)
    whole["steering"] = _filled(steering, _STEERING, ("steering",), "steering", findings)
    _files(whole["steering"], ("steering",), findings)
    whole["tasks"] = [
        _task(task, ("tasks", number), findings) for number, task in _items(whole["tasks"], ("tasks",), findings)
    ]
    return whole


def _version(version: Any, findings: Findings) -> None:
    """Note a version that is older than those with a schema, and one that is none."""
    known = strict.number(version)
    if version is None or (known is not None and 3 <= known <= 3.2):
        return
    if known is not None and 0 < known < 3:
        findings.add(
            "translated", ("version",), f"{json.dumps(version)} is older than 3: what it has is read as in 3.1"
        )
    else:
        findings.wrong(("version",), f"{json.dumps(version)} is not a version that is known", "3.2 is the newest")


def _task(plain: Any, path: Path, findings: Findings) -> dict[str, Any]:
    task = _filled(plain, _TASK, path, "a task", findings)
    needs = _table(task["requirements"], (*path, "requirements"), findings)
    task["requirements"] = _filled(needs, _REQUIREMENTS, (*path, "requirements"), "requirements", findings)
    task["given"] = needs
    _files(task, path, findings)
    task["trays"] = [
        _tray(tray, (*path, "trays", number), findings)
        for number, tray in _items(task["trays"], (*path, "trays"), findings)
    ]
    return task


def _tray(plain: Any, path: Path, findings: Findings) -> dict[str, Any]:
    tray = _filled(plain, _TRAY, path, "a tray", findings)
    _files(tray, path, findings)
    modules = []
    for number, plain_module in _items(tray["modules"], (*path, "modules"), findings):
        place = (*path, "modules", number)
        module = _filled(plain_module, _MODULE, place, "a module", findings)
        _files(module, place, findings)
        modules.append(module)
    tray["modules"] = modules
    return tray


def _files(level: dict[str, Any], path: Path, findings: Findings) -> None:
    """Bring `data` into one form, `resources` of older versions among them, and `parameters` to a table."""
    data = []
    for key in ("resources", "data"):
        for number, plain in _items(level[key], (*path, key), findings):
            place = (*path, key, number)
            entry = _filled(plain, _DATA, place, "data", findings)
            entry["path"] = place
            if key == "resources":
                entry["type"] = "resource"
                findings.add("translated", place, "a resource is an input, from options.resource_url")
            data.append(entry)
    level["data"] = data
    del level["resources"]
    level["parameters"] = _table(level["parameters"], (*path, "parameters"), findings)


def _filled(
    plain: Any, defaults: Mapping[str, Any], path: Path, what: str, findings: Findings, *, strangers: bool = False
) -> dict[str, Any]:
    table = _table(plain, path, findings)
    known = {**defaults, **_OLD.get(what, {})}
    strange = [key for key in table if key not in known]
    if len(strange) > MOST_STRANGERS:
        findings.wrong(path, f"{what} has over {MOST_STRANGERS} keys that have no meaning", "take them out")
        table = {key: table[key] for key in table if key in known}
    for key in table:
        if key not in known:
            _stranger(key, defaults, (*path, key), what, findings, strangers)
        elif key not in defaults:
            said = _OLD[what][key] or (_SOFTWARE if table[key] else "it is empty")
            findings.add(
                "translated" if said.startswith("kept") else "dropped", (*path, key), f"of an older version: {said}"
            )
    found = {key: table[key] if table.get(key) is not None else _fresh(default) for key, default in defaults.items()}
    for key in table:
        if table[key] is None and key in defaults:
            findings.add("translated", (*path, key), "null is taken as if it were not there")
    for key, value in found.items():
        if not _fits(key, value, defaults[key]):
            kind = "table, { ... }" if isinstance(defaults[key], dict) else "text in quotes"
            findings.wrong((*path, key), f"{json.dumps(value)[:60]} is not what {key} has to be", f"write a {kind}")
            found[key] = _fresh(defaults[key])
    if "system" in table and not (table["system"] is None or isinstance(table["system"], dict)):
        findings.wrong((*path, "system"), "it is no table", "write { ... }")
        table = {key: value for key, value in table.items() if key != "system"}
    return found | {key: value for key, value in table.items() if key not in defaults}


def _fits(key: str, value: Any, default: Any) -> bool:
    """Tell whether a value may stand for a key: a table where the default is one, a text where that is one."""
    if isinstance(default, dict):
        return isinstance(value, dict)
    if key == "description":
        return not isinstance(value, dict | list)
    return not isinstance(default, str) or key == "args" or isinstance(value, str)


def _stranger(
    key: str, defaults: Mapping[str, Any], path: Path, what: str, findings: Findings, strangers: bool
) -> None:
    hint = nearest(key, defaults)
    if hint.startswith("did you mean"):
        findings.wrong(path, f'"{key}" is no key of {what}', hint)
    elif strangers:
        findings.add("translated", path, f"kept for $({key}); it has no meaning of its own")
    else:
        findings.add("dropped", path, f'"{key}" is no key of {what}, and has no meaning')


def _fresh(default: Any) -> Any:
    return type(default)() if isinstance(default, dict | list) else default


def _table(value: Any, path: Path, findings: Findings) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        findings.wrong(path, f"{json.dumps(value)[:60]} is no table", "write { ... }")
        return {}
    return value


def _items(value: Any, path: Path, findings: Findings) -> list[tuple[int, Any]]:
    if not isinstance(value, list):
        findings.wrong(path, f"{json.dumps(value)[:60]} is no list", "write [ ... ]")
        return []
    return list(enumerate(value))
