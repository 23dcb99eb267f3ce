"""The suite of all engines on a real Slurm, and what only a batch system has: arrays, GPUs, features, nodes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nunatak.core.using import read_using
from nunatak.core.work import Reason, Series, Shape
from nunatak.engines.protocol import Nodes, What
from tests.contract import test_engines as suite
from tests.contract.slurm_rig import MARGIN, MB, SlurmRig
from tests.contract.test_engines import TOTAL, Host, long, spec
from tests.services.slurm import Slurm

worker = suite.worker  # the fixture
ALIKE = (
    "test_an_attempt_runs_and_ends_with_an_outcome_that_is_its_own",
    "test_handles_come_in_the_order_of_the_batch_and_carry_address_and_lease",
    "test_an_empty_batch_is_nothing",
    "test_a_spec_submitted_again_is_not_started_twice",
    "test_another_lease_is_another_attempt",
    "test_what_is_not_the_address_of_an_attempt_is_refused",
    "test_what_is_not_a_lease_is_refused",
    "test_more_than_is_wanted_is_refused_whole",
    "test_a_spec_that_can_never_run_ends_with_reason_submit_and_says_why",
    "test_a_running_attempt_is_cancelled",
    "test_cancelling_the_unknown_is_nothing",
    "test_the_same_cursor_gives_the_same_changes_or_more",
    "test_an_end_is_told_until_its_cursor_comes_back_and_then_never_more",
    "test_no_cursor_gives_everything_still_known",
    "test_a_foreign_cursor_acknowledges_nothing",
    "test_the_order_of_the_line_survives_a_restart",
    "test_logs_come_in_increments_that_add_up",
    "test_logs_of_the_unknown_are_nothing",
    "test_the_members_of_a_series_run_one_after_the_other_in_one_place",
    "test_a_running_member_is_cancelled_alone",
    "test_a_member_is_cancelled_before_its_turn",
    "test_a_waiting_series_is_cancelled_by_and_by",
    "test_a_series_submitted_again_is_not_started_twice",
    "test_a_restarted_engine_adopts_a_series_whole",
    "test_a_series_that_can_never_run_ends_with_reason_submit",
    "test_members_have_logs_of_their_own",
    "test_the_log_of_a_later_member_is_there_while_it_runs",
)
"""Those tests of the suite that hold for a batch system as they are; the others have their like below."""
globals().update({name: getattr(suite, name) for name in ALIKE})


@pytest.fixture
def rig(tmp_path: Path, worker: tuple[str, ...], slurm: Slurm) -> Iterator[SlurmRig]:
    slurm.until_idle(("c1",))
    made = SlurmRig(tmp_path, worker, slurm, "one")
    yield made
    made.close()


@pytest.fixture
def host(rig: SlurmRig) -> Host:
    return Host(rig)  # type: ignore[arg-type]


def test_no_more_run_than_there_are_cores_and_the_rest_follows_in_order(host: Host) -> None:
    names = [f"1/{job}/a#1" for job in range(5)]
    host.engine.submit([long(name) for name in names])
    host.until(lambda: host.begun(names[1]))
    host.step()
    assert [change.handle.address for change in host.changes] == names[:2]
    left = 0, 2000 * MB - 2 * -(-(200 * MB + MARGIN) // 2**20) * 2**20
    # what began between two questions may count twice until the cluster is looked at again
    host.until(lambda: ((free := host.engine.capacity().free).cpu, free.memory) == left)
    assert not host.begun(names[2])
    host.engine.cancel([host.changes[0].handle])
    host.until(lambda: host.begun(names[2]) and host.ended(names[0]))
    assert not host.begun(names[3])


def test_capacity_says_what_is_there_and_how_many_more_are_wanted(host: Host, rig: SlurmRig) -> None:
    before = host.engine.capacity()
    assert before.total == before.free == TOTAL
    assert before.queue == rig.queue + 2
    host.engine.submit([long("1/0/a#1"), long("1/1/a#1"), long("1/2/a#1")])
    assert host.engine.capacity().queue == rig.queue - 1
    host.until(lambda: host.begun("1/1/a#1"))
    assert host.engine.capacity().queue == rig.queue - 1
    assert host.engine.capacity().free.cpu == 0


def test_a_waiting_attempt_is_cancelled_and_never_starts(host: Host) -> None:
    handles = host.engine.submit([long(f"1/{job}/a#1") for job in range(3)])
    host.engine.cancel(handles[2:])
    host.until(lambda: host.ended("1/2/a#1"))
    (ended,) = host.ended("1/2/a#1")
    assert (ended.reason, ended.message) == (Reason.TERMINATED, "it was cancelled before it started")
    host.engine.cancel(handles[:2])
    host.until(lambda: host.ended("1/0/a#1") and host.ended("1/1/a#1"))
    assert not host.begun("1/2/a#1")


def test_a_restarted_engine_adopts_what_waits_and_runs_and_ended(host: Host, rig: SlurmRig) -> None:
    host.engine.submit([spec("1/0/a#1")])
    host.until(lambda: host.ended("1/0/a#1"))
    known = host.engine.submit([long("1/1/a#1"), long("1/2/a#1"), long("1/3/a#1")])
    handles = host.engine.adopt()
    deadline = time.monotonic() + rig.deadline
    while [change.what for change in host.engine.poll("").changes].count(What.RUNNING) < 3:
        assert time.monotonic() < deadline
        rig.pause()
    rig.restart()
    assert host.engine.adopt() == handles
    old, host.cursor, host.changes = host.cursor, "", []
    told = host.engine.poll(old)
    assert [(change.handle.address, change.what) for change in told.changes] == [
        ("1/0/a#1", What.ENDED),
        ("1/1/a#1", What.RUNNING),
        ("1/2/a#1", What.RUNNING),
    ]
    assert host.engine.submit([long("1/1/a#1"), long("1/2/a#1"), long("1/3/a#1")]) == known
    keys = [(handle.address, handle.lease) for handle in known]
    host.until(lambda: len(host.engine.using(keys)) == 2)  # what they used so far, of those that run
    assert all(found and found["memory"] for found in map(read_using, host.engine.using(keys).values()))
    host.engine.cancel(known)
    host.until(lambda: all(host.ended(f"1/{job}/a#1") for job in (1, 2, 3)))
    assert {outcome.reason for job in (1, 2, 3) for outcome in host.ended(f"1/{job}/a#1")} == {Reason.TERMINATED}
    host.until(lambda: host.engine.capacity().free == TOTAL)


def test_attempts_of_one_shape_are_one_array_and_the_script_is_in_each_sandbox(
    host: Host, rig: SlurmRig, tmp_path: Path
) -> None:
    handles = host.engine.submit([spec(f"7/{job}/fit#1", lease="f00d7") for job in range(4)])
    assert rig.asked.count("sbatch") == 1
    (row,) = {tuple(line.split("|")[1:]) for line in rig.mine() if line.endswith("lease f00d7")}
    assert row[0] == "7/fit x4"
    scripts = {(tmp_path / "engine" / handle.external / "script").read_text() for handle in handles}
    (script,) = scripts
    assert '#SBATCH --job-name="7/fit x4"' in script
    assert "#SBATCH --array=1-4" in script
    host.until(lambda: all(host.ended(f"7/{job}/fit#1") for job in range(4)))
    assert {host.ended(f"7/{job}/fit#1")[0].reason for job in range(4)} == {Reason.OK}
    assert {host.ended(f"7/{job}/fit#1")[0].host for job in range(4)} == {"c1"}
    host.step()
    host.step()
    assert list((tmp_path / "engine" / ".submissions").glob("n*")) == []


def test_series_of_one_shape_are_one_array_with_a_job_each(host: Host, rig: SlurmRig) -> None:
    before = rig.elements()
    batch = [Series(tuple(spec(f"7/{5 * n + k}/fit#1") for k in range(5)), suite.SMALL) for n in range(3)]
    handles = host.engine.submit(batch)
    assert rig.asked.count("sbatch") == 1
    (script,) = rig.batch.scripts(handles)
    assert script.handles == tuple(handles)
    assert '#SBATCH --job-name="7/fit x15"' in script.text
    assert "#SBATCH --array=1-3" in script.text
    host.until(lambda: all(host.ended(handle.address) for handle in handles))
    assert {host.ended(handle.address)[0].reason for handle in handles} == {Reason.OK}
    made = rig.elements() - before
    assert (len({array for array, _ in made}), sorted(number for _, number in made)) == (1, ["1", "2", "3"])
    grouping = rig.batch.grouping
    assert grouping
    assert grouping.longest == TOTAL.time
    host.until(lambda: not list((rig.batch._book.shelf.root / ".series").iterdir()))


def test_a_member_that_fails_does_not_take_the_others(host: Host) -> None:
    host.engine.submit([Series((spec("1/0/a#1"), spec("1/1/a#1", "false"), spec("1/2/a#1")), suite.SMALL)])
    host.until(lambda: host.ended("1/2/a#1"))
    assert [host.ended(f"1/{job}/a#1")[0].reason for job in range(3)] == [Reason.OK, Reason.EXIT, Reason.OK]


def test_a_job_asks_for_gpus_and_finds_them(tmp_path: Path, worker: tuple[str, ...], slurm: Slurm) -> None:
    host = Host(SlurmRig(tmp_path, worker, slurm))  # type: ignore[arg-type]
    shape = Shape(gpu=1, memory=100 * MB, disk=MB, time=600)
    host.engine.submit([spec("1/0/g#1", 'echo "$CUDA_VISIBLE_DEVICES"', shell=True, shape=shape)])
    host.until(lambda: host.ended("1/0/g#1"))
    (ended,) = host.ended("1/0/g#1")
    assert (ended.reason, ended.host) == (Reason.OK, "g1")
    (part,) = host.engine.logs({("1/0/g#1", "a1", "stdout"): 0})
    assert part.data in (b"0\n", b"1\n")
    host.rig.close()


def test_a_feature_picks_the_node_and_nodes_to_avoid_are_avoided(
    tmp_path: Path, worker: tuple[str, ...], slurm: Slurm
) -> None:
    rig = SlurmRig(tmp_path, worker, slurm, "one", "two")
    host = Host(rig)  # type: ignore[arg-type]
    fast = Shape(memory=100 * MB, disk=MB, time=600, features=("fast",))
    shy = replace(spec("1/1/a#1"), avoid=("c1", "elsewhere"))
    host.engine.submit([spec("1/0/a#1", shape=fast), shy])
    host.until(lambda: host.ended("1/0/a#1") and host.ended("1/1/a#1"))
    assert [host.ended(name)[0].host for name in ("1/0/a#1", "1/1/a#1")] == ["c2", "c2"]
    host.engine.submit([spec("1/2/a#1")], Nodes(drained=("c2",)))
    host.until(lambda: host.ended("1/2/a#1"))
    assert host.ended("1/2/a#1")[0].host == "c1"
    rig.close()


def test_what_waits_is_kept_from_a_node_that_is_drained_later(host: Host, rig: SlurmRig) -> None:
    host.engine.submit([long("1/0/a#1"), long("1/1/a#1"), spec("1/2/a#1")])
    host.until(lambda: host.begun("1/1/a#1"))
    host.engine.submit([], Nodes(drained=("c1",)))
    job = rig.slurm.run("squeue", "--me", "-h", "-t", "PENDING", "-o", "%A").stdout.split()[0]
    assert "ExcNodeList=c1" in rig.slurm.run("scontrol", "show", "job", job).stdout
    host.engine.submit([], Nodes())
    assert "ExcNodeList=(null)" in rig.slurm.run("scontrol", "show", "job", job).stdout
