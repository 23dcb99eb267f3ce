"""Simulations beside a server: one at a time, remembered for a minute."""

from __future__ import annotations

import json
import threading

import pytest

from nunatak.core.clock import ManualClock
from nunatak.core.errors import Unavailable
from nunatak.simulation.aside import FRESH, Aside, Question

QUESTION = Question(42, "100 slots", 2.0)


def test_an_answer_holds_for_a_minute() -> None:
    clock, asked = ManualClock(), list[dict[str, object]]()

    def run(text: str) -> str:
        asked.append(json.loads(text))
        return '{"sentence": "sooner"}'

    aside = Aside(clock, run)
    assert aside.known(QUESTION) is None
    assert aside.ask(QUESTION, {"dataset": 42}, {"name": "x"}) == {"sentence": "sooner"}
    assert asked == [{"snapshot": {"dataset": 42}, "plan": {"name": "x"}, "add": "100 slots", "priority": 2.0}]
    assert aside.known(QUESTION) == {"sentence": "sooner"}
    assert aside.known(Question(42, "100 slots", 3.0)) is None
    clock.advance(FRESH)
    assert aside.known(QUESTION) is None


def test_only_one_is_worked_out_at_a_time() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def run(_: str) -> str:
        begun.set()
        assert go_on.wait(30)
        return "{}"

    aside = Aside(ManualClock(), run)
    first = threading.Thread(target=aside.ask, args=(QUESTION, {}, {}))
    first.start()
    assert begun.wait(30)
    with pytest.raises(Unavailable, match="another simulation"):
        aside.ask(Question(43), {}, {})
    go_on.set()
    first.join(30)
    assert aside.ask(Question(43), {}, {}) == {}


def test_a_failure_lets_the_next_one_in() -> None:
    def run(_: str) -> str:
        raise Unavailable("it took too long", code="too-long")

    aside = Aside(ManualClock(), run)
    for _ in range(2):
        with pytest.raises(Unavailable, match="too long"):
            aside.ask(QUESTION, {}, {})
