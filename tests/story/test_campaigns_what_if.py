"""What would be if: a campaign that is under way is simulated from its snapshot, and the answer is held against what comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from nunatak.core.errors import Conflict
from nunatak.engines.fates import LogNormal
from nunatak.simulation import copy
from nunatak.simulation.campaign import HOUR, Campaign
from nunatak.simulation.whatif import Change, Comparison, Range, compare
from nunatak.tasks.looking.snapshot import snapshot
from tests.story.campaigns import campaign, line, pool

CHAIN = {"generate": LogNormal(600, 0.4), "propagate": LogNormal(1800, 0.5), "filter": LogNormal(300, 0.3)}
PLAN = line(300, *CHAIN)


def snap(made: Campaign, dataset: int) -> Mapping[str, Any]:
    with made.house.database.read() as tx:
        context = made.house.contexts.one(tx, dataset)
        return snapshot(tx, made.house.contexts, context, made.clock())


def pools(made: Campaign, slots: int) -> None:
    """Put as many whole machines to work as slots: a live engine says what it has in all."""
    made.add(pool(slots))


@pytest.fixture(scope="module")
def under_way() -> tuple[Mapping[str, Any], float]:
    """A snapshot at a third of the way, and the hours that were left, on eight cores."""
    with campaign(CHAIN, seed=5) as (made, _):
        carrier = made.add(pool(8))
        dataset = made.submit(PLAN)
        made.run(enough=lambda: made.counts[dataset, 2]["done"] >= 100)
        found, then = snap(made, dataset), made.elapsed
        made.run()
        left = (made.elapsed - then) / HOUR
    whole = carrier.resource.total.to_plain()
    return {**found, "engines": [{"name": "pool", "site": "here", "total": whole}]}, left


def test_as_it_is_the_simulation_says_what_comes(under_way: tuple[Mapping[str, Any], float]) -> None:
    found, left = under_way
    compared = compare(found, PLAN, Change(priority=2.0), range(2))
    assert compared.now.middle == pytest.approx(left, rel=0.1)
    assert compared.now.utilisation > 0.9
    assert compared.sentence == "that makes no difference to speak of"
    assert compared.notes == ()


def test_twice_the_slots_end_it_in_half_the_time(under_way: tuple[Mapping[str, Any], float]) -> None:
    found, left = under_way
    compared = compare(found, PLAN, Change((pool(8, name="more"),)), range(2))
    assert compared.changed.middle == pytest.approx(left / 2, rel=0.15)
    assert compared.sentence.endswith("sooner")
    assert compared.change == "8 slots more at here"


def test_other_datasets_take_their_part_and_priority_takes_it_back(under_way: tuple[Mapping[str, Any], float]) -> None:
    found, left = under_way
    shape = PLAN.tasks[0].shape
    assert shape is not None
    rival = {"dataset": 9, "priority": 1.0, "shape": shape.to_plain(), "left": 2000, "seconds": 1000.0}
    crowded = {**found, "others": [{**rival, "owner": found["owner"], "team": found["team"]}]}
    compared = compare(crowded, PLAN, Change(priority=9.0), range(1))
    assert compared.now.middle is not None
    assert compared.changed.middle is not None
    assert compared.now.middle > 1.6 * left
    assert compared.changed.middle < 0.75 * compared.now.middle


def test_of_a_large_dataset_a_smaller_copy_says_the_same(under_way: tuple[Mapping[str, Any], float]) -> None:
    found, left = under_way
    compared = compare(found, PLAN, Change(priority=2.0), range(2), most=200)
    assert compared.now.middle == pytest.approx(left, rel=0.2)
    assert "a copy of" in compared.notes[0]


def test_slots_are_made_fewer_with_the_jobs() -> None:
    with campaign({"work": LogNormal(600, 0.3)}) as (made, _):
        made.add(pool(200))
        plan = line(3000, "work")
        dataset = made.submit(plan)
        found = snap(made, dataset)
    whole = pool(200).total.to_plain()
    small = copy.Copy({**found, "engines": [{"name": "pool", "site": "here", "total": whole}]}, plan, most=300)
    assert (small.scale, small.stretch) == (0.1, 1.0)
    assert [engine.total.cpu for engine in small.engines()] == [20]


def test_what_no_engine_takes_does_not_get_done_and_says_why(under_way: tuple[Mapping[str, Any], float]) -> None:
    found, _ = under_way
    tiny = {**found["engines"][0]["total"], "memory": 10**8}
    compared = compare(
        {**found, "engines": [{"name": "pool", "site": "here", "total": tiny}]}, PLAN, Change((pool(8),)), [0]
    )
    assert compared.now.middle is None
    assert "it asks for memory" in compared.now.text
    assert compared.sentence == "then it would get done"


def test_nothing_left_is_nothing_to_simulate(under_way: tuple[Mapping[str, Any], float]) -> None:
    found, _ = under_way
    done = {**found, "tasks": [{**task, "left": 0} for task in found["tasks"]]}
    with pytest.raises(Conflict, match="nothing is left to do"):
        compare(done, PLAN, Change(priority=2.0))


def test_the_difference_in_words() -> None:
    def said(before: tuple[float, ...], after: tuple[float, ...]) -> str:
        return Comparison(1, "x", Range(before, 3 - len(before), 0.5), Range(after, 3 - len(after), 0.5), ()).sentence

    assert said((10, 11, 12), (5, 5.5, 6)) == "5 h 30 min (50%) sooner"
    assert said((10, 11, 12), (20, 22, 24)) == "11 h (100%) later"
    assert said((1, 1, 1), (0.618, 0.618, 0.618)) == "23 min (38%) sooner"  # not 22 min 55 s: nobody knows that
    assert said((10, 11, 12), ()) == "then it would not get done"
    assert said((), ()) == "that does not get it done"
    assert Range((10.0, 12.0), 0, 0.5).text == "done in 10 h to 12 h"
