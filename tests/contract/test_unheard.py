"""What a claim leased whose answer was lost is told once more as it was told, to the engine that asked and to no other."""

from __future__ import annotations

from collections.abc import Sequence

from nunatak.core.work import Grouping, Reason
from nunatak.tasks.claim import Asked
from nunatak.tasks.rows import Claimed, Durations, places
from nunatak.tasks.sharing.fits import Offer
from nunatak.tasks.unheard import tell_again
from tests.contract.world import BIG, World, campaign, chain, key


def again(
    world: World, items: Sequence[Claimed], engine: int = 0, limit: int = 1000, grouping: Grouping | None = None
) -> list[Claimed]:
    asked = Asked(engine or world.engine, Offer(BIG, "here"), limit, 0, grouping=grouping)
    keys = [key(item) for item in items]
    with world.database.read() as tx:
        return tell_again(tx, world.contexts, keys, asked, Durations(), world.clock())


def test_it_is_told_as_it_was_whatever_comes_with_it(world: World) -> None:
    world.submit(campaign(3))
    inputs = 0
    while items := world.claim():
        told = again(world, items)
        assert sorted(told) == sorted(items)
        inputs += sum(len(item.inputs) for item in told)
        world.start(items)
        world.end(items)
    assert inputs == 3 + 3 + 4


def test_nodes_to_keep_off_are_told_again(world: World) -> None:
    world.submit(chain(1, length=1))
    (first,) = world.claim()
    world.start([first])
    world.end([first], Reason.EXIT, "cannot execute binary file: Exec format error", exit=126)
    (second,) = world.claim()
    assert second.avoid == ("node1",)
    assert again(world, [second]) == [second]


def test_what_is_anothers_or_began_or_is_held_is_left_out(world: World) -> None:
    dataset = world.submit(chain(4, length=1))
    items = sorted(world.claim(limit=4))
    other = world.register("other")
    assert again(world, items, engine=other) == []
    assert again(world, [items[0]._replace(lease=items[0].lease + 1)]) == []
    world.start(items[:1])
    assert again(world, items) == items[1:]
    world.end(items[1:2])
    assert again(world, items) == items[2:]
    world.act("hold", f"{dataset}/3")
    assert again(world, items) == items[2:3]
    world.act("hold", str(dataset))
    assert again(world, items) == []
    assert world.faults() == []


def test_short_ones_share_places_so_that_all_have_one(world: World) -> None:
    world.submit(chain(60, length=1))
    seen = world.claim(limit=20)
    world.start(seen)
    world.clock.advance(1.0)
    world.end(seen)
    items = world.claim(limit=40)
    for limit in (40, 7, 1):
        told = again(world, items, limit=limit, grouping=Grouping(target=1800.0))
        assert {item[:5] for item in told} == {item[:5] for item in items}
        assert places(told) <= limit
    assert places(again(world, items, limit=7, grouping=Grouping(target=0.0))) == 40
