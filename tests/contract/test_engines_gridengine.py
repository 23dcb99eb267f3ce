"""The suite of all engines on a real Grid Engine 8.1.9, as far as it holds there, and what fails around it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nunatak.core.work import Reason, Series, Shape
from nunatak.engines.batch.dialect import Answer, Command
from nunatak.engines.batch.engine import BatchEngine
from nunatak.engines.batch.fits import Terms
from nunatak.engines.batch.gridengine import GridEngine as Dialect
from nunatak.engines.batch.run import Run, here
from nunatak.engines.batch.script import Place
from nunatak.engines.protocol import Engine
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.worker import build
from tests.contract import test_engines as suite
from tests.contract.slurm_rig import MB, SlurmRig
from tests.contract.test_engines import Host, long, spec
from tests.contract.test_engines_slurm_faults import Killed, verdict
from tests.services.gridengine import SLOTS, GridEngine, gridengine

ALIKE = (
    "test_an_attempt_runs_and_ends_with_an_outcome_that_is_its_own",
    "test_a_spec_submitted_again_is_not_started_twice",
    "test_another_lease_is_another_attempt",
    "test_more_than_is_wanted_is_refused_whole",
    "test_logs_come_in_increments_that_add_up",
)
globals().update({name: getattr(suite, name) for name in ALIKE})


@pytest.fixture(scope="module")
def grid() -> Iterator[GridEngine]:
    with gridengine() as cluster:
        yield cluster


class GridRig(SlurmRig):
    """An engine on the only queue of a cluster."""

    def __init__(self, directory: Path, grid: GridEngine, *, time: int = 120) -> None:
        self._directory, self._grid = directory, grid
        self._worker = ("python3", "-I", "-S", str(build.unpack(directory / "worker")))
        self._terms = Terms(memory=64 * MB, time=time)
        execute = here(os.environ, 30.0)
        self.run: Run = lambda command: execute(replace(command, argv=(*grid.prefix, *command.argv)))
        self.engine: Engine = self._make()

    def _make(self) -> BatchEngine:
        root = self._directory / "engine"
        self.batch = BatchEngine(
            root,
            Dialect(Shape(SLOTS, 0, 1000 * MB, 10**15, 7200)),
            lambda command: self.run(command),
            place=Place(str(root), str(self._directory / "cache"), self._worker),
            terms=self._terms,
            queue=self.queue,
            interval=0.3,
            settle=2.0,
        )
        return self.batch


@pytest.fixture
def rigs(tmp_path: Path, grid: GridEngine) -> Iterator[Callable[..., Host]]:
    made: list[GridRig] = []

    def make(**terms: int) -> Host:
        made.append(GridRig(tmp_path / str(len(made)), grid, **terms))
        return Host(made[-1])  # type: ignore[arg-type]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def host(rigs: Callable[..., Host]) -> Host:
    return rigs()


def test_an_array_runs(host: Host) -> None:
    handles = host.engine.submit([spec(f"1/{job}/a#1") for job in range(3)])
    host.until(lambda: all(host.ended(handle.address) for handle in handles))
    assert {host.ended(handle.address)[0].reason for handle in handles} == {Reason.OK}


def test_several_cores_are_a_parallel_environment(host: Host, grid: GridEngine) -> None:
    host.engine.submit([spec("1/0/wide#1", shape=Shape(cpu=2, memory=200 * MB, disk=MB, time=600))])
    number = submission_of(host)
    host.until(lambda: host.ended("1/0/wide#1"))
    assert host.ended("1/0/wide#1")[0].reason is Reason.OK
    assert re.search(r"^slots +2\b", grid.run("qacct", "-j", number).stdout, re.MULTILINE)


def submission_of(host: Host) -> str:
    """Return the id of the only submission there is."""
    rig = host.rig
    assert isinstance(rig, GridRig)
    (submission,) = rig.batch._book.submissions.values()
    return submission.id


def test_a_series_is_a_job_for_each_member(host: Host) -> None:
    handles = host.engine.submit([Series((spec("1/0/a#1"), spec("1/1/a#1", "false")), suite.SMALL)])
    host.until(lambda: all(host.ended(handle.address) for handle in handles))
    assert [host.ended(handle.address)[0].reason for handle in handles] == [Reason.OK, Reason.EXIT]


def test_running_and_waiting_attempts_are_cancelled(host: Host) -> None:
    handles = host.engine.submit([long(f"1/{job}/a#1") for job in range(3)])
    host.until(lambda: host.begun("1/0/a#1") and host.begun("1/1/a#1"))
    host.engine.cancel(handles)
    host.until(lambda: all(host.ended(handle.address) for handle in handles))
    assert {host.ended(handle.address)[0].reason for handle in handles} == {Reason.TERMINATED}
    assert not host.begun("1/2/a#1")


def test_a_job_over_its_time_and_one_that_is_deleted_are_told_apart(
    rigs: Callable[..., Host], grid: GridEngine
) -> None:
    timed, deleted = rigs(time=-592), rigs()
    timed.engine.submit([long("1/0/time#1")])
    timed.until(lambda: timed.begun("1/0/time#1"))
    deleted.engine.submit([long("1/0/gone#1")])
    deleted.until(lambda: deleted.begun("1/0/gone#1"))
    grid.run("qdel", submission_of(deleted))
    deleted.until(lambda: deleted.ended("1/0/gone#1"))
    timed.until(lambda: timed.ended("1/0/time#1"))
    (late,), (gone,) = timed.ended("1/0/time#1"), deleted.ended("1/0/gone#1")
    assert (late.reason, verdict(late)) == (Reason.TIME, Kind.OVER_TIME)
    assert (gone.reason, verdict(gone)) == (Reason.LOST, Kind.LOST)
    assert "killed by signal 9" in gone.message


@pytest.mark.parametrize("before", [True, False])
def test_an_engine_killed_at_its_submission_submits_once(host: Host, tmp_path: Path, before: bool) -> None:
    rig = host.rig
    assert isinstance(rig, GridRig)
    run = rig.run

    def dying(command: Command) -> Answer:
        if command.argv[0] == "qsub":
            if not before:
                run(command)
            raise Killed
        return run(command)

    rig.run = dying
    batch = [spec(f"1/{job}/a#1", f"echo ran >> {tmp_path}/marks-{job}", shell=True) for job in range(2)]
    with pytest.raises(Killed):
        host.engine.submit(batch)
    rig.run = run
    rig.restart()
    host.until(lambda: all(host.ended(item.address) for item in batch))
    assert {host.ended(item.address)[0].reason for item in batch} == {Reason.OK}
    assert [(tmp_path / f"marks-{job}").read_text() for job in range(2)] == ["ran\n"] * 2


def test_a_killed_master_costs_nothing_but_time(host: Host, grid: GridEngine) -> None:
    handles = host.engine.submit([spec("1/0/a#1", "sleep", "4"), spec("1/1/a#1")])
    host.until(lambda: host.begun("1/0/a#1"))
    grid.kill_master()
    try:
        host.until(lambda: host.engine.capacity().queue == 0)
        with pytest.raises(suite.Unavailable):
            host.engine.submit([spec("1/2/a#1")])
    finally:
        grid.start_master()
    host.until(lambda: all(host.ended(handle.address) for handle in handles))
    assert [host.ended(handle.address)[0].reason for handle in handles] == [Reason.OK, Reason.OK]
