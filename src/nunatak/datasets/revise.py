"""What a new revision of a recipe changes of a dataset that exists, and what it cannot: decided here, without a database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nunatak.core.errors import Problem
from nunatak.core.units import count_text
from nunatak.datasets.changes import Change, changes
from nunatak.datasets.parameters import parameters_of
from nunatak.datasets.plan import OutputPlan, Plan, TaskPlan
from nunatak.datasets.template import Mentioned, compile_value

ANEW = "a new dataset can have it: submit the changed recipe with nunatak submit, or under New work like this"


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands of a task's outputs, by which they cannot be changed: how many tasks of that name are in which state."""

    done: int = 0
    live: int = 0
    free: bool = True  # it may be claimed at any moment

    @property
    def why(self) -> str:
        """Return why outputs cannot be changed, "" if they can."""
        if self.done:
            return f"{_tasks(self.done)} done, with the outputs as they were"
        if self.live:
            return f"{_tasks(self.live)} under way"
        return "tasks may begin at any moment" if self.free else ""

    @property
    def instead(self) -> str:
        """Return what to do."""
        if self.done:
            return ANEW
        return "hold the dataset (nunatak hold), edit it, then release it"


def _tasks(n: int) -> str:
    return f"{count_text(n, 'task')} of that name {'is' if n == 1 else 'are'}"


@dataclass(frozen=True, slots=True)
class Revision:
    """A new revision: its plan, with tasks numbered as they are; what changes; what cannot; what a person should know.

    `anew` has the numbers of tasks of which what each asks for has to be worked out anew: it depends on the job, or did.
    """

    plan: Plan
    changes: tuple[Change, ...]
    refusals: tuple[Problem, ...]
    notes: tuple[str, ...]
    anew: tuple[int, ...] = ()

    @property
    def reshaped(self) -> tuple[int, ...]:
        """Return the numbers of all other tasks that ask for something else, or are learnt of otherwise."""
        wanted = {change.task for change in self.changes if change.what in ("needs", "learn")}
        numbers = {number for number, task in enumerate(self.plan.tasks) if task.name in wanted and task.shape}
        return tuple(sorted(numbers - set(self.anew)))


def revise(old: Plan, new: Plan, standing: Mapping[str, Standing], jobs: frozenset[int]) -> Revision:
    """Compare a new plan with the present one. `standing` is what stands by task; `jobs` are numbers of jobs that are no change.

    A recipe may say how many jobs it had when it was submitted, or how many there are by now.
    """
    refusals = [*_of_dataset(old, new, jobs), *_of_graph(old, new)]
    if refusals:
        return Revision(old, (), tuple(refusals), ())
    plan = aligned(old, new)
    notes: list[str] = []
    for before, after in zip(old.tasks, plan.tasks, strict=True):
        problems, said = _of_outputs(old, plan, before, after, standing.get(before.name, Standing(free=False)))
        refusals += problems
        notes += said
    anew = tuple(
        number
        for number, (before, after) in enumerate(zip(old.tasks, plan.tasks, strict=True))
        if _asks_anew(old, plan, before, after)
    )
    notes += [_note_anew(plan.tasks[number]) for number in anew if plan.tasks[number].shape is None]
    return Revision(plan, tuple(changes(old, plan)), tuple(refusals), tuple(notes), anew)


def aligned(old: Plan, new: Plan) -> Plan:
    """Return the new plan with its tasks in the order of the old one, by which they are numbered, and as many jobs."""
    by_name = {task.name: task for task in new.tasks}
    tasks = tuple(replace(by_name[task.name], after=task.after, follows=task.follows) for task in old.tasks)
    return replace(new, tasks=tasks, jobs=old.jobs)


def is_present(old: Plan, new: Plan) -> bool:
    """Tell whether a new plan says what the present one does."""
    return old.index.keys() == new.index.keys() and aligned(old, new).digest == old.digest


def _of_dataset(old: Plan, new: Plan, jobs: frozenset[int]) -> Iterator[Problem]:
    if old.items != new.items:
        yield Problem("foreach gives other items: jobs would be other jobs than those that ran", "foreach", ANEW)
    elif new.jobs not in jobs:
        hint = "nunatak more adds jobs, nunatak close gives up those that have not begun"
        yield Problem(f"the number of jobs is not changed by a recipe: it says {new.jobs}", "jobs", hint)


