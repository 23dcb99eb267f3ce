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
from dataclasses import dataclass, replace
from typing import Any

from nunatak.core.clock import Clock
from nunatak.core.errors import NunatakError, Unavailable
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
FRESH_FAILURE = 5.0
"""And a failure: who asks again wants it tried again."""
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


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a question: a comparison, or why there is none; `left` tasks were left of the dataset."""

    at: float
    now: Mapping[str, Any]
    left: int
    found: Mapping[str, Any] | None = None
    error: NunatakError | None = None


class Aside:
    """Answers questions, one at a time, and remembers the answers for a minute."""

    def __init__(self, clock: Clock, run: Run = in_a_process) -> None:
        """Begin with nothing remembered."""
        self._clock, self._run = clock, run
        self._busy, self._lock = threading.Lock(), threading.Lock()
        self._known: OrderedDict[Question, Answer] = OrderedDict()
        self._current: tuple[Question, Answer] | None = None

    def last(self, question: Question) -> Answer | None:
        """Return the answer, however old."""
        with self._lock:
            return self._known.get(question)

    def known(self, question: Question) -> Answer | None:
        """Return an answer that is not old; failures are old soon."""
        found = self.last(question)
        holds = FRESH if found is None or found.error is None else FRESH_FAILURE
        return found if found and 0 <= self._clock() - found.at < holds else None

    def begun(self, question: Question) -> Answer | None:
        """Return what is known of a question that is being worked out now, without a comparison."""
        with self._lock:
            return self._current[1] if self._current and self._current[0] == question else None

    def ask(self, question: Question, snapshot: Mapping[str, Any], plan: Mapping[str, Any]) -> Answer:
        """Return the answer.

        Raises `Invalid` for slots that say nothing, `Unavailable` while another is being worked out.
        """
        _check(question)
        if not self._busy.acquire(blocking=False):
            raise Unavailable("another simulation is being worked out", code="busy", hint="try again in some seconds")
        return self._work(question, self._note(question, snapshot), snapshot, plan)

    def begin(self, question: Question, snapshot: Mapping[str, Any], plan: Mapping[str, Any]) -> bool:
        """Work it out while the caller goes on, who finds the answer with `last`; False while another is being worked out.

        Raises `Invalid` for slots that say nothing.
        """
        _check(question)
        if not self._busy.acquire(blocking=False):
            return False
        work = (question, self._note(question, snapshot), snapshot, plan)
        threading.Thread(target=self._work, args=work, name="what-if", daemon=True).start()
        return True

    def _note(self, question: Question, snapshot: Mapping[str, Any]) -> Answer:
        now = {name: snapshot.get(name) for name in ("dataset", "name", "priority")}
        answer = Answer(self._clock(), now, left_of(snapshot))
        with self._lock:
            self._current = (question, answer)
        return answer

    def _work(self, question: Question, begun: Answer, snapshot: Mapping[str, Any], plan: Mapping[str, Any]) -> Answer:
        """Work it out, remember it, and let the next one in."""
        asked = {"snapshot": snapshot, "plan": plan, "add": question.add, "priority": question.priority}
        found, error = None, None
        try:
            found = json.loads(self._run(json.dumps(asked)))
        except NunatakError as failed:
            error = failed
        except (OSError, ValueError) as failed:
            error = Unavailable(f"the simulation failed: {failed}", code="no-simulation", hint="run it in a terminal")
        finally:
            answer = replace(begun, at=self._clock(), found=found, error=error)
            self._keep(question, answer)
            self._busy.release()
        return answer

    def _keep(self, question: Question, answer: Answer) -> None:
        with self._lock:
            self._current = None
            self._known[question] = answer
            self._known.move_to_end(question)
            while len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)


def _check(question: Question) -> None:
    if question.add:
        slots_of(question.add)


def left_of(snapshot: Mapping[str, Any]) -> int:
    """Return how many tasks a snapshot leaves to do."""
    return sum(task["left"] for task in snapshot.get("tasks", ()))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU, MOST_CPU + 1))
    os.nice(5)
    sys.stdout.write(json.dumps(answer(json.load(sys.stdin))))
