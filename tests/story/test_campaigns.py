"""Whole campaigns on simulated engines, by the real decisions on a real database: evictions, heavy tails, equal seeds."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from nunatak.core.work import Shape
from nunatak.engines.fates import LogNormal, Pareto, Place
from nunatak.engines.hosts import Fault
from nunatak.simulation.campaign import HOUR, Campaign
from nunatak.simulation.resources import Resource
from nunatak.simulation.results import Results, results, words
from nunatak.tasks.tables import attempts
from tests.story.campaigns import ASKED, SLOT, campaign, line, mean_of, pool

CHAIN = {"generate": LogNormal(600, 0.3), "propagate": LogNormal(1800, 0.5), "filter": LogNormal(120, 0.3)}


def whole(seed: int) -> Results:
    with campaign(CHAIN, seed=seed) as (made, observer):
        made.add(pool(40, Place(("a", "b"), half_life=4 * HOUR, failure_rate=0.01)))
        made.submit(line(150, *CHAIN))
        assert made.run()
        return results(made, observer)


def test_equal_seeds_give_equal_campaigns_and_others_give_others() -> None:
    assert whole(1) == whole(1)
    assert whole(1).hours != whole(2).hours


def test_a_campaign_takes_about_the_time_that_the_work_needs() -> None:
    with campaign(CHAIN) as (made, observer):
        made.add(pool(40))
        dataset = made.submit(line(400, *CHAIN))
        made.run()
        found = results(made, observer)
    ideal = 400 * sum(map(mean_of, CHAIN.values())) / 40 / HOUR
    hours = found.hours_of(dataset)
    assert hours is not None
    assert ideal * 0.98 < hours < ideal * 1.25
    assert found.engines[0].utilisation == pytest.approx(ideal / found.hours, rel=0.05)
    assert found.attempts == 1200
    assert found.badput == 0
    assert "line: done in" in words(found)[0]


def evict_half(made: Campaign, seed: int) -> None:
    """Throw out half of what runs, at random."""
    carrier = made.carriers[1]
    begun = {name for name, attempt in carrier.engine.world.attempts.items() if attempt.begun and not attempt.end}
    running = sorted(name for name in carrier.out if name in begun)
    chosen = random.Random(seed).sample(running, len(running) // 2)
    made.evict(carrier, [carrier.out[name].handle for name in chosen])


def test_eviction_of_half_of_the_workers_costs_time_and_no_try() -> None:
    laws = {"work": LogNormal(3600, 0.3)}
    with campaign(laws) as (made, observer):
        made.add(pool(60))
        dataset = made.submit(line(600, "work"))
        for n, hours in enumerate((0.5, 2.7, 5.1)):
            made.at(hours * HOUR, lambda n=n: evict_half(made, n))
        made.run()
        found = results(made, observer)
        with made.house.database.read() as tx:
            rows = tx.execute(attempts.select()).all()
    assert [end.state for end in found.datasets] == ["done"]
    evicted = [row for row in rows if row.verdict == "evicted"]
    assert len(evicted) == pytest.approx(3 * 30, abs=6)
    assert {row.counted for row in evicted} == {False}
    assert found.counted == 0
    assert found.attempts == 600 + len(evicted)
    lost = sum(row.wall for row in evicted)
    assert [(item.cause, item.attempts) for item in found.losses] == [("evicted", len(evicted))]
    assert found.losses[0].hours == pytest.approx(lost / HOUR)
    assert found.badput == pytest.approx(lost / sum(row.wall for row in rows))
    assert 0.02 < found.badput < 0.15
    assert f"{found.badput:.1%} of their time was lost" in "\n".join(words(found))
    assert found.hours_of(dataset) == pytest.approx(found.hours)


def test_heavy_tailed_tasks_that_outrun_what_they_asked_for_are_given_more_time_and_end() -> None:
    asked = Shape(memory=2 * 10**9, time=7200).rounded()
    with campaign({"work": Pareto(600, 1.8)}) as (made, observer):
        made.add(pool(30))
        made.submit(line(500, "work", shape=asked, tries=8))
        made.run()
        found = results(made, observer)
        with made.house.database.read() as tx:
            rows = tx.execute(attempts.select()).all()
    longest = max(row.wall for row in rows if row.verdict == "ok")
    over = [row for row in rows if row.verdict == "over-time"]
    assert found.datasets[0].state == "done"
    assert longest > 7200
    assert over
    assert all(row.wall >= 7200 for row in over)
    assert len(rows) == 500 + len(over)


def test_a_black_hole_is_drained_after_a_few_tasks_and_the_campaign_goes_on() -> None:
    nodes = tuple(f"node-{n}" for n in range(50))
    place = Place(nodes, slots_per_host=1, faults={"node-7": Fault()})
    with campaign({"work": LogNormal(1800, 0.3)}) as (made, observer):
        made.add(Resource("pool", "here", 50, SLOT, place))
        made.submit(line(400, "work"))
        made.run()
        found = results(made, observer)
        with made.house.database.read() as tx:
            lost = [row for row in tx.execute(attempts.select()).all() if row.verdict != "ok"]
        assert made.carriers[1].nodes.drained + made.carriers[1].nodes.probed == ("node-7",)
    assert found.datasets[0].state == "done"
    assert {row.host for row in lost} == {"node-7"}
    assert len([row for row in lost if row.ended < made.begin + 600]) <= 5
    assert found.badput < 0.001


def test_a_black_hole_costs_two_tasks_a_probe_at_most_over_hours() -> None:
    nodes = tuple(f"node-{n}" for n in range(50))
    place = Place(nodes, slots_per_host=1, faults={"node-7": Fault()})
    with campaign({"work": LogNormal(1800, 0.3)}) as (made, _):
        made.add(Resource("pool", "here", 50, SLOT, place))
        made.submit(line(400, "work"))
        made.run(until=3.5 * HOUR)
        with made.house.database.read() as tx:
            lost = [row for row in tx.execute(attempts.select()).all() if row.verdict not in (None, "", "ok")]
        made.run()
    ended = sorted(row.ended - made.begin for row in lost)
    breaks = [n for n, (one, other) in enumerate(pairwise(ended), 1) if other - one > 300]
    costs = [after - before for before, after in pairwise([0, *breaks, len(ended)])]
    assert {row.host for row in lost} == {"node-7"}
    assert costs[0] <= 5
    assert len(costs) >= 4, "it is probed again and again"
    assert max(costs[1:]) <= 2


def test_what_no_engine_can_take_is_named_with_what_it_lacks() -> None:
    large = Shape(cpu=8, memory=2 * 10**9, time=7200).rounded()
    with campaign({"work": LogNormal(60), "more": LogNormal(60)}) as (made, observer):
        made.add(pool(4))
        made.submit(line(3, "work", "more", shape=large))
        made.submit(line(3, "work", shape=ASKED, name="small"))
        assert made.run()
        found = results(made, observer)
    assert not found.settled
    assert [end.state for end in found.datasets] == ["open", "done"]
    assert found.lacks == ("no engine takes work: it asks for cpu 8, there is 1",)
    assert found.hours < 1


def test_an_engine_and_a_dataset_may_come_later() -> None:
    with campaign({"work": LogNormal(600)}) as (made, observer):
        made.add(pool(4))
        made.submit(line(100, "work"))
        made.at(HOUR, lambda: made.add(pool(40, name="late")))
        made.at(2 * HOUR, lambda: made.submit(line(10, "work", name="late")))
        made.run()
        found = results(made, observer)
    first, second = (end.hours for end in found.datasets)
    assert first is not None
    assert second is not None
    assert 1.1 < first < 2
    assert 2.1 < second < 2.5
