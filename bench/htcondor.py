"""The engine of an HTCondor pool, on a real one: submission, reading of events, a deep queue, and how soon an end is noticed.

The limit beside each figure is HTCondor alone, in the same run: a bare submission of the same ads for the same boxes, the
bare reader of the same log.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.say import say

JOBS, SETS, DEEP, TURN = 1000, 5, 50_000, 2000
CLUSTER = 10_000
"""Jobs of one bare submission at most: a schedd takes no more than 20,000 (MAX_JOBS_PER_SUBMISSION)."""
EVENTS, NOTICED = 100_000, 30
NEVER = ("alpha", "beta")
"""The nodes of the pool: with both drained, jobs wait."""
SUBMITTED = """\
000 (001.{0:03d}.000) 2026-11-28 06:28:10 Job submitted from host: <127.0.0.1:1?addrs=127.0.0.1-1&alias=ap>
    nunatak 1/{0}/a#1 a1b2c3d4e5f60718
...
"""
STARTED = """\
001 (001.{0:03d}.000) 2026-11-28 06:28:14 Job executing on host: <127.0.0.1:1?addrs=127.0.0.1-1&alias=n>
\tSlotName: slot1_1@node.example.org
\tCondorScratchDir = "/var/lib/condor/execute/dir_1"
...
"""
MEASURED = """\
006 (001.{0:03d}.000) 2026-11-28 06:28:20 Image size of job updated: 3500
\t12  -  MemoryUsage of job (MB)
\t12048  -  ResidentSetSize of job (KB)
...
"""


# ---- in a process of the submitter


def batch(place: Path, first: int, jobs: int) -> list[Any]:
    """Return attempts as recipes make them: a command, a file of the recipe that goes along, an output that comes back."""
    from nunatak.core.work import Command, Environment, Input, Output, Shape, TaskSpec

    shape = Shape(memory=64_000_000, disk=64_000_000, time=600)
    given = (Input("run.sh", f"file://{place}/run.sh"),)
    return [
        TaskSpec(
            f"1/{job}/a#1",
            "a1b2c3d4e5f60718",
            (Command(("sh", "run.sh")),),
            Environment(),
            given,
            (Output("y", f"file://{place}/store/{job}"),),
            shape,
        )
        for job in range(first, first + jobs)
    ]


@contextlib.contextmanager
def engine(place: Path, **options: Any) -> Iterator[Any]:
    """Give an engine on an empty directory that knows the pool; end all of its jobs afterwards."""
    from nunatak.engines.plugins import load_engine
    from nunatak.loops.engine_start import keeper
    from nunatak.storage.posix import PosixStorage
    from nunatak.worker import build

    place.mkdir()
    (place.parent / "run.sh").write_text("echo made > y\n")
    worker = build.build(place / "worker.pyz")
    keep = keeper(PosixStorage([Path("/")]))
    made: Any = load_engine("htcondor", {"directory": place / "engine", "worker": worker, "keep": keep, **options})
    until(lambda: bool(made.poll("") and made.capacity().queue))
    yield made
    end_all(made)
    made.close()
    shutil.rmtree(place, ignore_errors=True)


def end_all(made: Any) -> None:
    """Cancel all, and have it forgotten."""
    made.cancel(made.adopt())
    cursor = ""
    until(lambda: not _forget(made, cursor), pause=0.0)


def _forget(made: Any, cursor: str) -> bool:
    made.poll(made.poll(cursor).cursor)
    return bool(made.adopt())


def until(condition: Any, seconds: float = 600.0, pause: float = 0.1) -> float:
    """Wait for something; return how long it took."""
    begin = time.perf_counter()
    while not condition():
        if time.perf_counter() - begin > seconds:
            raise RuntimeError("it took too long")
        time.sleep(pause)
    return time.perf_counter() - begin


class Bare:
    """HTCondor's bindings alone, with what the engine gave them last."""

    def __init__(self, made: Any) -> None:
        """Note what the engine submits from now on."""
        import htcondor2

        self._api, self.given = htcondor2, list[tuple[Any, Any]]()
        self.schedd = htcondor2.Schedd(htcondor2.Collector().locate(htcondor2.DaemonType.Schedd))
        real = made._condor.submit

        def noting(description: Any, rows: Any) -> Any:
            self.given.append((description, rows))
            return real(description, rows)

        made._condor.submit = noting

    def submit(self, **more: str) -> tuple[float, int]:
        """Submit the same once more, as jobs of nobody that wait; return how long it took, and the cluster."""
        description, rows = self.given[-1]
        log = Path(description["log"]).with_name("bare.txt")
        nobody = {"My.NunatakEngine": '"bare"', "log": str(log), **more}
        submit = self._api.Submit({**description, **nobody})
        begin = time.perf_counter()
        cluster = self.schedd.submit(submit, itemdata=iter(rows)).cluster()
        return time.perf_counter() - begin, cluster

    def remove(self, cluster: int) -> float:
        """Remove a cluster; return how long until it is gone."""
        begin = time.perf_counter()
        self.schedd.act(self._api.JobAction.Remove, f"ClusterId == {cluster}", reason="measured")
        until(lambda: self.count(cluster) == 0)
        return time.perf_counter() - begin

    def count(self, cluster: int) -> int:
        """Return how many jobs of a cluster are in the queue."""
        return len(self.schedd.query(f"ClusterId == {cluster}", projection=["ProcId"]))


