"""How many outcomes a second one core judges and signs, beside what making the same verdict without any evidence takes.

Judging is pure, so what is measured is processor time, not that of the clock, in many short rounds, of which the best counts:
what else runs on the machine, and what it leaves in the caches, is not in the figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.say import say
from nunatak.core.work import Outcome, Reason, Usage
from nunatak.tasks.verdicts.judge import judge
from nunatak.tasks.verdicts.kinds import Action, Kind
from nunatak.tasks.verdicts.model import DEFAULT, History, Past, Verdict
from nunatak.tasks.verdicts.signature import signature

COUNT, ROUNDS = 400, 60
TRACEBACK = """\
reading 500 events
Traceback (most recent call last):
  File "/pool/job/work/measure.py", line 31, in <module>
    main()
  File "/pool/job/work/measure.py", line 20, in main
    raise ValueError(f"channel {job} is saturated at scale {scale}")
ValueError: channel 3 is saturated at scale 0.5
"""
SAID = "`python measure.py 3 result.txt` ended with exit code 1: ValueError: channel 3 is saturated at scale 0.5"


def outcome(reason: Reason, message: str, code: int | None = None, usage: Usage | None = None) -> Outcome:
    """Return an outcome as a worker writes it."""
    return Outcome("42/17/measure#1", "ff", reason, message, exit=code, host="node17", usage=usage or Usage(wall=30.0))


CASES: tuple[tuple[str, Outcome, str, str], ...] = (
    ("ok", outcome(Reason.OK, ""), "", "> 1000000"),
    ("evicted", outcome(Reason.TERMINATED, "told to stop by SIGTERM"), "", "> 20000"),
    ("traceback", outcome(Reason.EXIT, SAID, 1), TRACEBACK, "> 20000"),
    ("out of memory", outcome(Reason.MEMORY, "too much", usage=Usage(memory=2 * 10**9)), "", "> 20000"),
    ("missing command", outcome(Reason.COMMAND, "command not found: root"), "", "> 20000"),
    ("truncated input", outcome(Reason.STAGE_IN, "the input a has 0 bytes, expected 5 (/data/a)"), "", "> 20000"),
)


def rate(call: Callable[[], object], count: int = COUNT) -> float:
    """Return calls a second of processor time, in the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(count):
            call()
        best = min(best, time.process_time() - start)
    return count / best


def judging(told: Outcome, history: History, tail: str) -> Callable[[], object]:
    """Return a call that judges."""
    return lambda: judge(told, history, DEFAULT, tail=tail, chance=0.5)


def main() -> None:
    """Measure and print."""
    past = Past(Kind.COMMAND_FAILED, "0123456789", "node3", "north", sentence=SAID)
    history = History(tries=1, node="node17", site="north", attempts=(past,), first=past)
    limit = rate(lambda: Verdict(Kind.USER_ERROR, SAID, Action.FAILED, signature="0123456789", lines=("a", "b")))
    for name, told, tail, must in CASES:
        say(f"judge: {name}", rate(judging(told, history, tail)), "1/s", must, limit)
    say("signature", rate(lambda: signature(SAID)), "1/s", "> 20000", rate(SAID.split))


if __name__ == "__main__":
    main()
