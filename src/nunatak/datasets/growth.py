"""How a recipe says that a request may grow after a try that ran out of it: `x2 up to 16 GB`, `x1.5`, `never`."""

from __future__ import annotations

import re

from nunatak.core import units
from nunatak.core.errors import Invalid
from nunatak.datasets.kinds import amount
from nunatak.datasets.plan import Growth
from nunatak.datasets.report import quoted

PATTERN = r"^\s*(?:never|x\s*(\d+(?:\.\d+)?)(?:\s+up\s+to\s+(\S.*?))?)\s*$"
EXAMPLES = {"memory": "x2 up to 16 GB", "time": "x2 up to 1 d", "disk": "x2 up to 100 GB"}
_FORM = re.compile(PATTERN)


def growth(name: str, text: str) -> Growth:
    """Return what a text allows for `name`: memory, time or disk. Raises `Invalid`."""
    if text.strip() == "never":
        return Growth(factor=1.0)
    found = _FORM.match(text)
    advice = f'write it as "{EXAMPLES[name]}", "x2" or "never"'
    if not found:
        raise Invalid(f"{quoted(text)} is not a raise of {name}", hint=advice)
    factor = float(found[1])
    if not 1 < factor <= 10:
        raise Invalid(f"a raise of {name} is from x1 to x10, not x{found[1]}", hint=advice)
    if not found[2]:
        return Growth(factor)
    if name == "time":
        return Growth(factor, amount(found[2], units.seconds, 1, "h"))
    return Growth(factor, amount(found[2], units.memory, 10**6, "GB"))
