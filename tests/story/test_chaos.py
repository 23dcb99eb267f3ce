"""Everything is killed at random while work goes on: processes, tasks, the database, wires. Longer by environment variables.

`CHAOS_SECONDS` says for how long (40), `CHAOS_SEED` with which random numbers; what is done is printed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random
from urllib.parse import unquote, urlsplit

import pytest

from nunatak.core.errors import NunatakError
from tests.services.postgres import Postgres
from tests.story.installation import send, until
from tests.story.parts import Parts, parts

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("CHAOS_SECONDS", "40"))
SEED = int(os.environ.get("CHAOS_SEED", "20261128"))
RECIPE = """\
name: diamonds
jobs: {jobs}
needs: {{memory: 64 MB, disk: 64 MB, time: 10 min}}
retry: {{tries: 50, delay: 0.2 s}}
tasks:
  make: {{shell: true, run: "sleep 0.05; echo {{job}} > a.txt", outputs: [a.txt]}}
  left: {{shell: true, inputs: [make/a.txt], run: "sed s/^/left-/ a.txt > l.txt", outputs: [l.txt]}}
  right: {{shell: true, inputs: [make/a.txt], run: "sleep 0.1; sed s/^/right-/ a.txt > r.txt", outputs: [r.txt]}}
  join: {{shell: true, inputs: [left/l.txt, right/r.txt], run: "cat l.txt r.txt > j.txt", outputs: [j.txt]}}
"""
JOBS = 10


class Chaos:
    """What is done to an installation; each returns in words what it did."""

    def __init__(self, made: Parts, database: Postgres, random: Random) -> None:
        self.made, self.house, self.database, self.random = made, made.house, database, random
        self.datasets: list[int] = []
        self.deeds: list[Callable[[], str]] = (
            [self.kill] * 6 + [self.end] * 2 + [self.kill_work] * 6 + [self.freeze] * 2 + [self.database_away]
            + [self.kill_backends] * 2 + [self.submit] * 3 + [self.hold]
        )  # fmt: skip

    def one(self) -> str:
        """Do something."""
        return self.random.choice(self.deeds)()

    def kill(self) -> str:
        """Kill some processes at once."""
        names = self.random.sample(sorted(self.made.running), self.random.choice((1, 1, 1, 2, 3)))
        self.made.kill(*names)
        return f"kill -9 {' '.join(names)}"

    def end(self) -> str:
        """End a process politely."""
        name = self.random.choice(sorted(self.made.running))
        return f"SIGTERM {name}: {self.made.end(name)}"

    def kill_work(self) -> str:
        """Kill a worker, its inner process, a payload, or all that there is of these."""
        role = self.random.choice(("worker", "inner", "payload", "session"))
        found = [p.pid for p in self.house.processes() if p.role == role or (role == "session" and p.role in WORK)]
        chosen = found if role == "session" else found[:1]
        for pid in chosen:
            send(pid, signal.SIGKILL)
        return f"kill -9 {len(chosen)} of {role}"

    def freeze(self) -> str:
        """Stop a process for a while."""
        name, seconds = self.random.choice(sorted(self.made.running)), self.random.uniform(0.5, 5.0)
        process = self.made.running[name]
        if process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            process.send_signal(signal.SIGCONT)
        return f"{name} stood still for {seconds:.1f} s"

    def database_away(self) -> str:
        """Let the database crash and come back."""
        self.database.pg_ctl("stop", "-m", "immediate")
        seconds = self.random.uniform(0.0, 3.0)
        time.sleep(seconds)
        self.database.pg_ctl("start")
        return f"PostgreSQL crashed and was away for {seconds:.1f} s"

    def kill_backends(self) -> str:
        """End all connections of the database."""
        import psycopg

        url = self.house.database_url.replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            ended = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone()
        return f"{ended and ended[0]} connections of PostgreSQL ended"

    def submit(self) -> str:
        """Submit more."""
        self.datasets.append(self.house.submit(RECIPE.format(jobs=JOBS)))
        return f"submitted {self.datasets[-1]}"

    def hold(self) -> str:
        """Hold a dataset and release it."""
        dataset = self.random.choice(self.datasets)
        with self.house.client() as client:
            client.hold(dataset)
            client.release(dataset)
        return f"held and released {dataset}"


WORK = ("worker", "inner", "payload")


@pytest.mark.timeout(SECONDS + 300)
def test_whatever_is_killed_everything_is_done_in_the_end_and_nothing_twice(tmp_path: Path) -> None:
    random = Random(SEED)
    print(f"CHAOS_SEED={SEED} CHAOS_SECONDS={SECONDS:g}")
    database = Postgres.start(fsync=True)
    try:
        with parts(tmp_path / "data", database=database.new_database(), lease="20", heartbeat="2") as made:
            made.api("api-1", "api-2")
            made.loops("loops-1", "loops-2")
            made.engine("node-1")
            made.engine("node-2")
            chaos = Chaos(made, database, random)
            chaos.submit()
            begin = time.monotonic()
            while time.monotonic() - begin < SECONDS:
                try:
                    said = chaos.one()
                except NunatakError as error:
                    said = f"not done: {error.message}"  # by a person who goes on then
                print(f"{time.monotonic() - begin:6.1f} s  {said}", flush=True)
                time.sleep(random.uniform(0.0, 1.5))
                made.keep_up()
            check(chaos)
    finally:
        database.stop()


def check(chaos: Chaos) -> None:
    """Everything is done, each task by one attempt that counts, and the books agree."""
    house, made = chaos.house, chaos.made

    def done() -> bool:
        made.keep_up()
        with house.client(patience=0.0) as client:
            try:
                return all(item.state == "done" for item in client.datasets())
            except NunatakError:
                return False

    until(done, "all datasets to be done", 240)
    house.until_no_work()
    with house.client() as client:
        datasets = [item.dataset for item in client.datasets()]
        for dataset in datasets:
            for file in client.files(dataset):
                data = Path(unquote(urlsplit(file.url).path)).read_bytes()
                assert (len(data), sha256(data).hexdigest()) == (file.size, file.sha256), file
    assert sorted(datasets) >= sorted(chaos.datasets)
    house.assert_each_done_once(4 * JOBS * len(datasets))
    print("ends:", dict(house.endings()))
