"""The parts of the engine for batch systems that are functions of values: where an attempt fits, how it ended, options."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from nunatak.core.errors import Invalid
from nunatak.core.work import Outcome, Reason, Shape
from nunatak.engines.batch import fits, start
from nunatak.engines.batch.dialect import Command
from nunatak.engines.batch.ends import outcome_of
from nunatak.engines.batch.fits import Terms
from nunatak.engines.batch.gridengine import GridEngine
from nunatak.engines.batch.lsf import Lsf
from nunatak.engines.batch.model import Cause, Cluster, Job, Node, Queue, Stage
from nunatak.engines.batch.pbs import Pbs
from nunatak.engines.batch.run import by_ssh, here
from nunatak.engines.batch.script import NOT_THERE, WITHDRAWN, Place, body, common
from nunatak.engines.batch.settings import GridEngineSettings, OtherSettings, PbsSettings, SlurmSettings
from nunatak.engines.batch.slurm import Slurm
from nunatak.engines.outcomes import Stop
from nunatak.engines.protocol import Handle
from nunatak.tasks.verdicts.judge import judge
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.model import History

GB = 10**9
CLUSTER = Cluster(
    nodes=(
        Node("a1", 4, 8 * GB, queues=("day", "week"), platform="linux/x86_64"),
        Node("a2", 4, 8 * GB, queues=("day",), features=("fast",), platform="linux/x86_64", cpu_taken=3),
        Node("g1", 16, 64 * GB, 2, queues=("gpu",), platform="linux/x86_64", gpu_taken=2),
        Node("b1", 64, 512 * GB, queues=("closed",), platform="linux/x86_64"),
    ),
    queues=(
        Queue("day", 86400, default=True),
        Queue("week", 7 * 86400),
        Queue("gpu", 3600),
        Queue("closed", open=False),
    ),
)


@pytest.mark.parametrize(
    ("shape", "queues"),
    [
        (Shape(), ("day",)),
        (Shape(time=2 * 86400), ("week",)),
        (Shape(gpu=1), ("gpu",)),
        (Shape(cpu=8), ("gpu",)),
        (Shape(gpu=1, time=7200), ()),
        (Shape(cpu=64), ()),
        (Shape(features=("fast",)), ("day",)),
        (Shape(features=("fast",), time=2 * 86400), ()),
        (Shape(platform="linux/aarch64"), ()),
    ],
)
def test_queues_are_those_where_a_node_could_take_it(shape: Shape, queues: tuple[str, ...]) -> None:
    assert fits.queues_for(shape, CLUSTER, Terms()) == queues


def test_named_queues_are_all_used_and_no_others() -> None:
    assert fits.queues_for(Shape(), CLUSTER, Terms(queues=("closed", "week", "day", "nowhere"))) == (
        "closed",
        "week",
        "day",
    )
    assert fits.queues_for(Shape(gpu=1), CLUSTER, Terms(queues=("day",))) == ()


def test_nodes_to_avoid_are_avoided_unless_none_is_left_and_drained_ones_always() -> None:
    fast = Shape(features=("fast",))
    assert fits.destination(Shape(), CLUSTER, Terms(), ["a1", "elsewhere"], []) == (("day",), ("a1",))
    assert fits.destination(fast, CLUSTER, Terms(), ["a2"], ["a1"]) == (("day",), ("a1",))
    assert fits.destination(fast, CLUSTER, Terms(), [], ["a2"]) == ((), ("a2",))
    assert fits.destination(Shape(), CLUSTER, Terms(), ["a1"], ["a2"]) == (("gpu",), ("a1", "a2"))


def test_margins_are_asked_for_and_taken_off_what_there_is() -> None:
    terms = Terms(memory=GB, time=400)
    assert fits.largest(CLUSTER, terms).memory == 63 * GB
    assert fits.largest(CLUSTER, terms).time == 7 * 86400 - 400
    assert fits.queues_for(terms.request(Shape(memory=7 * GB - 2**20)), CLUSTER, terms) == ("day",)
    assert fits.queues_for(terms.request(Shape(memory=7 * GB + 10**7, time=3300)), CLUSTER, terms) == ()


def test_what_began_since_is_no_longer_free() -> None:
    then = fits.taken([("a2", Shape(cpu=3, memory=GB))])
    now = fits.taken([("a2", Shape(cpu=1, memory=GB)), ("a1", Shape(cpu=2, memory=3 * GB))])
    moved = {node.name: node for node in fits.since(CLUSTER, then, now).nodes}
    assert (moved["a1"].cpu_taken, moved["a1"].memory_taken) == (2, 3 * GB)
    assert moved["a2"].cpu_taken == 1
    assert fits.idle(CLUSTER, Terms()) - fits.idle(fits.since(CLUSTER, then, now), Terms()) == 0


@given(st.integers(0, 70), st.integers(0, 3), st.integers(0, 600 * GB), st.integers(0, 10 * 86400))
def test_why_not_always_says_something_and_what_fits_is_within_the_largest(
    cpu: int, gpu: int, memory: int, time: int
) -> None:
    shape = Shape(cpu, gpu, memory, 1, time)
    if fits.queues_for(shape, CLUSTER, Terms()):
        assert shape.fits(fits.largest(CLUSTER, Terms()))
    else:
        assert fits.why_not(shape, CLUSTER, Terms())


@pytest.mark.parametrize(
    ("addresses", "name"),
    [
        (["42/17/fit#2"], "42/17/fit#2"),
        (["42/1/fit#1", "42/2/fit#1"], "42/fit x2"),
        (["42/1/fit#1", "42/2/gen#1", "42/merge#1"], "42/* x3"),
        (["42/1/fit#1", "43/2/fit#1"], "*/fit x2"),
    ],
)
def test_a_submission_has_a_name_for_people(addresses: list[str], name: str) -> None:
    assert common(addresses) == name


def run_script(tmp_path: Path, index: str, root: Path | None = None) -> subprocess.CompletedProcess[str]:
    place = Place(str(root or tmp_path), "/c", ("echo", "worker of"), setup="export GREETING=hello\necho $GREETING")
    text = body(place, "n1", "${INDEX:-1}")
    return subprocess.run(
        ["/bin/sh"], input=text, env={**os.environ, "INDEX": index}, capture_output=True, text=True, check=False
    )


def test_a_job_takes_the_sandbox_of_its_index(tmp_path: Path) -> None:
    (tmp_path / ".submissions" / "n1").mkdir(parents=True)
    (tmp_path / ".submissions" / "n1" / "tasks").write_text("42/1/fit.1.aa\n42/2/fit.1.aa\n")
    assert run_script(tmp_path, "2").stdout == f"hello\nworker of {tmp_path}/42/2/fit.1.aa --cache /c\n"
    assert run_script(tmp_path, "3").returncode == WITHDRAWN


@pytest.mark.parametrize(
    ("dialect", "variable"),
    [
        (Slurm, "SLURM_ARRAY_TASK_ID"),
        (GridEngine, "SGE_TASK_ID"),
        (Lsf, "LSB_JOBINDEX"),
        (Pbs, "PBS_ARRAY_INDEX"),
        (Pbs, "PBS_ARRAYID"),
    ],
)
def test_every_batch_system_says_which_job_of_a_submission_it_is(tmp_path: Path, dialect: Any, variable: str) -> None:
    (tmp_path / ".submissions" / "n1").mkdir(parents=True)
    (tmp_path / ".submissions" / "n1" / "tasks").write_text("first\nsecond\n")
    text = body(Place(str(tmp_path), "/c", ("echo",)), "n1", dialect.index)
    environ = {"PATH": os.environ["PATH"], variable: "2"}
    done = subprocess.run(["/bin/sh"], input=text, env=environ, capture_output=True, text=True, check=False)
    assert done.stdout == f"{tmp_path}/second --cache /c\n", done.stderr


def test_a_job_takes_a_series_where_its_line_is_one(tmp_path: Path) -> None:
    (tmp_path / ".submissions" / "n1").mkdir(parents=True)
    (tmp_path / ".submissions" / "n1" / "tasks").write_text(".series/000000000004/series.json\n")
    said = run_script(tmp_path, "1").stdout
    assert said == f"hello\nworker of --series {tmp_path}/.series/000000000004/series.json --cache /c\n"


def test_a_job_without_a_list_or_a_directory_does_nothing(tmp_path: Path) -> None:
    assert run_script(tmp_path, "1").returncode == WITHDRAWN
    gone = run_script(tmp_path, "1", tmp_path / "not mounted")
    assert gone.returncode == NOT_THERE
    assert "not mounted" in gone.stderr
    assert gone.stdout == ""


HANDLE = Handle("42/17/fit#2", "9f3c", "place")
RAN = {"stage": Stage.ENDED, "host": "c1", "began": 100.0, "ended": 200.0, "ran": True}


def worker_said(reason: Reason, **more: Any) -> bytes:
    return json.dumps(Outcome(HANDLE.address, HANDLE.lease, reason, "the worker's words", **more).to_plain()).encode()


def end(job: Job, told: bytes | None = None, talk: str = "", stop: Stop | None = None) -> Outcome:
    return outcome_of(HANDLE, job, "Slurm", talk, told, b"", stop)


@pytest.mark.parametrize(
    ("state", "cause", "talk", "reason", "kind"),
    [
        ("TIMEOUT", Cause.TIME, "", Reason.TIME, Kind.OVER_TIME),
        ("OUT_OF_MEMORY", Cause.MEMORY, "", Reason.MEMORY, Kind.OUT_OF_MEMORY),
        ("FAILED", Cause.FAILED, "slurmstepd: error: JobId=1 exceeded memory limit (3 > 2)", Reason.MEMORY, Kind.OUT_OF_MEMORY),
        ("F", Cause.FAILED, "=>> PBS: job killed: walltime 65 exceeded limit 60", Reason.TIME, Kind.OVER_TIME),
        ("F", Cause.FAILED, "=>> PBS: job killed: mem 300000kb exceeded limit 200000kb", Reason.MEMORY, Kind.OUT_OF_MEMORY),
        ("EXIT", Cause.FAILED, "TERM_RUNLIMIT: job killed after reaching LSF run time limit.", Reason.TIME, Kind.OVER_TIME),
        ("PREEMPTED", Cause.PREEMPTED, "", Reason.TERMINATED, Kind.EVICTED),
        ("NODE_FAIL", Cause.NODE, "", Reason.LOST, Kind.NODE_LOST),
        ("CANCELLED", Cause.CANCELLED, "", Reason.TERMINATED, Kind.EVICTED),
        ("FAILED", Cause.FAILED, "", Reason.LOST, Kind.LOST),
        ("", Cause.UNKNOWN, "", Reason.LOST, Kind.LOST),
    ],
)  # fmt: skip
def test_an_end_without_an_outcome_is_told_by_the_batch_system(
    state: str, cause: Cause, talk: str, reason: Reason, kind: Kind
) -> None:
    outcome = end(Job("7", state=state, cause=cause, **RAN), talk=talk)
    assert (outcome.reason, outcome.host, outcome.started, outcome.ended) == (reason, "c1", 100.0, 200.0)
    assert judge(outcome, History(shape=Shape())).kind is kind


def test_what_the_worker_says_of_itself_counts() -> None:
    done = Job("7", state="COMPLETED", cause=Cause.DONE, **RAN)
    assert end(done, worker_said(Reason.OK)).reason is Reason.OK
    failed = end(done, worker_said(Reason.EXIT, exit=3))
    assert (failed.reason, failed.exit, "batch" in failed.detail) == (Reason.EXIT, 3, False)
    late = Job("7", state="TIMEOUT", cause=Cause.TIME, **RAN)
    assert end(late, worker_said(Reason.OK)).reason is Reason.OK
    assert end(late, worker_said(Reason.MEMORY)).reason is Reason.MEMORY


@pytest.mark.parametrize("told", [Reason.TERMINATED, Reason.SIGNAL, Reason.EXIT])
def test_a_payload_that_was_signalled_with_its_worker_was_ended_by_the_batch_system(told: Reason) -> None:
    timed = Job("7", state="TIMEOUT", cause=Cause.TIME, **RAN)
    assert end(timed, worker_said(told, signal=15)).reason is Reason.TIME
    cancelled = Job("7", state="CANCELLED", cause=Cause.CANCELLED, **RAN)
    stopped = end(cancelled, worker_said(told), stop=Stop(Reason.TERMINATED, "it was cancelled", 0.0))
    assert (stopped.reason, stopped.message) == (Reason.TERMINATED, "it was cancelled")


def test_what_never_began_says_so() -> None:
    waiting = Job("7", stage=Stage.ENDED, state="CANCELLED", cause=Cause.CANCELLED)
    assert end(waiting).message == "it was cancelled in the batch system before it started"
    refused = end(Job("7", stage=Stage.ENDED, state="FAILED", cause=Cause.REFUSED, text="BadConstraints"))
    assert (refused.reason, refused.message) == (Reason.SUBMIT, "Slurm will never start it: BadConstraints")


@given(
    st.sampled_from(list(Cause)), st.text(max_size=50), st.none() | st.binary(max_size=50), st.booleans(),
    st.none() | st.integers(0, 255),
)  # fmt: skip
def test_every_end_has_an_outcome_of_its_attempt(
    cause: Cause, talk: str, told: bytes | None, ran: bool, code: int | None
) -> None:
    outcome = end(Job("7", stage=Stage.ENDED, cause=cause, ran=ran, exit=code), told, talk)
    assert (outcome.address, outcome.lease) == (HANDLE.address, HANDLE.lease)
    assert outcome.reason is not Reason.OK


def completed(argv: tuple[str, ...], **given: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.CompletedProcess(argv, 0, repr((argv, given["input"])).encode(), b"")


def test_commands_go_by_one_ssh_connection_quoted_once(tmp_path: Path) -> None:
    run = by_ssh("login1", tmp_path / "s", {}, 10.0, completed)
    answer = run(Command(("squeue", "--name=a b;c"), "text"))
    assert "'squeue '--name=a b;c'" in answer.out.replace('"', "'")
    for option in ("ControlMaster=auto", "BatchMode=yes", f"ControlPath={tmp_path}/s/%C"):
        assert option in answer.out
    assert "b'text'" in answer.out


@pytest.mark.parametrize(("code", "lost"), [(0, False), (1, False), (255, True)])
def test_a_broken_connection_leaves_it_open_what_happened(tmp_path: Path, code: int, lost: bool) -> None:
    def broken(argv: tuple[str, ...], **_: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(argv, code, b"", b"")

    assert by_ssh("login1", tmp_path / "s", {}, 10.0, broken)(Command(("sbatch",))).lost is lost


def test_a_command_that_hangs_or_is_missing_is_an_answer() -> None:
    def hanging(argv: tuple[str, ...], **_: Any) -> subprocess.CompletedProcess[bytes]:
        raise subprocess.TimeoutExpired(argv, 3.0)

    assert here({}, 3.0, hanging)(Command(("sbatch",))).lost
    missing = here({}, 3.0)(Command(("/nowhere/sbatch",)))
    assert (missing.code, missing.lost) == (127, False)


@pytest.mark.parametrize("make", [start.slurm, start.pbs, start.gridengine, start.lsf])
def test_options_are_checked_whole(make: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        make(
            {"directory": tmp_path, "worker": "w", "acount": "x", "queue": -1, "extra": "a\nb", "memory_margin": "lots"}
        )
    for word in ("acount", "queue", "extra", "memory_margin"):
        assert word in caught.value.message


@pytest.mark.parametrize("model", [SlurmSettings, PbsSettings, GridEngineSettings, OtherSettings])
def test_every_option_is_documented(model: type[BaseModel]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "engines.md").read_text()
    for name in model.model_fields.keys() - {"deliver"}:  # the host's own business
        assert f"`{name}`" in page, name


def test_options_are_read_from_words(tmp_path: Path) -> None:
    engine = start.slurm(
        {"directory": tmp_path, "worker": "python3 -I x", "partitions": "a, b", "memory_margin": "0", "time_margin": "10 min",
         "queue": "7", "nice": "-5"}
    )  # fmt: skip
    assert engine.adopt() == []
    engine.close()
