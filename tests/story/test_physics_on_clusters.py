"""The physics of the demonstration on a real HTCondor pool and a real Slurm: the numbers are those of this machine.

Two users have three datasets under way at a time, with PostgreSQL behind the server. Every task of one of them is evicted
once while it runs. The content of all outputs is that of the plain chain, which uses no workflow system.

`make clusters` runs the whole chain instead of a small one, and prints what it took. The small one takes minutes too, however few
its events are: in the dataset that is evicted, eight steps wait twice for a place, one after the other.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import select

from nunatak.client import Client
from nunatak.tasks.tables import attempts
from tests.services.htcondor import own_pool
from tests.services.postgres import Postgres
from tests.services.slurm import Slurm
from tests.services.software import Area, area
from tests.story.clusters import QUICK, Cluster, HTCondor, SlurmCluster
from tests.story.installation import Installation, installation, until

MUONS = Path(__file__).parents[2] / "examples" / "muons"
WHOLE = os.environ.get("NUNATAK_CHAIN") == "whole"
HOURS = 3 * 3600 if WHOLE else 900
pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.htcondor, pytest.mark.timeout(HOURS)]


@dataclass(frozen=True)
class Plan:
    """One dataset: whose, how much, the seed of its first job, and whether each of its tasks is evicted once."""

    user: str
    jobs: int
    events: int
    seed: int
    evicted: bool = False

    @property
    def tasks(self) -> int:
        return 3 + 5 * self.jobs

    @property
    def name(self) -> str:
        return f"{self.jobs}-{self.events}-{self.seed}"


SMALL = (Plan("anna", 2, 60, 1), Plan("anna", 1, 80, 11), Plan("ben", 1, 80, 11, evicted=True))
LARGE = (Plan("anna", 4, 2500, 1), Plan("anna", 1, 2500, 11), Plan("ben", 1, 2500, 11, evicted=True))
PLANS = LARGE if WHOLE else SMALL
LINGER = """\
# The first attempt does not end before it is evicted; it would wait for an hour.
[ "$1" -gt 1 ] || exec sleep 3600
"""


@pytest.fixture(scope="session")
def software() -> Area:
    return area(MUONS / "requirements.txt")


@pytest.fixture(scope="session")
def plain(software: Area) -> dict[Plan, Path]:
    """The outputs of the plain chain on this machine, made once for these scripts."""
    scripts = sorted(MUONS.glob("*.py"))
    key = hashlib.sha256(b"".join(path.read_bytes() for path in scripts)).hexdigest()[:12]
    cache = software.once("mulder", lambda path: path.chmod(0o1777))

    def run(plan: Plan, out: Path) -> None:
        words = {"jobs": plan.jobs, "nevents": plan.events, "seed": plan.seed}
        options = [f"--{name}={value}" for name, value in words.items()]
        code = out / "scripts"
        shutil.copytree(MUONS, code)
        variables = {**os.environ, **({} if WHOLE else {"MULDER_CACHE": str(cache)})}
        command = (software.here, code / "run_chain.py", out / "out", *options)
        done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        (out / "log").write_text(done.stdout)
        for path in cache.rglob("*"):
            path.chmod(0o777 if path.is_dir() else 0o666)

    return {plan: software.once(f"plain-{key}-{plan.name}", lambda out, p=plan: run(p, out)) / "out" for plan in PLANS}


def recipe(place: Path, plan: Plan, software: Area) -> Path:
    """Write the recipe of the example for one dataset; the whole chain without evictions is the example as it stands."""
    if WHOLE and not plan.evicted:
        return MUONS / "muons.yaml"
    folder = place / f"{plan.user}-{plan.name}"
    shutil.copytree(MUONS, folder)
    (folder / "linger.sh").write_text(LINGER)
    text: dict[str, Any] = yaml.safe_load((MUONS / "muons.yaml").read_text())
    text["retry"] = {"delay": "0.2 s"}
    if not WHOLE:
        text["environment"]["variables"]["MULDER_CACHE"] = str(software.path / "mulder")
    for task in text["tasks"].values() if plan.evicted else ():
        task["run"] = [task["run"], "sh linger.sh {attempt}"]
        task["files"] = [*task["files"], "linger.sh"]
    (folder / "muons.yaml").write_text(yaml.safe_dump(text, sort_keys=False))
    return folder / "muons.yaml"


@pytest.fixture(scope="module")
def condor(software: Area) -> Iterator[HTCondor]:
    with own_pool(software.path) as pool:
        yield HTCondor(pool, environment=software.variables, cache=str(software.nodes))


def test_on_htcondor_the_content_is_that_of_this_machine_and_an_eviction_costs_no_try(
    condor: HTCondor, postgres: Postgres, software: Area, plain: dict[Plan, Path], tmp_path: Path
) -> None:
    place = condor.pool.place("physics")
    run_on(condor, place, postgres, software, plain, tmp_path)


def test_on_slurm_the_content_is_that_of_this_machine_and_an_eviction_costs_no_try(
    slurm: Slurm, postgres: Postgres, software: Area, plain: dict[Plan, Path], tmp_path: Path
) -> None:
    cluster = SlurmCluster(slurm, tmp_path / "shared", environment=software.variables, cache=str(software.nodes))
    (tmp_path / "house").mkdir()
    run_on(cluster, tmp_path / "house", postgres, software, plain, tmp_path)


def run_on(
    cluster: Cluster, place: Path, postgres: Postgres, software: Area, plain: dict[Plan, Path], tmp_path: Path
) -> None:
    """Have all datasets done by a cluster at a time and look at everything that is left."""
    settings = {"database": postgres.new_database(), "start": False, "prefix": cluster.prefix, **QUICK}
    with installation(place / "data", **settings) as house:
        house.start_server()
        cluster.start_engine(house)
        began = time.monotonic()
        numbers = {submit(house, plan, recipe(tmp_path, plan, software)): plan for plan in PLANS}
        evicted = see_through(house, cluster, numbers)
        seconds = time.monotonic() - began
        house.assert_each_done_once(sum(plan.tasks for plan in PLANS))
        assert_attempts(house, numbers, evicted)
        files = [compare(house, number, plan, software, plain, tmp_path) for number, plan in numbers.items()]
    print(f"{type(cluster).__name__}: {sum(p.tasks for p in PLANS)} tasks, {evicted} evicted, {seconds:.0f} s; {files}")


def submit(house: Installation, plan: Plan, file: Path) -> int:
    """Send a dataset as its user."""
    with house.client() as admin:
        token = admin.create_token(plan.user, ["read", "submit"], days=1, principal=plan.user).token
    values = {"events": str(plan.events), **({} if plan.seed == 1 else {"seed": f'"{{job + {plan.seed}}}"'})}
    values |= {} if WHOLE else {"cores": "1"}  # several cores use no cache
    with Client(house.url, token, environ=house.environ) as client:
        return client.submit(file, jobs=plan.jobs, parameters=values).dataset


def see_through(house: Installation, cluster: Cluster, numbers: dict[int, Plan]) -> int:
    """Wait until all datasets are done, and evict each first attempt of some of them once; return how many."""
    gone: set[str] = set()
    seen: dict[str, float] = {}

    def step() -> bool:
        states = []
        with house.client() as client:
            for number, plan in numbers.items():
                states.append(client.dataset(number).state)
                for task in client.tasks(number, state="running") if plan.evicted else ():
                    address = f"{task.address}#{task.attempt}"
                    due = seen.setdefault(address, time.monotonic() + patience(address)) <= time.monotonic()
                    if task.attempt == 1 and due and address not in gone and cluster.evict(address):
                        gone.add(address)
        assert "failed" not in states, [list(client.errors(number)) for number in numbers]
        return set(states) == {"done"}

    until(step, f"datasets to be done: {numbers}", HOURS)
    return len(gone)


def patience(address: str) -> float:
    """Say how long an attempt may run before it is evicted: at once, in the middle, when its outputs are there."""
    return (0.0, 2.0, 6.0)[hashlib.sha256(address.encode()).digest()[0] % 3]


def assert_attempts(house: Installation, numbers: dict[int, Plan], evicted: int) -> None:
    """Check that each task was tried as often as it should: twice where it was evicted, and that used up no try."""
    columns = (attempts.c.dataset, attempts.c.verdict, attempts.c.counted, attempts.c.attempt)
    with house.database() as opened, opened.read() as tx:
        found = Counter(tuple(row) for row in tx.execute(select(*columns)))
    expected = Counter[tuple[Any, ...]]()
    for number, plan in numbers.items():
        if plan.evicted:
            expected[number, "evicted", False, 1] = plan.tasks
        expected[number, "ok", False, 2 if plan.evicted else 1] = plan.tasks
    assert found == expected
    assert evicted == sum(plan.tasks for plan in numbers.values() if plan.evicted)


def compare(
    house: Installation, number: int, plan: Plan, software: Area, plain: dict[Plan, Path], tmp_path: Path
) -> str:
    """Bring the outputs of a dataset and hold their content against that of the plain chain; return the last line."""
    got = tmp_path / f"got-{number}"
    with house.client() as client:
        client.get(number, got)
    command = (software.here, MUONS / "compare_hashes.py", plain[plan], got)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{4 + 5 * plan.jobs} files compared, 0 different" in done.stdout
    return done.stdout.splitlines()[-1]
