"""What attempts of a task wrote, as IceProd's interface shows it: a log for each attempt and stream."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from nunatak.api.guard import GuardedRoute
from nunatak.api.iceprod.datasets import Word
from nunatak.api.iceprod.words import dataset_of, date, only, task_of
from nunatak.api.requests import Have, answer
from nunatak.api.services import Services
from nunatak.core.address import Address
from nunatak.core.errors import NotFound
from nunatak.tasks.looking import look

router = APIRouter(prefix="/datasets/{dataset_id}", route_class=GuardedRoute)

MOST = 1_000_000
"""Bytes of a log that are given: its end."""
STREAMS = ("stdout", "stderr")


@router.get("/tasks/{task_id}/logs", name="iceprod_task_logs")
def task_logs(
    dataset_id: str,
    task_id: str,
    services: Have,
    keys: Word = "",
    num: Annotated[int, Query(ge=1, le=100, description="how many of each stream, the latest first")] = 100,
    group: Annotated[str, Query(max_length=10, description="true: only the latest of each stream")] = "",
    order: Annotated[str, Query(pattern="^(asc|desc)$")] = "desc",
) -> Response:
    """Return logs by name, with their texts unless other keys are asked for."""
    address = task_of(dataset_of(dataset_id), task_id)
    with services.database.read() as tx:
        attempts = look.status(tx, services.contexts, address, services.clock())["attempts"]
    latest = sorted(attempts, key=lambda item: -item["number"])[: 1 if group.lower() in ("true", "1", "yes") else num]
    chosen = latest if order == "desc" else latest[::-1]
    with_text = not keys or "data" in keys.split("|")
    found = [_log(services, address, task_id, item, stream, with_text) for item in chosen for stream in STREAMS]
    return answer({log["log_id"]: only(log, keys, ("log_id",)) for log in found})


@router.get("/logs/{log_id}", name="iceprod_get_log")
def get_log(dataset_id: str, log_id: str, services: Have) -> Response:
    """Return one log."""
    head, _, stream = log_id.rpartition("-")
    task_id, _, number = head.rpartition("-")
    address = task_of(dataset_of(dataset_id), task_id)
    with services.database.read() as tx:
        attempts = look.status(tx, services.contexts, address, services.clock())["attempts"]
    item = next((item for item in attempts if str(item["number"]) == number), None)
    if item is None or stream not in STREAMS:
        raise NotFound("Log not found", code="no-log")
    return answer(_log(services, address, task_id, item, stream, True))


def _log(
    services: Services, address: Address, task_id: str, item: dict[str, Any], stream: str, text: bool
) -> dict[str, Any]:
    data = services.logs.tail(address.of(item["number"]), stream, MOST).data if text else b""
    return {
        "log_id": f"{task_id}-{item['number']}-{stream}",
        "name": stream,
        "task_id": task_id,
        "dataset_id": str(address.dataset),
        "timestamp": date(item["ended"] or item["claimed"]),
        "data": data.decode("utf-8", "replace"),
    }
