"""A plan to one whose jobs are divided: the parameter in pieces, what follows from it asked for anew. Pure; `split` applies it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nunatak.core.errors import Conflict, Invalid
from nunatak.core.units import time_text
from nunatak.core.work import Shape
from nunatak.datasets.parameters import parameters_of
from nunatak.datasets.plan import Plan, TaskPlan
from nunatak.datasets.schema import MOST_JOBS
from nunatak.datasets.shape import need, shape_from
from nunatak.datasets.template import Mentioned, Scope, compile_value
from nunatak.tasks.learning.long import SHORTEST, Split

MOST_ITEMS = 100_000
"""Items of a plan: as many as a recipe may list."""
MOST_NAME = 255


@dataclass(frozen=True, slots=True)
class Divisible:
    """The parameter that may be divided: declared in the task `owner`, or "" for all tasks."""

    parameter: str
    whole: int
    owner: str
    tasks: tuple[str, ...]


def divisible(plan: Plan) -> Divisible:
    """Return the parameter of a plan that may be divided. Raises `Conflict` if there is none, or more than one."""
    found: dict[tuple[str, str], list[TaskPlan]] = {}
    for task in plan.tasks:
        if task.splittable:
            owner = task.name if task.splittable in task.parameters else ""
            found.setdefault((owner, task.splittable), []).append(task)
    if not found:
        raise Conflict(
            "no task of its recipe says what may be divided",
            code="not-splittable",
            hint="write splittable: PARAMETER into the task, naming a whole number such as events, and submit it again",
        )
    if len(found) > 1:
        names = ", ".join(f"{parameter} of {tasks[0].name}" for (_, parameter), tasks in found.items())
        raise Conflict(
            f"several parameters may be divided: {names}", code="several-splittable",
            hint="only one at a time can be: submit a recipe that declares one",
        )  # fmt: skip
    ((owner, parameter), tasks) = next(iter(found.items()))
    whole = plan.divisible(tasks[0])
    assert whole is not None, "these tasks have one"
    return Divisible(parameter, whole[1], owner, tuple(task.name for task in tasks))


def in_pieces(what: Divisible, jobs: int) -> Split:
    """Return the division of each job into `jobs`. Raises `Invalid` where that makes no sense."""
    if jobs < 2:
        raise Invalid(f"{jobs} pieces divide nothing", code="bad-pieces", hint="2 at least")
    if jobs > what.whole:
        raise Invalid(
            f"{what.parameter} is {what.whole}: it has no {jobs} pieces",
            code="bad-pieces",
            hint=f"{what.whole} at most",
        )
    return Split(what.parameter, what.whole, jobs, what.whole // jobs, -(-what.whole // jobs))


def divided(
    plan: Plan, what: Divisible, split: Split, items: tuple[Mapping[str, Any], ...], jobs: int, name: str
) -> Plan:
    """Return the plan for the pieces of `jobs` jobs, of which `items` says what comes after what (see `items_of`).

    Raises `Conflict` where no plan can say that.
    """
    if jobs * split.jobs > MOST_JOBS:
        raise Conflict(f"{jobs * split.jobs:,} jobs are over {MOST_JOBS:,}", code="too-many-jobs")
    even = split.low == split.high
    value = split.low if even else _varying(split, max(1, len(items)))
    outer = dict(plan.parameters) if what.owner else {**plan.parameters, what.parameter: value}
    tasks = []
    for task in plan.tasks:
        if task.once and not even and not what.owner and what.parameter in _of_texts(task, plan):
            raise Conflict(
                f"{task.name} is done once a dataset and uses {what.parameter}, which would differ between jobs",
                code="uneven", hint=f"choose a number that divides {split.whole} evenly",
            )  # fmt: skip
        tasks.append(_task(task, plan, outer, what, split, value))
    return replace(plan, name=name, jobs=jobs * split.jobs, tasks=tuple(tasks), parameters=outer, items=items)


def name_of(name: str, dataset: int) -> str:
    """Return the name of a dataset split off another."""
    end = f" (split of {dataset})"
    return name[: MOST_NAME - len(end)] + end


def items_of(plan: Plan, first: int, jobs: int) -> tuple[Mapping[str, Any], ...]:
    """Return the items of foreach for the pieces of `jobs` jobs, from the job `first` on.

    Each comes as often in pieces as it came in those jobs. Raises `Conflict` where that cannot be.
    """
    n = len(plan.items)
    if not n:
        return ()
    period = n if jobs % n == 0 else jobs  # each must come equally often: as whole rounds, or all of them as they are
    if period > MOST_ITEMS:
        raise Conflict(
            f"{jobs} jobs are no whole number of rounds of the {n} items of foreach", code="too-many-items",
            hint="wait until more jobs have begun, and split what is left then",
        )  # fmt: skip
    return tuple(plan.items[(first + number) % n] for number in range(period))


def _varying(split: Split, period: int) -> str:
    """Return the expression that gives the jobs of each item the larger pieces first, then the others."""
    larger = split.whole - split.low * split.jobs
    return f"{{{split.high} if job // {period} % {split.jobs} < {larger} else {split.low}}}"


_VARIED = re.compile(r"\{(\d+) if job // \d+ % (\d+) < (\d+) else (\d+)\}\Z").match


def whole_of(value: Any, pieces: int) -> int:
    """Return what a parameter was before it was divided into so many pieces, from what it is in each."""
    found = _VARIED(value) if isinstance(value, str) else None
    if found is None:
        return int(value) * pieces
    high, jobs, larger, low = (int(part) for part in found.groups())
    return high * larger + low * (jobs - larger)


def _task(
    task: TaskPlan, plan: Plan, outer: Mapping[str, Any], what: Divisible, split: Split, value: int | str
) -> TaskPlan:
    own = {**task.parameters, what.parameter: value} if task.name == what.owner else task.parameters
    needs, shape = dict(task.needs), task.shape
    before = parameters_of(plan.parameters, task.parameters)
    asks, timed = (_leaves(values, before) for values in (needs.values(), [needs.get("time", 0)]))
    if task.name in what.tasks and what.parameter not in timed and (shape or not timed):
        time = shape.time if shape else need("time", needs["time"], {}) if "time" in needs else Shape().time
        needs["time"] = max(math.ceil(time / split.jobs), min(time, round(SHORTEST)))
        shape = replace(shape, time=needs["time"]).rounded() if shape else None
    if shape and what.parameter in asks:
        shape = _shape(needs, task.name, parameters_of(outer, own))
    splittable = task.splittable if isinstance(value, int) else ""  # an expression cannot be divided again
    return replace(task, parameters=own, needs=needs, shape=shape, splittable=splittable)


def _shape(needs: Mapping[str, Any], task: str, parameters: Mapping[str, Mentioned]) -> Shape | None:
    """Return what is asked for now that a parameter it follows from is another; None where it depends on the job."""
    if "job" in _leaves(needs.values(), parameters):
        return None
    return shape_from(needs, Scope({"task": task}, parameters))


def _leaves(values: Any, parameters: Mapping[str, Mentioned]) -> set[str]:
    """Return the names that values mention, also by way of parameters."""
    found: set[str] = set()
    new = {name for value in values for name in compile_value(value).names}
    while new:
        found |= new
        new = {other for name in new if name in parameters for other in parameters[name].names} - found
    return found


def _texts(task: TaskPlan) -> Iterator[Any]:
    """Yield what a task reads of its job: all but the names and places of its outputs."""
    for command in task.commands:
        yield from (*command.words, *command.variables.values(), command.stdin)
    for item in task.inputs:
        yield from (item.url, item.file)
    yield from (*task.variables.values(), task.image, *task.needs.values())


def _of_texts(task: TaskPlan, plan: Plan) -> set[str]:
    return _leaves(_texts(task), parameters_of(plan.parameters, task.parameters))


def notes(plan: Plan, new: Plan) -> list[str]:
    """Return what a person should know before agreeing: what is done again, numbered anew, or asked for otherwise."""
    said = []
    for before, after in zip(plan.tasks, new.tasks, strict=True):
        if before.once:
            said.append(f"{before.name} is done once a dataset, and so again in the new one")
            continue
        parameters = parameters_of(plan.parameters, before.parameters)
        names = [_leaves([text], parameters) for text in _texts(before)]
        alone = sorted({name for of in names if "dataset" not in of for name in of & {"job", "jobs", "repetition"}})
        if alone:
            words = " and ".join(f"{{{name}}}" for name in alone)
            said.append(
                f"{before.name} uses {words} without {{dataset}}: the new dataset numbers its jobs from 0 again, and a random"
                " seed made so would come twice"
            )
        if before.shape and after.shape and before.shape.time != after.shape.time:
            said.append(
                f"{before.name} asks for {time_text(after.shape.time)} instead of {time_text(before.shape.time)}"
            )
    return said
