"""Use is kept by the day on which it was noticed, however often and by whom it is noted."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection

from nunatak.core.clock import ManualClock
from nunatak.core.errors import Invalid
from nunatak.core.work import Shape
from nunatak.datasets.plan import Plan
from nunatak.db.database import Database
from nunatak.tasks import use_by_day
from nunatak.tasks.looking.spent import Days, days_asked, usage
from nunatak.tasks.sharing.usage import Decay
from nunatak.tasks.use_by_day import DAY, tick
from tests.contract.world import World, task

FIRST = date(2026, 11, 27)
SECOND = date(2026, 11, 28)
NOON = (FIRST - date(1970, 1, 1)).days * DAY + DAY / 2


@pytest.fixture
def world(database: Database) -> World:
    return World(database, ManualClock(NOON))


def spend(world: World, hours: float, tasks: int) -> None:
    """Let some tasks of a core run for so long, all of them together."""
    items = world.claim(tasks)
    assert len(items) == tasks
    started = world.clock()
    world.start(items)
    world.clock.advance(3600.0 * hours / tasks)
    world.end(items, started=started, ended=world.clock())


def noted(world: World) -> None:
    tick(world.database, world.clock())


def told(world: World, by: str, days: Days | None) -> dict[str, tuple[int, float]]:
    with world.database.read() as tx:
        rows = usage(tx, by, Decay(), world.clock(), 100, days)
    return {row["name"]: (row["attempts"], round(row["core_hours"], 6)) for row in rows}


def one_core(jobs: int) -> Plan:
    return Plan("one", jobs, (task("only", shape=Shape(cpu=1).rounded()),))


def test_what_is_spent_on_a_day_is_that_of_this_day(world: World) -> None:
    dataset = world.submit(one_core(6))
    spend(world, 2.0, 2)
    noted(world)
    spend(world, 1.0, 1)
    noted(world)
    noted(world)  # again, or by another process: nothing is counted twice
    world.clock.advance(DAY)
    spend(world, 3.0, 3)  # with these the dataset is done
    noted(world)
    world.clock.advance(3 * DAY)
    noted(world)
    both = days_asked("day", None, None, world.clock())
    assert told(world, "day", both) == {str(SECOND): (3, 3.0), str(FIRST): (3, 3.0)}
    assert told(world, "month", both) == {"2026-11": (6, 6.0)}
    assert told(world, "dataset", Days(FIRST, FIRST)) == {str(dataset): (3, 3.0)}
    assert told(world, "site", Days(SECOND, SECOND)) == {"here": (3, 3.0)}
    assert told(world, "cause", Days(SECOND, SECOND)) == {"ok": (3, 3.0)}
    assert told(world, "user", Days(date(2026, 1, 1), date(2026, 1, 31))) == {}
    assert told(world, "dataset", None) == {str(dataset): (6, 6.0)}


def test_nothing_is_written_while_nothing_was_spent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    written = list[int]()
    write = use_by_day.NOTE

    def note(tx: Connection, **sent: Any) -> Any:
        written.append(len(sent["v"]))
        return write(tx, **sent)

    monkeypatch.setattr(use_by_day, "NOTE", note)
    world.submit(one_core(2))
    world.submit(one_core(2))
    noted(world)
    spend(world, 1.0, 4)
    noted(world)
    noted(world)
    assert written == [2]


def test_a_loop_that_stood_still_for_days_misses_nothing(world: World) -> None:
    world.submit(one_core(1))
    spend(world, 1.0, 1)
    noted(world)
    world.submit(one_core(2))
    spend(world, 2.0, 2)  # done before anybody looks again
    world.clock.advance(10 * DAY)
    noted(world)
    days = days_asked("day", None, None, world.clock())
    assert told(world, "day", days) == {"2026-12-07": (2, 2.0), str(FIRST): (1, 1.0)}


def test_which_days_are_told() -> None:
    assert days_asked("user", None, None, NOON) is None
    assert days_asked("user", FIRST, None, NOON) == Days(FIRST, FIRST)
    assert days_asked("user", None, FIRST, NOON) == Days(date(1970, 1, 1), FIRST)
    assert days_asked("day", None, None, NOON) == Days(date(2026, 10, 28), FIRST)
    with pytest.raises(Invalid, match="2026-11-28 is after 2026-11-27"):
        days_asked("month", SECOND, FIRST, NOON)
