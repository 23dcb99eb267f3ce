"""Parameters of task, tray and module around a text: each level is worked out before those inside it, as far as it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.iceprod.expansion import EXACT, STRICT, expand

ENVIRONMENT = {name: f"${name}" for name in ("OS_ARCH", "SROOT", "I3_BUILD", "I3_SRC")}
"""What `$environ(...)` knows: variables of the machine, which a shell there puts in."""
_DEEP = 20
"""So many parameters may wait for each other before all of a level are worked out in the order they are written."""


def worked_out(job: Mapping[str, Any], levels: Sequence[Mapping[str, Any]], raw: Any, mode: str) -> Any:
    """Return what a value stands for, the parameters of each level worked out before those inside it."""
    return expand(raw, job=job, env=surroundings(job, levels, mode), mode=mode)


def surroundings(job: Mapping[str, Any], levels: Sequence[Mapping[str, Any]], mode: str) -> Mapping[str, Any]:
    """Return the `env` of a text inside all levels; it may serve many texts."""
    parameters: Mapping[str, Any] = {}
    for own in levels:
        if own:
            parameters = _Level(parameters, own, job, mode)
    return {"parameters": parameters, "environment": ENVIRONMENT}


class _Level(Mapping[str, Any]):
    """Parameters of one level in front of those around it.

    Each is worked out when it is first asked for, from those written before it as they are worked out, and from those after it
    as they are written.
    """

    def __init__(self, outside: Mapping[str, Any], own: Mapping[str, Any], job: Mapping[str, Any], mode: str) -> None:
        self.outside, self.own, self.job, self.mode = outside, own, job, mode
        self.order = {name: number for number, name in enumerate(own)}
        self.found: dict[str, Any] = {}
        self.waiting = 0

    def __getitem__(self, name: str) -> Any:
        if name not in self.order:
            return self.outside[name]
        if name not in self.found:
            self.waiting += 1
            try:
                if self.waiting == _DEEP:
                    for earlier in list(self.order)[: self.order[name]]:
                        if earlier not in self.found:
                            self.found[earlier] = self._value(earlier)
                self.found[name] = self._value(name)
            finally:
                self.waiting -= 1
        return self.found[name]

    def __bool__(self) -> bool:
        return True

    def __contains__(self, name: object) -> bool:
        return name in self.order or name in self.outside

    def __iter__(self) -> Iterator[str]:
        yield from self.order
        yield from (name for name in self.outside if name not in self.order)

    def __len__(self) -> int:
        return len(self.order) + sum(1 for name in self.outside if name not in self.order)

    def _value(self, name: str) -> Any:
        raw = self.own[name]
        around = {"parameters": _Before(self, name), "environment": ENVIRONMENT}
        try:
            return expand(raw, job=self.job, env=around, mode=self.mode)
        except Invalid:
            if self.mode == EXACT:
                raise
            return raw


class _Before(Mapping[str, Any]):
    """What the value of one parameter of a level may refer to. In strict mode its own name is that of outside."""

    def __init__(self, level: _Level, name: str) -> None:
        self.level, self.name = level, name

    def __getitem__(self, name: str) -> Any:
        level = self.level
        if name == self.name and level.mode == STRICT:
            return level.outside[name]
        if level.order.get(name, -1) >= level.order[self.name]:
            return level.own[name]
        return level[name]

    def __bool__(self) -> bool:
        return True

    def __contains__(self, name: object) -> bool:
        if name == self.name and self.level.mode == STRICT:
            return name in self.level.outside
        return name in self.level

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.level if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Around(Mapping[str, Any]):
    """What one parameter of a level stands among: its neighbours, and what is outside; its own name is that of outside."""

    def __init__(self, outside: Mapping[str, Any], own: Mapping[str, Any], name: str) -> None:
        """Take both as they are: there is one of these for each parameter, and no copy of all."""
        self.outside, self.own, self.name = outside, own, name

    def __getitem__(self, name: str) -> Any:
        return self.own[name] if name in self.own and name != self.name else self.outside[name]

    def __bool__(self) -> bool:
        return True

    def __contains__(self, name: object) -> bool:
        return (name in self.own and name != self.name) or name in self.outside

    def __iter__(self) -> Iterator[str]:
        yield from self.outside
        yield from (name for name in self.own if name != self.name and name not in self.outside)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def expand_levels(text: str, names: Mapping[str, Any], options: Mapping[str, Any], task: str) -> Any:
    """Return a text worked out for one job; `options` win over those of `names`.

    `names` has `mode`, `options`, `steering`, `levels`, and in `more` other keys of the configuration, `system` among them.

    Raises `Invalid` as `expand` does.
    """
    address = "-".join(str(part) for part in (options["dataset"], options.get("job", ""), task) if part != "")
    known = {"task_id": address, **names["options"], **options}
    more = dict(names.get("more", {}))
    steering = {"parameters": names["steering"], **({"system": more.pop("system")} if "system" in more else {})}
    job = {**more, "options": known, "steering": steering}
    return worked_out(job, names["levels"], text, names["mode"])