def submission(place: Path) -> None:
    """Measure (a): sets of attempts through `submit`, each beside the bare submission of the same."""
    from nunatak.engines.protocol import Nodes

    with engine(place / "submission", depth=10**6) as made:
        bare, never = Bare(made), Nodes(drained=NEVER)
        made.submit([], never)
        ours, limits, own = [], [], []
        for number in range(SETS):
            attempts = batch(place, number * JOBS, JOBS)
            begin, cpu = time.perf_counter(), time.process_time()
            made.submit(attempts, never)
            ours.append(JOBS / (time.perf_counter() - begin))
            own.append(1e6 * (time.process_time() - cpu) / JOBS)
            seconds, cluster = bare.submit()
            limits.append(JOBS / seconds)
            bare.remove(cluster)
        say(
            f"HTCondor: submission in sets of {JOBS}",
            statistics.median(ours),
            "jobs/s",
            ">= 1000",
            statistics.median(limits),
            best=max(ours),
            best_limit=max(limits),
            cpu_us_a_job=statistics.median(own),
        )


def events(place: Path) -> None:
    """Measure (b): a long log through `learn` and `save`, beside the bare reader of the same log."""
    from nunatak.engines.protocol import Nodes

    with engine(place / "events", depth=10**6) as made:
        ledger = made._ledger
        jobs = min(JOBS, 999)
        made.submit(batch(place, 0, jobs), Nodes(drained=NEVER))
        until(lambda: not made._hearing.learn(10**9) and not made.poll("").changes)
        real = {item.job: item for item in ledger.attempts.values()}
        first = min(cluster for cluster, _ in real)
        text = io.StringIO()
        for number in range(EVENTS):
            kind = STARTED if number < jobs else MEASURED
            text.write(kind.format(number % jobs).replace("(001.", f"({first:03d}."))
        log = next(iter(ledger.logs._logs.values()))
        with log.path.open("a") as stream:
            stream.write(text.getvalue())
        begin, before, cpu = time.perf_counter(), log.position, time.process_time()
        calls = 0
        while log.position < log.size():
            made.poll("")
            calls += 1
        seconds, spent = time.perf_counter() - begin, time.process_time() - cpu
        begun = sum(item.begun is not None for item in ledger.attempts.values())
        if begun != jobs:
            raise RuntimeError(f"{begun} of {jobs} began")
        begin = time.perf_counter()
        read = sum(1 for _ in made._condor.log(str(log.path), before).events(0))
        limit = read / (time.perf_counter() - begin)
        say("HTCondor: events read, with the position recorded", EVENTS / seconds, "events/s", ">= 20000", limit,
            calls=calls, cpu_us_an_event=1e6 * spent / EVENTS)  # fmt: skip


