"""Orders on many jobs at once: as if they had been given one by one, with no more statements for many than for few."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select

from nunatak.core.errors import Conflict, Invalid, NotFound
from nunatak.datasets.tables import events, jobs
from nunatak.db.statement import Addition, Statement
from nunatak.tasks.tables import tasks
from tests.contract.world import World, campaign, chain, diamond


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note each statement that is run within."""
    seen: list[str] = []
    with monkeypatch.context() as patch:
        for kind in (Statement, Addition):
            before = kind.__call__

            def noted(self: Any, tx: Any, *args: Any, _before: Any = before, **values: Any) -> Any:
                seen.append(self.sqlite)
                return _before(self, tx, *args, **values)

            patch.setattr(kind, "__call__", noted)
        yield seen


def test_many_jobs_take_as_many_statements_as_few(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: dict[int, list[int]] = {}
    for n in (3, 150):
        dataset = world.submit(campaign(2 * n))
        world.end(world.claim())  # the gates are open
        world.start(world.claim(n))
        chosen = [f"{dataset}/{job}" for job in range(n // 2, n + n // 2)]  # some run, nobody has touched others
        counts[n] = []
        for verb in ("hold", "release", "cancel", "retry", "cancel"):
            with counting(monkeypatch) as seen:
                assert world.act_on(verb, chosen) >= n
            counts[n].append(len(seen))
        with counting(monkeypatch) as seen:
            assert world.act_on("retry", [f"{dataset}/{job}/filter" for job in range(n // 2, n + n // 2)]) == n
        counts[n].append(len(seen))
        world.run_to_end()
    assert counts[3] == counts[150]
    assert max(counts[150]) < 25


@pytest.mark.parametrize("plan", [chain, diamond, campaign])
def test_orders_on_many_do_what_orders_on_each_do(world: World, plan: Any) -> None:
    first, second = world.submit(plan(12)), world.submit(plan(12))
    for _ in range(2):
        items = world.claim()
        world.end([item for item in items if item.job < 0 or item.job % 4])
        world.start([item for item in items if item.job % 4 == 0])
    last = "filter" if plan is campaign else "side" if plan is diamond else "t4"
    for verb, parts in (
        ("hold", [f"{job}" for job in (0, 1, 5, 9, 11)]),
        ("cancel", ["1", "2", "3", "8", f"3/{last}"]),
        ("release", ["0", "1", "5"]),
        ("hold", [f"7/{last}", f"2/{last}", "7"]),
        ("retry", ["2", "3", "10", f"8/{last}"]),
    ):
        together = world.act_on(verb, [f"{first}/{part}" for part in parts], lenient=True)
        singly = sum(world.act_on(verb, [f"{second}/{part}"], lenient=True) for part in sorted(parts))
        assert together == singly, verb
        assert _seen(world, first) == _seen(world, second), verb
        assert world.faults() == []


def _seen(world: World, dataset: int) -> tuple[Any, ...]:
    """Return all that orders change of a dataset."""
    with world.database.read() as tx:
        rows = tx.execute(
            select(tasks.c.job, tasks.c.task, tasks.c.state, tasks.c.pending, tasks.c.tries, tasks.c.reason)
            .where(tasks.c.dataset == dataset)
            .order_by(tasks.c.job, tasks.c.task)
        ).all()
        marks = tx.execute(
            select(jobs.c.job, jobs.c.sinks, jobs.c.failed, jobs.c.held, jobs.c.cancelled)
            .where(jobs.c.dataset == dataset)
            .order_by(jobs.c.job)
        ).all()
    status = world.status(str(dataset))
    return rows, [row for row in marks if any(row[1:])], status["jobs"], status["tasks"], status["state"]


def test_the_history_has_each_address(world: World) -> None:
    world.submit(chain(4))
    assert world.act_on("hold", ["1/3", "1/1/t2"], "bad tables") == 6
    with world.database.read() as tx:
        found = tx.execute(select(events).where(events.c.verb == "hold").order_by(events.c.event)).all()
    assert [(row.job, row.task, row.actor) for row in found] == [(1, "t2", "alice"), (3, None, "alice")]
    assert [row.detail for row in found] == [f'{{"reason": "bad tables", "tasks": {n}}}' for n in (1, 5)]


def test_one_address_that_is_wrong_leaves_all_as_it_was(world: World) -> None:
    world.submit(campaign(4))
    for addresses, error in (
        (["1/0", "1/4"], NotFound),
        (["1/0", "1/1/no"], NotFound),
        (["1/0", "1/1/tables"], Invalid),
        (["1/0", "1/filter"], Invalid),
        (["1/0", "2/0"], NotFound),
    ):
        with pytest.raises(error):
            world.act_on("hold", addresses)
    with pytest.raises(Conflict, match="1/1/filter cannot be released"):
        world.act_on("release", ["1/0", "1/1/filter"])
    assert world.status("1")["tasks"]["held"] == 0
    assert world.act_on("release", ["1/1/filter"], lenient=True) == 0
