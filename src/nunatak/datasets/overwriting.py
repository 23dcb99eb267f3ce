"""Before jobs are added to a dataset: would one of them keep an output where another job keeps its own?"""

from __future__ import annotations

from collections.abc import Iterator

from nunatak.core.errors import Conflict, Invalid
from nunatak.datasets.plan import Plan
from nunatak.datasets.program import TaskProgram, Where, program
from nunatak.datasets.trial import sample

MOST = 64
"""Jobs that are looked at, of those to be added."""


def check_places(plan: Plan, jobs: int, more: int) -> None:
    """Raise `Conflict` if one of `more` jobs after the first `jobs` writes over an output of another."""
    where = Where(1, jobs + more, "file:///store", "file:///files", most=MOST)
    for part in program(plan).tasks:
        if not part.task.once and any(item.url for item in part.task.outputs):
            _check(part, where, list(_looked_at(len(plan.items), jobs, more)))


def _looked_at(items: int, jobs: int, more: int) -> Iterator[int]:
    """Yield the jobs to compare: the first, some that would be new, and of each the one that has the same item."""
    yield 0
    for number in sample(more, items, MOST):
        if items:
            yield (jobs + number) % items
        yield jobs + number


def _check(part: TaskProgram, where: Where, looked_at: list[int]) -> None:
    owners: dict[str, int] = {}
    for job in looked_at:
        for item in part.task.outputs:
            try:
                url = part.output(where, job, item.name).url
            except Invalid:  # what cannot be evaluated is told when the job begins
                return
            owner = owners.setdefault(url, job)
            if owner != job:
                raise Conflict(
                    f"job {max(owner, job)} would write over what {part.task.name} of job {min(owner, job)} keeps at"
                    f" {item.url}",
                    code="same-output",
                    hint="no more jobs fit into this dataset: submit a new one, or a recipe with {job} in the place",
                )
