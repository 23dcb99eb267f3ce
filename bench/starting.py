"""How long the command line takes to start, and `nunatak up` to be ready."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.say import say

NUNATAK = str(Path(sys.executable).with_name("nunatak"))
RECIPE = "name: looked at\nneeds: {cpu: 1, memory: 64 MB, disk: 64 MB}\ntasks:\n  a: {run: 'true'}\n"
STARTS, COMMANDS = 5, 11


def timed(words: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Return the seconds of one command: those that pass, and those it computes."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, env=environment, capture_output=True, check=True)
    passed, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return passed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def medians(words: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Return the medians of many runs of one command, after one that fills caches."""
    timed(words, environment)
    runs = [timed(words, environment) for _ in range(COMMANDS)]
    return statistics.median(run[0] for run in runs), statistics.median(run[1] for run in runs)


def started(environment: dict[str, str]) -> tuple[subprocess.Popen[str], float]:
    """Start an installation; return it with the seconds until it says that it is ready."""
    begin = time.perf_counter()
    words = [NUNATAK, "up", "--port", "0"]
    up = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert up.stdout is not None
    for line in up.stdout:
        if "is up" in line:
            return up, time.perf_counter() - begin
    raise RuntimeError(f"it ended with {up.wait()}")


def ended(up: subprocess.Popen[str]) -> None:
    """Stop an installation."""
    up.terminate()
    up.wait(30)


def main() -> None:
    """Measure short commands against a bare interpreter, and the start of an installation."""
    with tempfile.TemporaryDirectory(prefix="nunatak-bench-") as base:
        environment = {**os.environ, "NUNATAK_DATA": f"{base}/data"}
        up, first = started(environment)
        ready = []
        for _ in range(STARTS):
            ended(up)
            up, seconds = started(environment)
            ready.append(seconds)
        try:
            recipe = Path(base) / "recipe.yaml"
            recipe.write_text(RECIPE)
            timed([NUNATAK, "submit", str(recipe)], environment)
            bare, _ = medians([sys.executable, "-c", "pass"], environment)
            for words in (["--help"], ["ls"], ["status", "1"]):
                value, computed = medians([NUNATAK, *words], environment)
                say(" ".join(["nunatak", *words]), value, "s", "< 0.3", bare, cpu=computed)
            say("nunatak up until ready", statistics.median(ready), "s", "< 2", bare, first=first)
        finally:
            ended(up)


if __name__ == "__main__":
    main()
