"""The engine of an HTCondor pool, on a real one: what every engine promises, and what only a pool can do wrong."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nunatak.core.errors import Unavailable
from nunatak.core.using import read_using
from nunatak.core.work import Command, Environment, Input, Outcome, Output, Reason, Shape, TaskSpec
from nunatak.engines.protocol import Handle, Nodes, What
from nunatak.worker import build
from tests.contract.test_engines import (
    MB,
    SMALL,
    Host,
    long,
    names,
    series,
    spec,
    test_a_series_submitted_again_is_not_started_twice,
    test_a_spec_submitted_again_is_not_started_twice,
    test_an_attempt_runs_and_ends_with_an_outcome_that_is_its_own,
    test_an_empty_batch_is_nothing,
    test_an_end_is_told_until_its_cursor_comes_back_and_then_never_more,
    test_another_lease_is_another_attempt,
    test_cancelling_the_unknown_is_nothing,
    test_handles_come_in_the_order_of_the_batch_and_carry_address_and_lease,
    test_logs_of_the_unknown_are_nothing,
    test_members_have_logs_of_their_own,
    test_more_than_is_wanted_is_refused_whole,
    test_no_cursor_gives_everything_still_known,
    test_the_members_of_a_series_run_one_after_the_other_in_one_place,
    test_the_same_cursor_gives_the_same_changes_or_more,
    test_what_is_not_a_lease_is_refused,
    test_what_is_not_the_address_of_an_attempt_is_refused,
)
from tests.services.engine_process import EngineProcess
from tests.services.htcondor import AS_USER, Pool, own_pool, shared_pool
from tests.services.ports import free_port
from tests.services.workers import COURSE

__all__ = [
    "test_a_series_submitted_again_is_not_started_twice",
    "test_a_spec_submitted_again_is_not_started_twice",
    "test_an_attempt_runs_and_ends_with_an_outcome_that_is_its_own",
    "test_an_empty_batch_is_nothing",
    "test_an_end_is_told_until_its_cursor_comes_back_and_then_never_more",
    "test_another_lease_is_another_attempt",
    "test_cancelling_the_unknown_is_nothing",
    "test_handles_come_in_the_order_of_the_batch_and_carry_address_and_lease",
    "test_logs_of_the_unknown_are_nothing",
    "test_members_have_logs_of_their_own",
    "test_more_than_is_wanted_is_refused_whole",
    "test_no_cursor_gives_everything_still_known",
    "test_the_members_of_a_series_run_one_after_the_other_in_one_place",
    "test_the_same_cursor_gives_the_same_changes_or_more",
    "test_what_is_not_a_lease_is_refused",
    "test_what_is_not_the_address_of_an_attempt_is_refused",
]
NOTHING = {
    test_an_empty_batch_is_nothing.__name__,
    test_what_is_not_a_lease_is_refused.__name__,
    test_what_is_not_the_address_of_an_attempt_is_refused.__name__,
}
pytestmark = [pytest.mark.htcondor, pytest.mark.slow, pytest.mark.timeout(900)]  # the first may install the pool
_numbers = itertools.count()


class HTCondorRig:
    """An engine as the submitter's own process; a restart kills it -9."""

    queue, deadline = 40, 200.0

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


@pytest.fixture(scope="module")
def idle(pool: Pool) -> Iterator[HTCondorRig]:
    rig = HTCondorRig(pool)
    yield rig
    rig.close()


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Host:
    """Give an engine that knows nothing; those who ask it for nothing that it takes share one, as it takes seconds to make."""
    if request.node.originalname in NOTHING:
        return Host(request.getfixturevalue("idle"))
    host: Host = request.getfixturevalue("make")()
    return host


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


