"""A pool with an installation whose tasks wait for a sign: everything that stories about faults of HTCondor do to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from nunatak.client.results import Why
from nunatak.core.errors import Conflict
from nunatak.tasks.tables import attempts
from tests.services.htcondor import Pool, own_pool
from tests.services.ports import free_port
from tests.services.postgres import Postgres
from tests.story.clusters import QUICK, HTCondor
from tests.story.installation import Installation, installation, until

GATED = """\
name: {name}
jobs: {jobs}
needs: {{memory: 64 MB, disk: 64 MB, time: 10 min}}
retry: {{delay: 0.2 s}}
tasks:
  wait:
    shell: true
    run: >-
      echo job {{job}} begins; echo {{job}} >> {signs}/begun; until [ -e {signs}/go-{{job}} ]; do sleep 0.1; done;
      echo {{job}} {name} > a.txt
    outputs: [a.txt]
"""
WRAPPER = """\
#!/bin/sh
# What this site does to first attempts, as the lines of the file beside it say, each for one job of any dataset: a wrong
# clock, or outputs that do not come back whole.
job=$(sed -n 's|^NunatakAddress = "[0-9]*/\\([0-9]*\\)/wait#1"$|\\1|p' "$_CONDOR_JOB_AD")
what=; [ ! -e /etc/condor/fault ] || read -r what value <<END
$(sed -n "s|^$job ||p" /etc/condor/fault)
END
if [ "$what" = clock ]; then
    export LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 FAKETIME="$value" FAKETIME_DONT_FAKE_MONOTONIC=1