def _of_graph(old: Plan, new: Plan) -> Iterator[Problem]:
    was, now = ({task.name: task for task in plan.tasks} for plan in (old, new))
    for name in was.keys() - now.keys():
        yield Problem(f"task {name} is not there any more: tasks cannot be taken out or renamed", f"tasks.{name}", ANEW)
    for name in now.keys() - was.keys():
        yield Problem(f"task {name} is new: tasks cannot be added", f"tasks.{name}", ANEW)
    for name in was.keys() & now.keys():
        before, after = was[name], now[name]
        if before.once != after.once:
            words = "once a dataset" if before.once else "in every job"
            yield Problem(f"{name} is done {words}: that cannot be changed", f"tasks.{name}.once", ANEW)
        if set(before.after) != set(after.after):
            found = f"{_names(before.after)}, not after {_names(after.after)}"
            yield Problem(
                f"{name} comes after {found}: what waits for what cannot be changed", f"tasks.{name}.after", ANEW
            )
        if before.follows != after.follows:
            yield Problem(
                f"{name} comes after other tasks of other datasets: that cannot be changed", f"tasks.{name}.after", ANEW
            )


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _asks_anew(old: Plan, new: Plan, before: TaskPlan, after: TaskPlan) -> bool:
    """Tell whether needs that depend on the job, or did, are others now: each task's have to be worked out."""
    if before.shape is not None and after.shape is not None:
        return False
    changed = before.needs != after.needs or _meaning(old, before, before.needs) != _meaning(new, after, after.needs)
    return changed or (before.shape is None) != (after.shape is None)


def _note_anew(task: TaskPlan) -> str:
    return f"what {task.name} asks for depends on the job: it is worked out for each one when its turn comes"


def _of_outputs(
    old: Plan, new: Plan, before: TaskPlan, after: TaskPlan, standing: Standing
) -> tuple[list[Problem], list[str]]:
    """Return why outputs cannot be changed, and what to know where some are added."""
    if not standing.why:
        return [], []
    kept = {(item.name, item.url): item for item in after.outputs}
    path, hint = f"tasks.{after.name}.outputs", standing.instead
    for item in before.outputs:
        same = kept.pop((item.name, item.url), None)
        if same is None:
            text = f"output {item.name} of {after.name} cannot be changed: {standing.why}"
            return [Problem(text, path, hint)], []
        if _place_of(old, before, item) != _place_of(new, after, same):
            text = f"the name or place of output {item.name} of {after.name} would be another: {standing.why}"
            return [Problem(text, path, f"a parameter it is made of was changed; {hint}")], []
    readers = [
        task.name
        for task in new.tasks
        for source in task.inputs
        if source.task == after.name and source.output in {item.name for item in kept.values()} and not source.optional
    ]
    if kept and readers and (standing.done or standing.live):
        text = f"{readers[0]} reads an output of {after.name} that is new: {standing.why}"
        return [Problem(text, path, hint)], []
    missing = standing.done and [f"{standing.why}: they have no {', '.join(item.name for item in kept.values())}"]
    return [], missing if kept and missing else []


def _place_of(plan: Plan, task: TaskPlan, output: OutputPlan) -> Any:
    return output.temporary, _meaning(plan, task, [output.name, output.url])


def _meaning(plan: Plan, task: TaskPlan, values: Any) -> dict[str, Any]:
    """Return every name that values mention, also by way of parameters, with what is written for it."""
    known = parameters_of(plan.parameters, task.parameters)
    found: dict[str, Any] = {}
    for name in _mentioned(values.values() if isinstance(values, Mapping) else values, known):
        found[name] = (plan.parameters.get(name), task.parameters.get(name))
        if name in ("input", "inputs"):
            found[name] = task.inputs
    return found


def _mentioned(values: Any, known: Mapping[str, Mentioned]) -> set[str]:
    found: set[str] = set()
    new = {name for value in values for name in compile_value(value).names}
    while new:
        found |= new
        new = {other for name in new if name in known for other in known[name].names} - found
    return found
