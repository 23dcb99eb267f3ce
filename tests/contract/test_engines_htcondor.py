"""The engine of an HTCondor pool, on a real one: what every engine promises, and what only a pool can do wrong."""

from __future__ import annotations

import hashlib
import itertools
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nunatak.core.errors import Unavailable
from nunatak.core.work import Command, Environment, Input, Outcome, Output, Reason, Series, Shape, TaskSpec
from nunatak.engines.protocol import Handle, Nodes, What
from nunatak.worker import build
from tests.contract.test_engines import (
    MB,
    SMALL,
    Host,
    long,
    spec,
    test_a_spec_submitted_again_is_not_started_twice,
    test_a_waiting_attempt_is_cancelled_and_never_starts,
    test_an_attempt_runs_and_ends_with_an_outcome_that_is_its_own,
    test_an_empty_batch_is_nothing,
    test_an_end_is_told_until_its_cursor_comes_back_and_then_never_more,
    test_another_lease_is_another_attempt,
    test_cancelling_the_unknown_is_nothing,
    test_handles_come_in_the_order_of_the_batch_and_carry_address_and_lease,
    test_logs_of_the_unknown_are_nothing,
    test_more_than_is_wanted_is_refused_whole,
    test_no_cursor_gives_everything_still_known,
    test_the_same_cursor_gives_the_same_changes_or_more,
    test_what_is_not_a_lease_is_refused,
    test_what_is_not_the_address_of_an_attempt_is_refused,
)
from tests.services.engine_process import EngineProcess
from tests.services.htcondor import AS_USER, Pool, shared_pool

__all__ = [
    "test_a_spec_submitted_again_is_not_started_twice",
    "test_a_waiting_attempt_is_cancelled_and_never_starts",
    "test_an_attempt_runs_and_ends_with_an_outcome_that_is_its_own",
    "test_an_empty_batch_is_nothing",
    "test_an_end_is_told_until_its_cursor_comes_back_and_then_never_more",
    "test_another_lease_is_another_attempt",
    "test_cancelling_the_unknown_is_nothing",
    "test_handles_come_in_the_order_of_the_batch_and_carry_address_and_lease",
    "test_logs_of_the_unknown_are_nothing",
    "test_more_than_is_wanted_is_refused_whole",
    "test_no_cursor_gives_everything_still_known",
    "test_the_same_cursor_gives_the_same_changes_or_more",
    "test_what_is_not_a_lease_is_refused",
    "test_what_is_not_the_address_of_an_attempt_is_refused",
]
pytestmark = [pytest.mark.htcondor, pytest.mark.slow, pytest.mark.timeout(900)]  # the first may install the pool
_numbers = itertools.count()


class HTCondorRig:
    """An engine as the submitter's own process; a restart kills it -9."""

    queue, deadline = 40, 60.0

    def __init__(self, pool: Pool, **options: Any) -> None:
        self.pool = pool
        self.place = pool.place(f"{os.getpid()}-{next(_numbers)}")
        worker = build.build(self.place / "worker.pyz")
        self.settings = {
            "directory": self.place / "engine",
            "worker": worker,
            "depth": self.queue,
            "features": {"scratch": "HasScratch", "never": "HasNothingOfTheKind"},
            "lease": 20,
            "look": 2,
            "reconcile": 5,
            **options,
        }
        self._start()

    def _start(self) -> None:
        self.process = EngineProcess("htcondor", self.settings, AS_USER, self.pool.environ())
        self.engine = self.process

    def restart(self) -> None:
        self.process.kill()
        self._start()

    def pause(self) -> None:
        time.sleep(0.05)

    def close(self) -> None:
        if self.process.dead:
            self._start()
        self.process.cancel(self.process.adopt())
        self.process.poll("")
        self.process.kill()


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    with shared_pool() as found:
        yield found


@pytest.fixture
def make(pool: Pool) -> Iterator[Callable[..., Host]]:
    rigs: list[HTCondorRig] = []

    def made(**options: Any) -> Host:
        rigs.append(HTCondorRig(pool, **options))
        return Host(rigs[-1])

    yield made
    for rig in rigs:
        rig.close()


@pytest.fixture
def host(make: Callable[..., Host]) -> Host:
    return make()


def shell(address: str, text: str, **fields: Any) -> TaskSpec:
    given = {"inputs": (), "outputs": (), "shape": SMALL, **fields}
    return TaskSpec(address, "a1", (Command((text,), shell=True),), Environment(), **given)


def end_of(host: Host, address: str) -> Outcome:
    host.until(lambda: host.ended(address))
    (outcome,) = host.ended(address)
    return outcome


