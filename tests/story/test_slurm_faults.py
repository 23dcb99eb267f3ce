"""What fails around a campaign on a real Slurm: daemons killed, jobs taken away, engines killed; nothing is lost or done twice."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.slurm import Slurm
from tests.story.installation import Installation, installation, until

pytestmark = pytest.mark.slow
RECIPE = """
name: patience
jobs: {jobs}
needs: {{memory: 64 MB, disk: 64 MB, time: 10 min}}
retry: {{tries: 3}}
tasks:
  nap:
    run: {wait}; echo {{job}} > out.txt
    shell: true
    outputs: ["out.txt -> {{store}}/{{dataset}}/{{job}}.txt"]
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    """A cluster of these tests alone: what is done to it is not for others to see."""
    made = Slurm.start(
        nodes=("NodeName=c1 CPUs=4 RealMemory=4000", "NodeName=c2 CPUs=4 RealMemory=4000"),
        partitions=(
            "PartitionName=low Nodes=c1,c2 Default=YES PriorityTier=1 State=UP",
            "PartitionName=high Nodes=c1,c2 PriorityTier=10 State=UP",
        ),
    )
    yield made
    made.stop()


class Campaign:
    """A server, an engine on the cluster, and one dataset."""

    def __init__(self, house: Installation, cluster: Slurm, shared: Path) -> None:
        self.house, self.cluster, self.shared = house, cluster, shared
        with house.client() as client:
            self._token = client.create_token("c", ["engine"], days=1).token or ""
        self._started = 0

    def start_engine(self, path: str = "", target: int = 0) -> subprocess.Popen[bytes]:
        """Start an engine that looks at the cluster every second; `path` has commands that go before Slurm's own."""
        options = {"directory": self.shared, "partitions": "low", "interval": 1, "settle": 3, "target": target}
        words = [f"--option={name}={value}" for name, value in options.items()]
        variables = {
            "NUNATAK_URL": self.house.url,
            "NUNATAK_TOKEN": self._token,
            "SLURM_CONF": self.cluster.environ["SLURM_CONF"],
            "PATH": f"{path}:{self.cluster.environ['PATH']}".lstrip(":"),
        }
        self._started += 1
        log = f"slurm{self._started}.log"
        return self.house.spawn("serve", "engine", "c", "--kind", "slurm", *words, log=log, variables=variables)

    def submit(self, jobs: int, wait: str) -> None:
        """Submit jobs that wait, by a command, and leave a line."""
        self.house.submit(RECIPE.format(jobs=jobs, wait=wait))

    def jobs(self, *states: str) -> list[str]:
        """Return the names by which Slurm knows jobs in some states, each element of an array."""
        words = ("squeue", "-h", "-r", "-t", ",".join(states), "-o", "%i %k")
        rows = self.cluster.run(*words, check=False).stdout.splitlines()
        return [row.split()[0] for row in rows if "nunatak" in row]

    def some(self, *states: str) -> str:
        """Return a job in one of these states, as soon as there is one."""
        return until(lambda: self.jobs(*states), f"a job that is {states}")[0]

    def check(self, jobs: int) -> None:
        """Wait for the end; each task was done once, all agrees, and nothing is left on the cluster."""
        self.house.until_state("done")
        self.house.assert_each_done_once(jobs)
        stored = {int(path.stem): int(path.read_text()) for path in (self.house.data / "store" / "1").glob("*.txt")}
        assert stored == {job: job for job in range(jobs)}
        until(lambda: not list((self.shared / ".submissions").glob("n*")), "the engine to forget its submissions")
        until(lambda: not self.jobs("R", "PD", "CG"), "jobs to leave the cluster")


@contextmanager
def campaign(tmp_path: Path, cluster: Slurm) -> Iterator[Campaign]:
    cluster.until_idle(cluster.names)
    with installation(tmp_path / "data", start=False, lease="60", heartbeat="2") as house:
        house.start_server()
        yield Campaign(house, cluster, tmp_path / "shared")


def in_service(cluster: Slurm) -> bool:
    """Take back nodes, as an administrator does: Slurm drains one that has jobs which its killed controller forgot."""
    rows = [line.split() for line in cluster.run("sinfo", "-h", "-N", "-o", "%N %T").stdout.splitlines()]
    for name in {name for name, state in rows if "drain" in state}:
        cluster.run("scontrol", "update", f"NodeName={name}", "State=RESUME", check=False)
    return not any(word in state for _, state in rows for word in ("drain", "down", "*"))


