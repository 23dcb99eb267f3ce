"""From an outcome to a verdict: what counts, what is free, what is tried again and with what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.work import Outcome, Reason, Shape, Usage
from nunatak.datasets.plan import Retry
from nunatak.tasks.judge import FREE_CAP, Action, History, judge

GB = 10**9
REASONS = st.sampled_from(list(Reason))


def outcome(reason: Reason, **more) -> Outcome:
    return Outcome("1/0/a#1", "ff", reason, **more)


def test_success_is_done() -> None:
    assert judge(outcome(Reason.OK), History(0, Shape()), Retry()).action is Action.DONE


@given(REASONS, st.integers(0, 10), st.integers(1, 10), st.integers(0, 30))
def test_tries_are_bounded_whatever_happens(reason: Reason, tries: int, most: int, free: int) -> None:
    verdict = judge(outcome(reason), History(tries, Shape()), Retry(tries=most), free_tries=free)
    if verdict.action is Action.AGAIN:
        assert tries + verdict.counts < most or (not verdict.counts and free < FREE_CAP)
    assert verdict.message
    assert 0 <= verdict.delay <= 3600


@pytest.mark.parametrize("reason", [Reason.LOST, Reason.TERMINATED, Reason.SUBMIT])
def test_what_the_resource_did_does_not_use_up_a_try(reason: Reason) -> None:
    verdict = judge(outcome(reason), History(2, Shape()), Retry(tries=3))
    assert verdict.action is Action.AGAIN
    assert not verdict.counts


def test_a_lost_task_is_not_tried_for_ever() -> None:
    verdict = judge(outcome(Reason.LOST), History(2, Shape()), Retry(tries=3), free_tries=FREE_CAP)
    assert verdict.action is Action.FAILED


def test_memory_is_raised_only_when_memory_ran_out() -> None:
    retry = Retry(tries=5, memory_factor=2.0, memory_most=16 * GB)
    small = History(0, Shape(memory=2 * GB))
    raised = judge(outcome(Reason.MEMORY, usage=Usage(memory=2 * GB)), small, retry).shape
    assert raised is not None
    assert raised.memory >= 4 * GB
    assert judge(outcome(Reason.EXIT, exit=1), small, retry).shape is None


def test_memory_is_never_raised_beyond_the_cap() -> None:
    retry = Retry(tries=5, memory_factor=2.0, memory_most=3 * GB)
    raised = judge(outcome(Reason.MEMORY), History(0, Shape(memory=2 * GB)), retry).shape
    assert raised is not None
    assert raised.memory <= Shape(memory=3 * GB).rounded().memory
    assert judge(outcome(Reason.MEMORY), History(1, Shape(memory=3 * GB)), retry).shape is None


def test_back_off_doubles() -> None:
    delays = [judge(outcome(Reason.EXIT), History(n, Shape()), Retry(tries=9, delay=10)).delay for n in range(4)]
    assert delays == [10, 20, 40, 80]
