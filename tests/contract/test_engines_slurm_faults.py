"""What goes wrong with a batch system, on a real Slurm: nothing is lost, nothing runs twice, and the reason is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nunatak.core.work import Outcome, Reason, Series, Shape, TaskSpec
from nunatak.engines.batch.dialect import Answer, Command
from nunatak.engines.protocol import What
from nunatak.tasks.verdicts.judge import judge
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.model import History
from tests.contract import test_engines as suite
from tests.contract.slurm_rig import MB, SlurmRig
from tests.contract.test_engines import Host, long, spec
from tests.services.slurm import Slurm

worker = suite.worker  # the fixture


@pytest.fixture
def rigs(tmp_path: Path, worker: tuple[str, ...], slurm: Slurm) -> Iterator[Callable[..., Host]]:
    made: list[SlurmRig] = []

    def make(*partitions: str, **terms: int) -> Host:
        made.append(SlurmRig(tmp_path / str(len(made)), worker, slurm, *partitions, **terms))
        return Host(made[-1])  # type: ignore[arg-type]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def host(rigs: Callable[..., Host], slurm: Slurm) -> Host:
    slurm.until_idle(("c1",))
    return rigs("one")


class Killed(BaseException):
    """The engine's process is killed here."""


def marked(tmp_path: Path, address: str) -> TaskSpec:
    """Return a task that leaves a line each time it runs."""
    return spec(address, f"echo ran >> {tmp_path}/marks-{address[0]}-{address[2]}", shell=True)


def times_run(tmp_path: Path) -> dict[str, int]:
    return {path.name: path.read_text().count("ran") for path in sorted(tmp_path.glob("marks-*"))}


def until(rig: SlurmRig, condition: Callable[[], object]) -> None:
    """Wait while the engine does not look."""
    end = time.monotonic() + rig.deadline
    while not condition():
        assert time.monotonic() < end
        rig.pause()


BATCH = ("1/0/a#1", "1/1/a#1", "1/2/a#1")
ONCE = {"marks-1-0": 1, "marks-1-1": 1, "marks-1-2": 1}


def killed_at_sbatch(rig: SlurmRig, *, before: bool) -> list[Command]:
    """Let the engine die at its next sbatch, just before it is run or just after; return the command when it is known."""
    run, seen = rig.run, list[Command]()

    def dying(command: Command) -> Answer:
        if command.argv[0] != "sbatch":
            return run(command)
        seen.append(command)
        if not before:
            run(command)
        raise Killed

    rig.run = dying
    return seen


@pytest.mark.parametrize("before", [True, False])
def test_an_engine_killed_at_its_submission_submits_once(host: Host, tmp_path: Path, before: bool) -> None:
    rig = host.rig
    assert isinstance(rig, SlurmRig)
    run, old = rig.run, rig.elements()
    killed_at_sbatch(rig, before=before)
    with pytest.raises(Killed):
        host.engine.submit([marked(tmp_path, name) for name in BATCH])
    rig.run = run
    rig.restart()
    assert [handle.address for handle in host.engine.adopt()] == list(BATCH)
    host.until(lambda: all(host.ended(name) for name in BATCH))
    assert {host.ended(name)[0].reason for name in BATCH} == {Reason.OK}
    assert times_run(tmp_path) == ONCE
    made = rig.elements() - old
    assert (len({array for array, _ in made}), len(made)) == (1, 3)


def test_a_submission_that_arrives_after_it_was_given_up_does_nothing(host: Host, tmp_path: Path) -> None:
    rig = host.rig
    assert isinstance(rig, SlurmRig)
    run = rig.run
    seen = killed_at_sbatch(rig, before=True)
    with pytest.raises(Killed):
        host.engine.submit([marked(tmp_path, name) for name in BATCH])
    rig.run = run
    rig.restart()
    host.step()
    late = run(seen[0]).out.strip()
    until(rig, lambda: not rig.slurm.run("squeue", "-h", "-j", late).stdout)
    host.until(lambda: all(host.ended(name) for name in BATCH))
    assert rig.slurm.run("sinfo", "-h", "-n", "c1", "-o", "%E").stdout.strip() == "none"
    assert {host.ended(name)[0].reason for name in BATCH} == {Reason.OK}
    assert times_run(tmp_path) == ONCE


