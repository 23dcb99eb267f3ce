"""The range given for the end of a dataset holds the truth as often as it says, for even and for heavy-tailed times."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nunatak.tasks.learning.durations import Durations, from_sketch, of
from nunatak.tasks.learning.eta import Eta, Recent, Work, eta
from nunatak.tasks.learning.sketch import EMPTY
from nunatak.tasks.learning.tails import Running

Draw = Callable[[random.Random], float]


def log_normal(middle: float, spread: float) -> Draw:
    return lambda rng: rng.lognormvariate(math.log(middle), spread)


def pareto(least: float, power: float) -> Draw:
    return lambda rng: least * rng.paretovariate(power)


CHAIN = [log_normal(60, 1), log_normal(600, 1), pareto(100, 2), log_normal(1000, 0.7), log_normal(30, 0.5)]
KINDS: dict[str, list[Draw]] = {
    "equal": [lambda _: 100.0],
    "log-normal": [log_normal(600, 0.5)],
    "spread log-normal": [log_normal(600, 1.2)],
    "heavy Pareto": [pareto(300, 1.5)],
    "Pareto": [pareto(300, 2.5)],
    "chain": CHAIN,
    "heavy chain": [pareto(60, 1.5), pareto(300, 1.5), log_normal(300, 0.5), pareto(100, 2), log_normal(30, 0.5)],
}


class Campaign:
    """Jobs of a chain of tasks on slots, later tasks first; looked at when a part of the work is done."""

    def __init__(self, seed: int, jobs: int, slots: int, draws: list[Draw]) -> None:
        rng = random.Random(seed)
        self.times = [[draw(rng) for draw in draws] for _ in range(jobs)]
        self.slots, self.steps, self.now = slots, len(draws), 0.0
        self.heap: list[tuple[float, int, int, float]] = []  # end, job, step, start
        self.ready = [(0, job) for job in range(jobs)]
        self.took: list[list[float]] = [[] for _ in draws]

    def run(self, until: float) -> None:
        spent = sum(map(sum, self.took))
        while spent < until and (self.fill() or self.heap):
            self.now, job, step, _ = heapq.heappop(self.heap)
            self.took[step].append(self.times[job][step])
            spent += self.times[job][step]
            if step + 1 < self.steps:
                heapq.heappush(self.ready, (-step - 1, job))
        self.fill()

    def fill(self) -> None:
        while self.ready and len(self.heap) < self.slots:
            step, job = heapq.heappop(self.ready)
            heapq.heappush(self.heap, (self.now + self.times[job][-step], job, -step, self.now))

    def work(self) -> list[Work]:
        found = []
        for step in range(self.steps):
            running = tuple(Running(self.now - start) for _, _, of_step, start in self.heap if of_step == step)
            ready = sum(of_step == -step for of_step, _ in self.ready)
            waiting = len(self.times) - ready - len(running) - len(self.took[step])
            asked = 3 * max(times[step] for times in self.times)
            after = (step - 1,) if step else ()
            found.append(Work(f"t{step}", after, False, waiting, ready, running, EMPTY.add(self.took[step]), asked))
        return found


def after_a_tenth(seed: int, jobs: int, slots: int, draws: list[Draw]) -> tuple[Eta, float]:
    campaign = Campaign(seed, jobs, slots, draws)
    campaign.run(0.1 * sum(map(sum, campaign.times)))
    found, then = eta(campaign.work(), slots), campaign.now
    campaign.run(math.inf)
    assert found is not None
    return found, campaign.now - then


@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_is_in_the_80_percent_range_three_times_out_of_four_after_a_tenth_of_the_work(kind: str) -> None:
    seen = []
    for seed in range(24):
        jobs, slots = ((300, 10), (600, 40), (200, 5))[seed % 3]
        seen.append(after_a_tenth(seed, jobs, slots, KINDS[kind]))
    within = sum(found.low <= truth <= found.high for found, truth in seen)
    assert within >= 0.75 * len(seen)
    assert all(found.low <= found.middle <= found.high for found, _ in seen)
    assert 0.5 < median(truth / found.middle for found, truth in seen) < 2


@pytest.mark.parametrize(("kind", "most"), [("equal", 1.5), ("log-normal", 2.5), ("Pareto", 4.0), ("chain", 6.0)])
def test_the_range_is_no_wider_than_it_has_to_be(kind: str, most: float) -> None:
    found = [after_a_tenth(seed, 300, 10, KINDS[kind])[0] for seed in range(8)]
    assert median(item.high / item.low for item in found) < most


def test_nothing_left_or_no_slots_gives_no_time() -> None:
    some = Work("t", ready=5, took=EMPTY.add([10.0]))
    assert eta([Work("t", took=EMPTY.add([10.0]))], 5) is None
    assert eta([some], 0) is None
    assert eta([Work("held", took=EMPTY.add([10.0])), Work("u", after=(0,), waiting=3)], 5) is None


def test_before_anything_finished_the_time_asked_for_is_a_guess_and_said_to_be_one() -> None:
    found = eta([Work("t", ready=10, asked=1000.0)], 10)
    assert found is not None
    assert 50 < found.low < found.high <= 3000
    assert "how long t takes is a guess from the time asked for, as none has finished yet" in found.text


def test_a_task_done_once_a_dataset_comes_on_top() -> None:
    jobs = Work("t", ready=100, took=EMPTY.add([100.0] * 50), asked=1000.0)
    last = Work("analyze", after=(0,), once=True, waiting=1, took=EMPTY, asked=10_000.0)
    alone, both = eta([jobs], 10), eta([jobs, last], 10)
    assert alone is not None
    assert both is not None
    assert both.low >= alone.low + 900
    assert both.guessed == ("analyze",)


def test_more_slots_end_sooner_and_lost_time_later() -> None:
    work = [Work("t", ready=1000, took=EMPTY.add([50.0, 100.0, 200.0] * 50), asked=1000.0)]
    few, many = eta(work, 10), eta(work, 40)
    assert few is not None
    assert many is not None
    assert many.middle < few.middle / 3
    slow = eta(work, 10, Recent(seconds=50_000.0, work=250_000.0, done=2000))
    assert slow is not None
    assert slow.middle > 1.7 * few.middle


def test_the_last_task_decides_when_one_runs_on() -> None:
    rng = random.Random(1)
    took = EMPTY.add([rng.paretovariate(1.5) * 100 for _ in range(500)])
    young = eta([Work("t", running=(Running(10.0, 9),), took=took, asked=1e6)], 10)
    old = eta([Work("t", running=(Running(10.0, 8), Running(5000.0)), took=took, asked=1e6)], 10)
    assert young is not None
    assert old is not None
    assert old.middle > 2 * young.middle


def test_words_give_the_range() -> None:
    assert Eta(3600.0, 5000.0, 7200.0).text == "done in 1 h to 2 h (8 times out of 10)"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.0, 1e7), max_size=50), st.lists(st.floats(0.0, 1e7), max_size=20), st.integers(0, 10**6))
def test_any_past_gives_a_finite_range_in_order(took: list[float], ages: list[float], ready: int) -> None:
    work = Work("t", ready=ready, running=tuple(map(Running, ages)), took=EMPTY.add(took), asked=1e6)
    found = eta([work], 7)
    if ready or ages:
        assert found is not None
        assert 0 <= found.low <= found.middle <= found.high < 1e15
    else:
        assert found is None


STEPS = st.lists(st.tuples(st.floats(0.1, 1e5), st.floats(0.01, 1)), min_size=1, max_size=80).map(
    lambda atoms: of(sorted(atoms))
)


@given(STEPS, st.floats(0, 1e5))
def test_integrals_of_steps_are_what_they_say(steps: Durations, t: float) -> None:
    atoms = steps.atoms()
    assert steps.beyond(t) == pytest.approx(sum(p for at, p in atoms if at > t), abs=1e-9)
    assert steps.within(t) == pytest.approx(sum(p * min(at, t) for at, p in atoms), rel=1e-6, abs=1e-6)
    twice = sum(p * (t * t / 2 if at > t else at * t - at * at / 2) for at, p in atoms)
    assert steps.within_twice(t) == pytest.approx(twice, rel=1e-6, abs=1e-3)


@given(STEPS, STEPS)
def test_sums_keep_the_mean(a: Durations, b: Durations) -> None:
    both = a.then(b)
    assert both.mean == pytest.approx(a.mean + b.mean, rel=1e-6)
    assert both.mass[-1] == pytest.approx(1)


def test_running_attempts_keep_the_first_to_finish_from_speaking_for_all() -> None:
    rng = random.Random(2)
    times = [rng.lognormvariate(5, 1) for _ in range(2000)]
    cut = sorted(times)[600]
    biased = EMPTY.add([t for t in times if t <= cut])
    found = from_sketch(biased, [Running(cut, sum(t > cut for t in times))])
    assert found is not None
    assert biased.mean() < 0.3 * sum(times) / 2000
    assert 0.7 < found.quantile(0.5) / sorted(times)[1000] < 1.5


def test_the_tail_goes_on_beyond_the_longest_seen() -> None:
    rng = random.Random(4)
    for draw, far in (
        (lambda: rng.paretovariate(1.5), 0.00001 ** (-1 / 1.5)),
        (lambda: rng.lognormvariate(0, 1), 71.2),
    ):
        ratios = []
        for _ in range(15):
            found = from_sketch(EMPTY.add([draw() for _ in range(1000)]))
            assert found is not None
            ratios.append(found.quantile(1 - 1e-5) / far)
        assert 0.5 < median(ratios) < 2.0
