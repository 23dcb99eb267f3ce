"""What is remembered of checkpoints, and when it goes: the latest of each task, until the task is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nunatak.core.work import Reason
from nunatak.datasets.plan import Plan, Retry
from nunatak.tasks import cleanup
from nunatak.tasks.rows import Claimed
from nunatak.tasks.tables import checkpoints, spent
from tests.contract.world import World, task


def plan(jobs: int = 1) -> Plan:
    return Plan("one", jobs, (task("a", checkpoint="state.txt", retry=Retry(tries=3, delay=0.0)), task("b")))


def url(item: Claimed) -> str:
    return f"file:///s/{item.dataset}/.checkpoints/a/{item.job}/{item.attempt}/state.txt"


def kept(item: Claimed, saved: Any = 30.0) -> dict[str, Any]:
    return {"checkpoint": {"url": url(item), "size": 7, "sha256": "ab" * 32, "saved": saved}}


def stop(world: World, items: Sequence[Claimed], **more: Any) -> None:
    for item in items:
        world.end([item], Reason.TERMINATED, "told to stop by SIGTERM", detail={**kept(item), **more})


def firsts(items: Sequence[Claimed]) -> list[Claimed]:
    return [item for item in items if item.task == 0]


def expired(world: World) -> list[str]:
    with world.database.read() as tx:
        return [found for found, _ in cleanup.expired(tx, 100)]


def test_the_next_attempt_gets_what_was_kept_and_it_goes_when_the_task_is_done(world: World) -> None:
    world.submit(plan(3))
    first = firsts(world.claim())
    assert {item.checkpoint for item in first} == {None}
    stop(world, first[:2])
    again = firsts(world.claim())
    assert [(item.job, item.attempt) for item in again] == [(0, 2), (1, 2)]
    assert [item.checkpoint and item.checkpoint.url for item in again] == [url(item) for item in first[:2]]
    assert (again[0].checkpoint.size, again[0].checkpoint.sha256) == (7, "ab" * 32)
    world.end([again[0]])
    assert [row.job for row in world.rows(checkpoints)] == [1]
    assert expired(world) == [url(first[0])]
    assert world.faults() == []


def test_a_later_checkpoint_takes_the_place_of_an_earlier_one(world: World) -> None:
    world.submit(plan())
    (first,) = firsts(world.claim())
    stop(world, [first])
    (second,) = world.claim()
    stop(world, [second])
    (row,) = world.rows(checkpoints)
    assert (row.attempt, row.url) == (2, url(second))
    assert expired(world) == [url(first)]
    stop(world, [second])  # said again
    assert len(world.rows(checkpoints)) == 1
    assert expired(world) == [url(first)]


def test_an_attempt_that_kept_nothing_leaves_the_checkpoint_before(world: World) -> None:
    world.submit(plan())
    (first,) = firsts(world.claim())
    stop(world, [first])
    world.end(world.claim(), Reason.LOST, "the worker was killed by SIGKILL", detail={"resumed": url(first)})
    (third,) = world.claim()
    assert third.checkpoint
    assert third.checkpoint.url == url(first)


def test_what_was_held_reports_late_and_its_checkpoint_is_kept(world: World) -> None:
    world.submit(plan())
    (first,) = firsts(world.claim())
    world.start([first])
    world.act("hold", "1")
    stop(world, [first])
    world.act("release", "1")
    (second,) = firsts(world.claim())
    assert second.checkpoint
    assert second.checkpoint.url == url(first)


def test_a_report_too_late_to_be_of_use_only_says_what_to_delete(world: World) -> None:
    world.submit(plan())
    (first,) = firsts(world.claim())
    world.start([first])
    world.act("hold", "1")
    world.act("release", "1")
    world.end(firsts(world.claim()))
    stop(world, [first])
    assert world.rows(checkpoints) == []
    assert expired(world) == [url(first)]


def test_a_program_that_fails_from_a_checkpoint_begins_anew(world: World) -> None:
    world.submit(plan())
    (first,) = firsts(world.claim())
    stop(world, [first])
    world.end(world.claim(), Reason.EXIT, "exit code 1: ValueError: bad state", exit=1, detail={"resumed": url(first)})
    (third,) = world.claim()
    assert third.checkpoint is None
    assert expired(world) == [url(first)]


def test_a_strange_record_is_no_checkpoint(world: World) -> None:
    world.submit(plan())
    (first,) = firsts(world.claim())
    for strange in ({"url": 3}, {"url": "file:///s/1/x", "size": "7", "sha256": "ab" * 32}, [1], "x", None):
        world.end([first], Reason.TERMINATED, "told to stop by SIGTERM", detail={"checkpoint": strange})
    assert world.rows(checkpoints) == []


def test_time_that_is_over_again_and_again_is_no_failure_while_checkpoints_get_on(world: World) -> None:
    world.submit(plan())
    (item,) = firsts(world.claim())
    for _ in range(8):
        world.end([item], Reason.TIME, "ran longer than the 3600 s asked for", detail=kept(item, 3000.0))
        (item,) = world.claim()
    plain = world.status("1/0/a")
    assert (plain["tries"], item.attempt) == (0, 9)
    world.end([item], Reason.TIME, "ran longer than the 3600 s asked for", detail=kept(item, 0.0))
    assert world.status("1/0/a")["tries"] == 1, "without progress it counts, and more time is asked for"


def test_the_time_that_a_checkpoint_saved_is_not_lost(world: World) -> None:
    world.submit(plan())
    (first,) = firsts(world.claim())
    world.start([first])
    for _ in range(2):
        world.end([first], Reason.TERMINATED, "told to stop by SIGTERM", detail=kept(first, 1.5))  # of 2 s
    sums = {row.cause: (row.attempts, row.wall, row.cpu) for row in world.rows(spent)}
    assert sums["free"] == (1, 0.5, 0.375)
    assert sums["ok"] == (0, 1.5, 1.125)
    assert world.faults() == []