@pytest.mark.parametrize("made", [True, False])
def test_a_submission_without_an_answer_is_looked_for_before_it_is_made_again(
    host: Host, tmp_path: Path, made: bool
) -> None:
    rig = host.rig
    assert isinstance(rig, SlurmRig)
    run, lost = rig.run, list[Command]()

    def silent(command: Command) -> Answer:
        if command.argv[0] == "sbatch" and not lost:
            lost.append(command)
            if made:
                run(command)
            return Answer(-1, err="sbatch did not answer", lost=True)
        return run(command)

    rig.run = silent
    host.engine.submit([marked(tmp_path, name) for name in BATCH])
    host.until(lambda: all(host.ended(name) for name in BATCH))
    assert {host.ended(name)[0].reason for name in BATCH} == {Reason.OK}
    assert times_run(tmp_path) == ONCE


@pytest.fixture
def own(slurm: Slurm) -> Iterator[Slurm]:
    """A cluster for one test: a controller that is killed forgets the last ids, and nodes that see them again are drained."""
    nodes, partitions = ("NodeName=c1 CPUs=2 RealMemory=2000",), ("PartitionName=one Nodes=c1 MaxTime=2:02:00",)
    cluster = Slurm.start(nodes=nodes, partitions=partitions, prefix=slurm.prefix)
    yield cluster
    cluster.stop()


def test_a_killed_controller_costs_nothing_but_time(tmp_path: Path, worker: tuple[str, ...], own: Slurm) -> None:
    rig = SlurmRig(tmp_path, worker, own, "one")
    host = Host(rig)  # type: ignore[arg-type]
    waits = spec("1/1/a#1", f"until [ -e {tmp_path}/go ]; do sleep 0.1; done", shell=True)
    handles = host.engine.submit([long("1/0/a#1"), waits, spec("1/2/a#1")])
    host.until(lambda: host.begun("1/1/a#1"))
    own.kill("slurmctld")
    host.until(lambda: host.engine.capacity().queue == 0)
    host.engine.cancel(handles[:1])
    with pytest.raises(suite.Unavailable):
        host.engine.submit([spec("1/3/a#1")])
    known = {handle.address for handle in host.engine.adopt()}
    assert known | {name for name in BATCH if host.ended(name)} == set(BATCH)
    own.start_controller()
    (tmp_path / "go").touch()  # what ends while the controller is away is told it 15 s later
    host.until(lambda: all(host.ended(name) for name in BATCH))
    ends = [host.ended(name)[0] for name in BATCH]
    assert ends[0].reason is Reason.TERMINATED
    # Slurm writes its jobs down every few seconds: what began since then it puts back into the queue, what came since is lost
    assert {end.reason for end in ends[1:]} <= {Reason.OK, Reason.TERMINATED, Reason.LOST}, ends
    assert all(len(host.ended(name)) == 1 for name in BATCH)
    assert host.engine.capacity().queue > 0
    rig.close()


def test_what_squeue_forgot_is_found_in_the_history(tmp_path: Path, worker: tuple[str, ...]) -> None:
    cluster = Slurm.start(
        nodes=("NodeName=c1 CPUs=4 RealMemory=2000",), partitions=("PartitionName=one Nodes=c1",), age=2
    )
    try:
        rig = SlurmRig(tmp_path, worker, cluster, "one")
        host = Host(rig)  # type: ignore[arg-type]
        host.engine.submit([spec("1/0/a#1"), long("1/1/a#1")])
        host.until(lambda: host.begun("1/1/a#1"))
        rig.batch.close()
        until(rig, lambda: cluster.run("squeue", "-h", "-t", "R,CG", "-o", "%K").stdout.split() == ["2"])
        cluster.run("scancel", "--me")
        until(rig, lambda: not cluster.run("squeue", "-h", "-t", "all").stdout)
        rig.restart()
        host.cursor = ""
        host.until(lambda: host.ended("1/0/a#1") and host.ended("1/1/a#1"))
        assert host.ended("1/0/a#1")[0].reason is Reason.OK
        assert host.ended("1/1/a#1")[0].detail["batch"]["state"] == "Slurm CANCELLED"
        rig.close()
    finally:
        cluster.stop()


def test_a_job_that_is_requeued_is_ended_and_tried_again_by_us(host: Host, slurm: Slurm) -> None:
    host.engine.submit([long("1/0/a#1")])
    host.until(lambda: host.begun("1/0/a#1"))
    job = slurm.run("squeue", "--me", "-h", "-o", "%A").stdout.split()[0]
    slurm.run("scontrol", "update", f"JobId={job}", "Requeue=1")
    slurm.run("scontrol", "requeue", job)
    host.until(lambda: host.ended("1/0/a#1"))
    (ended,) = host.ended("1/0/a#1")
    assert ended.reason is Reason.TERMINATED
    assert verdict(ended) is Kind.EVICTED


