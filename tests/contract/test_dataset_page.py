"""What the page of a dataset reads: the task matrix, lists of tasks, the curve of progress; and retries of one group."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from nunatak.core.address import Address
from nunatak.core.clock import ManualClock
from nunatak.core.errors import Invalid
from nunatak.core.states import TaskState
from nunatak.core.work import Reason
from nunatak.datasets.plan import Plan, Retry
from nunatak.db.database import Database
from nunatak.loops.maintenance import CurveKeeper
from nunatak.tasks import control, curve
from nunatak.tasks.looking import matrix, matrix_busy, task_list
from nunatak.tasks.looking.errors import errors
from nunatak.tasks.looking.task_list import Which
from nunatak.tasks.orders import order
from tests.contract.world import World, campaign, chain, diamond, task


def shown(world: World, number: int, **wanted: Any) -> dict[str, Any]:
    with world.database.read() as tx:
        return matrix.matrix(tx, world.contexts.one(tx, number), **wanted)


def sums(found: dict[str, Any]) -> dict[str, Counter[str]]:
    """Return the counts by state of each task over all columns."""
    return {
        name: sum((Counter(column["cells"][row]) for column in found["columns"]), Counter())
        for row, name in enumerate(found["tasks"])
    }


def kept(world: World, number: int) -> dict[str, Counter[str]]:
    per_task = world.status(str(number))["per_task"]
    return {name: Counter({s: n for s, n in of.items() if s != "total" and n}) for name, of in per_task.items()}


@pytest.mark.parametrize("plan", [chain(30), diamond(30)], ids=["chain", "diamond"])
def test_a_short_matrix_has_every_task_in_its_state(world: World, plan: Any) -> None:
    number = world.submit(plan)
    for fail in (0, 3, 1, 2):
        items = world.claim(12)
        for place, item in enumerate(items[:-2]):
            world.end([item], Reason.EXIT if place < fail else Reason.OK, "no", exit=1 if place < fail else None)
    found = shown(world, number)
    assert found["whole"]
    assert found["step"] == 1
    assert sums(found) == kept(world, number)
    for column in found["columns"]:
        for name, cell in zip(found["tasks"], column["cells"], strict=True):
            (state,) = cell
            assert world.status(f"{number}/{column['first']}/{name}")["state"] == state


def test_tasks_done_once_stand_beside_the_matrix(world: World) -> None:
    number = world.submit(campaign(3))
    world.end(world.claim(1))
    found = shown(world, number)
    assert found["tasks"] == ["generate", "filter"]
    assert {item["task"]: item["state"] for item in found["once"]} == {
        name: world.status(f"{number}/{name}")["state"] for name in ("tables", "reference", "analyze")
    }
    assert sums(found) == {name: of for name, of in kept(world, number).items() if name in found["tasks"]}


def test_a_long_matrix_counts_what_needs_somebody_and_tells_the_rest_from_some(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = world.submit(chain(900, 2))
    for _ in range(6):
        items = world.claim(100)
        world.end(items[:90])
        world.end(items[90:93], Reason.EXIT, "no", exit=1)
    true = kept(world, number)
    monkeypatch.setattr(matrix, "WHOLE", 100)
    monkeypatch.setattr(matrix, "LOOKED_AT", 600)
    found = shown(world, number)
    assert (found["whole"], found["exact"], found["step"]) == (False, True, 10)
    for name, of in sums(found).items():
        assert of.total() == 900
        for state in matrix.EXACT:
            assert of[state] == true[name][state]
        for state in (TaskState.DONE, TaskState.READY, TaskState.WAITING):
            assert abs(of[state] - true[name][state]) < 120
    monkeypatch.setattr(matrix_busy, "FEW", 0)
    again = shown(world, number)
    assert again["exact"]
    assert [column["cells"] for column in again["columns"]] == [column["cells"] for column in found["columns"]]
    monkeypatch.setattr(matrix_busy, "READ", 20)
    rough = shown(world, number)
    assert not rough["exact"]
    assert all(of.total() == 900 for of in sums(rough).values())
    monkeypatch.setattr(matrix_busy, "PROBES", 5)
    rougher = shown(world, number)
    assert not rougher["exact"]
    assert all(of.total() == 900 for of in sums(rougher).values())
    part = shown(world, number, first=200, last=230)
    assert [column["first"] for column in part["columns"]] == list(range(200, 230))


def test_a_matrix_of_no_range_is_refused(world: World) -> None:
    number = world.submit(chain(3))
    with pytest.raises(Invalid):
        shown(world, number, first=2, last=2)
    assert shown(world, number, first=7)["columns"][0]["first"] == 2, "beyond the end is the end"


def test_tasks_are_listed_by_states_names_and_jobs_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    number = world.submit(chain(40, 2))
    items = world.claim(30)
    world.end(items[:20])
    world.end(items[20:24], Reason.EXIT, "no", exit=1)
    monkeypatch.setattr(task_list, "LIMIT", 7)
    monkeypatch.setattr(task_list, "CHUNK", 5)

    def listed(which: Which) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        after = None
        while True:
            with world.database.read() as tx:
                page = task_list.tasks(tx, world.contexts.one(tx, number), which, after)
            assert len(page["items"]) <= 7
            found += [(item["address"], item["state"]) for item in page["items"]]
            if page["next"] is None:
                return found
            job, task = page["next"].split(".")
            after = int(job), int(task)

    every = listed(Which())
    assert len({address for address, _ in every}) == len(every) > 40
    for states in (("ready", "queued"), ("done",), ("running", "waiting"), ("failed",)):
        assert listed(Which(states)) == [item for item in every if item[1] in states]
    some = listed(Which(("done",), "t0", 5, 12))
    assert some == [
        item for item in every if item[1] == "done" and item[0] in {f"{number}/{j}/t0" for j in range(5, 12)}
    ]
    with pytest.raises(Invalid):
        listed(Which(("asleep",)))


def test_the_curve_has_points_ever_further_apart_and_ends_now(database: Database, clock: ManualClock) -> None:
    world = World(database, clock)
    number = world.submit(chain(10, 1))
    done = world.submit(chain(1, 1))
    begun = clock()
    keeper = CurveKeeper(database, clock)
    for _ in range(400):
        clock.advance(10)
        keeper.tick()
    world.end(world.claim(4))
    with database.read() as tx:
        plain = world.status(str(number))
        points = curve.curve(tx, plain, clock())
        noted = [row.at for row in curve.store.POINTS(tx, dataset=number)]
        assert len(curve.store.POINTS(tx, dataset=done)) == len(noted)
    gaps = [b - a for a, b in pairwise(noted)]
    assert min(gaps) >= curve.FINEST
    assert gaps[-1] > gaps[0]
    assert len(noted) < 220
    assert points[0]["waiting"] == 10
    assert noted[0] - begun <= 2 * curve.FINEST
    assert (points[-1]["done"], points[-1]["ready"] + points[-1]["queued"]) == (
        plain["tasks"]["done"],
        10 - plain["tasks"]["done"],
    )
    assert [point["at"] for point in points] == sorted(point["at"] for point in points)
    assert len(points) <= curve.DRAWN + 2


def test_what_ended_gets_no_more_points(database: Database, clock: ManualClock) -> None:
    world = World(database, clock)
    number = world.submit(chain(1, 1))
    world.end(world.claim(1))
    clock.advance(1000)
    assert CurveKeeper(database, clock).tick() is False
    with database.read() as tx:
        points = curve.curve(tx, world.status(str(number)), clock())
    assert points[-1]["done"] == 1
    assert points[-1]["at"] == world.status(str(number))["ended"]


def test_one_group_of_failures_is_tried_again_and_all_else_stays(world: World) -> None:
    number = world.submit(Plan("one", 8, (task("a", retry=Retry(tries=1)),)))
    for place, item in enumerate(world.claim(8)):
        world.end([item], Reason.EXIT, "KeyError: 'ice'" if place % 2 else "division by zero", exit=1)
    with world.database.read() as tx:
        context = world.contexts.one(tx, number)
        groups = errors(tx, context, Address(number))
    assert len(groups) == 2
    failed = world.status(str(number))["tasks"]["failed"]
    assert failed == 8
    world.act("hold", str(number))
    again = order("retry", [Address(number)], "alice", "fixed the table", groups[0]["signature"])
    changed = world.database.run(lambda tx: control.act(tx, world.contexts, again, world.clock()))
    assert changed == 4
    plain = world.status(str(number))
    assert (plain["tasks"]["failed"], plain["tasks"]["ready"], plain["held"]) == (4, 4, True)
    assert world.database.run(lambda tx: control.act(tx, world.contexts, again, world.clock())) == 0
    wrong = order("cancel", [Address(number)], "alice", "", groups[0]["signature"])
    with pytest.raises(Invalid):
        world.database.run(lambda tx: control.act(tx, world.contexts, wrong, world.clock()))
