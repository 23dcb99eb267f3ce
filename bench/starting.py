"""How long the command line takes to start, and `nunatak up` to be ready."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.say import say

NUNATAK = str(Path(sys.executable).with_name("nunatak"))


def timed(words: list[str], environment: dict[str, str]) -> float:
    """Return the seconds of one command."""
    begin = time.perf_counter()
    subprocess.run(words, env=environment, capture_output=True, check=False)
    return time.perf_counter() - begin


def main() -> None:
    """Measure --help and status against a bare interpreter, and the start of an installation."""
    with tempfile.TemporaryDirectory(prefix="nunatak-bench-") as base:
        environment = {**os.environ, "NUNATAK_DATA": f"{base}/data"}
        ready, up = [], None
        for _ in range(3):
            if up is not None:
                up.terminate()
                up.wait(30)
            begin = time.perf_counter()
            words = [NUNATAK, "up", "--port", "0"]
            up = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert up.stdout is not None
            while "is up" not in up.stdout.readline():
                pass
            ready.append(time.perf_counter() - begin)
        try:
            bare = statistics.median(timed([sys.executable, "-c", "pass"], environment) for _ in range(9))
            for words in ([NUNATAK, "--help"], [NUNATAK, "ls"]):
                value = statistics.median(timed(words, environment) for _ in range(9))
                say(" ".join(["nunatak", *words[1:]]), value, "s", "< 0.3", bare)
            say("nunatak up until ready", statistics.median(ready), "s", "< 2", bare)
        finally:
            assert up is not None
            up.terminate()
            up.wait(30)


if __name__ == "__main__":
    main()