def jobs_ever(host: Host, address: str) -> int:
    """Count the jobs that an attempt of this engine ever was, in the queue and in the history."""
    place = str(host.rig.place)
    words = ("-constraint", f'NunatakAddress == "{address}" && regexp("^{place}/", Iwd)', "-af", "ClusterId")
    found = (host.rig.pool.admin("condor_q", "-all", *words), host.rig.pool.admin("condor_history", *words))
    return sum(len(text.split()) for text in found)


def test_a_foreign_cursor_acknowledges_nothing(host: Host) -> None:
    host.engine.submit([spec("1/0/a#1")])
    host.until(lambda: host.ended("1/0/a#1") or What.ENDED in [change.what for change in host.engine.poll("").changes])
    everything = host.engine.poll("").changes
    for cursor in ("0.99", "nonsense", "a.b.c", ".", "-1", "é.³", "0." + "9" * 400):
        assert host.engine.poll(cursor).changes == everything


# ---- files


def test_files_go_with_the_job_and_come_back_into_the_store_and_the_node_sees_nothing_else(host: Host) -> None:
    place: Path = host.rig.place
    (place / "deep").mkdir()
    (place / "deep" / "in put.dat").write_bytes(b"seven\n")
    secret = place / "secret"
    secret.write_text("not for the node")
    secret.chmod(0o644)
    text = f"cat data/x > made/y; ./tool >> made/y; cat {secret} && exit 3; cat {place}/engine/records.db && exit 4; id -un > who"
    (place / "tool").write_text("#!/bin/sh\necho tool\n")
    host.engine.submit(
        [
            shell(
                "7/0/a#1",
                "mkdir made; " + text,
                inputs=(
                    Input("data/x", f"file://{place}/deep/in%20put.dat", size=6),
                    Input("tool", f"file://{place}/tool", mode=0o755),
                    Input("none", f"file://{place}/nowhere", optional=True),
                ),
                outputs=(
                    Output("made/y", f"file://{place}/store/7/y.txt"),
                    Output("who", f"file://{place}/store/7/who"),
                ),
            )
        ]
    )
    outcome = end_of(host, "7/0/a#1")
    assert outcome.reason is Reason.OK, outcome
    assert (place / "store/7/y.txt").read_bytes() == b"seven\ntool\n"
    assert (place / "store/7/who").read_text() == "nobody\n"
    assert [(item.name, item.url, item.size) for item in outcome.inputs] == [
        ("data/x", f"file://{place}/deep/in%20put.dat", 6),
        ("tool", f"file://{place}/tool", 20),
    ]
    made = outcome.outputs[0]
    assert (made.url, made.sha256) == (
        f"file://{place}/store/7/y.txt",
        hashlib.sha256(b"seven\ntool\n").hexdigest(),
    )
    assert outcome.host in ("alpha", "beta")
    (part,) = host.engine.logs({("7/0/a#1", "a1", "stderr"): 0, ("7/0/a#1", "a1", "stdout"): 0})
    assert part.data.count(b"Permission denied") == 2


def test_what_can_never_run_or_begin_ends_at_once_and_says_why(host: Host) -> None:
    shapes = {
        "cpu": Shape(cpu=99, memory=MB, disk=MB),
        "gpu": Shape(gpu=1, memory=MB, disk=MB),
        "memory": Shape(memory=10**12, disk=MB),
        "aarch64": Shape(memory=MB, disk=MB, platform="linux/aarch64"),
        "avx9": Shape(memory=MB, disk=MB, features=("avx9",)),
        "never": Shape(memory=MB, disk=MB, features=("never",)),
    }
    host.engine.submit([spec(f"1/{number}/a#1", shape=shape) for number, shape in enumerate(shapes.values())])
    host.engine.submit([shell("1/9/a#1", "true", inputs=(Input("x", "file:///nowhere/x"),))])
    host.step()
    for number, word in enumerate(shapes):
        (outcome,) = host.ended(f"1/{number}/a#1")
        assert outcome.reason is Reason.SUBMIT
        assert word in outcome.message
    (outcome,) = host.ended("1/9/a#1")
    assert outcome.reason is Reason.STAGE_IN
    assert "missing" in outcome.message
    assert "scratch" in host.engine.capacity().total.features
    assert "never" not in host.engine.capacity().total.features


