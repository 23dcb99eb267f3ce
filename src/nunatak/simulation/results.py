"""What came of a campaign: when each dataset ended, how busy engines were, what was lost, and what waited for what."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from nunatak.core.states import TaskState
from nunatak.core.units import count_text, time_text
from nunatak.simulation.campaign import HOUR, Campaign
from nunatak.tasks.looking import tally
from nunatak.tasks.verdicts.kinds import Kind

S = TaskState


@dataclass(frozen=True, slots=True)
class DatasetEnd:
    """Where a dataset ended; `hours` after the begin, None if it is not done. `reason` says what stopped it."""

    dataset: int
    name: str
    state: str
    hours: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EngineUse:
    """How busy an engine was: `utilisation` is the share of its core time, up to the end, that attempts had."""

    name: str
    site: str
    slots: int
    utilisation: float
    attempts: int


@dataclass(frozen=True, slots=True)
class TaskUse:
    """What one task of a dataset took; times are mean seconds a task."""

    dataset: int
    task: str
    tasks: int
    done: int
    failed: int
    held: int
    unfinished: int
    attempts: int
    for_parents: float  # waiting for other tasks
    for_slots: float  # ready, but no engine had taken it
    in_engines: float  # with an engine, but not running
    runs: float


@dataclass(frozen=True, slots=True)
class Loss:
    """Attempts that did not count for the result: how many, and hours of wall clock time."""

    cause: str  # tasks.verdicts.kinds.Kind
    attempts: int
    hours: float


@dataclass(frozen=True, slots=True)
class Results:
    """A whole campaign. `badput` is the share of the wall clock time of all attempts that was lost."""

    hours: float
    settled: bool
    datasets: tuple[DatasetEnd, ...]
    engines: tuple[EngineUse, ...]
    tasks: tuple[TaskUse, ...]
    losses: tuple[Loss, ...]
    badput: float
    attempts: int
    counted: int  # attempts that used up a try and were not well
    lacks: tuple[str, ...]  # of tasks that no engine can take: why not

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return asdict(self)

    def hours_of(self, dataset: int) -> float | None:
        """Return when a dataset was done; None if it is not."""
        return next(item.hours for item in self.datasets if item.dataset == dataset)


class Observer:
    """Adds up, step by step, how long tasks are in each state. Make it before the campaign runs."""

    def __init__(self, campaign: Campaign) -> None:
        """Look at a campaign from now on."""
        self._campaign, self._at = campaign, campaign.clock()
        self._last: dict[tuple[int, int], dict[TaskState, int]] = {}
        self.spent: dict[tuple[int, int], Counter[TaskState]] = defaultdict(Counter)
        campaign.watch(self.look)

    def look(self) -> None:
        """Count the time since the last look for the states that tasks were in then."""
        now = self._campaign.clock()
        for key, counts in self._last.items():
            for state, n in counts.items():
                if n:
                    self.spent[key][state] += n * (now - self._at)  # type: ignore[assignment]
        self._last, self._at = dict(self._campaign.counts), now


def results(campaign: Campaign, observer: Observer) -> Results:
    """Add up what happened so far."""
    with campaign.house.database.read() as tx:
        spent, counts, ends = tally.spent(tx), tally.counts(tx), tally.endings(tx)
    lost = [item for item in spent if item.verdict != Kind.OK]
    causes = Counter[str]()
    walls: dict[str, float] = defaultdict(float)
    for item in lost:
        causes[item.verdict] += item.attempts
        walls[item.verdict] += item.wall
    whole = sum(item.wall for item in spent)
    return Results(
        hours=campaign.moved / HOUR,
        settled=not any(of[state] for of in counts.values() for state in (S.WAITING, S.READY, S.QUEUED, S.RUNNING)),
        datasets=tuple(_ending(campaign, item) for item in ends),
        engines=_engines(campaign, spent),
        tasks=_tasks(campaign, spent, counts, observer),
        losses=tuple(Loss(kind, causes[kind], walls[kind] / HOUR) for kind in sorted(walls, key=lambda k: -walls[k])),
        badput=sum(walls.values()) / whole if whole else 0.0,
        attempts=sum(item.attempts for item in spent),
        counted=sum(item.counted for item in lost),
        lacks=tuple(campaign.lacks()),
    )


def _ending(campaign: Campaign, item: tally.Ending) -> DatasetEnd:
    name = campaign.house.context(item.dataset).plan.name
    hours = None if item.ended is None else (item.ended - campaign.begin) / HOUR
    return DatasetEnd(item.dataset, name, item.state, hours, item.reason or "")


def _engines(campaign: Campaign, spent: list[tally.Spent]) -> tuple[EngineUse, ...]:
    attempts = Counter[int]()
    for item in spent:
        attempts[item.engine] += item.attempts
    uses = []
    for number, carrier in campaign.carriers.items():
        of, whole = carrier.resource, carrier.resource.total.cpu * max(campaign.moved - carrier.since, 1e-9)
        uses.append(EngineUse(of.name, of.site, of.slots, min(1.0, carrier.busy / whole), attempts[number]))
    return tuple(uses)


def _tasks(
    campaign: Campaign,
    spent: list[tally.Spent],
    counts: dict[tuple[int, int], dict[TaskState, int]],
    observer: Observer,
) -> tuple[TaskUse, ...]:
    attempts, wall = Counter[tuple[int, int]](), defaultdict[tuple[int, int], float](float)
    queued: dict[tuple[int, int], float] = defaultdict(float)
    for item in spent:
        attempts[item.dataset, item.task] += item.attempts
        wall[item.dataset, item.task] += item.wall
        queued[item.dataset, item.task] += item.queued
    uses = []
    for key, of in counts.items():
        tasks, time = max(1, sum(of.values())), observer.spent[key]
        unfinished = sum(of[state] for state in (S.WAITING, S.READY, S.QUEUED, S.RUNNING))
        name = campaign.house.context(key[0]).plan.tasks[key[1]].name
        uses.append(
            TaskUse(
                dataset=key[0],
                task=name,
                tasks=sum(of.values()),
                done=of[S.DONE],
                failed=of[S.FAILED],
                held=of[S.HELD],
                unfinished=unfinished,
                attempts=attempts[key],
                for_parents=time[S.WAITING] / tasks,
                for_slots=time[S.READY] / tasks,
                in_engines=queued[key] / tasks,
                runs=wall[key] / tasks,
            )
        )
    return tuple(uses)


def words(found: Results) -> list[str]:
    """Say it in lines for people."""
    lines = []
    for end in found.datasets:
        when = f"done in {time_text(end.hours * HOUR)}" if end.hours is not None else f"{end.state}, not done"
        said = f": {end.reason}" if end.reason else ""
        lines.append(f"{end.name}: {when}{said}")
    for engine in found.engines:
        slots = count_text(engine.slots, "slot")
        lines.append(
            f"  {engine.name} at {engine.site}, {slots}: {engine.utilisation:.0%} busy, {count_text(engine.attempts, 'attempt')}"
        )
    lines += [f"  {task.task}: {_task_words(task)}" for task in found.tasks]
    lines.append(
        f"{count_text(found.attempts, 'attempt')}; {found.badput:.1%} of their time was lost{_loss_words(found)}"
    )
    return lines + [f"  {line}" for line in found.lacks]


def _task_words(task: TaskUse) -> str:
    states = [(task.done, "done"), (task.failed, "failed"), (task.held, "held"), (task.unfinished, "not finished")]
    waits = [(task.for_parents, "for other tasks"), (task.for_slots + task.in_engines, "for a slot")]
    said = [f"{n} {word}" for n, word in states if n]
    waited = [f"{time_text(seconds)} {word}" for seconds, word in waits if seconds >= 1 and not task.unfinished]
    if not task.attempts:
        return ", ".join(said)
    return f"{', '.join(said)}; a task runs {time_text(max(1.0, task.runs))}" + (
        f", waits {' and '.join(waited)}" if waited else ""
    )


def _loss_words(found: Results) -> str:
    return "".join(
        f"\n  {item.cause}: {count_text(item.attempts, 'attempt')}, {time_text(item.hours * HOUR)}"
        for item in found.losses
    )
