"""Simulations beside a server: one at a time, remembered for a minute."""

from __future__ import annotations

import json
import threading

import pytest

from nunatak.core.clock import ManualClock
from nunatak.core.errors import Invalid, Unavailable
from nunatak.simulation.aside import FRESH, FRESH_FAILURE, Aside, Question

QUESTION = Question(42, "100 slots", 2.0)


def test_an_answer_holds_for_a_minute() -> None:
    clock, asked = ManualClock(), list[dict[str, object]]()

    def run(text: str) -> str:
        asked.append(json.loads(text))
        return '{"sentence": "sooner"}'

    aside = Aside(clock, run)
    assert aside.known(QUESTION) is None
    seen = {"dataset": 42, "name": "muons", "priority": 1.0, "tasks": [{"left": 3}, {"left": 4}]}
    answer = aside.ask(QUESTION, seen, {"name": "x"})
    assert (answer.found, answer.left, answer.now["name"]) == ({"sentence": "sooner"}, 7, "muons")
    assert asked == [{"snapshot": seen, "plan": {"name": "x"}, "add": "100 slots", "priority": 2.0}]
    assert aside.known(QUESTION) is answer
    assert aside.known(Question(42, "100 slots", 3.0)) is None
    clock.advance(FRESH)
    assert aside.known(QUESTION) is None
    assert aside.last(QUESTION) is answer, "who has waited for it all the time sees it still"


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
    assert not aside.begin(Question(43), {}, {})
    go_on.set()
    first.join(30)
    assert aside.ask(Question(43), {}, {}).found == {}


def test_a_failure_lets_the_next_one_in() -> None:
    def run(_: str) -> str:
        raise Unavailable("it took too long", code="too-long")

    clock = ManualClock()
    aside = Aside(clock, run)
    for _ in range(2):
        assert "too long" in str(aside.ask(QUESTION, {}, {}).error)
    clock.advance(FRESH_FAILURE)
    assert aside.known(QUESTION) is None


def test_it_goes_on_beside_the_caller_who_finds_the_answer() -> None:
    go_on = threading.Event()

    def run(_: str) -> str:
        assert go_on.wait(30)
        return "not JSON"

    aside = Aside(ManualClock(), run)
    with pytest.raises(Invalid, match="slot"):
        aside.begin(Question(42, "<script>"), {}, {})
    assert aside.begin(QUESTION, {}, {})
    assert aside.last(QUESTION) is None
    assert aside.begun(QUESTION) is not None
    assert aside.begun(Question(43)) is None
    go_on.set()
    [thread] = [one for one in threading.enumerate() if one.name == "what-if"]
    thread.join(30)
    answer = aside.known(QUESTION)
    assert answer is not None
    assert "the simulation failed" in str(answer.error)
    assert aside.begun(QUESTION) is None
