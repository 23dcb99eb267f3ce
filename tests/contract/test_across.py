"""What pages of errors, sites, usage and reasons read, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from nunatak.core.address import parse
from nunatak.core.clock import ManualClock
from nunatak.core.work import Reason
from nunatak.db.kept import Kept
from nunatak.tasks import fleet, site_use
from nunatak.tasks.looking.across import Wish, across
from nunatak.tasks.looking.conditions import checklist
from nunatak.tasks.looking.look import RULES
from nunatak.tasks.sites import held, sites
from tests.contract.world import BIG, World, chain


def found(world: World, **wish: Any) -> dict[str, Any]:
    with world.database.read() as tx:
        return across(tx, world.contexts, Wish(**wish))


def test_equal_failures_of_datasets_are_one_line(world: World) -> None:
    numbers = [world.submit(chain(4, 1)) for _ in range(2)]
    for item in world.claim(8):
        world.end([item], Reason.EXIT, f"channel {item.job} is saturated", exit=1, host="node0")
    whole = found(world)
    (line,) = whole["items"]
    assert (line["attempts"], line["tasks"], line["at"]) == (8, 8, {"here": 8})
    assert [of["address"] for of in line["datasets"]] == [str(number) for number in numbers]
    assert parse(line["example"]).level == "attempt"
    assert (line["id"], line["whose"]) == ("NUN-FAILED", "Yours.")
    assert found(world, dataset=numbers[0])["attempts"] == 4
    for wish in ({"site": "here"}, {"kind": line["kind"]}, {"signature": line["signature"]}):
        assert found(world, **wish)["attempts"] == 8
    for wish in ({"site": "there"}, {"kind": "lost"}, {"signature": "x"}, {"owner": "nobody"}, {"team": "none"}):
        assert found(world, **wish)["items"] == []


def test_the_use_of_a_site_is_noted_now_and_then_and_forgotten_after_a_day(world: World, clock: ManualClock) -> None:
    world.register("other", site="there")
    keeper = site_use.SiteUse(world.database, clock)
    whole = BIG.to_plain()
    for busy in (0, 3, 5):
        free = {"total": whole, "free": {**whole, "cpu": whole["cpu"] - busy}, "queue": 10}
        world.database.run(lambda tx, said=free: fleet.beat(tx, "local", "s", said, 300.0, clock()))
        assert keeper.tick() is False
        keeper.tick()  # too soon
        clock.advance(site_use.EVERY)
    with world.database.read() as tx:
        found = site_use.over_time(tx, clock())
    assert [point["busy"] for point in found["here"]] == [0, 3, 5]
    assert {point["cores"] for point in found["here"]} == {BIG.cpu}
    assert [point["cores"] for point in found["there"]] == [BIG.cpu, 0, 0], "its engine is silent by then"
    clock.advance(site_use.KEPT - site_use.EVERY)
    keeper.tick()
    with world.database.read() as tx:
        assert [point["cores"] for point in site_use.over_time(tx, clock())["here"]] == [BIG.cpu, 0]


def test_a_site_has_its_engines_and_what_they_hold(world: World) -> None:
    world.submit(chain(3, 1))
    world.claim(2)
    with world.database.read() as tx:
        (site,) = sites(tx, Kept(), world.clock())
    assert (site["site"], site["alive"], site["queued"], site["running"]) == ("here", 1, 2, 0)
    assert site["engines"][0]["alive"]


def test_what_engines_hold_is_counted_seldom_where_it_is_much(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nunatak.tasks.sites.FEW", 1)
    monkeypatch.setattr("nunatak.tasks.sites.EACH", 5.0)
    world.submit(chain(4, 1))
    kept = Kept()

    def counted() -> int:
        with world.database.read() as tx:
            return sum(held(tx, kept, world.clock()).values())

    world.claim(1)
    assert counted() == 1
    world.claim(1)
    assert counted() == 2, "one was few"
    world.claim(1)
    assert counted() == 2
    world.clock.advance(10.0)
    assert counted() == 3


def test_conditions_hold_one_after_the_other(world: World) -> None:
    number = world.submit(chain(2, 2))

    def holds(address: str) -> dict[str, bool | None]:
        with world.database.read() as tx:
            context = world.contexts.one(tx, number)
            lines = checklist(tx, world.contexts, context, parse(address), world.clock(), RULES)
        return {line["name"]: line["holds"] for line in lines}

    first, second = f"{number}/0/t0", f"{number}/0/t1"
    assert holds(second)["the tasks before it are done"] is False
    assert holds(first)["an engine has it"] is False
    world.claim(1)
    assert holds(first)["an engine has it"] is True
    assert holds(first)["it has begun"] is False
