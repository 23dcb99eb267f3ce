"""Real clusters as a story sees them: an engine of its own process, and what an administrator can do to an attempt."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tests.services.htcondor import AS_USER, Pool
from tests.services.slurm import Slurm
from tests.story.installation import Installation

QUICK = {"lease": "60", "heartbeat": "5", "idle_interval": "0.5", "loop_interval": "0.2"}
"""Settings of an installation that is looked at by an impatient test."""


class Cluster(Protocol):
    """Where an installation can have its tasks done."""

    prefix: tuple[str, ...]

    def start_engine(self, house: Installation, *, command: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start an engine for it; `command` runs it in a way of its own."""

    def evict(self, address: str) -> bool:
        """Take a running attempt from its node; tell whether there was one."""


class HTCondor:
    """A pool; everything of the installation belongs to its submitter and lies where its access point sees it."""

    name, prefix = "pool", AS_USER

    def __init__(self, pool: Pool, *, environment: Mapping[str, str] | None = None, **options: str) -> None:
        """`environment` are variables of all jobs, `options` those of the engine."""
        self.pool = pool
        words = " ".join(f"{name}={value}" for name, value in (environment or {}).items())
        given = {"attributes": f'Environment = "{words}"'} if words else {}
        fast = {"look": "2", "reconcile": "5", "lease": "20"}
        self.options = {"token_directory": f"{pool.config.parent}/tokens.d", **fast, **given, **options}
        self.token = ""

    def start_engine(self, house: Installation, *, command: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start an engine as the submitter."""
        self.token = self.token or _token(house, self.name)
        variables = {"NUNATAK_URL": house.url, "NUNATAK_TOKEN": self.token, "CONDOR_CONFIG": str(self.pool.config)}
        words = ("serve", "engine", self.name, "--kind", "htcondor", *_words(self.options))
        return house.spawn(*words, log="engine.log", variables=variables, command=command)

    def job(self, address: str) -> str:
        """Return the job that an attempt is in the queue, "" if it is not there."""
        words = ("-constraint", f'NunatakAddress == "{address}" && JobStatus == 2', "-af", "ClusterId", "ProcId")
        return ".".join(self.pool.admin("condor_q", "-all", *words).split())

    def evict(self, address: str) -> bool:
        """Have the schedd vacate a job."""
        job = self.job(address)
        return bool(job) and "vacated" in self.pool.admin("condor_vacate_job", "-fast", job)


class SlurmCluster:
    """A cluster on this machine."""

    name, prefix = "slurm", ()

    def __init__(
        self, slurm: Slurm, shared: Path, *, environment: Mapping[str, str] | None = None, **options: str
    ) -> None:
        """`shared` is the engine's directory, `environment` are variables of all jobs, `options` those of the engine."""
        self.slurm, self.shared, self.token = slurm, shared, ""
        setup = "; ".join(f"export {name}={value}" for name, value in (environment or {}).items())
        fast = {"interval": "1", "settle": "5", "target": "0"}  # no series: a job is an attempt, and can be evicted
        self.options = {"directory": str(shared), "partitions": "one,two", "setup": setup, **fast, **options}

    def start_engine(self, house: Installation, *, command: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start an engine that looks at the cluster every second."""
        self.token = self.token or _token(house, self.name)
        slurm = {name: self.slurm.environ[name] for name in ("PATH", "SLURM_CONF")}
        variables = {"NUNATAK_URL": house.url, "NUNATAK_TOKEN": self.token, **slurm}
        words = ("serve", "engine", self.name, "--kind", "slurm", *_words(self.options))
        return house.spawn(*words, log="engine.log", variables=variables, command=command)

    def job(self, address: str) -> str:
        """Return the job that an attempt is, "" if it does not run: its line in the list of its submission says which."""
        for line in self.slurm.run("squeue", "-h", "-r", "-t", "R", "-o", "%A|%k|%K").stdout.splitlines():
            job, comment, index = line.split("|")
            mark = next(word for word in comment.split() if (self.shared / ".submissions" / word / "tasks").exists())
            boxes = (self.shared / ".submissions" / mark / "tasks").read_text().split("\n")
            box = boxes[int(index) - 1 if index.isdigit() else 0]
            if json.loads((self.shared / box / "task.json").read_text())["address"] == address:
                return job
        return ""

    def evict(self, address: str) -> bool:
        """Put a job back into the queue, as an administrator does."""
        job = self.job(address)
        if not job:
            return False
        self.slurm.run("scontrol", "update", f"JobId={job}", "Requeue=1", check=False)
        return self.slurm.run("scontrol", "requeue", job, check=False).returncode == 0


def _token(house: Installation, name: str) -> str:
    with house.client() as client:
        return client.create_token(name, ["engine"], days=1).token or ""


def _words(options: Mapping[str, Any]) -> list[str]:
    return [f"--option={name}={value}" for name, value in options.items() if value]