def test_jobs_of_a_feature_and_a_series_run_and_carry_what_the_operator_wants(make: Callable[..., Host]) -> None:
    host = make(
        user="physics",
        attributes='ProjectName = "muons"; Weight = 3',
        requirements='TARGET.Machine == "beta"',
        rank="TARGET.Cpus",
    )
    picky = Shape(memory=200 * MB, disk=MB, time=600, features=("scratch",), platform="linux/x86_64")
    batch = [long("1/0/a#1", shape=picky), Series((spec("1/1/a#1"), spec("1/2/a#1", "false")), SMALL)]
    assert [item.address for item in host.engine.submit(batch)] == ["1/0/a#1", "1/1/a#1", "1/2/a#1"]
    assert end_of(host, "1/1/a#1").reason is Reason.OK
    assert end_of(host, "1/2/a#1").reason is Reason.EXIT
    host.until(lambda: host.begun("1/0/a#1"))
    job = host.engine.adopt()[0].external
    said = host.rig.pool.admin(
        "condor_q", "-all", job, "-af", "ProjectName", "Weight", "AcctGroupUser", "JobBatchName", "NunatakLease"
    )
    assert said.split() == ["muons", "3", "physics", "nunatak", "1", "a1"]
    assert {change.host for change in host.changes if change.what is What.RUNNING} == {"beta"}


# ---- nodes


def test_drained_and_avoided_nodes_get_nothing_new_also_of_what_waits(host: Host) -> None:
    everything = Shape(cpu=8, memory=200 * MB, disk=MB, time=600)
    host.engine.submit([long("1/0/a#1", everything), long("1/1/a#1", everything)])
    host.until(lambda: host.begun("1/0/a#1") and host.begun("1/1/a#1"))
    on = {change.host: change.handle for change in host.changes}
    assert set(on) == {"alpha", "beta"}
    host.engine.submit([spec("1/2/a#1", shape=everything)])  # waits for either
    host.engine.submit([], Nodes(drained=("alpha",)))
    host.step()
    host.engine.cancel([on["alpha"]])
    host.until(lambda: host.ended(on["alpha"].address))
    avoiding = TaskSpec("1/3/a#1", "a1", (Command(("true",)),), Environment(), (), (), SMALL, avoid=("beta",))
    host.engine.submit([avoiding], Nodes(drained=("alpha",), probed=()))
    host.engine.cancel([on["beta"]])
    assert end_of(host, "1/2/a#1").host == "beta"
    assert not host.begun("1/3/a#1")
    host.engine.submit([], Nodes())
    assert end_of(host, "1/3/a#1").host == "alpha"


def test_a_probed_node_gets_one_attempt_at_a_time(host: Host) -> None:
    nodes = Nodes(drained=("beta",), probed=("alpha",))
    host.engine.submit([long("1/0/a#1"), spec("1/1/a#1")], nodes)
    host.until(lambda: host.begun("1/0/a#1"))
    assert host.begun("1/0/a#1")[0].host == "alpha"
    end = time.monotonic() + 4
    host.until(lambda: time.monotonic() > end)
    assert not host.begun("1/1/a#1")
    host.engine.submit([], Nodes(drained=("beta",)))
    assert end_of(host, "1/1/a#1").host == "alpha"


# ---- what others do to our jobs


def test_what_people_and_nodes_do_to_jobs_is_told_apart(host: Host) -> None:
    handles = {item.address: item for item in host.engine.submit([long(f"1/{job}/a#1") for job in range(6)])}
    host.until(lambda: all(host.begun(address) for address in handles))
    held, removed, vacated, cancelled, cut, waiting = handles.values()
    admin = host.rig.pool.admin
    admin("condor_hold", held.external)
    admin("condor_rm", removed.external)
    admin("condor_vacate_job", "-fast", vacated.external)
    host.engine.cancel([cancelled])
    told = {item.address: end_of(host, item.address) for item in (held, removed, vacated, cancelled)}
    assert {item.reason for item in told.values()} == {Reason.TERMINATED}
    assert told[held.address].message.startswith("it was held in the queue by hand: via condor_hold")
    assert told[removed.address].message.startswith("it was removed from the queue by hand: via condor_rm")
    assert told[vacated.address].message.startswith("it was evicted from ")
    assert told[cancelled.address].message == "it was cancelled"
    assert told[held.address].detail["batch"]["code"] == 1
    assert "batch" not in told[cancelled.address].detail
    assert told[removed.address].usage.wall is not None
    host.engine.cancel([cut, waiting])
    assert end_of(host, cut.address).message == "it was cancelled"
    host.until(
        lambda: not admin("condor_q", "-all", *(item.external for item in handles.values()), "-af", "ProcId").strip()
    )


