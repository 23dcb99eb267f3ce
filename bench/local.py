"""Tasks through a whole local installation: server, local engine and the real worker, as `nunatak up` starts them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.say import say
from nunatak.client import Client

NOOP = "name: noop\njobs: {jobs}\nneeds: {{cpu: 1, memory: 64 MB, disk: 64 MB}}\ntasks:\n  a: {{run: '{run}'}}\n"


def seconds_for(client: Client, place: Path, run: str, jobs: int) -> float:
    """Submit tasks and return how long it takes until the last is done."""
    recipe = place / "noop.yaml"
    recipe.write_text(NOOP.format(jobs=jobs, run=run))
    begin = time.perf_counter()
    number = client.submit(recipe).dataset
    while client.status(str(number)).state != "done":
        time.sleep(0.02)
    return time.perf_counter() - begin


def bare(run: list[str], times: int) -> float:
    """Return how many of a command two processes at a time get through in a second, without anything around."""
    begin = time.perf_counter()
    for _ in range(times // 2):
        pair = [subprocess.Popen(run), subprocess.Popen(run)]
        for process in pair:
            process.wait()
    return times / (time.perf_counter() - begin)


def main() -> None:
    """Measure no-op tasks and tasks of one second."""
    with tempfile.TemporaryDirectory(prefix="nunatak-bench-") as base:
        place = Path(base)
        words = [sys.executable, "-m", "nunatak.cli", "up", "--data", f"{base}/data", "--port", "0", "--cores", "2"]
        log = place / "log"
        with log.open("w") as stream:
            up = subprocess.Popen(words, stdout=stream, stderr=stream)
        try:
            while "nunatak is up" not in log.read_text():
                time.sleep(0.05)
                if up.poll() is not None:
                    raise RuntimeError(log.read_text())
            url = log.read_text().split(" at ")[1].split()[0]
            with Client(url, (place / "data" / "token").read_text().strip()) as client:
                seconds_for(client, place, "true", 20)
                rates = sorted(200 / seconds_for(client, place, "true", 200) for _ in range(3))
                limit = bare([sys.executable, "-I", "-S", "-c", "pass"], 100)
                say("no-op tasks through local engine and worker, 2 cores", rates[1], "tasks/s", ">= 25", limit)
                spent = sorted(seconds_for(client, place, "sleep 1", 40) for _ in range(3))[1]
                say("share of overhead in tasks of 1 s, 2 at a time", 100 * (1 - 20 / spent), "%", "< 10")
        finally:
            up.terminate()
            up.wait(30)


if __name__ == "__main__":
    main()