fi
[ "$what" = truncate ] || [ "$what" = remove ] || exec "$@"
"$@"; code=$?
case $what in
truncate) truncate -s 3 "$value" ;;
remove) rm -f "$value" ;;
esac
exit $code
"""
POLICY = """
USER_JOB_WRAPPER = /etc/condor/wrapper
SYSTEM_PERIODIC_HOLD = JobStatus == 2 && regexp("^[0-9]+/4/wait#1$", NunatakAddress)
SYSTEM_PERIODIC_HOLD_REASON = "the site holds what it does not like"
SYSTEM_PERIODIC_HOLD_SUBCODE = 7
"""
LEASE = "JobLeaseDuration = 12"
"""Seconds that a job goes on when its node and the schedd lose sight of each other; the submit language allows no less
than 20. A schedd that was killed is back in three where much else goes on, and a node gets word every four."""


@dataclass
class Site:
    """The pool, the installation beside it, and the engine between them."""

    pool: Pool
    house: Installation
    cluster: HTCondor
    engine: subprocess.Popen[bytes] | None = None
    jobs: dict[int, int] = field(default_factory=dict)
    signs: dict[int, Path] = field(default_factory=dict)
    unsound: set[int] = field(default_factory=set)  # datasets of which it was not seen that all is well

    # ---- from story to story

    def heal(self) -> None:
        """Bring back what a story that failed left broken: pool, engine, token, and datasets that wait for its signs."""
        self.restore()
        if not self.unsound:
            return
        self.until_up()
        self.pool.token()
        for number in sorted(self.unsound):
            self.let(number, *range(self.jobs[number]))
            with self.house.client() as client, suppress(Conflict):  # it may be done by now
                client.cancel(number)
        for number in sorted(self.unsound):
            until(lambda n=number: self.house.status(n).state in ("failed", "done"), f"dataset {number} to be over")
        self.unsound.clear()

    def restore(self, slowly: float = 0.0) -> None:
        """Begin pool and engine again, if they do not run; `slowly` as for a pool."""
        if not self.pool.alive:
            self.pool.begin(slowly)
            self.until_up()
        if self.engine is None or self.engine.poll() is not None:
            self.start_engine()

    # ---- datasets

    def submit(self, name: str, jobs: int) -> int:
        """Send a dataset of tasks that wait for a sign."""
        signs = self.pool.work / f"signs-{name}"
        signs.mkdir(mode=0o777)
        signs.chmod(0o777)
        number = self.house.submit(GATED.format(name=name, jobs=jobs, signs=signs))
        self.signs[number], self.jobs[number] = signs, jobs
        self.unsound.add(number)
        return number

    def running(self, name: str, jobs: int) -> int:
        """Send a dataset and wait until all its tasks run, and have said so themselves."""
        number = self.submit(name, jobs)
        self.until_begun(number, jobs)
        until(lambda: self.house.status(number).tasks.running == jobs, "the server to know what runs")
        return number

    def until_begun(self, number: int, times: int) -> None:
        """Wait until tasks began so often, all together."""
        until(lambda: self.begun(number).total() >= times, f"{times} beginnings of dataset {number}")

    def begun(self, number: int) -> Counter[str]:
        """Return how often each job began, as it says itself."""
        file = self.signs[number] / "begun"
        return Counter(file.read_text().split() if file.exists() else [])

    def let(self, number: int, *jobs: int) -> None:
        """Let jobs come to their end."""
        for job in jobs:
            (self.signs[number] / f"go-{job}").touch()

    def finish(self, *numbers: int) -> None:
        """Let all go on, wait for the end, and check that each was done once and the whole installation is sound."""
        for number in numbers:
            self.let(number, *range(self.jobs[number]))
        for number in numbers:
            self.house.until_state("done", number)
        ledger = self.house.ledger()
        for number in numbers:
            done = [times for (dataset, *_), times in ledger.items() if dataset == number]
            assert done == [1] * self.jobs[number], done
            name = self.house.status(number).name
            store = Path(self.house.variables["NUNATAK_STORE"].removeprefix("file://")) / str(number)
            made = sorted(path.read_text() for path in store.rglob("a.txt"))
            assert made == sorted(f"{job} {name}\n" for job in range(self.jobs[number])), made
        assert self.house.doctor().faults == [], self.house.doctor().faults
        self.unsound.difference_update(numbers)

    # ---- what is said

    def endings(self, number: int) -> Counter[tuple[str, bool]]:
        """Return how often attempts ended with each verdict, and whether that used up a try."""
        columns = (attempts.c.verdict, attempts.c.counted)
        with self.house.database() as opened, opened.read() as tx:
            rows = tx.execute(select(*columns).where(attempts.c.dataset == number))
            return Counter((row.verdict, bool(row.counted)) for row in rows)

    def why(self, number: int, job: int) -> Why:
        """Return what `nunatak why` says of a task."""
        with self.house.client() as client:
            return client.why(f"{number}/{job}/wait")

    def first_end(self, number: int, job: int) -> str:
        """Return what `nunatak why` says of the first attempt of a task, once that has ended."""
        return until(
            lambda: next((str(text) for text in self.why(number, job).reasons if "attempt 1" in str(text)), ""),
            f"the first attempt of {number}/{job} to end",
        )

    # ---- the engine

    def start_engine(self, *command: str) -> None:
        """Start the engine, in a way of its own if `command` says so."""
        self.engine = self.cluster.start_engine(self.house, command=command)

    def kill_engine(self) -> None:
        """Kill -9 the engine."""
        assert self.engine
        self.engine.kill()
        self.engine.wait(60)

    @contextmanager
    def engine_asleep(self) -> Iterator[None]:
        """Have the engine stand still for a while."""
        assert self.engine
        self.engine.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.engine.send_signal(signal.SIGCONT)

    @property
    def event_log(self) -> Path:
        """The event log that jobs write to now."""
        return max((self.house.data / "engines" / "pool" / "attempts" / "events").glob("*.log"))

    # ---- the pool

    def job(self, number: int, job: int, attempt: int = 1) -> str:
        """Return the job that an attempt is in the queue."""
        return until(lambda: self.cluster.job(f"{number}/{job}/wait#{attempt}"), f"the job of {number}/{job}")

    def kill_worker(self, number: int, job: int) -> None:
        """Kill -9 the worker of an attempt with all that it began."""
        self._kill(number, job, lambda program: not program.startswith(b"condor_"))

    def kill_shadow(self, number: int, job: int) -> None:
        """Kill -9 what looks after an attempt on the access point."""
        self._kill(number, job, lambda program: program.startswith(b"condor_shadow"))

    def _kill(self, number: int, job: int, chosen: Callable[[bytes], bool]) -> None:
        address, killed = f"{number}/{job}/wait#1", 0
        for pid in self.pool.processes():
            with suppress(OSError):
                if _address(pid) == address and chosen(Path(f"/proc/{pid}/cmdline").read_bytes()):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
        assert killed

    def wipe_queue(self) -> None:
        """Kill -9 the schedd and delete its queue before the master starts it again."""
        (master,) = self.pool.pids("condor_master")
        os.kill(master, signal.SIGSTOP)
        try:
            self.pool.kill("condor_schedd")
            for file in (self.pool.own / "var/spool/condor").glob("job_queue.log*"):
                file.unlink()
        finally:
            os.kill(master, signal.SIGCONT)
        self.until_up()

    def until_up(self) -> None:
        """Wait until the pool answers; right after a kill the old schedd may seem to be there still."""
        until(lambda: self.pool.pids("condor_schedd"), "a schedd")
        self.pool.wait()

    @contextmanager
    def token_out_of_date(self) -> Iterator[None]:
        """Have the engine's token be out of date meanwhile, and the session that an earlier one opened end."""
        self.pool.token("-lifetime", "1")
        try:
            over = time.monotonic() + 2.5
            until(lambda: time.monotonic() > over, "the token to be out of date")
            self.pool.kill("condor_schedd")
            yield
        finally:
            self.pool.token()

    @contextmanager
    def faults(self, *each: str) -> Iterator[None]:
        """Have the site do something to first attempts that begin meanwhile, for each job in order; see `WRAPPER`."""
        file = self.pool.own / "etc/condor/fault"
        file.write_text("".join(f"{job} {what}\n" for job, what in enumerate(each)))
        try:
            yield
        finally:
            file.unlink()


def _address(pid: int) -> str:
    """Return the attempt in whose sandbox, or the job's directory around it, a process works."""
    for place in ("cwd/task.json", "cwd/../task.json"):
        try:
            return str(json.loads(Path(f"/proc/{pid}/{place}").read_text())["address"])
        except (OSError, ValueError):
            continue
    return ""


@contextmanager
def pool_site(postgres: Postgres) -> Iterator[Site]:
    """Give a pool and an installation of its own that runs, with an engine."""
    with own_pool(more=POLICY, ready=False) as pool:
        wrapper = pool.own / "etc/condor/wrapper"
        wrapper.write_text(WRAPPER)
        wrapper.chmod(0o755)
        live = {"live": f"http://127.0.0.1:{free_port()}", "live_after": "0.2", "live_every": "0.5"}
        place, cluster = pool.place("house"), HTCondor(pool, attributes=LEASE, reconcile="2", **live)
        settings = {"database": postgres.new_database(), "store": f"file://{place}/store", **QUICK}
        with installation(place / "data", start=False, prefix=cluster.prefix, **settings) as house:
            house.start_server()
            pool.ready()
            site = Site(pool, house, cluster)
            site.start_engine()
            yield site
