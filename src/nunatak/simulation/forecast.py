"""Simulates a recipe before it is submitted: what it would take on the engines that a file describes."""

from __future__ import annotations

from nunatak.core.work import Shape
from nunatak.datasets.expand import shape_of
from nunatak.datasets.plan import Plan
from nunatak.engines.fates import Habit
from nunatak.simulation.campaign import Campaign, Habits
from nunatak.simulation.engines_file import EnginesFile
from nunatak.simulation.results import Observer, Results, results


def simulate(plan: Plan, engines: EnginesFile, seed: int = 0) -> Results:
    """Return what would come of a plan that is alone on these engines."""
    with Campaign(habits_of(plan, engines), seed=seed) as campaign:
        observer = Observer(campaign)
        for entry in engines.engines:
            campaign.add(entry.resource())
        campaign.submit(plan)
        campaign.run()
        return results(campaign, observer)


def habits_of(plan: Plan, engines: EnginesFile) -> Habits:
    """Return what the tasks of a plan take; where their needs depend on the job, what they take does, too."""
    fixed: dict[str, Habit] = {}
    for task in plan.tasks:
        if task.shape is not None:
            fixed[task.name] = engines.habit(task.name, task.shape)

    def habit(_: int, job: int, task: str) -> Habit:
        return fixed.get(task) or engines.habit(task, _asked(plan, job, task))

    return habit


def _asked(plan: Plan, job: int, task: str) -> Shape:
    return shape_of(plan, plan.index[task], job)
