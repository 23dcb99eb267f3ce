"""How fast nodes are: measured by workers, kept for each node, shown as a median that no single report can move far."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nunatak.core.work import Outcome, Reason
from nunatak.db.kept import Kept
from nunatak.tasks import nodes_store, report, speeds
from nunatak.tasks.health.news import Measured, News, read
from nunatak.tasks.looking import nodes_look
from nunatak.tasks.scoreboard import FORGOTTEN, Scoreboard
from nunatak.tasks.verdicts.kinds import Kind
from tests.contract.test_nodes import many
from tests.contract.world import World, key


def ends(world: World, board: Scoreboard, *told: tuple[str, object]) -> None:
    """Let attempts end on nodes, each with the speed that its worker tells, in one report."""
    items = world.claim(len(told))
    good = Outcome("", "", Reason.OK)
    world._report(
        [report.Started(key(item), world.clock(), host) for item, (host, _) in zip(items, told, strict=True)],
        [
            report.Ended(key(item), replace(good, host=host, detail={"speed": speed}))
            for item, (host, speed) in zip(items, told, strict=True)
        ],
    )
    board.tick()


def shown(world: World) -> dict[str, float | None]:
    with world.database.read() as tx:
        return {row["name"]: row["speed"] for row in nodes_look.every(tx, world.clock(), "", 100)["items"]}


def test_a_node_is_as_fast_as_the_median_of_its_latest_measurements(world: World) -> None:
    world.submit(many(100))
    board = Scoreboard(world.database, world.contexts, world.clock, lambda: 0.5, "p1")
    ends(world, board, ("a", 1.2), ("b", None), ("c", 0.5))
    assert shown(world) == {"here/a": 1.2, "here/b": None, "here/c": 0.5}
    ends(world, board, ("a", 99.0), ("a", 1.1))
    assert shown(world)["here/a"] == 1.2, "one that lies is outvoted"
    for speed in (2.0,) * speeds.KEPT:
        ends(world, board, ("a", speed))
    assert shown(world)["here/a"] == 2.0, "and what is old is forgotten"
    with world.database.read() as tx:
        assert speeds.at_sites(tx, Kept(), world.clock()) == {"here": 1.25}
        kept = nodes_store.SPEEDS(tx, v=[("here", "a")])
    assert len(kept[0].score) < 100
    world.clock.advance(FORGOTTEN + 10.0)
    ends(world, board, ("d", 1.0))
    assert shown(world) == {"here/d": 1.0}


@pytest.mark.parametrize("told", ["fast", True, float("nan"), float("inf"), 0, -1.0, 1e9, [1.0], {}, None])
def test_what_is_no_speed_is_not_taken_for_one(told: object) -> None:
    assert speeds.told({"speed": told}) is None
    assert speeds.told({}) is None


def test_news_of_speeds_are_read_with_the_others() -> None:
    news = News(7.0)
    news.ended(1, "a", 2, 3, 4, Kind.OK, 5.0, 6.0)
    news.measured(Measured(1, "a", 1.25))
    found = read(news.text())
    assert [line.kind for line in found.lines] == [Kind.OK]
    assert found.measured == (Measured(1, "a", 1.25),)
