"""How many texts of IceProd configurations one core expands a second, in both modes, beside reading them as JSON alone."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.say import say
from nunatak.iceprod import MODES, expand

JOB = {
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


def main() -> None:
    """Measure and print."""
    quoted = {text: json.dumps(text) for text in TEXTS}
    bare = rate(lambda text: json.loads(quoted[text]))
    for mode in MODES:
        found = statistics.median(rate(partial(expand, job=JOB, mode=mode)) for _ in range(3))
        say(f"iceprod expansions, {mode}", found, "texts/s of CPU", ">= 20,000", bare)
