"""A plan and an address to the exact task: argument lists, inputs, outputs, shape. Pure, and compiled once per plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nunatak.core.address import ONCE
from nunatak.core.errors import Invalid
from nunatak.core.work import Shape, TaskSpec
from nunatak.datasets.plan import Plan
from nunatak.datasets.program import AS_PLANNED, Order, Recorded, Where, program


def expand(
    plan: Plan,
    *,
    dataset: int,
    job: int,
    task: int,
    attempt: int,
    lease: str,
    store: str,
    blobs: str,
    recorded: Sequence[Recorded] | None = (),
    jobs: int | None = None,
    order: Order = AS_PLANNED,
    most: int | None = None,
) -> TaskSpec:
    """Return all a worker needs to run one attempt.

    `job` is `ONCE` for a task done once a dataset; `store` and `blobs` are URL prefixes; `jobs` is how many jobs the
    dataset has by now (the plan's, if not given). Inputs from other tasks take place, size, checksum from `recorded`;
    one that is not there gets the place its task will put it, and an optional one is left out. With `recorded=None`
    (nothing ran yet) nothing is left out; `order` is what is known only when it is given away. With `most`, outputs of
    no more jobs than that are gathered: enough to be looked at.
    Raises `Invalid` where an expression fails for this job.
    """
    where = Where(dataset, plan.jobs if jobs is None else jobs, store, blobs, most)
    known = None if recorded is None else {(item.task, item.job, item.name): item for item in recorded}
    return program(plan).tasks[task].spec(where, job, attempt, lease, known, order)


def shape_of(plan: Plan, task: int, job: int, jobs: int | None = None) -> Shape:
    """Return what a task asks for in a job, rounded. Raises `Invalid` where an expression fails for this job."""
    fixed = plan.tasks[task].shape
    if fixed is not None:
        return fixed
    return program(plan).tasks[task].shape(Where(0, plan.jobs if jobs is None else jobs, ""), job)


SHOWN = 1000
"""Of so many jobs gathered outputs are shown: a recipe of five lines may gather those of a thousand million."""


def left_out(plan: Plan, task: int, jobs: int) -> int:
    """Return of how many jobs outputs are not shown where at most `SHOWN` are."""
    return program(plan).tasks[task].left_out(Where(0, jobs, "", most=SHOWN))


def dry_run(
    plan: Plan, job: int, *, dataset: int = 1, store: str = "file:///store", blobs: str = "file:///files"
) -> list[dict[str, Any]]:
    """Return every task of a job, and those done once a dataset, as they would run: plain and JSON-able.

    Where outputs of more than `SHOWN` jobs are gathered, `left_out` says of how many jobs they are not there.
    Raises `Invalid` if there is no such job.
    """
    if not 0 <= job < plan.jobs:
        raise Invalid(f"there is no job {job}", code="no-job", hint=f"jobs are numbered from 0 to {plan.jobs - 1}")
    specs = [
        expand(
            plan, dataset=dataset, job=ONCE if task.once else job, task=number, attempt=1,
            lease="", store=store, blobs=blobs, recorded=None, most=SHOWN,
        )
        for number, task in enumerate(plan.tasks)
    ]  # fmt: skip
    return [
        {"task": task.name, "once": task.once, **spec.to_plain(), "left_out": left_out(plan, number, plan.jobs)}
        for number, (task, spec) in enumerate(zip(plan.tasks, specs, strict=True))
    ]
