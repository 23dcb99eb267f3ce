"""Whose tasks engines get, on both databases: weights, caps, waiting, and no place that stays empty."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from nunatak.core.work import Reason, Shape, Usage
from nunatak.datasets.plan import Retry
from nunatak.datasets.tables import job_counts
from nunatak.tasks import shares, site_load
from nunatak.tasks.choosing import Chooser, Rules, uses
from nunatak.tasks.context import Contexts
from nunatak.tasks.rows import Claimed
from nunatak.tasks.shares import OwnerKind, Share
from nunatak.tasks.site_load import SiteLoad
from tests.contract.world import Plan, World, chain, task

G, U, D, SITE = OwnerKind.GROUP, OwnerKind.USER, OwnerKind.DATASET, OwnerKind.SITE


def say(world: World, kind: OwnerKind, name: str, **more) -> None:
    """Set a weight or caps."""
    world.database.run(lambda tx: shares.say(tx, Share(kind, name, **more), "admin", world.clock()))


def live(world: World, items: list[Claimed]) -> None:
    """Let what was claimed run and end well."""
    world.start(items)
    world.end(items)


def by_dataset(items: list[Claimed]) -> Counter[int]:
    return Counter(item.dataset for item in items)


def test_two_groups_with_weights_three_to_one_get_three_to_one(world: World) -> None:
    one, other = world.submit(chain(1000, 2), team="icecube"), world.submit(chain(1000, 2), team="km3net")
    say(world, G, "icecube", weight=3.0)
    got: Counter[int] = Counter()
    for _ in range(20):
        items = world.claim(8)
        got += by_dataset(items)
        live(world, items)
    assert got[one] + got[other] == 160
    assert got[one] == 120


def test_who_used_more_than_its_share_is_given_fewer_places(world: World) -> None:
    one, other = world.submit(chain(1000, 1), owner="alice"), world.submit(chain(1000, 1), owner="bob")
    (item,) = world.claim(1)
    assert item.dataset == one
    world.start([item])
    world.clock.advance(7 * 86400.0)
    world.end([item], usage=Usage(wall=7 * 86400.0, cpu=1.0))
    world.chooser = Chooser()  # as another process would
    assert by_dataset(world.claim(80)) == {other: 75, one: 5}  # sixteen picks of five: 4 times faster, 4 times slower


def test_a_priority_counts_against_ones_own_datasets_only(world: World) -> None:
    high = world.submit(chain(1000, 1), owner="alice", priority=9.0)
    low = world.submit(chain(1000, 1), owner="alice", priority=1.0)
    others = world.submit(chain(1000, 1), owner="bob")
    got: Counter[int] = Counter()
    for _ in range(10):
        got += by_dataset(world.claim(20))
    assert got[others] == 100
    assert got[high] == 9 * got[low] == 90


def test_tasks_that_complete_jobs_come_before_those_that_begin_them(world: World) -> None:
    world.submit(chain(100, 3))
    live(world, world.claim(5))
    live(world, world.claim(5))
    assert [item.task for item in world.claim(7)] == [2] * 5 + [0] * 2


def test_caps_stop_users_groups_datasets_and_sites(world: World) -> None:
    one = world.submit(chain(100, 1), owner="alice", team="icecube")
    two = world.submit(chain(100, 1), owner="alice", team="km3net")
    say(world, D, str(one), running=3)
    say(world, U, "alice", queued=5)
    items = world.claim(50)
    assert by_dataset(items) == {one: 3, two: 2}
    assert world.claim(50) == []
    world.start(items)  # what runs is not queued any more
    assert by_dataset(world.claim(50)) == {two: 5}
    say(world, U, "alice", running=12)
    assert by_dataset(world.claim(50)) == {two: 2}
    say(world, SITE, "here", running=12)
    world.database.run(lambda tx: shares.unsay(tx, U, "alice"))
    assert world.claim(50) == []
    world.end(items)
    assert len(world.claim(50)) == 5


def test_a_rule_for_all_holds_where_there_is_none_of_ones_own(world: World) -> None:
    one, other = world.submit(chain(100, 1), owner="alice"), world.submit(chain(100, 1), owner="bob")
    say(world, U, "*", running=2)
    say(world, U, "bob", running=7)
    assert by_dataset(world.claim(50)) == {one: 2, other: 7}


def test_no_place_stays_empty_where_ready_tasks_wait_for_their_next_try(world: World) -> None:
    late = world.submit(Plan("late", 10, (task("a", retry=Retry(tries=3, delay=100.0)),)))
    items = world.claim(10)
    world.end(items, Reason.EXIT, "boom")
    other = world.submit(chain(30, 1), owner="bob")
    assert by_dataset(world.claim(20)) == {other: 20}
    world.clock.advance(1000.0)
    assert by_dataset(world.claim(50)) == {late: 10, other: 10}


def test_the_same_shape_in_another_task_is_claimed_by_its_own_name(world: World) -> None:
    huge = Shape(memory=10**13).rounded()
    world.submit(Plan("mixed", 4, (task("a"), task("b", shape=huge), task("c"))))
    assert Counter(item.task for item in world.claim(100)) == {0: 4, 2: 4}


def test_when_places_were_given_is_written_once_a_minute(world: World) -> None:
    dataset = world.submit(chain(1000, 1))
    begin = world.clock()

    def since() -> float:
        return next(row.since for row in world.rows(job_counts) if row.dataset == dataset)

    assert since() == begin
    world.clock.advance(59.0)
    world.claim(1)
    assert since() == begin
    world.clock.advance(2.0)
    world.claim(1)
    assert since() == begin + 61.0


def test_one_who_waits_gets_a_place_though_its_share_is_tiny(world: World) -> None:
    say(world, G, "large", weight=10_000.0)
    world.submit(chain(1000, 1), team="large")
    small = world.submit(chain(5, 1), team="small", owner="bob")
    live(world, world.claim(8))
    assert by_dataset(world.claim(8))[small] == 0
    world.clock.advance(5 * 86400.0)
    assert by_dataset(world.claim(8))[small] > 0


def test_the_list_of_shares_says_who_has_what(world: World) -> None:
    say(world, G, "icecube", weight=3.0, running=500)
    say(world, SITE, "*", queued=7)
    world.submit(chain(10, 1), team="icecube")
    world.submit(chain(10, 1), owner="bob")
    world.start(world.claim(3))
    with world.database.read() as tx:
        rows = shares.listed(tx, world.contexts, world.chooser.rules, world.clock())
    by_name = {(row["kind"], row["name"]): row for row in rows}
    assert list(by_name) == [
        ("group", ""), ("group", "icecube"), ("user", "alice"), ("user", "bob"), ("site", "*")
    ]  # fmt: skip
    icecube = by_name["group", "icecube"]
    assert (icecube["weight"], icecube["most_running"], icecube["said_by"]) == (3.0, 500, "admin")
    assert sum(row["part"] for row in rows if row["kind"] == "group") == 1.0
    assert sum(row["running"] for row in rows if row["kind"] == "user") == 3
    assert by_name["site", "*"]["most_queued"] == 7


def test_reading_what_all_used_takes_at_most_a_fiftieth_of_the_time(world: World) -> None:
    world.submit(chain(10, 1), owner="alice")
    live(world, world.claim(1))
    contexts = Contexts()  # those of a process that has just begun
    ticks = iter([0.0, 3.0, 3.0, 3.0])  # the first look takes three seconds, the second none

    def used_at(seconds: float) -> bool:
        with world.database.read() as tx:
            return bool(uses(tx, contexts, Rules(), world.clock() + seconds, lambda: next(ticks)).users)

    assert used_at(0.0)
    assert used_at(149.0)
    assert len(list(ticks)) == 2  # it was not read again


def test_what_is_at_a_capped_site_is_counted_now_and_then_and_its_cap_holds_in_between(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_load, "FEW", 0)
    ticks = itertools.count(0.0, 0.1)  # counting takes a tenth of a second, so that a count holds for two
    world.chooser = Chooser(load=SiteLoad(lambda: next(ticks)))
    world.submit(chain(100, 1), owner="alice")
    say(world, SITE, "here", running=12)
    items = world.claim(7)
    assert (len(items), len(world.claim(50)), world.claim(50)) == (7, 5, [])
    live(world, items)
    world.clock.advance(1.0)
    assert world.claim(50) == []  # the count knows of no end yet
    world.clock.advance(1.1)
    assert len(world.claim(50)) == 7
    assert world.claim(50) == []
    assert round(next(ticks), 1) == 0.5  # counted when there was nothing, when there were seven, and once more


def test_few_tasks_under_way_at_a_capped_site_are_counted_at_each_look(world: World) -> None:
    world.submit(chain(100, 1), owner="alice")
    say(world, SITE, "here", running=12)
    live(world, world.claim(12))
    assert len(world.claim(50)) == 12
