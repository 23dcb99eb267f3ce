"""Where a key of a configuration is looked up: its steering, options, metadata, and what surrounds a module."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_NOTHING: Mapping[str, Any] = {}


class Unresolved(Exception):  # noqa: N818
    """A phrase stands for nothing; IceProd leaves it as it is."""


class GivenUp(Exception):  # noqa: N818
    """IceProd gives up on the whole text that contains this."""


@dataclass(slots=True)
class Names:
    """The configuration (`job`) and the scope (`env`) that phrases refer to, and where their random choices begin.

    `job` is a configuration as IceProd writes it: `options`, `steering.parameters`, `steering.system`, `difplus`.
    `env` has `parameters` (those of task, tray and module, the innermost winning) and `environment`.
    """

    job: Mapping[str, Any]
    env: Mapping[str, Any]
    seed: str = ""
    drawn: int = field(default=0, init=False)

    def part(self, name: str) -> Mapping[str, Any]:
        """Return a table of the configuration; empty if it is not there."""
        found = self.job.get(name)
        return found if isinstance(found, Mapping) else _NOTHING

    def parameters(self) -> Mapping[str, Any]:
        """Return the steering parameters as they are written."""
        return self.part("steering").get("parameters") or _NOTHING

    def general(self, key: str) -> Any:
        """Return what `$(key)` stands for: scope, then configuration, then options, then steering. Raises `Unresolved`."""
        found = None
        if key in (self.env.get("parameters") or _NOTHING):
            found = self.env["parameters"][key]
        elif key in self.job and not isinstance(self.job[key], dict):
            found = self.job[key]
        elif key in self.part("options"):
            found = self.part("options")[key]
        elif key in self.parameters():
            found = self.parameters()[key]
        if found is None:
            raise Unresolved
        return found

    def steering(self, key: str) -> Any:
        """Return `$steering(key)`. Raises `Unresolved`."""
        return _of(self.parameters(), key)

    def system(self, key: str) -> Any:
        """Return `$system(key)`. Raises `Unresolved`, and `GivenUp` if there is a steering without `system`."""
        steering = self.part("steering")
        if steering and "system" not in steering:
            raise GivenUp
        return _of(steering.get("system") or _NOTHING, key)

    def options(self, key: str) -> Any:
        """Return `$options(key)` or `$args(key)`. Raises `Unresolved`."""
        return _of(self.part("options"), key)

    def environ(self, key: str) -> Any:
        """Return `$environ(key)`. Raises `Unresolved`."""
        return _of(self.env.get("environment") or _NOTHING, key)

    def metadata(self, key: str) -> Any:
        """Return `$metadata(key)`: from `difplus.dif`, then `difplus.plus`. Raises `Unresolved`."""
        for name in ("dif", "plus"):
            table = self.part("difplus").get(name)
            if isinstance(table, Mapping) and key in table:
                return table[key]
        raise Unresolved

    def draw(self, count: int, salt: str) -> int:
        """Return a number from 0 to `count` - 1 that depends on the seed, the text and how many were drawn (SHA-256)."""
        self.drawn += 1
        where = json.dumps([self.seed or self._address(), salt, self.drawn])
        return int.from_bytes(hashlib.sha256(where.encode()).digest()[:16], "big") % count

    def _address(self) -> list[Any]:
        options = self.part("options")
        return [options.get(key) for key in ("dataset", "job", "task")]


TABLES = ("steering", "system", "options", "args", "environ", "metadata")
"""The phrases that look up a key in one table."""


def look_up(names: Names, table: str, key: str) -> Any:
    """Return `$table(key)` as it is written. Raises `Unresolved` and `GivenUp`."""
    return getattr(names, "options" if table == "args" else table)(key)


def _of(table: Mapping[str, Any], key: str) -> Any:
    if key not in table:
        raise Unresolved
    return table[key]
