"""PBS, Torque, Grid Engine and LSF: commands built, recorded transcripts read, garbage borne."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.errors import Unavailable
from nunatak.core.work import Shape
from nunatak.engines.batch import gridengine, lsf, pbs
from nunatak.engines.batch.dialect import Answer, Dialect
from nunatak.engines.batch.gridengine import GridEngine
from nunatak.engines.batch.lsf import Lsf
from nunatak.engines.batch.model import Cause, Job, Order, Stage, Submitted
from nunatak.engines.batch.pbs import Pbs

HERE = Path(__file__).parent / "transcripts"
MOST = Shape(cpu=8, gpu=2, memory=8 * 10**9, time=86400)
MIB = 2**20
MARK, OTHER = "nabcdef01234567", "nabcdef89abcdef"


def text(name: str) -> str:
    return (HERE / name).read_text()


def order(count: int = 3, **shape: Any) -> Order:
    request = Shape(cpu=2, memory=100 * MIB, time=3661, **shape)
    return Order(MARK, "42/fit x3", "9f3c", count, request, "/shared/.talk/n1", "BODY", ("long",))


def script(dialect: Dialect, wanted: Order) -> list[str]:
    (command,) = dialect.submit(wanted).commands
    lines = command.text.splitlines()
    assert lines[0] == "#!/bin/sh"
    assert lines[-1] == "BODY"
    return lines[1:-1]


def test_a_script_for_openpbs() -> None:
    lines = script(Pbs(MOST, account="ice", extra="-l place=free"), order(gpu=1))
    assert lines == [
        f"#PBS -N {MARK}", "#PBS -J 1-3", "#PBS -l select=1:ncpus=2:mem=100mb:ngpus=1", "#PBS -l walltime=1:01:01", "#PBS -q long",
        "#PBS -A ice", "#PBS -r n", "#PBS -j oe", "#PBS -o /shared/.talk/n1.^array_index^.out", "#PBS -l place=free",
        "# 42/fit x3", "",
    ]  # fmt: skip
    assert "#PBS -J" not in "\n".join(script(Pbs(MOST), order(1)))


def test_a_script_for_torque() -> None:
    lines = script(Pbs(MOST, torque=True), order())
    assert "#PBS -t 1-3" in lines
    assert "#PBS -l nodes=1:ppn=2,mem=100mb" in lines
    assert "#PBS -o /shared/.talk/n1.$PBS_ARRAYID.out" in lines


def test_a_script_for_grid_engine() -> None:
    assert script(GridEngine(MOST, account="ice"), order(gpu=1)) == [
        f"#$ -N {MARK}", "#$ -S /bin/sh", "#$ -t 1-3", "#$ -pe smp 2", "#$ -l h_rt=3661,h_vmem=50M", "#$ -l gpu=1", "#$ -q long",
        "#$ -P ice", "#$ -r n", "#$ -j y", "#$ -o /shared/.talk/n1.$TASK_ID.out", "# 42/fit x3", "",
    ]  # fmt: skip


def test_a_script_for_lsf() -> None:
    assert script(Lsf(MOST, account="ice"), order(1, gpu=1)) == [
        f'#BSUB -J "{MARK}[1-1]"', "#BSUB -n 2", '#BSUB -R "span[hosts=1] rusage[mem=100]"', "#BSUB -M 100", "#BSUB -W 62",
        '#BSUB -gpu "num=1"', "#BSUB -q long", "#BSUB -P ice", '#BSUB -o "/shared/.talk/n1.%I.out"', "#BSUB -rn", "# 42/fit x3",
        "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("read", "out", "id_"),
    [
        (pbs.submitted, "123.pbs01\n", "123.pbs01"),
        (pbs.submitted, "123[].pbs01\n", "123[].pbs01"),
        (gridengine.submitted, "41.1-3:1\n", "41"),
        (gridengine.submitted, "41\n", "41"),
        (lsf.submitted, "Job <901> is submitted to queue <normal>.\n", "901"),
    ],
)
def test_the_id_of_a_submission_is_read(read: Any, out: str, id_: str) -> None:
    assert read([Answer(0, out)]) == Submitted(id=id_)
    assert read([Answer(0, out, lost=True)]).unsure
    assert read([Answer(0, "")]).unsure
    assert read([Answer(127, err="no such command")]).away


@pytest.mark.parametrize(
    ("read", "away", "refused"),
    [
        (pbs.submitted, "qsub: cannot connect to server pbs01 (errno=15010)", "qsub: Unknown queue"),
        (
            gridengine.submitted,
            "error: commlib error: got select error (Connection refused)\nUnable to run job: unable to contact qmaster",
            "Unable to run job: unknown queue 'long'.",
        ),
        (lsf.submitted, "LSF is down. Please wait ...", "normal: No such queue. Job not submitted."),
    ],
)
def test_a_system_that_is_away_is_not_one_that_refuses(read: Any, away: str, refused: str) -> None:
    assert read([Answer(1, err=away)]).away
    assert read([Answer(1, err=refused)]).refused == refused


def seen(jobs: list[Job]) -> dict[tuple[str, int], tuple[Any, ...]]:
    return {(job.id, job.index): (job.stage, job.cause, job.host, job.mark, job.ran) for job in jobs}


def test_qstat_of_pbs_is_read() -> None:
    jobs = pbs.read(text("pbs/qstat.txt"))
    assert seen(jobs) == {
        ("123[].pbs01", 1): (Stage.RUNNING, Cause.UNKNOWN, "node07", MARK, True),
        ("123[].pbs01", 2): (Stage.WAITING, Cause.UNKNOWN, "", MARK, False),
        ("123[].pbs01", 3): (Stage.ENDED, Cause.TIME, "node08", MARK, True),
        ("123[].pbs01", 4): (Stage.ENDED, Cause.DONE, "node08", MARK, True),
        ("124.pbs01", 0): (Stage.ENDED, Cause.FAILED, "node09", OTHER, True),
    }
    assert jobs[0].text.endswith("mem=4194304kb)")
    assert jobs[-1].signal == 15
    assert jobs[2].ended - jobs[2].began == 600.0


def test_qstat_of_torque_is_read() -> None:
    assert seen(pbs.read(text("pbs/torque.txt"))) == {
        ("55[].server.example.org", 1): (Stage.ENDED, Cause.UNKNOWN, "wn01", MARK, True),
        ("56.server.example.org", 0): (Stage.RUNNING, Cause.UNKNOWN, "wn02", OTHER, True),
    }


def test_qstat_and_qacct_of_grid_engine_are_read() -> None:
    host = "node3.example.org"
    assert seen(gridengine.read(text("gridengine/qstat.xml"))) == {
        ("41", 1): (Stage.RUNNING, Cause.UNKNOWN, host, MARK, True),
        ("41", 2): (Stage.WAITING, Cause.UNKNOWN, "", MARK, False),
        ("41", 3): (Stage.WAITING, Cause.UNKNOWN, "", MARK, False),
        ("42", 1): (Stage.WAITING, Cause.REFUSED, "", OTHER, False),
    }
    ended = gridengine.read_accounting(text("gridengine/qacct.txt"))
    assert [(job.index, job.cause, job.exit, job.signal, job.ran) for job in ended] == [
        (1, Cause.DONE, 0, None, True),
        (2, Cause.UNKNOWN, None, 9, True),
        (3, Cause.FAILED, None, 15, False),
    ]
    with pytest.raises(Unavailable):
        gridengine.read("error: commlib error")


def test_what_a_real_grid_engine_said_is_read() -> None:
    host = "node3.example.org"
    assert seen(gridengine.read(text("gridengine/qstat-8.1.9.xml"))) == {
        ("1", 1): (Stage.RUNNING, Cause.UNKNOWN, host, MARK, True),
        ("1", 2): (Stage.RUNNING, Cause.UNKNOWN, host, MARK, True),
        ("1", 3): (Stage.WAITING, Cause.UNKNOWN, "", MARK, False),
        ("5", 1): (Stage.WAITING, Cause.REFUSED, "", OTHER, False),
    }
    ended = gridengine.read_accounting(text("gridengine/qacct-8.1.9.txt"))
    assert [(job.id, job.index, job.cause, job.exit, job.signal, job.ran) for job in ended] == [
        ("1", 1, Cause.DONE, 0, None, True),
        ("1", 2, Cause.FAILED, None, 9, True),
        ("1", 3, Cause.DONE, 0, None, True),
        ("2", 1, Cause.TIME, None, 9, True),
    ]


@pytest.mark.parametrize(
    ("used", "cause"),
    [("199.5MB", Cause.MEMORY), ("0.190G", Cause.MEMORY), ("50M", Cause.UNKNOWN), ("?", Cause.UNKNOWN)],
)
def test_grid_engine_has_one_code_for_all_limits(used: str, cause: Cause) -> None:
    block = (
        f"jobnumber 7\ntaskid 1\nstart_time Sat Nov 28 10:11:54 2026\nend_time Sat Nov 28 10:12:54 2026\nmaxvmem {used}\n"
        "failed 37  : qmaster enforced h_rt, h_cpu, or h_vmem limit\nexit_status 137 (Killed)\ncategory -l h_rt=600,h_vmem=200M\n"
    )
    (job,) = gridengine.read_accounting(block)
    assert (job.cause, job.signal) == (cause, 9)


def test_bjobs_is_read() -> None:
    jobs = lsf.read(text("lsf/bjobs.json"))
    assert seen(jobs) == {
        ("901", 1): (Stage.RUNNING, Cause.UNKNOWN, "hostA", MARK, True),
        ("901", 2): (Stage.WAITING, Cause.UNKNOWN, "", MARK, False),
        ("901", 3): (Stage.ENDED, Cause.MEMORY, "hostB", MARK, True),
        ("901", 4): (Stage.ENDED, Cause.DONE, "hostB", MARK, True),
        ("902", 1): (Stage.ENDED, Cause.CANCELLED, "hostB", OTHER, True),
    }
    assert jobs[2].signal == 9


@pytest.mark.parametrize(
    ("dialect", "jobs", "words"),
    [
        (Pbs(MOST), [Job("7.s"), Job("8[].s", 2), Job("9[].s")], ("qdel", "7.s", "8[2].s", "9[].s")),
        (GridEngine(MOST), [Job("7"), Job("8", 2)], ("qdel", "7", "8.2")),
        (Lsf(MOST), [Job("7"), Job("8", 2)], ("bkill", "7", "8[2]")),
    ],
)
def test_jobs_are_ended_by_name(dialect: Dialect, jobs: list[Job], words: tuple[str, ...]) -> None:
    (command,) = dialect.cancel(jobs).commands
    assert command.argv == words


@pytest.mark.parametrize("dialect", [Pbs(MOST), GridEngine(MOST), Lsf(MOST)], ids=lambda dialect: dialect.name)
def test_a_status_that_failed_is_no_status(dialect: Dialect) -> None:
    with pytest.raises(Unavailable):
        dialect.status(["1"]).read([Answer(1, err="cannot connect")])


WORDS = ("Job Id: 1.s\n", "Job Id: 1[2].s\n", "    job_state = F\n", "    Exit_status = -1\n", "====\n", "jobnumber 4\n",
         "taskid 1\n", "<job_list>", "</job_list>", "<state>r</state>", "\t", "exit_status 200\n")  # fmt: skip


@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=9), max_size=12).map("".join))
def test_garbage_is_borne(garbage: str) -> None:
    pbs.read(garbage)
    gridengine.read_accounting(garbage)
    for read in (pbs.submitted, gridengine.submitted, lsf.submitted):
        read([Answer(0, garbage)])
    for read in (gridengine.read, lsf.read):
        try:
            read(garbage)
        except (Unavailable, ValueError):
            continue


KEYS = st.sampled_from(["JOBID", "JOBINDEX", "STAT", "EXEC_HOST", "EXIT_CODE", "EXIT_REASON", "JOB_NAME", "START_TIME"])


@given(
    st.lists(st.dictionaries(KEYS, st.none() | st.integers() | st.text(max_size=5) | st.lists(st.none())), max_size=3)
)
def test_records_of_lsf_of_any_form_are_read_or_left_out(records: list[dict[str, Any]]) -> None:
    lsf.read(json.dumps({"RECORDS": records}))