def test_a_job_that_exceeds_what_it_asked_for_is_held_with_our_reason(make: Callable[..., Host]) -> None:
    host = make(margin=1)
    (host.rig.place / "worker.pyz").write_text(  # one that does not look after its limits
        "#!/bin/sh\ngrep -q hog task.json || exec sleep 600\n"
        "exec python3 -c 'b = bytearray(400000000); import time; time.sleep(600)'\n"
    )
    host.engine.submit(
        [
            spec("1/0/hog#1", shape=Shape(memory=100 * MB, disk=MB, time=600)),
            spec("1/1/a#1", shape=Shape(memory=MB, disk=MB, time=5)),
        ]
    )
    memory, late = end_of(host, "1/0/hog#1"), end_of(host, "1/1/a#1")
    assert (memory.reason, late.reason) == (Reason.MEMORY, Reason.TIME)
    assert "exceeded its memory" in memory.message
    assert "exceeded time limit" in late.message
    assert memory.usage.memory is not None
    assert memory.usage.memory > 300 * MB


def test_a_worker_that_cannot_start_says_so(host: Host) -> None:
    (host.rig.place / "worker.pyz").write_text("#!/bin/sh\necho no such python >&2; exit 127\n")
    host.engine.submit([spec("1/0/a#1")])
    outcome = end_of(host, "1/0/a#1")
    assert outcome.reason is Reason.LOST
    assert "it returned 127" in outcome.message
    assert "no such python" in outcome.message


# ---- kills


@pytest.mark.parametrize(
    ("place", "adopted"),
    [
        ("nunatak.engines.htcondor.records:Records.keep", False),  # before anything is written
        ("nunatak.engines.htcondor.bindings:Condor.submit", True),  # written, not submitted
        ("nunatak.engines.htcondor.bindings:Condor.submit+", True),  # submitted, not recorded
        ("nunatak.engines.htcondor.ledger:Ledger.assign+", True),  # one of them noted in memory
    ],
)
def test_an_engine_killed_while_it_submits_runs_each_attempt_once(host: Host, place: str, adopted: bool) -> None:
    names = ["1/0/a#1", "1/1/a#1"]
    host.rig.process.die_in(place)
    with pytest.raises((EOFError, BrokenPipeError)):
        host.engine.submit([spec(name) for name in names])
    assert host.rig.process.wait_until_dead() == -9
    host.rig.restart()
    assert [item.address for item in host.engine.adopt()] == (names if adopted else [])
    if not adopted:
        host.engine.submit([spec(name) for name in names])
    assert [end_of(host, name).reason for name in names] == [Reason.OK, Reason.OK]
    assert [jobs_ever(host, name) for name in names] == [1, 1]


@pytest.mark.parametrize(
    "place",
    [
        "nunatak.engines.htcondor.boxes:Boxes.conclude+",  # its outputs are in the store, nobody knows
        "nunatak.engines.htcondor.bindings:Condor.remove+",  # removed, not recorded
    ],
)
def test_an_engine_killed_while_attempts_end_tells_each_end_once(host: Host, place: str) -> None:
    target = host.rig.place / "store" / "y"
    made = shell("1/0/a#1", "echo made > y", outputs=(Output("y", f"file://{target}"),))
    gone = host.engine.submit([made, long("1/1/a#1")])[1]
    host.rig.process.die_in(place)
    with pytest.raises((EOFError, BrokenPipeError)):
        _go_on(host, [gone] if "remove" in place else [])
    host.rig.restart()
    host.cursor = ""
    host.engine.cancel([gone])
    assert end_of(host, "1/0/a#1").reason is Reason.OK
    assert end_of(host, "1/1/a#1").reason is Reason.TERMINATED
    assert target.read_text() == "made\n"
    host.step()
    assert host.engine.adopt() == []


def _go_on(host: Host, cancelled: list[Handle]) -> None:
    host.engine.cancel(cancelled)
    host.until(lambda: False)


def test_a_restarted_engine_knows_what_waits_and_runs_and_ended(host: Host) -> None:
    never = Nodes(drained=("alpha", "beta"))
    known = host.engine.submit([long("1/1/a#1")])
    host.until(lambda: host.begun("1/1/a#1"))
    host.engine.submit([spec("1/0/a#1")])
    host.until(lambda: host.ended("1/0/a#1"))
    known += host.engine.submit([long("1/2/a#1")], never)
    handles = host.engine.adopt()
    host.rig.restart()
    assert host.engine.adopt() == handles
    old, host.cursor, host.changes = host.cursor, "", []
    assert [(c.handle.address, c.what) for c in host.engine.poll(old).changes] == [
        ("1/1/a#1", What.RUNNING),
        ("1/0/a#1", What.RUNNING),
        ("1/0/a#1", What.ENDED),
    ]
    assert host.engine.submit([long("1/1/a#1"), long("1/2/a#1")], never) == known
    host.engine.cancel(known)
    assert {end_of(host, item.address).reason for item in known} == {Reason.TERMINATED}