@pytest.mark.parametrize("how", ["scancel", "requeue"])
def test_a_series_that_is_ended_from_outside_keeps_what_is_finished_and_returns_the_rest(
    host: Host, slurm: Slurm, how: str
) -> None:
    members = (spec("1/0/a#1"), long("1/1/a#1"), spec("1/2/a#1"), spec("1/3/a#1"))
    host.engine.submit([Series(members, suite.SMALL)])
    host.until(lambda: host.begun("1/1/a#1"))
    job = slurm.run("squeue", "--me", "-h", "-o", "%A").stdout.split()[0]
    if how == "requeue":
        slurm.run("scontrol", "update", f"JobId={job}", "Requeue=1")
        slurm.run("scontrol", "requeue", job)
    else:
        slurm.run("scancel", job)
    host.until(lambda: all(host.ended(member.address) for member in members))
    reasons = [host.ended(member.address)[0].reason for member in members]
    assert reasons == [Reason.OK, Reason.TERMINATED, Reason.UNBEGUN, Reason.UNBEGUN]
    assert all(len(host.ended(member.address)) == 1 for member in members)
    assert not host.begun("1/2/a#1")


def verdict(outcome: Outcome, shape: Shape = suite.SMALL) -> Kind:
    return judge(outcome, History(shape=shape)).kind


def told(host: Host, address: str) -> tuple[Reason, Kind, str]:
    (ended,) = host.ended(address)
    return ended.reason, verdict(ended), ended.detail["batch"]["state"]


def test_ends_from_outside_are_told_apart(rigs: Callable[..., Host], slurm: Slurm) -> None:
    """Slurm looks at limits every 30 s and at nodes every 10: all of it goes on at once."""
    cancelled, timed = rigs("one"), rigs("two")
    hungry, preempted, urgent, lost = rigs("two", memory=-140 * MB), rigs("low"), rigs("high"), rigs("gpu")
    timed.engine.submit([long("1/0/time#1")])
    hungry.engine.submit([spec("1/0/memory#1", "python3", "-c", GREEDY)])
    cancelled.engine.submit([long("1/0/cancel#1")])
    preempted.engine.submit([long("1/0/low#1"), long("1/1/low#1")])
    lost.engine.submit([long("1/0/node#1")])
    hosts = {"time": timed, "memory": hungry, "cancel": cancelled, "low": preempted, "node": lost}

    def all_(seen: Callable[[Host, str], object]) -> bool:
        for host in hosts.values():
            host.step()
        return all(seen(host, f"1/0/{name}#1") for name, host in hosts.items())

    timed.until(lambda: all_(Host.begun))
    slurm.kill("g1")
    jobs = {
        name: slurm.run("squeue", "-h", "-n", f"1/0/{name}#1", "-o", "%A").stdout.strip() for name in ("cancel", "time")
    }
    slurm.run("scancel", jobs["cancel"])
    slurm.run("scontrol", "update", f"JobId={jobs['time']}", "EndTime=now+1")  # a limit of its own is whole minutes
    urgent.engine.submit([spec("1/0/high#1")])
    timed.rig.deadline = 200.0
    try:
        timed.until(lambda: all_(Host.ended))
        urgent.until(lambda: urgent.ended("1/0/high#1"))
    finally:
        slurm.start_node("g1")
        slurm.until_idle(("g1",))
    assert told(cancelled, "1/0/cancel#1") == (Reason.TERMINATED, Kind.EVICTED, "Slurm CANCELLED")
    assert told(timed, "1/0/time#1") == (Reason.TIME, Kind.OVER_TIME, "Slurm TIMEOUT")
    assert told(hungry, "1/0/memory#1")[:2] == (Reason.MEMORY, Kind.OUT_OF_MEMORY)
    (out,) = hungry.ended("1/0/memory#1")
    assert max(out.detail["course"]["memory"]) > 0, "what it used over time is read where its worker left it"
    assert told(preempted, "1/0/low#1") == (Reason.TERMINATED, Kind.EVICTED, "Slurm PREEMPTED")
    assert told(lost, "1/0/node#1") == (Reason.LOST, Kind.NODE_LOST, "Slurm NODE_FAIL")
    assert What.RUNNING in [change.what for change in lost.changes]


GREEDY = "import time; time.sleep(5); data = bytearray(150_000_000); time.sleep(600)"
"""Slurm looks every second, and may kill at the first look: what was used before has been written by then."""
