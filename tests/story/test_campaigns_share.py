"""Fair share in whole campaigns: groups get what their weights say, and a dataset's priority ends it sooner."""

from __future__ import annotations

import pytest

from nunatak.core.work import Shape
from nunatak.engines.fates import LogNormal
from nunatak.simulation.campaign import HOUR, Campaign
from tests.story.campaigns import campaign, line, pool

WORK = {"work": LogNormal(1200, 0.2)}
ASKED = Shape(memory=2 * 10**9, time=3600).rounded()  # what is under way counts by it


def wall_of(made: Campaign, dataset: int) -> float:
    """Return the wall clock time that attempts of a dataset had."""
    return sum(item.wall for item in made.house.spent() if item.dataset == dataset)


@pytest.mark.parametrize("datasets", [1, 3])
def test_two_groups_with_weights_of_3_and_1_get_3_to_1_however_many_datasets_one_has(datasets: int) -> None:
    with campaign(WORK, seed=3, grain=400) as (made, _):
        made.add(pool(80))
        made.house.share([("group", "muons", 3.0, None, None), ("group", "neutrinos", 1.0, None, None)])
        muons = made.submit(line(6000, "work", shape=ASKED, name="muons"), owner="alice", team="muons")
        others = [
            made.submit(line(6000, "work", shape=ASKED, name=f"neutrinos {n}"), owner="bob", team="neutrinos")
            for n in range(datasets)
        ]
        made.run(until=12 * HOUR)
        mine, theirs = wall_of(made, muons), sum(wall_of(made, dataset) for dataset in others)
    assert mine / theirs == pytest.approx(3.0, rel=0.05)
    assert mine + theirs > 0.9 * 80 * 12 * HOUR


def test_what_one_group_does_not_want_the_other_gets() -> None:
    with campaign(WORK) as (made, _):
        made.add(pool(40))
        made.house.share([("group", "muons", 3.0, None, None)])
        small = made.submit(line(100, "work", shape=ASKED), owner="alice", team="muons")
        large = made.submit(line(2000, "work", shape=ASKED), owner="bob", team="neutrinos")
        made.run(until=8 * HOUR)
        assert made.done(small)
        assert wall_of(made, small) + wall_of(made, large) > 0.9 * 40 * 8 * HOUR


def test_a_higher_priority_ends_a_dataset_sooner_at_the_cost_of_the_owners_other_one() -> None:
    ends = []
    for priority in (1.0, 4.0):
        with campaign(WORK) as (made, _):
            made.add(pool(40))
            first = made.submit(line(400, "work", shape=ASKED), priority=priority)
            second = made.submit(line(400, "work", shape=ASKED))
            made.run()
            ends.append((made.house.ended(first) - made.begin, made.house.ended(second) - made.begin))
    assert ends[1][0] < 0.8 * ends[0][0]
    assert ends[1][1] == pytest.approx(ends[0][1], rel=0.1)
