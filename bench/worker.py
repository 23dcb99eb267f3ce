"""What the worker costs above its payload: wall time with `true`, and resident memory; one JSON line each.

The limit beside each is a bare interpreter measured in the same run: no worker in Python can be below it.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nunatak.core.work import Command, Environment, Shape, TaskSpec
from nunatak.worker.build import build, unpack

ROUNDS = 25
BARE = [sys.executable, "-I", "-S", "-c", "pass"]


def order(box: Path, *argv: str) -> Path:
    box.mkdir()
    task = TaskSpec("1/0/a#1", "ff", (Command(argv),), Environment(), (), (), Shape())
    (box / "task.json").write_text(json.dumps(task.to_plain()))
    return box


def timed(argv: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(argv, check=True)
    return (time.perf_counter() - start) * 1000


def wall(base: Path, worker: list[str]) -> tuple[float, float]:
    """Return the medians of worker minus bare `true`, and of an interpreter that does nothing, in milliseconds."""
    above, bare = [], []
    for turn in range(ROUNDS):
        box = order(base / f"{Path(worker[-1]).name}-{turn}", "true")
        above.append(timed([*worker, str(box)]) - timed(["true"]))
        bare.append(timed(BARE))
    return statistics.median(above), statistics.median(bare)


def peak(pid: int) -> float:
    """Return the largest resident set of a process up to now, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def memory(base: Path, worker: list[str]) -> tuple[float, float]:
    """Return the sum over the worker's two processes (shared pages count twice), and that of an interpreter, in MB."""
    gate = base / "gate"
    box = order(base / "held", "/bin/sh", "-c", f"echo up; while [ ! -e {gate} ]; do sleep 0.05; done")
    running = subprocess.Popen([*worker, str(box)])
    while not (box / "stdout").exists() or not (box / "stdout").read_text():
        time.sleep(0.01)
    inner = int(Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()[0])
    used = peak(running.pid) + peak(inner)
    gate.touch()
    running.wait()
    with subprocess.Popen([*BARE[:-1], "input()"], stdin=subprocess.PIPE) as bare:
        time.sleep(0.2)
        least = peak(bare.pid)
        bare.communicate(b"\n")
    return used, least


def say(name: str, value: float, unit: str, limit: float, must: str) -> None:
    line = {"name": name, "value": round(value, 1), "unit": unit, "limit": round(limit, 1), "must": must}
    sys.stdout.write(json.dumps(line) + "\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        worker = [sys.executable, "-I", "-S", str(unpack(base))]
        say("worker: wall above payload, unpacked", *_between("ms", wall(base, worker)), "< 150")
        zipped = [sys.executable, "-I", "-S", str(build(base / "worker.pyz"))]
        say("worker: wall above payload, zipapp", *_between("ms", wall(base, zipped)), "< 150")
        say("worker: memory above payload", *_between("MB", memory(base, worker)), "< 30")


def _between(unit: str, pair: tuple[float, float]) -> tuple[float, str, float]:
    return pair[0], unit, pair[1]


if __name__ == "__main__":
    main()
