"""An engine on a real Slurm, as the suite of engines wants it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from time import monotonic

from nunatak.engines.batch.dialect import Answer, Command
from nunatak.engines.batch.engine import BatchEngine
from nunatak.engines.batch.fits import Terms
from nunatak.engines.batch.run import Run, here
from nunatak.engines.batch.script import Place
from nunatak.engines.batch.slurm import Slurm as Dialect
from nunatak.engines.protocol import Engine
from tests.services.slurm import Slurm

MB = 1_000_000
MARGIN = 2000 * 2**20 - 2000 * MB
"""What is asked for beyond the attempt's own memory, so that the node's 2000 MiB are the suite's 2000 MB."""
pause = threading.Event()


class SlurmRig:
    """An engine on one partition of a cluster."""

    queue = 4
    deadline = 150.0

    def __init__(
        self,
        directory: Path,
        worker: tuple[str, ...],
        slurm: Slurm,
        *partitions: str,
        memory: int = MARGIN,
        time: int = 120,
    ) -> None:
        self._directory, self._worker, self.slurm = directory, worker, slurm
        self._terms = Terms(queues=partitions, memory=memory, time=time, disk=10_000 * MB)
        execute = here(slurm.environ, 20.0)
        self.asked: list[str] = []

        def run(command: Command) -> Answer:
            self.asked.append(command.argv[0])
            return execute(replace(command, argv=(*slurm.prefix, *command.argv)))

        self.run: Run = run
        self.engine: Engine = self._make()

    def _make(self) -> BatchEngine:
        root = self._directory / "engine"
        self.batch = BatchEngine(
            root,
            Dialect(),
            lambda command: self.run(command),
            place=Place(str(root), str(self._directory / "cache"), self._worker),
            terms=self._terms,
            queue=self.queue,
            interval=0.2,
            settle=1.0,
        )
        return self.batch

    def elements(self) -> set[tuple[str, str]]:
        """Return the array and the number in it of all jobs that there were."""
        told = self.slurm.run("squeue", "--me", "-h", "-r", "-t", "all", "-o", "%F|%K").stdout.split()
        return {(array, number) for array, _, number in (line.partition("|") for line in told)}

    def mine(self) -> list[str]:
        """Return job id, name and comment of all jobs."""
        return self.slurm.run("squeue", "--me", "-h", "-r", "-t", "all", "-o", "%A|%j|%k").stdout.splitlines()

    def restart(self) -> None:
        self.batch.close()
        self.engine = self._make()

    def pause(self) -> None:
        pause.wait(0.05)

    def close(self) -> None:
        self.batch.cancel(self.batch.adopt())
        cursor, end = "", monotonic() + self.deadline
        while self.batch.adopt() and monotonic() < end:
            cursor = self.batch.poll(cursor).cursor
            self.pause()
        assert not self.batch.adopt()
        self.batch.close()
