"""What a task asks of a machine: requirements and container of a configuration to `needs` of a recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nunatak.core import units
from nunatak.core.errors import Invalid
from nunatak.iceprod.deferred import UNKNOWN, Deferred, depends, template
from nunatak.iceprod.findings import Path
from nunatak.iceprod.scope import Scope
from nunatak.iceprod.strict import number

UNITS = {"memory": "GB", "disk": "GB", "time": "h"}
"""What IceProd counts in."""
MOST = {"cpu": 1024, "gpu": 64}
"""What a recipe may ask for."""
MOST_AMOUNT = 10**15
"""A number that is more of anything than there is."""
OS_IMAGE = "/cvmfs/singularity.opensciencegrid.org/opensciencegrid/osgvo-el{}:latest"
"""The image that IceProd takes for an operating system such as RHEL_7_x86_64."""

_OS = re.compile(r"(?:RHEL|SL|CentOS|Alma|Rocky)_(\d+)(?:\.\d+)?_(x86_64|aarch64)\Z", re.IGNORECASE)


def needs(task: Mapping[str, Any], path: Path, scope: Scope) -> tuple[dict[str, Any], list[str]]:
    """Return `needs` without features, and the features."""
    found: dict[str, Any] = {}
    for key in task["given"]:
        if re.search(r"\$(?:options|args)?\(task\)", str(task["given"][key])):
            place = (*path, "requirements", key)
            scope.whole.findings.add("translated", place, "$(task) is the number of the task here, not its name")
        if key in ("cpu", "gpu", *UNITS):
            value = _amount(key, scope.text(task["requirements"][key], (*path, "requirements", key)), path, scope)
            if value is not None:
                found[key] = value
    features = _system(task, path, scope, found)
    site = task["requirements"]["site"]
    if site:
        name = re.sub(r"[^A-Za-z0-9_.:+=-]", "-", _settled(scope, site, (*path, "requirements", "site")))
        features.append(f"site:{name}")
        scope.whole.findings.add("asks", (*path, "requirements", "site"), f"the site {name}: the feature site:{name}")
    return found, features


def _amount(key: str, value: Any, path: Path, scope: Scope) -> Any:
    place = (*path, "requirements", key)
    unit = f" {UNITS[key]}" if key in UNITS else ""
    if depends(value):
        code = scope.whole.findings.guarded(place, lambda: _code(value), None)
        return None if code is None else f"{{{code}}}{unit}"
    amount = number(value)
    least = {"cpu": 1, "gpu": 0}.get(key, 0)
    if amount is None:
        if value != "":
            scope.whole.findings.wrong(place, f'"{value}" is no number', f"a number{' of' + unit if unit else ''}")
        return None
    if amount < least or (key in UNITS and amount <= 0):
        scope.whole.findings.wrong(
            place, f"{amount} is too little", f"at least {least}" if not unit else f"more than 0{unit}"
        )
        return None
    if isinstance(amount, int) and amount > MOST_AMOUNT:
        scope.whole.findings.wrong(place, f"{place[-1]} is too much", f"at most {MOST_AMOUNT:,}{unit}")
        return None
    if not unit:
        if amount != amount or amount > MOST[key] or amount != int(amount):
            scope.whole.findings.wrong(place, f"{amount} is no whole number up to {MOST[key]}")
            return None
        return int(amount)
    text = f"{amount:.12g}{unit}"
    return text if scope.whole.findings.guarded(place, lambda: _sound(key, text), False) else None


def _sound(key: str, text: str) -> bool:
    """Tell that an amount is one that a machine may have. Raises `Invalid`."""
    least = {"memory": 10**6, "disk": 10**3}.get(key, 0)
    if (units.seconds if key == "time" else units.memory)(text) < least:
        raise Invalid(f"{text} is hardly anything", code="bad-amount", hint=f"IceProd counts {key} in GB")
    return True


def _settled(scope: Scope, given: Any, place: Path) -> str:
    """Return a text that is one for all jobs: of a parameter, what it is now."""
    value = scope.text(given, place)
    if isinstance(value, Deferred) and value.known is not UNKNOWN:
        scope.whole.findings.add("translated", place, f"it is {value.known} once and for all: --set does not change it")
        return str(value.known)
    if depends(value):
        scope.whole.findings.wrong(place, "it depends on the job", "name one site, or none")
        return ""
    return str(value)


def _code(value: Any) -> str:
    if isinstance(value, Deferred):
        return value.numeric
    raise Invalid(f"{template(value)} is no number", code="bad-expansion")


def _system(task: Mapping[str, Any], path: Path, scope: Scope, found: dict[str, Any]) -> list[str]:
    """Note the image and platform that `container` and `os` stand for; return the features they need."""
    wanted = task["requirements"]["os"]
    names = [wanted] if isinstance(wanted, str) and wanted else wanted if isinstance(wanted, list) else []
    matched = next((match for match in map(_OS.match, map(str, names)) if match), None)
    if matched:
        found["platform"] = f"linux/{matched[2].lower()}"
    elif names:
        scope.whole.findings.add(
            "dropped", (*path, "requirements", "os"), f"{names[0]} is not known", "like RHEL_7_x86_64"
        )
    image = scope.text(task["container"], (*path, "container")) if task["container"] else ""
    if not image and matched:
        image = OS_IMAGE.format(matched[1])
        scope.whole.findings.add("translated", (*path, "requirements", "os"), f"runs in the container {image}")
    if image:
        found["image"] = template(image)
    return []
