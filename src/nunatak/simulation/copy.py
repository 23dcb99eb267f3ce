"""A copy of a live installation, made from a snapshot: what is left of a dataset, of others, and the engines; smaller if large.

Jobs that are under way stand where the counts say: the first jobs have their first tasks behind them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from nunatak.core.units import count_text
from nunatak.core.work import Shape
from nunatak.datasets.expand import shape_of
from nunatak.datasets.plan import Plan, TaskPlan
from nunatak.engines.fates import Habit, Law, LogNormal, Place, Steps
from nunatak.simulation.campaign import Campaign
from nunatak.simulation.resources import Resource
from nunatak.tasks.learning.evidence import Evidence
from nunatak.tasks.lessons import Kept

MOST = 100_000
"""Tasks simulated in one run; of more, a smaller copy is."""
FEWEST_SLOTS = 20
"""Slots are not made fewer than that; time is stretched instead."""
SHARE, SPREAD = 1 / 3, 0.5
"""What a task takes of which none has finished: this share of the time it asks for, spread so much."""
MEMORY_SHARE = 0.5
GONE = Habit(LogNormal(0.0), LogNormal(0.0), over=True)


class Rule(NamedTuple):
    """What operators say of a group, user, dataset or site; see `tasks.tables.shares`."""

    kind: str
    name: str
    weight: float | None = None
    running: int | None = None
    queued: int | None = None


@dataclass(frozen=True, slots=True)
class _Work:
    """A dataset of the copy: its plan, for each task how many jobs have it before them, and what it takes."""

    plan: Plan
    left: Mapping[str, int]
    first: bool  # those with it behind them are the first jobs, not the last
    habits: Mapping[str, Habit]

    def habit(self, job: int, task: str) -> Habit:
        left = self.left[task]
        over = not left if job < 0 else job < self.plan.jobs - left if self.first else job >= left
        return GONE if over else self.habits[task]


class Copy:
    """Reads a snapshot. `scale` is the size of the copy, `stretch` by how much its time is shorter."""

    def __init__(self, snapshot: Mapping[str, Any], plan: Plan, most: int = MOST) -> None:
        """Take a snapshot (`tasks.looking.snapshot`) and the plan of the dataset; of over `most` tasks, a smaller copy is made."""
        self.snapshot, self._whole = snapshot, plan
        left = sum(min(task["left"], snapshot["jobs"]) for task in snapshot["tasks"] if not task["once"])
        self._left = left + sum(other["left"] for other in snapshot["others"])
        self.scale = min(1.0, most / max(1, self._left))
        slots = sum(Shape.from_plain(engine["total"]).cpu for engine in snapshot["engines"])
        self._slots = max(self.scale, min(1.0, FEWEST_SLOTS / max(1, slots)))
        self.stretch = self._slots / self.scale
        self._mine = self._own()
        self._others = self._rest()
        self._works: dict[int, _Work] = {}

    def notes(self) -> tuple[str, ...]:
        """Say what was left out or made smaller."""
        said = []
        if self.scale < 1:
            said.append(
                f"{count_text(self._left, 'task is', 'tasks are')} left: a copy of {self.scale:.3g} the size was simulated"
            )
        if self.snapshot["others_left_out"]:
            said.append(f"{count_text(self.snapshot['others_left_out'], 'task')} of smaller datasets left out")
        unknown = [item["task"] for item in self.snapshot["tasks"] if item["left"] and not _finished(item)]
        if unknown:
            take = "takes" if len(unknown) == 1 else "take"
            said.append(
                f"how long {', '.join(unknown)} {take} is a guess from the time asked for, as none has finished yet"
            )
        others = sorted({follow.dataset for _, follow in self._whole.follows.values()})
        if others:
            said.append(f"what it waits for in dataset {', '.join(map(str, others))} was taken to be done")
        if not self.snapshot["engines"]:
            said.append("no engine is running")
        return tuple(said)

    def habit(self, dataset: int, job: int, task: str) -> Habit:
        """Return what a task of the copy takes."""
        return self._works[dataset].habit(job, task)

    def engines(self) -> list[Resource]:
        """Return the engines that are alive."""
        made = []
        for engine in self.snapshot["engines"]:
            total = Shape.from_plain(engine["total"])
            place = Place((engine["name"],), 0, self.snapshot["half_lives"].get(engine["site"], 0.0))
            made.append(self.smaller(Resource(engine["name"], engine["site"], 1, total, place)))
        return made

    def smaller(self, resource: Resource) -> Resource:
        """Return an engine in the size of the copy, still large enough for each task that fits it now."""
        if self._slots >= 1:
            return resource
        total, least = resource.total, self._largest(resource.slot)
        sizes = {
            name: max(getattr(least, name), math.ceil(getattr(total, name) * self._slots))
            for name in ("cpu", "gpu", "memory", "disk")
        }
        return replace(resource, pool=replace(total, **sizes))

    def begin(self, campaign: Campaign, priority: float | None, rules: Sequence[Rule]) -> int:
        """Submit everything, with what is known of it; return the number of the dataset in the campaign."""
        known = [Rule(**rule) for rule in self.snapshot["shares"]]
        campaign.house.share([*known, *rules])
        head = self.snapshot
        mine = self._submit(campaign, self._mine, head, head["priority"] if priority is None else priority)
        tasks = enumerate(head["tasks"])
        campaign.house.learn(mine, [Kept(n, of["evidence"], of["needs"]) for n, of in tasks if of["evidence"]])
        for work, of in self._others:
            self._submit(campaign, work, of, of["priority"])
        return mine

    def _submit(self, campaign: Campaign, work: _Work, of: Mapping[str, Any], priority: float) -> int:
        dataset = campaign.submit(work.plan, owner=of["owner"], team=of["team"], priority=priority)
        self._works[dataset] = work
        return dataset

    def _own(self) -> _Work:
        """Return what is left of the dataset itself."""
        jobs = self._sized(self.snapshot["jobs"])
        left = {
            item["task"]: item["left"] if item["once"] else min(jobs, self._sized(item["left"]))
            for item in self.snapshot["tasks"]
        }
        plan = replace(self._whole, jobs=max(1, jobs))
        habits = {item["task"]: _habit(item["evidence"], self._asked(item["task"])) for item in self.snapshot["tasks"]}
        return _Work(plan, left, True, habits)

    def _rest(self) -> list[tuple[_Work, Mapping[str, Any]]]:
        """Return what is left of other datasets: their tasks side by side, whatever waits for what in them."""
        of: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for item in self.snapshot["others"]:
            of[item["dataset"]].append(item)
        works = []
        for dataset, items in sorted(of.items()):
            tasks, left, habits = [], {}, {}
            for number, item in enumerate(items):
                name, shape = f"task{number}", Shape.from_plain(item["shape"])
                tasks.append(TaskPlan(name=name, once=False, after=(), commands=(), shape=shape))
                left[name] = self._sized(item["left"])
                long: Law = LogNormal(item["seconds"] or SHARE * shape.time, SPREAD)
                habits[name] = Habit(long, LogNormal(MEMORY_SHARE * shape.memory))
            plan = Plan(f"dataset {dataset}", max(1, *left.values()), tuple(tasks))
            works.append((_Work(plan, left, False, habits), items[0]))
        return works

    def _sized(self, n: int) -> int:
        return math.ceil(n * self.scale) if n else 0

    def _asked(self, task: str) -> Shape:
        """Return what a task asks for; where that depends on the job, job 0 stands for all."""
        return shape_of(self._whole, self._whole.index[task], 0)

    def _largest(self, slot: Shape) -> Shape:
        """Return the largest amounts that tasks which fit a slot ask for."""
        asked = [self._asked(task.name) for task in self._whole.tasks]
        asked += [Shape.from_plain(item["shape"]) for item in self.snapshot["others"]]
        fitting = [shape for shape in asked if shape.fits(slot)] or [Shape()]
        return Shape(*(max(getattr(shape, name) for shape in fitting) for name in ("cpu", "gpu", "memory", "disk")))


def _finished(item: Mapping[str, Any]) -> int:
    return Evidence.from_text(item["evidence"]).finished


def _habit(text: str | None, asked: Shape) -> Habit:
    """Return what a task takes: what attempts were seen to take, or a guess from what it asks for."""
    seen = Evidence.from_text(text)
    time, memory = seen.time.used, seen.memory.used
    return Habit(
        Steps(time.atoms()) if time.count else LogNormal(SHARE * asked.time, SPREAD),
        Steps(memory.atoms()) if memory.count else LogNormal(MEMORY_SHARE * asked.memory),
    )
