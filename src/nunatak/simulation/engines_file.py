"""The file that says what engines a simulation has and what tasks take: YAML, every mistake with its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from nunatak.core.complaints import complaint
from nunatak.core.errors import Invalid, NotFound, Problem
from nunatak.core.work import Shape
from nunatak.datasets.report import dotted
from nunatak.datasets.yaml_source import Source, parse
from nunatak.engines.fates import Habit, LogNormal, Place
from nunatak.engines.settings import Count, Memory, Positive, Rate, Seconds, Spread
from nunatak.simulation.resources import Resource

SLOTS_MOST = 1_000_000
Share = Annotated[float, Field(gt=0, le=1000)]


class Strict(BaseModel):
    """Knows its keys, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Timing(Strict):
    """How long a task takes: the median, and how far it spreads (standard deviation of the logarithm)."""

    median: Seconds
    spread: Spread | None = None


class Amount(Strict):
    """How much memory a task uses: the median, and how far it spreads."""

    median: Memory
    spread: Spread | None = None


def _median(value: Any) -> Any:
    return value if isinstance(value, Mapping) else {"median": value}


class EngineEntry(Strict):
    """An engine: `slots` equal places, what each has, and what becomes of attempts there."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]*$", max_length=64)]
    site: Annotated[str, Field(min_length=1, max_length=64)] = "here"
    slots: Annotated[int, Field(ge=1, le=SLOTS_MOST)]
    cpu: Positive = 1
    gpu: Count = 0
    memory: Memory = 4 * 10**9
    disk: Memory = 20 * 10**9
    time: Seconds = 7 * 86400.0
    platform: str = "linux/x86_64"
    features: tuple[str, ...] = ()
    hosts: Annotated[int, Field(ge=1, le=100_000)] | None = None
    speed: Share = 1.0
    eviction_half_life: Seconds | None = None
    failure_rate: Rate = 0.0
    submit_delay: Seconds | None = None

    def resource(self) -> Resource:
        """Return it as a campaign has it; a host for every eight slots where nothing is said."""
        slot = Shape(self.cpu, self.gpu, self.memory, self.disk, int(self.time), self.platform, self.features)
        nodes = min(self.slots, self.hosts or -(-self.slots // 8))
        hosts, each = tuple(f"{self.name}-{n:03d}" for n in range(1, nodes + 1)), -(-self.slots // nodes)
        place = Place(
            hosts,
            each * self.cpu,
            self.eviction_half_life or 0.0,
            self.failure_rate,
            self.submit_delay or 0.0,
            self.speed,
        )
        return Resource(self.name, self.site, self.slots, slot, place)


class EnginesFile(Strict):
    """Engines, and what the tasks of the recipe take. What is not said of a task follows from what it asks for."""

    engines: Annotated[tuple[EngineEntry, ...], Field(min_length=1, max_length=200)]
    durations: dict[str, Annotated[Timing, BeforeValidator(_median)]] = {}
    memory: dict[str, Annotated[Amount, BeforeValidator(_median)]] = {}
    duration_share: Share = 1 / 3
    memory_share: Share = 0.5
    spread: Spread = 0.3
    memory_spread: Spread = 0.1

    def habit(self, task: str, asked: Shape) -> Habit:
        """Return what a task takes that asks for this at first."""
        timing, amount = self.durations.get(task), self.memory.get(task)
        long = timing.median if timing else self.duration_share * asked.time
        large = amount.median if amount else self.memory_share * asked.memory
        spread = timing.spread if timing and timing.spread is not None else self.spread
        memory_spread = amount.spread if amount and amount.spread is not None else self.memory_spread
        return Habit(LogNormal(long, spread), LogNormal(large, memory_spread))


def read_engines(path: Path, tasks: Iterable[str] | None = None) -> EnginesFile:
    """Read a file of engines; where `tasks` are given, no others may be named. Raises `NotFound`, `Invalid`."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}", code="no-file", hint="--engines FILE") from error
    try:
        source = parse(text, path.name)
    except Invalid as error:
        raise _failure(path.name, list(error.problems)) from None
    try:
        found = EnginesFile.model_validate(source.value)
    except ValidationError as error:
        problems = [_problem(item, source, path.name) for item in error.errors(include_url=False)]
        raise _failure(path.name, problems) from None
    problems = [*_twice(found, source, path.name), *_strange(found, tasks, source, path.name)]
    if problems:
        raise _failure(path.name, problems)
    return found


def _failure(filename: str, problems: list[Problem]) -> Invalid:
    said = f"{len(problems)} problems" if len(problems) > 1 else str(problems[0])
    ordered = sorted(problems, key=lambda item: (item.line, item.column))
    return Invalid(f"{filename} cannot be used: {said}", code="bad-engines", problems=ordered)


def _problem(item: Any, source: Source, filename: str) -> Problem:
    """Return what pydantic found wrong, at its place in the file."""
    path, kind = tuple(item["loc"]), item["type"]
    said = {"extra_forbidden": "there is no such key", "missing": "this is needed"}.get(kind)
    hint = _near(path) if kind == "extra_forbidden" else ""
    line, column = source.place(path, key=kind == "extra_forbidden")
    message = said or complaint(item)
    return Problem(message[0].lower() + message[1:], dotted(path), hint, filename, line, column)


def _near(path: tuple[str | int, ...]) -> str:
    model: type[BaseModel] = EnginesFile
    if path[0] == "engines":
        model = EngineEntry
    elif path[0] in ("durations", "memory"):
        model = Timing
    near = difflib.get_close_matches(str(path[-1]), model.model_fields, 1, 0.5)
    return f'did you mean "{near[0]}"?' if near else "known are " + ", ".join(sorted(model.model_fields))


def _twice(found: EnginesFile, source: Source, filename: str) -> list[Problem]:
    problems, names = [], set[str]()
    for number, entry in enumerate(found.engines):
        if entry.name in names:
            path = ("engines", number, "name")
            where = source.place(path)
            problems.append(Problem(f'there are two engines "{entry.name}"', dotted(path), "", filename, *where))
        names.add(entry.name)
    return problems


def _strange(found: EnginesFile, tasks: Iterable[str] | None, source: Source, filename: str) -> list[Problem]:
    """Return a problem for each task that the recipe does not have."""
    if tasks is None:
        return []
    known, problems = list(tasks), []
    for key, named in (("durations", found.durations), ("memory", found.memory)):
        for name in named:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1, 0.5)
                hint = f'did you mean "{near[0]}"?' if near else f"its tasks are {', '.join(known)}"
                line, column = source.place((key, name), key=True)
                message = f'the recipe has no task "{name}"'
                problems.append(Problem(message, dotted((key, name)), hint, filename, line, column))
    return problems
