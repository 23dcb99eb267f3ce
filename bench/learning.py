"""How fast one core learns: values into sketches, what to ask for, group sizes, and when a dataset will be done.

Prints one JSON line a figure: `python -m bench.learning`. The limit of the sketch is the logarithm of each value alone.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable

from bench.say import say
from nunatak.core.work import Shape, Usage
from nunatak.tasks.learning.eta import Work, eta
from nunatak.tasks.learning.evidence import End, Evidence, Observed
from nunatak.tasks.learning.groups import Size, group_size, groups
from nunatak.tasks.learning.limits import Mode, limits_of
from nunatak.tasks.learning.needs import estimate
from nunatak.tasks.learning.sketch import EMPTY, Sketch
from nunatak.tasks.learning.tails import Running

BATCH = 500


def rate(call: Callable[[], object], seconds: float = 0.5) -> float:
    """Return calls a second of processor time."""
    call()
    count, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        call()
        count += 1
    return count / (time.process_time() - start)


def main() -> None:
    """Measure and print."""
    rng = random.Random(1)
    values = [rng.lognormvariate(6, 1) for _ in range(20_000)]
    batch, big = values[:BATCH], EMPTY.add(values)
    kept = big.to_text()
    limit = rate(lambda: [math.log(value) for value in batch]) * BATCH
    say("sketch add", rate(lambda: big.add(batch)) * BATCH, "values/s", ">= 200000", limit, bytes=len(kept))
    through = rate(lambda: Sketch.from_text(kept).add(batch).to_text())
    say("sketch read, add 500, write", through, "rows/s", ">= 300")

    shape = Shape(memory=4_000_000_000, disk=10_000_000_000, time=36_000).rounded()
    seen = [Observed(End.FINISHED, Usage(wall=t, cpu=t, memory=int(1e9 + t), disk=10**8), shape) for t in batch]
    evidence, limits = Evidence().add(seen), limits_of(shape, Mode.WITHIN, 16_000_000_000)
    row = evidence.to_text()
    learnt = rate(lambda: Evidence.from_text(row).add(seen).to_text())
    say("evidence read, add 500 attempts, write", learnt * BATCH, "attempts/s", ">= 40000", bytes=len(row))
    say("estimate", rate(lambda: estimate(evidence, shape, limits)), "decisions/s", ">= 1000")
    say("group size", rate(lambda: group_size(big, shape, 100_000, 50)), "decisions/s", ">= 500")
    short = [((n % 7, 0), n, shape) for n in range(10_000)]
    sizes: dict[tuple[int, ...], Size] = {(key, 0): Size(60, 3600, "") for key in range(7)}
    say("grouping", rate(lambda: groups(short, sizes)) * len(short), "tasks/s", ">= 200000")

    one = [Work("t", ready=10_000, running=tuple(Running(t) for t in batch[:50]), took=big, asked=1e6)]
    say("eta, one task", 1000 / rate(lambda: eta(one, 50)), "ms", "< 5")
    chain = [
        Work(f"t{step}", (step - 1,) if step else (), False, 9000, 1000, tuple(map(Running, batch[:20])), big, 1e6)
        for step in range(5)
    ]
    say("eta, chain of five", 1000 / rate(lambda: eta(chain, 100)), "ms", "< 5")


if __name__ == "__main__":
    main()
