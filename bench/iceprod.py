"""IceProd configurations: texts that one core expands a second, and what importing a thousand tasks takes, in both modes.

Beside it stands what reading the same as JSON takes alone.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.say import say
from nunatak.iceprod import MODES, expand
from nunatak.iceprod.importing import import_config

JOB: dict[str, Any] = {
    "options": {"dataset": 22_853, "job": 1042, "jobs_submitted": 20_000},
    "steering": {
        "parameters": {
            "seed": "$eval($(dataset)*100000+$(job))",
            "gcd": "/data/sim/$sprintf('%06d',$(dataset))/GCD.i3.gz",
            "holes": [0.6, 0.5, 0.7],
        }
    },
}
TEXTS = (
    "--seed $steering(seed) --nevents 1000",
    "$steering(gcd)",
    "$steering(holes)[$eval($(job)%3)]",
    "$sprintf('%07d',$(job))",
    "$(job)",
    "--no-hybrid",
)


def rate(call: Callable[[str], Any], seconds: float = 1.0) -> float:
    """Return texts a second of processor time."""
    done, start = 0, time.process_time()
    while (spent := time.process_time() - start) < seconds:
        for text in TEXTS:
            call(text)
        done += len(TEXTS)
    return done / spent


def chain(tasks: int) -> str:
    """Return a configuration of tasks in a row, each with a module, a file it reads and one it makes."""
    made = [_task(number) for number in range(tasks)]
    parameters = {**JOB["steering"]["parameters"], "events": 5000, "outdir": "file:///data/sim"}
    return json.dumps({"version": 3.2, "description": "a chain", "steering": {"parameters": parameters}, "tasks": made})


def _task(number: int) -> dict[str, Any]:
    def file(of: int) -> str:
        return f"$steering(outdir)/$sprintf('%06d',$(dataset))/step_{of}_$sprintf('%06d',$(job)).i3"

    args = (
        f"--seed $eval($steering(seed)+{number}) --n $steering(events) --out step_{number}_$sprintf('%06d',$(job)).i3"
    )
    data = [{"remote": file(number), "movement": "output"}]
    return {
        "name": f"step_{number}",
        "depends": [f"step_{number - 1}"] if number else [],
        "data": [*data, {"remote": file(number - 1), "local": "in.i3"}] if number else data,
        "requirements": {"memory": 2.0, "time": "$eval($steering(events)/1000)"},
        "trays": [{"modules": [{"src": "step.py", "args": f"{args} --name $(task)"}]}],
    }


def spent(call: Callable[[], Any]) -> float:
    """Return seconds of processor time, the median of three calls."""
    found = []
    for _ in range(3):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return statistics.median(found)


def main() -> None:
    """Measure and print."""
    quoted = {text: json.dumps(text) for text in TEXTS}
    bare = rate(lambda text: json.loads(quoted[text]))
    for mode in MODES:
        found = statistics.median(rate(partial(expand, job=JOB, mode=mode)) for _ in range(3))
        say(f"iceprod expansions, {mode}", found, "texts/s of CPU", ">= 20,000", bare)
    text = chain(1000)
    read = spent(partial(json.loads, text))
    for mode in MODES:
        found = spent(partial(import_config, text, jobs=1000, mode=mode))
        say(f"iceprod import of 1,000 tasks, {mode}", found, "s of CPU", "< 5", read)
