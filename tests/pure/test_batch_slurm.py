"""Slurm's commands are built and its answers read: the forms of several versions, what is impossible, and garbage."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.errors import Unavailable
from nunatak.core.work import Shape
from nunatak.engines.batch import slurm_read as read
from nunatak.engines.batch.dialect import Answer
from nunatak.engines.batch.model import Cause, Cluster, Job, Order, Stage, Submitted
from nunatak.engines.batch.slurm import Slurm, submitted

HERE = Path(__file__).parent / "transcripts" / "slurm"
MIB = 2**20
ORDER = Order(
    "nabcdef01234567", "42/17/fit#2", "9f3c", 1, Shape(cpu=2, memory=3 * MIB + 1, time=61), "/shared/.talk/n1", "BODY\n"
)


def text(name: str) -> str:
    return (HERE / name).read_text()


def head(order: Order, **options: Any) -> list[str]:
    (command,) = Slurm(**options).submit(order).commands
    assert command.argv == ("sbatch", "--parsable")
    lines = command.text.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert lines[-1] == "BODY"
    return [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")]


def test_a_script_says_what_is_asked_for() -> None:
    assert head(ORDER) == [
        '--job-name="42/17/fit#2"',
        '--comment="nunatak nabcdef01234567 lease 9f3c"',
        "--nodes=1",
        "--ntasks=1",
        "--cpus-per-task=2",
        "--mem=4M",
        "--time=0-00:02:00",
        "--export=ALL",
        "--output=/shared/.talk/n1.1.out",
        "--open-mode=append",
        "--no-requeue",
    ]


def test_several_are_an_array_with_all_options() -> None:
    order = Order(
        "m",
        "42/fit x3",
        "9f",
        3,
        Shape(gpu=1, features=("fast", "avx2")),
        "/a b/100%/n",
        "BODY",
        ("x", "y"),
        ("c1", "c2"),
    )
    lines = head(order, account="ice", qos="low", nice=-3, extra="--reservation=r1")
    for line in (
        "--array=1-3", "--partition=x,y", "--gres=gpu:1", "--constraint=fast&avx2", "--exclude=c1,c2",
        "--account=ice",
        "--qos=low", "--nice=-3", "--reservation=r1", '--output="/a b/100%%/n.%a.out"', '--job-name="42/fit x3"',
    ):  # fmt: skip
        assert line in lines


@given(st.text(max_size=60))
def test_no_name_makes_a_line_of_its_own(name: str) -> None:
    (command,) = Slurm().submit(Order("m", name, "9f", 1, Shape(), "/t", "BODY")).commands
    lines = command.text.split("\n")
    assert [line for line in lines if line and not line.startswith(("#SBATCH --", "#!/bin/bash"))] == ["BODY"]


@pytest.mark.parametrize("version", ["22.05", "24.11"])
def test_squeue_is_read_in_every_form(version: str) -> None:
    jobs = {(job.id, job.index): job for job in read.squeue(text(f"squeue-{version}.json"))}
    assert [(key, jobs[key].stage, jobs[key].cause) for key in sorted(jobs, key=str)] == [
        (("1", 0), Stage.RUNNING, Cause.UNKNOWN),
        (("2", 0), Stage.RUNNING, Cause.UNKNOWN),
        *((("2", index), Stage.WAITING, Cause.UNKNOWN) for index in (1, 2, 3, 4)),
        (("3", 0), Stage.ENDED, Cause.REFUSED),
        (("4", 0), Stage.ENDED, Cause.FAILED),
        (("5", 0), Stage.WAITING, Cause.REFUSED),
        (("6", 0), Stage.ENDED, Cause.REFUSED),
        (("8", 0), Stage.WAITING, Cause.UNKNOWN),
    ]
    running, failed, waiting = jobs["1", 0], jobs["4", 0], jobs["2", 3]
    assert (running.mark, running.host, running.began) == ("nkabc", "c1", 1795846968.0)
    assert (failed.exit, failed.signal, failed.host) == (3, None, "c2")
    assert (waiting.mark, waiting.host, waiting.began) == ("nkabc", "", 0.0)


def test_a_squeue_without_a_controller_knows_nothing() -> None:
    with pytest.raises(Unavailable):
        Slurm().status(["1"]).read([Answer(0, text("squeue-22.05-away.json"))])


@pytest.mark.parametrize(
    ("states", "stage", "cause"),
    [
        (["COMPLETED", "COMPLETING"], Stage.RUNNING, Cause.UNKNOWN),
        (["RUNNING", "CONFIGURING"], Stage.RUNNING, Cause.UNKNOWN),
        (["PREEMPTED"], Stage.ENDED, Cause.PREEMPTED),
        (["NODE_FAIL"], Stage.ENDED, Cause.NODE),
        (["TIMEOUT"], Stage.ENDED, Cause.TIME),
        (["OUT_OF_MEMORY"], Stage.ENDED, Cause.MEMORY),
        (["PENDING", "REQUEUED"], Stage.WAITING, Cause.REQUEUED),
        (["SOMETHING_NEW"], Stage.WAITING, Cause.UNKNOWN),
    ],
)
def test_states_become_stages_and_causes(states: list[str], stage: Stage, cause: Cause) -> None:
    (job,) = read.squeue(json.dumps({"jobs": [{"job_id": 1, "job_state": states}]}))
    if states != ["PENDING", "REQUEUED"]:
        assert (job.stage, job.cause) == (stage, cause)
    assert job.stage is stage


def test_a_restart_is_a_requeue() -> None:
    (job,) = read.squeue(json.dumps({"jobs": [{"job_id": 1, "job_state": "PENDING", "restart_cnt": 1}]}))
    assert (job.stage, job.cause) == (Stage.WAITING, Cause.REQUEUED)


def test_elements_of_arrays_are_unfolded_within_reason() -> None:
    wide = {
        "job_id": 7,
        "array_job_id": 7,
        "job_state": "PENDING",
        "array_task_string": "1-3,7,10-14:2,x,1-999999999%5",
    }
    jobs = read.squeue(json.dumps({"jobs": [wide]}))
    assert [job.index for job in jobs[:7]] == [1, 2, 3, 7, 10, 12, 14]
    assert len(jobs) == 100_000


def test_history_is_read_and_the_last_try_counts() -> None:
    jobs = {(job.id, job.index): job for job in read.jobcomp(text("jobcomp.txt"))}
    assert {key: (job.cause, job.exit, job.host) for key, job in jobs.items()} == {
        ("3", 0): (Cause.FAILED, 0, ""),
        ("4", 0): (Cause.FAILED, 3, "c2"),
        ("2", 4): (Cause.CANCELLED, 0, "c1"),
    }
    fields = ("JobID", "State", "ExitCode", "Start", "End", "NodeList", "Reason")
    found = {(job.id, job.index): job for job in read.sacct([text("sacct.txt")], fields)}
    assert {key: (job.stage, job.cause) for key, job in found.items()} == {
        ("17", 0): (Stage.ENDED, Cause.DONE),
        ("18", 3): (Stage.ENDED, Cause.CANCELLED),
        ("18", 4): (Stage.ENDED, Cause.MEMORY),
        ("19", 0): (Stage.ENDED, Cause.TIME),
    }
    assert found["18", 3].text == "cancelled by 1001"
    assert found["17", 0].ended - found["17", 0].began == 60.0


def test_history_is_asked_where_there_is_one() -> None:
    slurm = Slurm()
    assert slurm.history(["1"], Cluster()).commands == ()
    (sacct,) = slurm.history(["1", "2"], Cluster(history="sacct")).commands
    assert "--jobs=1,2" in sacct.argv
    (grep,) = slurm.history(["1", "2"], Cluster(history="/log")).commands
    done = subprocess.run((*grep.argv[:-1], str(HERE / "jobcomp.txt")), capture_output=True, text=True, check=False)
    assert [
        (job.id, job.index) for job in slurm.history(["2"], Cluster(history="/log")).read([Answer(0, done.stdout)])
    ] == [("2", 4)]
    assert slurm.history(["8"], Cluster(history="/log")).read([Answer(1)]) == []
    with pytest.raises(Unavailable):
        slurm.history(["8"], Cluster(history="/log")).read([Answer(2, err="grep: /log: Permission denied")])


def test_a_cluster_is_read() -> None:
    found = read.cluster(text("nodes.txt"), text("partitions.txt"), text("config.txt"))
    c1, g1, p1 = found.nodes
    assert (c1.cpu, c1.memory, c1.cpu_taken, c1.memory_taken, c1.features) == (
        2,
        2000 * MIB,
        2,
        382 * MIB,
        ("scratch",),
    )
    assert (c1.platform, c1.queues, c1.usable) == ("linux/x86_64", ("one",), True)
    assert (g1.gpu, g1.gpu_taken, g1.features) == (2, 1, ())
    assert (p1.usable, p1.platform, p1.queues) == (False, "", ("one", "low"))
    assert [(queue.name, queue.time, queue.memory, queue.default, queue.open) for queue in found.queues] == [
        ("one", 7320, 1500 * MIB, True, True),
        ("gpu", 88200, 0, False, True),
        ("low", 0, 0, False, False),
    ]
    assert (found.array, found.history) == (1000, "/var/log/slurm/jobcomp.txt")
    newer = text("config.txt").replace("accounting_storage/none", "(null)")  # as 24.11 says it
    assert read.cluster("", "", newer).history == "/var/log/slurm/jobcomp.txt"


def test_a_cluster_that_keeps_no_accounts_knows_nothing_of_what_ended() -> None:
    question = Slurm(history="sacct").history(["7"], Cluster())
    assert question.read([Answer(1, err="Slurm accounting storage is disabled")]) == []
    with pytest.raises(Unavailable):
        question.read([Answer(1, err="sacct: error: slurm_persist_conn_open: failed to open persistent connection")])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(0, "123\n"), Submitted(id="123")),
        (
            Answer(
                1,
                err='sbatch: error: Munge encode failed: Failed to connect to "/run/munge.sock": No such file or directory\n'
                "sbatch: error: Batch job submission failed: Protocol authentication error",
            ),
            Submitted(
                away='Munge encode failed: Failed to connect to "/run/munge.sock": No such file or directory '
                "Batch job submission failed: Protocol authentication error"
            ),
        ),
        (Answer(0, "123;mini\n"), Submitted(id="123")),
        (
            Answer(1, err="sbatch: error: Batch job submission failed: Requested node configuration is not available"),
            Submitted(refused="Batch job submission failed: Requested node configuration is not available"),
        ),
        (
            Answer(
                1,
                err="sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            ),
            Submitted(away="Batch job submission failed: Unable to contact slurm controller (connect failure)"),
        ),
        (Answer(127, err="sbatch: No such file or directory"), Submitted(away="No such file or directory")),
        (Answer(0, ""), Submitted(unsure="it ended with exit code 0")),
        (Answer(-1, "123\n", "late", lost=True), Submitted(unsure="late")),
        (
            Answer(1, err="sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"),
            Submitted(unsure="Batch job submission failed: Socket timed out on send/recv operation"),
        ),
    ],
)
def test_what_sbatch_says_is_understood(answer: Answer, expected: Submitted) -> None:
    assert submitted([answer]) == expected


def test_jobs_are_cancelled_in_sets() -> None:
    jobs = [Job("7"), *(Job("8", index) for index in range(1, 1001))]
    commands = Slurm().cancel(jobs).commands
    assert [len(command.argv) for command in commands] == [501, 501, 2]
    assert commands[0].argv[:3] == ("scancel", "7", "8_1")


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
JSON = PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(st.sampled_from(["set", "number", "signal", "id"]), PLAIN)
FIELDS = st.sampled_from(
    ["job_id", "array_job_id", "array_task_id", "array_task_string", "job_state", "state_reason", "comment", "nodes",
     "batch_host", "start_time", "end_time", "exit_code", "restart_cnt"]
)  # fmt: skip


@given(
    st.lists(
        st.dictionaries(
            FIELDS, JSON | st.sampled_from(["PENDING", ["FAILED"], {"set": True, "number": 3}]), max_size=13
        ),
        max_size=3,
    )
)
def test_jobs_of_any_form_are_read_or_left_out(jobs: list[dict[str, Any]]) -> None:
    for job in read.squeue(json.dumps({"jobs": jobs})):
        assert job.id
        assert job.index >= 0


def test_an_element_of_an_array_with_a_number_below_zero_is_left_out() -> None:
    job = {"job_id": 7, "array_job_id": 5, "array_task_id": -1, "job_state": "PENDING"}
    assert list(read.squeue(json.dumps({"jobs": [job]}))) == []


@given(st.text() | JSON.map(json.dumps))
def test_garbage_is_no_answer_of_squeue(garbage: str) -> None:
    try:
        read.squeue(garbage)
    except ValueError:
        return


WORDS = (
    "NodeName=a",
    "Gres=gpu:",
    "gpu:2",
    "JobId=",
    "JobId=1",
    "JobState=X",
    "=",
    "|",
    "1_2",
    "\n",
    " ",
    "MaxTime=1-",
)
PIECES = st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=15).map("".join)


@given(PIECES, PIECES, PIECES)
def test_text_of_any_form_is_read_or_left_out(one: str, two: str, three: str) -> None:
    read.cluster(one, two, three)
    read.jobcomp(one)
    read.sacct([two], ("JobID", "State", "ExitCode", "Start", "End", "NodeList", "Reason"))
    submitted([Answer(0, one, two)])
