"""Names of IceProd's interface: how datasets, jobs and tasks are called there, and what their states are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nunatak.core.address import Address
from nunatak.core.errors import Invalid, NotFound

ONCE = "once"
"""Stands for the job in the name of a task done once a dataset."""
TASK_STATUS: Mapping[str, str] = {
    "waiting": "idle", "ready": "waiting", "queued": "queued", "running": "processing", "done": "complete",
    "failed": "failed", "held": "suspended",
}  # fmt: skip
"""Our states of tasks, and theirs."""
JOB_STATUS: Mapping[str, str] = {"open": "processing", "done": "complete", "failed": "errors", "held": "suspended"}
"""Our states of jobs and datasets, and theirs."""


def ours(status: str, of: Mapping[str, str]) -> str:
    """Return our state for one of theirs. Raises `Invalid`."""
    for state, theirs in of.items():
        if theirs == status:
            return state
    raise Invalid("unknown status", code="bad-status", hint=f"one of {', '.join(of.values())}")


def wanted(text: str, of: Mapping[str, str]) -> set[str]:
    """Return our states for theirs with | between; all, if none is given."""
    return {ours(status, of) for status in text.split("|") if status} or set(of)


def job_id(dataset: int, job: int) -> str:
    """Return the name of a job."""
    return f"{dataset}-{job}"


def task_id(dataset: int, job: int | None, task: str) -> str:
    """Return the name of a task."""
    return f"{dataset}-{ONCE if job is None else job}-{task}"


def dataset_of(text: str) -> int:
    """Read the name of a dataset. Raises `NotFound`."""
    return _number(text, "Dataset not found", least=1)


def job_of(dataset: int, text: str) -> Address:
    """Read the name of a job of a dataset. Raises `NotFound`."""
    parts = text.split("-")
    if len(parts) != 2 or _number(parts[0], "Job not found") != dataset:
        raise NotFound("Job not found", code="no-job")
    return Address(dataset, _number(parts[1], "Job not found"))


def task_of(dataset: int, text: str) -> Address:
    """Read the name of a task of a dataset. Raises `NotFound`."""
    parts = text.split("-", 2)
    if len(parts) != 3 or _number(parts[0], "Task not found") != dataset:
        raise NotFound("Task not found", code="no-task")
    job = None if parts[1] == ONCE else _number(parts[1], "Task not found")
    return Address(dataset, job, parts[2])


def _number(text: str, message: str, least: int = 0) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) >= least):
        raise NotFound(message, code="not-found")
    return int(text)


def date(text: str | None) -> str | None:
    """Return a time as they write it: UTC without a sign for it."""
    return text.removesuffix("Z").removesuffix("+00:00") if text else text


def only(plain: Mapping[str, Any], keys: str, always: Collection[str] = ()) -> dict[str, Any]:
    """Return the fields that are asked for with | between; all, if none is."""
    chosen = {key for key in keys.split("|") if key}
    return {key: value for key, value in plain.items() if not chosen or key in chosen or key in always}
