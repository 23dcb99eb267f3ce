"""The forms of answers about datasets: where they are, and what became of a change."""

from __future__ import annotations

from nunatak.api.views.answers import View


class TaskCounts(View):
    """How many tasks are in each state."""

    total: int
    waiting: int
    ready: int
    queued: int
    running: int
    done: int
    failed: int
    held: int


class JobCounts(View):
    """How many jobs are in each state."""

    total: int
    open: int
    done: int
    failed: int
    held: int


class DatasetHead(View):
    """A dataset in a list."""

    dataset: int
    address: str
    name: str
    state: str
    owner: str
    team: str
    priority: float
    revision: int
    held: bool
    closed: bool
    reason: str | None
    created: str
    ended: str | None
    url: str
    jobs: JobCounts
    tasks: TaskCounts


class DatasetStatus(DatasetHead):
    """A dataset, with counts for each task of its recipe."""

    per_task: dict[str, TaskCounts]


class DatasetPage(View):
    """Datasets, newest first."""

    items: list[DatasetHead]
    next: str | None


class Submitted(View):
    """The number of a new dataset; `warnings` are tasks that are too long for every place there is."""

    dataset: int
    url: str
    warnings: list[str]


class JobsNow(View):
    """How many jobs a dataset has now."""

    dataset: int
    jobs: int


class Divided(View):
    """What became of a split: `moved` jobs of `dataset` are `jobs` jobs of `made` now, `pieces` each (`made` 0: a preview)."""

    dataset: int
    made: int
    moved: int
    jobs: int
    pieces: int
    parameter: str
    whole: int
    low: int
    high: int
    notes: list[str]
    url: str


class Changed(View):
    """How many tasks changed (a hold of a dataset counts as one)."""

    changed: int