def memory() -> float:
    """Return the memory of this process in MB."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6


def deep(place: Path) -> None:
    """Measure (c): a deep queue fed and removed again; beside it one bare cluster, at once and by and by."""
    from nunatak.engines.protocol import Nodes

    with engine(place / "deep", depth=10**6, log_size=10**9) as made:
        bare, never, before = Bare(made), Nodes(drained=NEVER), memory()
        made.submit([], never)
        cursor, fed, limit, gone = "", 0.0, 0.0, 0.0
        for first in range(0, DEEP, TURN):
            begin = time.perf_counter()
            made.submit(batch(place, first, TURN), never)
            cursor = made.poll(cursor).cursor
            fed += time.perf_counter() - begin
            if (first + TURN) % CLUSTER == 0:  # in turns: what else the machine does changes within a minute
                description, rows = bare.given[-1]
                bare.given.append((description, rows * (CLUSTER // TURN)))
                seconds, cluster = bare.submit()
                limit, gone = limit + seconds, gone + bare.remove(cluster)
                bare.given.clear()
        held = memory() - before
        say(f"HTCondor: {DEEP} jobs fed", fed, "s", "< 50", limit, memory_mb=held)
        begin = time.perf_counter()
        end_all(made)
        say(f"HTCondor: {DEEP} jobs cancelled, told and forgotten", time.perf_counter() - begin, "s", "", gone)
        rows = rows * (JOBS * 5 // TURN)
        bare.given.append((description, rows))
        at_once, cluster = bare.submit()
        bare.remove(cluster)
        accepted, cluster = bare.submit(max_materialize=str(10**6))
        late = accepted + until(lambda: bare.count(cluster) >= len(rows))
        bare.remove(cluster)
        say("HTCondor: jobs in the queue by late materialization", len(rows) / late, "jobs/s", "", len(rows) / at_once,
            accepted=len(rows) / accepted)  # fmt: skip


PARTS = {"submission": submission, "events": events, "deep": deep}


# ---- around it


RECIPE = "name: noticed\njobs: {jobs}\nneeds: {{memory: 64 MB, disk: 64 MB, time: 10 min}}\ntasks:\n  a: {{run: 'sleep 1'}}\n"


class Tail(threading.Thread):
    """Notes when the end of each job is written to the logs of an engine."""

    def __init__(self, directory: Path) -> None:
        """Look at the logs below a directory."""
        super().__init__(daemon=True)
        self.directory, self.ends = directory, list[float]()

    def run(self) -> None:
        """Look, again and again, for as long as the process is there."""
        read: dict[Path, int] = {}
        while True:
            for path in self.directory.glob("*.log"):
                with path.open("rb") as stream:
                    stream.seek(read.get(path, 0))
                    data = stream.read()
                    whole = data.rpartition(b"\n")[0]
                    read[path] = read.get(path, 0) + len(whole)
                self.ends += [time.time()] * len(re.findall(rb"(?m)^005 \(", whole))
            time.sleep(0.02)


@contextlib.contextmanager
def host(pool: Any, place: Path, url: str, token: str) -> Iterator[None]:
    """Run an engine host as the submitter."""
    from tests.services.htcondor import AS_USER

    words = [str(Path(sys.executable).with_name("nunatak")), "serve", "engine", "pool", "--kind", "htcondor"]
    words += ["--data", str(place / "data"), "--option", "look=2", "--option", "target=0"]
    variables = {**pool.environ(), "NUNATAK_URL": url, "NUNATAK_TOKEN": token}
    process = subprocess.Popen([*AS_USER, *words], env=variables, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def noticing(pool: Any, place: Path) -> None:
    """Measure (d): from the end of a job in the log to its task being done at the server, which is asked all the time."""
    from bench.installation import served
    from nunatak.client import Client

    tail = Tail(place / "data" / "engines" / "pool" / "attempts" / "events")
    with tempfile.TemporaryDirectory(prefix="nunatak-bench-") as base:
        recipe = Path(base) / "recipe.yaml"
        recipe.write_text(RECIPE.format(jobs=NOTICED))
        with served(f"sqlite:///{base}/nunatak.db", Path(base)) as running:
            url = f"http://127.0.0.1:{running.port}"
            with Client(url, running.token) as client:
                token = client.create_token("pool", ["engine"], days=1).token or ""
                with host(pool, place, url, token):
                    tail.start()
                    done = times_done(client, str(client.submit(recipe).dataset))
    late = sorted(max(0.0, there - written) for there, written in zip(done, tail.ends, strict=True))
    say("HTCondor: from the end of a job in the log to done at the server, p95", late[int(0.95 * len(late))], "s", "< 2",
        median=statistics.median(late))  # fmt: skip


def times_done(client: Any, dataset: str) -> list[float]:
    """Return when each of the tasks was done."""
    done: list[float] = []
    begin = time.monotonic()
    while len(done) < NOTICED:
        if time.monotonic() - begin > 600:
            raise RuntimeError("the tasks were not done in time")
        done += [time.time()] * (client.dataset(dataset).tasks.done - len(done))
        time.sleep(0.02)
    return done


def main(parts: Sequence[str] = (*PARTS, "noticing")) -> None:
    """Start the pool, and measure as the submitter does."""
    from tests.services.htcondor import AS_USER, shared_pool

    with shared_pool() as pool:
        place = pool.place(f"bench-{os.getpid()}")
        words = [*AS_USER, sys.executable, "-m", "bench.htcondor", str(place)]
        try:
            for part in parts:
                if part == "noticing":
                    noticing(pool, place)
                else:
                    subprocess.run([*words, part], env=pool.environ(), check=True)
        finally:
            shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    for part in sys.argv[2:]:
        PARTS[part](Path(sys.argv[1]))
