"""The range given for the end of a dataset against whole campaigns, by the real decisions: it holds as often as it says."""

from __future__ import annotations

import pytest

from nunatak.core.states import TaskState
from nunatak.core.work import Shape
from nunatak.engines.fates import Law, LogNormal, Pareto
from nunatak.simulation.campaign import Campaign
from nunatak.tasks import lessons
from nunatak.tasks.learning.eta import Eta, Work, eta
from nunatak.tasks.learning.evidence import Evidence
from nunatak.tasks.learning.tails import Running
from nunatak.tasks.looking import look_store
from tests.story.campaigns import campaign, line, mean_of, pool

S = TaskState
KINDS: dict[str, dict[str, Law]] = {
    "spread": {"work": LogNormal(600, 1.0)},
    "heavy": {"work": Pareto(300, 1.7)},
    "chain": {"generate": LogNormal(300, 0.8), "propagate": Pareto(200, 2.0), "filter": LogNormal(60, 0.5)},
}
ASKED = {"spread": 200_000, "heavy": 200_000, "chain": 20_000}
"""Seconds asked for: what has not finished once is guessed from it."""
SEEDS = 18


def work_of(made: Campaign, dataset: int) -> list[Work]:
    """Return what is left of a dataset, as it stands in the books."""
    with made.house.database.read() as tx:
        known, context = lessons.kept(tx, dataset), made.house.contexts.one(tx, dataset)
        rows = look_store.UNFINISHED(tx, dataset=dataset, state="running", job=-2, task=-1, n=10_000)
    found = []
    for number, task in enumerate(context.plan.tasks):
        of = made.counts[dataset, number]
        running = tuple(Running(made.clock() - row.started) for row in rows if row.task == number)
        took, asked = (
            Evidence.from_text(known[number].evidence if number in known else None).time.used,
            float(task.shape.time),
        )
        ready = of[S.READY] + of[S.QUEUED]
        found.append(Work(task.name, context.plan.parents[number], False, of[S.WAITING], ready, running, took, asked))
    return found


def after_a_tenth(kind: str, seed: int) -> tuple[Eta, float]:
    """Return the range given after a tenth of the work, and the truth."""
    laws, (jobs, slots) = KINDS[kind], ((300, 10), (300, 20), (200, 5))[seed % 3]
    tenth = 0.1 * jobs * sum(map(mean_of, laws.values()))
    with campaign(laws, seed=seed, grain=50) as (made, _):
        made.add(pool(slots))
        dataset = made.submit(line(jobs, *laws, shape=Shape(memory=2 * 10**9, time=ASKED[kind]).rounded(), tries=9))
        made.run(enough=lambda: made.wall >= tenth)
        found, then = eta(work_of(made, dataset), slots), made.elapsed
        assert found is not None
        made.run()
        ended = made.house.ended(dataset)
        assert ended is not None
        return found, ended - made.begin - then


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_is_in_the_80_percent_range_three_times_out_of_four_after_a_tenth_of_the_work(kind: str) -> None:
    seen = [after_a_tenth(kind, seed) for seed in range(SEEDS)]
    within = sum(found.low <= truth <= found.high for found, truth in seen)
    assert within >= 0.75 * SEEDS, [(round(f.low), round(t), round(f.high)) for f, t in seen]
    assert any(found.high < 3 * found.low for found, _ in seen), "a range that says nothing is always right"