def test_a_waiting_attempt_is_cancelled_and_never_starts(host: Host) -> None:
    (waits,) = host.engine.submit([long("1/0/a#1")], Nodes(drained=("alpha", "beta")))  # else it might begin at once
    host.engine.cancel([waits])
    host.step()
    assert [outcome.reason for outcome in host.ended("1/0/a#1")] == [Reason.TERMINATED]
    host.engine.submit([long("1/1/a#1")], Nodes())
    host.until(lambda: host.begun("1/1/a#1"))
    assert not host.begun("1/0/a#1")


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
    given = (
        Input("data/x", f"file://{place}/deep/in%20put.dat", size=6),
        Input("tool", f"file://{place}/tool", mode=0o755),
        Input("none", f"file://{place}/nowhere", optional=True),
    )
    out = (Output("made/y", f"file://{place}/store/7/y.txt"), Output("who", f"file://{place}/store/7/who"))
    again = (Output("y", f"file://{place}/store/7/again"),)
    host.engine.submit(
        [
            shell("7/0/a#1", "mkdir made; " + text, inputs=given, outputs=out),
            shell("7/1/a#1", "cat data/x > y; ./tool >> y", inputs=given, outputs=again),  # has them by the same links
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
    assert end_of(host, "7/1/a#1").reason is Reason.OK
    assert (place / "store/7/again").read_bytes() == b"seven\ntool\n"


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


def test_jobs_of_a_feature_run_and_carry_what_the_operator_wants(make: Callable[..., Host]) -> None:
    host = make(
        group="muons.{group}",
        user="{owner}",
        attributes='ProjectName = "muons"; Weight = 3',
        requirements='TARGET.Machine == "beta"',
        rank="TARGET.Cpus",
    )
    picky = Shape(memory=200 * MB, disk=MB, time=600, features=("scratch",), platform="linux/x86_64")
    host.engine.submit([replace(long("1/0/a#1", shape=picky), owner="anna", group="icecube")])
    host.until(lambda: host.begun("1/0/a#1"))
    job = host.engine.adopt()[0].external
    said = host.rig.pool.admin(
        "condor_q",
        "-all",
        job,
        "-af",
        "ProjectName",
        "Weight",
        "AcctGroup",
        "AcctGroupUser",
        "JobBatchName",
        "NunatakLease",
    )
    assert said.split() == ["muons", "3", "muons.icecube", "anna", "nunatak", "1", "a1"]
    assert {change.host for change in host.changes if change.what is What.RUNNING} == {"beta"}


def test_jobs_are_as_their_recipe_wants_them_and_what_it_may_not_say_ends_at_once(make: Callable[..., Host]) -> None:
    host = make(settable="is_resumable, Weight")

    def wanting(address: str, requirements: str = "", **attributes: str) -> TaskSpec:
        told = {"htcondor": {"requirements": requirements, "attributes": attributes}}
        return shell(address, "true", engines=told)

    wanted = wanting("1/0/a#1", 'TARGET.Machine == "beta"', Weight="2 + 1", Is_Resumable="true")
    unwanted = [
        wanting("1/1/a#1", "true) || (true"),
        wanting("1/2/a#1", "TARGET.Cpus > 0 &&"),
        wanting("1/3/a#1", TransferInput='"/etc/passwd"'),
        wanting("1/4/a#1", NunatakLease='"b2"'),
        wanting("1/5/a#1", Weight="$$(Machine)"),
    ]
    host.engine.submit([wanted, *unwanted, shell("1/6/a#1", "true")])
    for refused in unwanted:
        (outcome,) = host.ended(refused.address) or (end_of(host, refused.address),)
        assert outcome.reason is Reason.SUBMIT
        assert "can never run here" in outcome.message
    outcome = end_of(host, "1/0/a#1")
    assert (outcome.reason, outcome.host) == (Reason.OK, "beta")
    assert end_of(host, "1/6/a#1").reason is Reason.OK
    told = host.rig.pool.admin(
        "condor_history", "-constraint", 'NunatakAddress == "1/0/a#1"', "-limit", "1", "-af", "Weight", "is_resumable"
    )
    assert told.split() == ["3", "true"]


# ---- series


def test_members_share_one_job_and_each_has_its_own_files_and_end(host: Host) -> None:
    place: Path = host.rig.place
    (place / "x").write_text("shared\n")
    given = (Input("x", f"file://{place}/x"),)
    members = [
        shell(
            name,
            f"cat x > y; echo {n} >> y; exit {n % 2}",
            inputs=given,
            outputs=(Output("y", f"file://{place}/s/{n}"),),
        )
        for n, name in enumerate(names(3))
    ]
    handles = host.engine.submit([series(*members)])
    assert len({item.external for item in handles}) == 1
    ends = [end_of(host, name) for name in names(3)]
    assert [item.reason for item in ends] == [Reason.OK, Reason.EXIT, Reason.OK]
    assert [(place / "s" / str(n)).read_text() for n in (0, 2)] == ["shared\n0\n", "shared\n2\n"]
    assert not (place / "s" / "1").exists()
    assert ends[0].inputs[0].url == f"file://{place}/x"
    assert {item.host for item in ends} <= {"alpha", "beta"}


def test_a_member_that_waits_is_taken_out_and_the_others_run(host: Host) -> None:
    handles = host.engine.submit([series(*map(spec, names(4)))], Nodes(drained=("alpha", "beta")))
    room = host.engine.capacity().queue
    host.engine.cancel(handles[:2])
    host.step()
    assert [host.ended(name)[0].reason for name in names(2)] == [Reason.TERMINATED] * 2
    host.step()  # the engine may forget them, of whom one gave the job its name
    assert len(host.engine.adopt()) == 2
    assert host.engine.capacity().queue == room
    host.rig.restart()
    host.cursor = ""
    host.engine.submit([], Nodes())
    assert [end_of(host, name).reason for name in names(4)[2:]] == [Reason.OK] * 2
    assert not host.begun("1/0/a#1")
    assert not host.begun("1/1/a#1")


def test_a_running_series_is_cancelled_whole_and_a_member_alone_ends_with_it(host: Host) -> None:
    handles = host.engine.submit([series(long("1/0/a#1"), spec("1/1/a#1"), spec("1/2/a#1"))])
    host.until(lambda: host.begun("1/0/a#1"))
    host.engine.cancel(handles[1:2])
    host.step()
    assert not host.ended("1/1/a#1")  # nobody can reach it on its node, and its end is not made up
    host.engine.cancel(handles)
    assert {end_of(host, name).reason for name in names(3)} == {Reason.TERMINATED}
    host.until(lambda: not host.rig.pool.admin("condor_q", "-all", handles[0].external, "-af", "ProcId").strip())


def test_a_series_whose_engine_was_killed_before_it_was_submitted_is_submitted_whole(host: Host) -> None:
    host.rig.process.die_in("nunatak.engines.htcondor.bindings:Condor.submit")
    with pytest.raises((EOFError, BrokenPipeError)):
        host.engine.submit([series(*map(spec, names(3)))])
    host.rig.process.wait_until_dead()
    host.rig.restart()
    assert [end_of(host, name).reason for name in names(3)] == [Reason.OK] * 3
    assert len({item.external for item in [c.handle for c in host.changes]}) == 1


# ---- what the schedd makes of it


SUBMITS = """\
import sys, json, pathlib
from nunatak.core.work import Command, Environment, Shape, TaskSpec
from nunatak.engines.htcondor.bindings import Condor
from nunatak.engines.htcondor.description import Item, describe
from nunatak.engines.htcondor.options import HTCondorSettings
from nunatak.engines.htcondor.pieces import kind_of, pieces
place = pathlib.Path(sys.argv[1])
options = HTCondorSettings(directory=place, worker=place / "worker.pyz", keep=print, container=True)
shape = Shape(gpu=2, memory=10**8, disk=10**6, features=("gpu_memory=16GB", "gpu_capability=8.0"))
found = {}
for image in ("", "docker://python:3.11", "/cvmfs/images/python.sif"):
    task = TaskSpec("1/0/a#1", "a1", (Command(("true",)),), Environment(image=image), (), (), shape)
    (piece,) = pieces([task], options.shared, (), container=True)
    condor = Condor(options)
    text = describe(kind_of(piece, True), "tried", place / "log", options)
    (job,) = condor.submit({**text, "hold": "true"}, [Item("1/0/a#1", "a1", place).row()])
    asked = ["RequestGPUs", "RequireGPUs", "GPUsMinMemory", "GPUsMinCapability"]
    asked += ["WantContainer", "ContainerImage", "DockerImage", "TransferInput", "Requirements"]
    (ad,) = condor._schedd().query(f"ClusterId == {job[0]}", projection=asked)
    found[image] = {name: str(ad[name]) for name in ad}
    condor.remove([job], "tried", by_force=True)
print(json.dumps(found))
"""


def test_a_real_schedd_takes_gpus_with_memory_and_capability_and_images_of_its_container_universe(pool: Pool) -> None:
    place = pool.place("described")
    build.build(place / "worker.pyz")
    (place / "task.json").write_text("{}")
    words = [*AS_USER, sys.executable, "-c", SUBMITS, str(place)]
    done = subprocess.run(words, env=pool.environ(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    plain, docker, cvmfs = json.loads(done.stdout).values()
    assert plain["RequestGPUs"] == "2"
    assert plain["RequireGPUs"] == "Capability >= GPUsMinCapability && GlobalMemoryMb >= GPUsMinMemory"
    assert (float(plain["GPUsMinCapability"]), plain["GPUsMinMemory"]) == (8.0, "15259")
    assert "WantContainer" not in plain
    assert (docker["WantContainer"], docker["ContainerImage"]) == ("True", "docker://python:3.11")
    assert "HasDockerURL" in docker["Requirements"]
    assert (cvmfs["WantContainer"], cvmfs["ContainerImage"]) == ("True", "/cvmfs/images/python.sif")
    assert "HasSIF" in cvmfs["Requirements"]
    assert all("python" not in ad["TransferInput"] for ad in (docker, cvmfs))  # the image is not carried along


def test_attempts_are_spread_over_several_schedds_and_found_again(pool: Pool, make: Callable[..., Host]) -> None:
    name = pool.admin("condor_status", "-schedd", "-af", "Name").split()[0]
    live = {"live": f"http://127.0.0.1:{free_port()}", "live_after": 0.2, "live_every": 0.2}
    host = make(schedd=(name, name.upper()), depth=10, busy=1, **live)  # the pool has one: here it goes by two names
    host.until(lambda: 10 < host.engine.capacity().queue <= 20)  # less than 20 while the schedd is much at work
    handles = host.engine.submit([*map(spec, names(5)), long("2/0/a#1"), series(long("2/1/a#1"), long("2/2/a#1"))])
    at = {path.parts[-4] for path in (host.rig.place / "engine").glob("*/boxes/*/*")}
    assert at == {name, name.upper()}
    assert [end_of(host, item).reason for item in names(5)] == [Reason.OK] * 5
    host.until(
        lambda: set(host.engine.using([("2/0/a#1", "a1"), ("2/1/a#1", "a1")])) == {("2/0/a#1", "a1"), ("2/1/a#1", "a1")}
    )
    host.rig.restart()
    host.cursor, host.changes = "", []
    host.step()
    left = {item.address for item in host.engine.adopt()}
    assert {"2/0/a#1", "2/1/a#1", "2/2/a#1"} <= left
    assert host.engine.submit([long("2/0/a#1")]) == [item for item in handles if item.address == "2/0/a#1"]
    host.engine.cancel(handles)
    assert {end_of(host, f"2/{job}/a#1").reason for job in range(3)} == {Reason.TERMINATED}


def test_what_waits_is_kept_off_a_site_that_has_as_much_as_it_may(make: Callable[..., Host]) -> None:
    host = make(site="Machine", caps="alpha = 1; beta = 0")
    host.engine.submit([long("1/0/a#1")])
    host.until(lambda: host.begun("1/0/a#1"))
    assert host.begun("1/0/a#1")[0].host == "alpha"
    (waiting,) = host.engine.submit([spec("1/1/a#1")])
    full = waiting.external, "-af", "NunatakFull", "JobStatus"  # by number: jobs of other tests may have its address
    host.until(lambda: host.rig.pool.admin("condor_q", "-all", *full).split() == ["alpha,beta", "1"])
    host.engine.cancel([item for item in host.engine.adopt() if item.address == "1/0/a#1"])
    assert end_of(host, "1/1/a#1").host == "alpha"


def test_a_site_that_is_given_a_cap_of_none_gets_nothing_more_and_what_runs_there_goes_on(
    make: Callable[..., Host],
) -> None:
    host = make(site="Machine", caps="alpha = 9; beta = 9")
    (runs,) = host.engine.submit([long("1/0/a#1")])
    host.until(lambda: host.begun(runs.address))
    drained = host.begun(runs.address)[0].host
    (waiting,) = host.engine.submit([spec("1/1/a#1")], Nodes(drained=("alpha", "beta")))
    host.rig.settings["caps"] = f"{drained} = 0"
    host.rig.restart()
    host.step()
    assert host.rig.pool.admin("condor_q", "-all", waiting.external, "-af", "NunatakFull").split() == [drained]
    host.engine.submit([], Nodes())
    assert {end_of(host, waiting.address).host, drained} == {"alpha", "beta"}
    assert not host.ended(runs.address)


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


# ---- connections


TRACED = b"""\
#!/bin/sh
exec strace -f -qq -e trace=network -o trace /usr/bin/python3 "$0" "$@"
exit 1
"""
"""In front of the worker, which is found in the file none the less: then all that it starts is watched."""


def connections(trace: str) -> list[str]:
    """Return the lines of a trace in which something is sent or connected to an address of a network."""
    return [line for line in trace.splitlines() if re.search(r"\b(connect|send\w*)\(.*AF_INET6?\b", line)]


def test_no_process_of_a_job_opens_a_connection(host: Host) -> None:
    place: Path = host.rig.place
    worker = place / "worker.pyz"
    worker.write_bytes(TRACED + worker.read_bytes())
    (place / "x").write_text("given")
    files = {
        "inputs": (Input("x", f"file://{place}/x"),),
        "outputs": (Output("y", f"file://{place}/store/y"),),
    }
    meets = "python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect((\"127.0.0.1\", 9))'"
    host.engine.submit(
        [
            shell("1/0/quiet#1", "cat x > y; python3 -c 'print(1)'", **files),
            shell("1/1/quiet#1", "exit 3"),
            shell("1/2/loud#1", meets),
        ]
    )
    traces: dict[str, str] = {}

    def came() -> bool:
        for path in (place / "engine" / "boxes").glob("*/*/trace"):
            if (path.parent / "outcome.json").exists():
                traces[path.parent.name] = path.read_text()
        return len(traces) == 3

    host.until(came)
    assert [end_of(host, name).reason for name in ("1/0/quiet#1", "1/1/quiet#1")] == [Reason.OK, Reason.EXIT]
    assert (place / "store" / "y").read_text() == "given"
    found = {name: connections(text) for name, text in sorted(traces.items())}
    assert found.pop("2.loud.1.a1") != []  # so one would have been seen
    assert found == {"0.quiet.1.a1": [], "1.quiet.1.a1": []}


# ---- logs of what runs


def said(host: Host, address: str, stream: str = "stdout") -> bytes:
    """Return what is known of what an attempt printed."""
    return b"".join(part.data for part in host.engine.logs({(address, "a1", stream): 0}))


def test_what_runs_is_seen_while_it_does_where_that_is_wanted_and_members_of_a_series_too(
    make: Callable[..., Host],
) -> None:
    host = make(live=f"http://127.0.0.1:{free_port()}", live_after=0.2, live_every=0.2)
    waits = "echo here; echo bad >&2; until [ -e go ]; do sleep 0.1; done"
    handles = host.engine.submit(
        [
            shell("1/0/a#1", waits),
            series(shell("2/0/a#1", "echo first"), shell("2/1/a#1", waits), shell("2/2/a#1", "echo last")),
        ]
    )
    host.until(lambda: said(host, "1/0/a#1") and said(host, "2/1/a#1") and said(host, "2/1/a#1", "stderr"))
    assert (said(host, "1/0/a#1"), said(host, "2/1/a#1")) == (b"here\n", b"here\n")
    host.until(lambda: host.begun("2/1/a#1"))  # which no event log tells
    assert not host.ended("2/1/a#1")
    assert not host.begun("2/2/a#1")
    keys = [(address, "a1") for address in ("1/0/a#1", "2/0/a#1", "2/1/a#1", "2/2/a#1")]
    host.until(lambda: len(host.engine.using(keys)) == 2)
    using = {address: read_using(data) for (address, _), data in host.engine.using(keys).items()}
    assert set(using) == {"1/0/a#1", "2/1/a#1"}
    assert all(found and found["wall"] and found["memory"] for found in using.values())
    host.engine.cancel(handles)
    ends = [end_of(host, name) for name in ("1/0/a#1", "2/0/a#1", "2/1/a#1", "2/2/a#1")]
    assert [item.reason for item in ends] == [Reason.TERMINATED, Reason.OK, Reason.TERMINATED, Reason.TERMINATED]


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
    assert "not known" in told[vacated.address].message  # it had no time to say anything
    host.engine.cancel([cut, waiting])
    assert end_of(host, cut.address).message == "it was cancelled"
    host.until(
        lambda: not admin("condor_q", "-all", *(item.external for item in handles.values()), "-af", "ProcId").strip()
    )


@pytest.mark.parametrize("by", ["hold", "rm", "vacate", "cancel"])
def test_what_a_job_wrote_and_used_until_it_was_taken_comes_back(host: Host, by: str) -> None:
    text = "echo said; echo some >&2; python3 -c 'b = bytearray(150000000); import time; time.sleep(600)'"
    (handle,) = host.engine.submit([shell("1/0/a#1", text)])
    host.until(lambda: host.begun("1/0/a#1"))
    admin = host.rig.pool.admin

    def size() -> int:
        told = admin("condor_q", "-all", handle.external, "-af", "ResidentSetSize").strip()
        return int(told) if told.isdigit() else 0

    host.until(lambda: size() > 140_000)
    if by == "cancel":
        host.engine.cancel([handle])
    else:
        admin({"hold": "condor_hold", "rm": "condor_rm", "vacate": "condor_vacate_job"}[by], handle.external)
    news = host.engine.poll(host.cursor)
    end = time.monotonic() + 60
    while not (ends := [change.outcome for change in news.changes if change.outcome]):
        assert time.monotonic() < end
        host.rig.pause()
        news = host.engine.poll(news.cursor)
    outcome = ends[0]
    assert outcome.reason is Reason.TERMINATED
    assert {"hold": "by hand", "rm": "by hand", "vacate": "evicted", "cancel": "cancelled"}[by] in outcome.message
    assert "not known" not in outcome.message
    assert (outcome.usage.memory or 0) > 140_000_000
    assert outcome.usage.cpu is not None
    assert outcome.detail["phases"]["run"] > 0
    parts = host.engine.logs({("1/0/a#1", "a1", stream): 0 for stream in ("stdout", "stderr")})
    assert [part.data for part in parts] == [b"said\n", b"some\n"]
    host.engine.poll(news.cursor)
    host.until(lambda: not admin("condor_q", "-all", handle.external, "-af", "ProcId").strip())


def test_of_an_evicted_series_each_member_tells_how_far_it_came(host: Host) -> None:
    handles = host.engine.submit([series(spec("1/0/a#1"), shell("1/1/a#1", "echo here; sleep 600"), spec("1/2/a#1"))])
    host.until(lambda: host.begun("1/0/a#1"))
    place = host.rig.pool.own / "var/lib/condor"
    host.until(lambda: list(place.glob("*/dir_*/series/1/work")))
    host.rig.pool.admin("condor_vacate_job", handles[0].external)
    host.until(lambda: all(host.ended(name) for name in names(3)))
    assert [host.ended(name)[0].reason for name in names(3)] == [Reason.OK, Reason.TERMINATED, Reason.UNBEGUN]


def test_a_job_that_exceeds_what_it_asked_for_is_held_with_our_reason(make: Callable[..., Host]) -> None:
    host = make(margin=1)
    (host.rig.place / "worker.pyz").write_text(  # one that does not look after its limits
        "#!/bin/sh\ngrep -q hog task.json || exec sleep 600\n"
        f"echo '{json.dumps({'wall': 6.0, 'course': COURSE})}' > usage.json\n"
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
    assert memory.detail["course"] == COURSE


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


def taken(host: Host, item: TaskSpec) -> bool:
    """Submit as a host does, which tries again: a new schedd refuses the sessions of the old one until they are made anew."""
    try:
        host.engine.submit([item])
    except Unavailable:
        return False
    return True


@pytest.fixture
def apart() -> Iterator[Host]:
    """Give an engine of a pool that nobody else uses: what is done to its daemons is not for other tests to see."""
    with own_pool() as found:
        rig = HTCondorRig(found)
        yield Host(rig)
        rig.close()


def test_nothing_is_lost_when_the_schedd_is_killed(apart: Host) -> None:
    """It is killed as soon as the first job is told as begun: before it has noted that, so that it is told again later."""
    host = apart
    names = [f"1/{job}/a#1" for job in range(4)]
    made = {name: host.rig.place / "store" / str(job) for job, name in enumerate(names)}
    text = "echo begun > y; sleep 3; echo done >> y"
    host.engine.submit([shell(name, text, outputs=(Output("y", f"file://{made[name]}"),)) for name in names])
    (log,) = (host.rig.place / "engine" / "events").glob("*.log")
    schedd = host.rig.pool.pids("condor_schedd")
    end = time.monotonic() + host.rig.deadline
    while "\n001 (" not in log.read_text():
        assert time.monotonic() < end
        time.sleep(0.001)
    for pid in schedd:
        os.kill(pid, signal.SIGKILL)
    assert [end_of(host, name).reason for name in names] == [Reason.OK] * 4
    assert [path.read_text() for path in made.values()] == ["begun\ndone\n"] * 4
    host.until(lambda: host.engine.capacity().queue > 0 and taken(host, spec("1/9/a#1")))
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
    (handle,) = (item for item in host.engine.adopt() if item.address == names[2])
    host.rig.pool.admin("condor_rm", handle.external)
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
    host.rig.pool.admin("condor_rm", "-forcex", handle.external)
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