def test_daemons_of_the_cluster_are_killed_one_after_the_other(tmp_path: Path, cluster: Slurm) -> None:
    with campaign(tmp_path, cluster) as found:
        found.start_engine(target=20)
        found.submit(40, "sleep 2")
        found.house.until_done(4)
        cluster.kill("slurmctld")
        until(lambda: "does not go along" in found.house.talk("slurm1.log"), "the engine to miss the controller")
        cluster.start_controller()
        until(lambda: "answers again" in found.house.talk("slurm1.log"), "the engine to find the controller")
        cluster.kill("munged")
        until(lambda: found.house.talk("slurm1.log").count("does not go along") == 2, "the engine to miss munge")
        cluster.start_munge()
        found.some("R")
        cluster.kill("c1")
        try:
            missed = ("sinfo", "-h", "-n", "c1", "-o", "%T")
            until(lambda: any(sign in cluster.run(*missed).stdout for sign in ("down", "*")), "c1 to be missed")
        finally:
            cluster.start_node("c1")
        until(lambda: in_service(cluster), "nodes to be in service")
        found.check(40)


def test_an_administrator_takes_jobs_away(tmp_path: Path, cluster: Slurm) -> None:
    with campaign(tmp_path, cluster) as found:
        found.start_engine()
        go = tmp_path / "go"
        found.submit(14, f"until [ -e {go} ]; do sleep 0.2; done")  # none ends before all is done to them
        until(lambda: len(found.jobs("R")) == 8, "every core to be busy")
        waiting = found.some("PD")
        cluster.run("scontrol", "hold", waiting)
        cluster.run("scancel", found.some("R"))
        requeued = found.some("R")
        cluster.run("scontrol", "update", f"JobId={requeued}", "Requeue=1")
        cluster.run("scontrol", "requeue", requeued)
        urgent = ("sbatch", "--parsable", "-p", "high", "-N1", "-c4", "--mem=100M", "-o", "/dev/null")
        job = cluster.run(*urgent, text="#!/bin/sh\nsleep 2\n").stdout.strip()
        cluster.run(
            "scancel", until(lambda: [n for n in found.jobs("PD") if n != waiting], "another job that waits")[0]
        )
        until(lambda: not cluster.run("squeue", "-h", "-t", "PD", "-j", job, check=False).stdout, "others to make room")
        go.touch()
        found.house.until_done(13)
        assert found.jobs("PD") == [waiting]  # held: nobody takes it for lost
        cluster.run("scontrol", "release", waiting)
        found.check(14)
        ends = found.house.endings()
        assert ends["terminated", "evicted"] >= 4, ends  # cancelled twice, requeued, preempted


def dying(tmp_path: Path, cluster: Slurm, when: str) -> str:
    """Return a directory with an sbatch that kills the engine which calls it, once."""
    place = tmp_path / f"bin-{when}"
    place.mkdir()
    real, kill = shutil.which("sbatch", path=cluster.environ["PATH"]), "kill -9 $PPID; sleep 1; exit 1"
    before, after = (kill, "exit 1") if when == "before" else (":", f'{real} "$@"; {kill}')
    (place / "sbatch").write_text(
        f'#!/bin/sh\nif mkdir {place}/once 2>/dev/null; then {before}; {after}; fi\nexec {real} "$@"\n'
    )
    (place / "sbatch").chmod(0o755)
    return str(place)


def test_engines_are_killed_at_their_submission_and_then_all_jobs_vanish(tmp_path: Path, cluster: Slurm) -> None:
    with campaign(tmp_path, cluster) as found:
        first = found.start_engine(dying(tmp_path, cluster, "before"))
        found.submit(16, "sleep 3")
        assert first.wait(120) == -signal.SIGKILL
        assert not found.jobs("PD", "R")
        second = found.start_engine(dying(tmp_path, cluster, "after"))
        assert second.wait(120) == -signal.SIGKILL
        found.some("PD", "R")
        found.start_engine()
        found.house.until_done(2)
        cluster.kill("slurmctld")
        for path in (cluster.base / "state").iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        cluster.start_controller()
        found.check(16)
