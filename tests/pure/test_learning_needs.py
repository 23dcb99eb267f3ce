"""What tasks ask for: first what is written, then what was seen; never too little, never beyond the limits, seldom changed."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from nunatak.core.work import Shape, Usage
from nunatak.tasks.learning.evidence import End, Evidence, Observed, Quantity, amount_of, asked_of
from nunatak.tasks.learning.limits import Mode, limits_of
from nunatak.tasks.learning.needs import RULES, Policy, allowance, estimate, round_up
from nunatak.tasks.learning.used import used

GB = 10**9
WRITTEN = Shape(memory=4 * GB, disk=10 * GB, time=36_000).rounded()
USAGES = st.builds(
    Usage,
    wall=st.none() | st.floats(0, 1e6) | st.just(1e300),
    cpu=st.none() | st.floats(0, 1e6),
    memory=st.none() | st.integers(0, 10**12),
    disk=st.none() | st.integers(0, 10**12),
)
ASKED = st.builds(
    lambda memory, disk, time: Shape(memory=memory, disk=disk, time=time).rounded(),
    st.integers(1, 10**11),
    st.integers(1, 10**11),
    st.integers(1, 10**6),
)
OBSERVED = st.lists(
    st.builds(Observed, end=st.sampled_from(End), usage=USAGES, asked=ASKED, of=st.sampled_from(Quantity)), max_size=30
)


def finished(memory: float, wall: float = 600.0, asked: Shape = WRITTEN, n: int = 1) -> list[Observed]:
    return [Observed(End.FINISHED, Usage(wall=wall, cpu=wall, memory=int(memory), disk=GB // 5), asked)] * n


def ran_out(asked: Shape, memory: int) -> Observed:
    return Observed(End.RAN_OUT, Usage(wall=5.0, memory=memory), asked, Quantity.MEMORY)


def within(written: Shape = WRITTEN, most: int = 16 * GB):
    return limits_of(written, Mode.WITHIN, most)


def test_the_reason_of_a_change_is_told_with_its_numbers() -> None:
    evidence = Evidence().add([*finished(1.3 * GB, n=54), *finished(1.31 * GB, n=3)])
    needs = estimate(evidence, WRITTEN, within())
    assert needs.changes[0].text == "memory 4.03 GB -> 1.6 GB: p95 of 57 attempts is 1.3 GB, +20 %"
    assert needs.shape.memory == 1_600_000_000


def test_nothing_changes_before_anything_is_known() -> None:
    assert estimate(Evidence(), WRITTEN, within()).shape == WRITTEN


def test_after_one_attempt_memory_is_asked_by_it_and_time_is_not_yet_lowered() -> None:
    needs = estimate(Evidence().add(finished(1.0 * GB)), WRITTEN, within())
    assert needs.shape.memory == round_up(1.5 * GB, Quantity.MEMORY)
    assert needs.shape.time == WRITTEN.time
    assert "the first attempt used 1 GB, +50 %" in needs.text


def test_out_of_memory_asks_more_for_all_at_once_and_right_once_one_finished() -> None:
    written = Shape(memory=100_000_000).rounded()
    evidence = Evidence().add([ran_out(written, 131_000_000)])
    first = estimate(evidence, written, within(written))
    assert first.text == "memory 128 MB -> 256 MB: 131 MB was not enough, +50 %"
    evidence = evidence.add(finished(1.3 * GB, asked=replace(written, memory=2 * GB), n=3))
    then = estimate(replace(evidence, settled=0), first.shape, within(written))
    assert then.shape.memory >= 1.5 * GB
    assert "p95 of 3 attempts is 1.3 GB" in then.text


def test_where_the_limit_is_too_low_it_is_said_and_kept() -> None:
    written = Shape(memory=128_000_000)
    needs = estimate(Evidence().add([ran_out(written, 131_000_000)]), written, limits_of(written, Mode.WITHIN))
    assert needs.shape == written
    assert needs.text == "memory: about 196 MB is needed (131 MB was not enough, +50 %), but 128 MB is the limit"


def test_auto_goes_beyond_what_is_written_up_to_the_largest_site() -> None:
    largest = Shape(memory=64 * GB, disk=100 * GB, time=10**6)
    evidence = Evidence().add([ran_out(WRITTEN, 5 * GB)])
    assert estimate(evidence, WRITTEN, limits_of(WRITTEN, Mode.WITHIN)).shape.memory == WRITTEN.memory
    assert estimate(evidence, WRITTEN, limits_of(WRITTEN, Mode.AUTO, 0, largest)).shape.memory >= 7.5 * GB


def test_off_asks_what_is_written_whatever_is_seen() -> None:
    evidence = Evidence().add(finished(0.1 * GB, n=100))
    assert estimate(evidence, WRITTEN, limits_of(WRITTEN, Mode.OFF)).shape == WRITTEN


def test_failures_of_the_task_itself_teach_nothing_and_stopped_ones_only_what_they_reached() -> None:
    wrong = Observed(End.WRONG, Usage(wall=9e5, memory=15 * GB, disk=1), WRITTEN)
    stopped = Observed(End.STOPPED, Usage(wall=40_000.0, memory=GB, disk=1), WRITTEN)
    assert estimate(Evidence().add([wrong] * 50), WRITTEN, within()).shape == WRITTEN
    auto = limits_of(WRITTEN, Mode.AUTO, 0, Shape(memory=16 * GB, disk=10 * GB, time=10**6))
    needs = estimate(Evidence().add([stopped]), WRITTEN, auto)
    assert (needs.shape.memory, needs.shape.time >= 40_000) == (WRITTEN.memory, True)


@given(OBSERVED, ASKED, st.integers(0, 10**12), st.sampled_from(Mode))
def test_never_less_than_was_seen_to_be_needed_and_never_beyond_the_limits(
    attempts: list[Observed], asked: Shape, memory_most: int, mode: Mode
) -> None:
    evidence = Evidence().add(attempts)
    limits = limits_of(asked, mode, memory_most, Shape(memory=10**11, disk=10**11, time=10**6))
    shape = estimate(evidence, asked, limits).shape
    for quantity in Quantity:
        now, most = asked_of(shape, quantity), asked_of(limits.most, quantity)
        assert asked_of(limits.least, quantity) <= now <= most
        for item in attempts:
            amount = amount_of(item.usage, quantity)
            if amount is not None and item.end is not End.WRONG:
                assert now >= min(amount, most)
            if item.end is End.RAN_OUT and item.of is quantity and mode is not Mode.OFF:
                assert now > min(asked_of(item.asked, quantity), most - 1)


@given(OBSERVED, OBSERVED)
def test_evidence_does_not_depend_on_the_order_of_reports_and_is_read_back(
    a: list[Observed], b: list[Observed]
) -> None:
    assert Evidence().add(a).add(b) == Evidence().add([*b, *a])
    assert Evidence.from_text(Evidence().add(a).to_text()) == Evidence().add(a)


@given(st.floats(1, 1e12), st.sampled_from(Quantity))
def test_rounding_is_up_by_little_and_stable_under_the_rounding_of_shapes(amount: float, quantity: Quantity) -> None:
    up = round_up(amount, quantity)
    step = 64_000_000 if quantity is not Quantity.TIME else 60
    assert amount <= up <= amount * (1 + 1 / 16) + step
    shape = Shape(**{"memory": 64_000_000, "disk": 64_000_000, "time": 60, str(quantity): up})
    assert asked_of(shape.rounded(), quantity) == up


def test_usage_that_cannot_be_true_teaches_nothing() -> None:
    for amount in (-1.0, math.nan, math.inf, 1e300):
        usage = Usage(wall=amount, cpu=amount, memory=amount, disk=amount)  # type: ignore[arg-type]
        assert Evidence().add([Observed(End.FINISHED, usage, WRITTEN)]) == replace(Evidence(), ended=1)
        odd = Usage(wall=10.0, cpu=amount, memory=GB)
        assert Evidence().add([Observed(End.FINISHED, odd, WRITTEN)]).memory.most == GB


def test_more_evidence_means_a_smaller_margin() -> None:
    for rule in RULES.values():
        margins = [rule.margin_at(count) for count in (1, 3, 10, 100, 10_000)]
        assert margins == sorted(margins, reverse=True)
        assert margins[-1] < rule.margin + rule.first / 50


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["normal", "log-normal", "heavy"]))
def test_it_changes_seldom_whatever_the_distribution(seed: int, kind: str) -> None:
    rng = random.Random(seed)
    draw = {
        "normal": lambda: abs(rng.gauss(1.2, 0.1)),
        "log-normal": lambda: rng.lognormvariate(0, 0.5),
        "heavy": lambda: 0.3 * rng.paretovariate(1.5),
    }[kind]
    evidence, shape, limits, changes, attempts = Evidence(), WRITTEN, within(most=10**12), 0, 0
    while attempts < 4000:
        batch = []
        for _ in range(1 if not attempts else 80):
            memory = draw() * GB
            over = memory > shape.memory
            used_ = min(memory, shape.memory * 1.02)
            batch += [ran_out(shape, int(used_))] if over else finished(memory, rng.lognormvariate(6, 1), shape)
        attempts += len(batch)
        evidence = evidence.add(batch)
        needs = estimate(evidence, shape, limits)
        if needs.changes:
            shape, changes = needs.shape, changes + 1
            evidence = replace(evidence, settled=evidence.finished)
    assert changes <= 3 * math.log2(4000)


def test_a_rare_giant_decides_for_all_unless_rare_ones_are_left_to_retries() -> None:
    evidence = Evidence().add([*finished(GB, n=2000), *finished(15 * GB)])
    assert estimate(evidence, WRITTEN, within()).shape.memory >= 15 * GB
    rules = {**RULES, Quantity.MEMORY: replace(RULES[Quantity.MEMORY], rare=0.005)}
    assert estimate(evidence, WRITTEN, within(), Policy(rules)).shape.memory < 1.3 * GB


def test_one_goes_first_then_a_few_if_it_fails_then_all() -> None:
    wrong = [Observed(End.WRONG, Usage(), WRITTEN)]
    assert allowance(Evidence()) == 1
    assert allowance(Evidence().add(wrong)) == 20
    assert allowance(Evidence().add(wrong).add(finished(GB))) is None


def test_while_the_first_only_ran_out_of_something_no_others_follow_it() -> None:
    short = [Observed(End.RAN_OUT, Usage(memory=4 * GB), WRITTEN, Quantity.MEMORY)]
    assert allowance(Evidence().add(short)) == 1
    assert allowance(Evidence().add(short).add(finished(GB))) is None


def test_asked_is_shown_against_used() -> None:
    shape = replace(WRITTEN, cpu=4)
    lines = used(Evidence().add(finished(1.3 * GB, asked=shape, n=10)), shape)
    assert [line.text for line in lines] == [
        "memory: asks 4.03 GB, uses 1.3 GB (p95), 1.3 GB at most",
        "disk: asks 10 GB, uses 200 MB (p95), 200 MB at most",
        "time: asks 10 h, uses 10 min (p95), 10 min at most",
        "cpu: asks 4, uses 1 (half of the attempts less); yours: needs.cpu: 1 would do",
    ]