def test_a_second_engine_on_the_directory_is_refused(host: Host) -> None:
    with pytest.raises(Unavailable, match="another engine"):
        EngineProcess("htcondor", host.rig.settings, AS_USER, host.rig.pool.environ())


def test_nothing_is_lost_when_the_schedd_is_killed(host: Host) -> None:
    names = [f"1/{job}/a#1" for job in range(4)]
    host.engine.submit([shell(name, "sleep 3; echo done") for name in names])
    host.until(lambda: host.begun(names[0]))
    host.rig.pool.kill("condor_schedd")
    assert [end_of(host, name).reason for name in names] == [Reason.OK] * 4
    host.until(lambda: host.engine.capacity().queue > 0)
    host.engine.submit([spec("1/9/a#1")])
    assert end_of(host, "1/9/a#1").reason is Reason.OK
    assert [jobs_ever(host, name) for name in names] == [1] * 4


def test_a_node_that_dies_is_lost_and_told_by_name(host: Host) -> None:
    host.engine.submit([long("1/0/a#1")])
    host.until(lambda: host.begun("1/0/a#1"))
    name = host.begun("1/0/a#1")[0].host
    host.rig.pool.kill_starter(host.engine.adopt()[0].external)
    outcome = end_of(host, "1/0/a#1")
    assert outcome.reason is Reason.LOST
    assert f"lost connection to {name}" in outcome.message
    assert outcome.host == name


@pytest.mark.parametrize("damage", ["truncated", "half", "garbage", "gone"])
def test_an_event_log_that_is_damaged_costs_nothing(host: Host, damage: str) -> None:
    names = [f"1/{job}/a#1" for job in range(3)]
    host.engine.submit([shell(names[0], "sleep 2"), shell(names[1], "exit 1"), long(names[2])])
    host.until(lambda: host.begun(names[2]))
    (log,) = (host.rig.place / "engine" / "events").glob("*.log")
    if damage == "truncated":
        os.truncate(log, 0)
    elif damage == "half":
        with log.open("a") as stream:
            stream.write("005 (000.000.000) 2026-01-01 00:00:00 Job termi")
    elif damage == "garbage":
        with log.open("ab") as stream:
            stream.write(b"\xff\xfe nothing that anybody wrote\n...\n")
    else:
        log.unlink()
    host.rig.pool.admin("condor_rm", host.engine.adopt()[2].external)
    assert end_of(host, names[0]).reason is Reason.OK
    assert end_of(host, names[1]).reason is Reason.EXIT
    assert end_of(host, names[2]).reason in (Reason.TERMINATED, Reason.LOST)


def test_jobs_that_no_engine_knows_are_removed(host: Host) -> None:
    (handle,) = host.engine.submit([long("1/0/a#1")])
    host.until(lambda: host.begun("1/0/a#1"))
    host.rig.process.kill()
    with closing(sqlite3.connect(host.rig.place / "engine" / "records.db", isolation_level=None)) as file:
        file.execute("DELETE FROM attempts")
    host.rig.restart()
    assert host.engine.adopt() == []
    host.step()
    host.until(lambda: not host.rig.pool.admin("condor_q", "-all", handle.external, "-af", "ProcId").strip())


def test_a_job_that_vanished_from_the_queue_is_lost(host: Host) -> None:
    (handle,) = host.engine.submit([long("1/0/a#1")])
    host.until(lambda: host.begun("1/0/a#1"))
    (log,) = (host.rig.place / "engine" / "events").glob("*.log")
    log.rename(log.with_suffix(".away"))  # nobody can say what became of it
    log.mkdir()
    host.rig.pool.admin("condor_rm", handle.external)
    outcome = end_of(host, "1/0/a#1")
    assert (outcome.reason, outcome.message) == (Reason.LOST, "it vanished from the queue of HTCondor")


# ---- without a pool


def test_a_pool_that_refuses_us_gets_nothing_and_gives_an_error_that_helps(pool: Pool) -> None:
    rig = HTCondorRig(pool, token_directory=pool.place("no-token"))
    with pytest.raises(Unavailable):
        rig.engine.submit([spec("1/0/a#1")])
    assert rig.engine.capacity().queue == 0
    assert rig.engine.poll("").changes == ()
    assert rig.engine.adopt() == []
    rig.process.kill()
