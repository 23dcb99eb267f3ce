"""Addresses: `42`, `42/17`, `42/17/propagate`, `42/17/propagate#2`, `42/analyze`. One spelling everywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from nunatak.core.errors import Invalid
from nunatak.core.values import quickly_made

ONCE = -1
"""The job index of a task that is done once a dataset."""

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}\Z")
"""What a task may be called: starts with a letter, so that it is never taken for a job index."""

_FORM = re.compile(
    r"(?P<dataset>[1-9]\d{0,8})(?:/(?P<job>\d{1,9}))?(?:/(?P<task>[A-Za-z][A-Za-z0-9_.-]{0,62})(?:#(?P<attempt>[1-9]\d{0,8}))?)?\Z"
)


@quickly_made
@dataclass(frozen=True, slots=True, order=True)
class Address:
    """A dataset, a job, a task or an attempt; `job` is None above jobs and for tasks done once a dataset."""

    dataset: int
    job: int | None = None
    task: str | None = None
    attempt: int | None = None

    def __str__(self) -> str:
        """Return the one spelling."""
        job = "" if self.job is None or self.job == ONCE else f"/{self.job}"
        if self.task is None:
            return f"{self.dataset}{job}"
        attempt = "" if self.attempt is None else f"#{self.attempt}"
        return f"{self.dataset}{job}/{self.task}{attempt}"

    @property
    def level(self) -> str:
        """Return `dataset`, `job`, `task` or `attempt`."""
        if self.attempt is not None:
            return "attempt"
        if self.task is not None:
            return "task"
        return "dataset" if self.job is None else "job"

    def of(self, attempt: int) -> Address:
        """Return the address of one attempt of this task."""
        return replace(self, attempt=attempt)


def parse(text: str) -> Address:
    """Read an address. Raises `Invalid`, saying what was expected."""
    found = _FORM.match(text.strip())
    if not found:
        raise Invalid(
            f"{text!r} is not an address",
            code="bad-address",
            hint="write 42 (dataset), 42/17 (job), 42/17/propagate (task), 42/17/propagate#2 (attempt) or 42/analyze",
        )
    dataset, job, task, attempt = found.groups()
    return Address(int(dataset), None if job is None else int(job), task, None if attempt is None else int(attempt))
