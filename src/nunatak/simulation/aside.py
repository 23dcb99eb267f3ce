"""Compares a dataset as it is with a change, beside a server: in a process of its own, one at a time, bounded in size and time.

`python -m nunatak.simulation.aside` reads a question as JSON, and answers with a comparison as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nunatak.core.clock import Clock
from nunatak.core.errors import Unavailable
from nunatak.datasets.plan import Plan
from nunatak.simulation.slots import slots_of
from nunatak.simulation.whatif import Change, compare

MOST_TASKS = 1000
"""Tasks of the copy that is simulated: all four runs of it take about 2.5 s of a core."""
SEEDS = 2
MOST_SECONDS = 60.0
MOST_CPU = 20
"""Seconds of one core; `MOST_SECONDS` of the clock are for servers that have other work to do."""
FRESH = 60.0
"""Seconds for which an answer holds: what is left changes slowly against what a simulation can tell."""
MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class Question:
    """What would be otherwise for a dataset: slots more, as `--add` of the command line has them, and a priority."""

    dataset: int
    add: str = ""
    priority: float | None = None


def answer(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Work out a question with its snapshot and plan. Raises `Conflict` where nothing is left."""
    add, priority = plain["add"], plain["priority"]
    change = Change((slots_of(add, 1),) if add else (), priority)
    return compare(plain["snapshot"], Plan.from_plain(plain["plan"]), change, range(SEEDS), MOST_TASKS).to_plain()


Run = Callable[[str], str]


def in_a_process(text: str) -> str:
    """Answer in another process, which cannot slow this one down. Raises `Unavailable` when it takes too long or fails."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "nunatak.simulation.aside"],
            input=text, capture_output=True, text=True, timeout=MOST_SECONDS, check=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"the simulation was not done in {MOST_SECONDS:.0f} s", code="too-long", hint="run it in a terminal"
        ) from error
    except subprocess.CalledProcessError as error:
        what = f"took more than {MOST_CPU} s" if error.returncode < 0 else "failed"
        raise Unavailable(f"the simulation {what}", code="no-simulation", hint="run it in a terminal") from error
    return done.stdout


class Aside:
    """Answers questions, one at a time, and remembers the answers for a minute."""

    def __init__(self, clock: Clock, run: Run = in_a_process) -> None:
        """Begin with nothing remembered."""
        self._clock, self._run = clock, run
        self._busy, self._lock = threading.Lock(), threading.Lock()
        self._known: OrderedDict[Question, tuple[float, dict[str, Any]]] = OrderedDict()

    def known(self, question: Question) -> dict[str, Any] | None:
        """Return an answer that is not old."""
        with self._lock:
            at, found = self._known.get(question, (float("-inf"), {}))
        return found if 0 <= self._clock() - at < FRESH else None

    def ask(self, question: Question, snapshot: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
        """Return the comparison.

        Raises `Invalid` for slots that say nothing, `Unavailable` while another is being worked out, or if it takes too long.
        """
        if question.add:
            slots_of(question.add)
        if not self._busy.acquire(blocking=False):
            raise Unavailable("another simulation is being worked out", code="busy", hint="try again in some seconds")
        try:
            asked = {"snapshot": snapshot, "plan": plan, "add": question.add, "priority": question.priority}
            found: dict[str, Any] = json.loads(self._run(json.dumps(asked)))
        finally:
            self._busy.release()
        with self._lock:
            self._known[question] = (self._clock(), found)
            while len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)
        return found


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU, MOST_CPU + 1))
    os.nice(5)
    sys.stdout.write(json.dumps(answer(json.load(sys.stdin))))
