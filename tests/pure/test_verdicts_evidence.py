"""From what a worker, a system or a program says to the kind of failure, and the words a user sees."""

from __future__ import annotations

import pytest

from nunatak.core.work import FileRecord, Outcome, Reason, Shape, Usage
from nunatak.tasks.verdicts.advice import general
from nunatak.tasks.verdicts.judge import judge
from nunatak.tasks.verdicts.kinds import Action, Kind
from nunatak.tasks.verdicts.lines import matter
from nunatak.tasks.verdicts.model import DEFAULT, History, Policy, Verdict

GB, MB = 10**9, 10**6
HERE = History(shape=Shape(memory=GB, disk=GB, time=3600), node="node17", site="north")
EXIT1 = "`python fit.py` ended with exit code 1"


def verdict(reason: str, message: str = "", tail: str = "", *, history: History = HERE, **more) -> Verdict:
    more.setdefault("exit", 1 if reason == "exit" else None)
    return judge(Outcome("42/17/fit#1", "ff", Reason(reason), message, **more), history, DEFAULT, tail=tail)


MEMORY_TEXTS = [
    "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=146.batch cgroup. Some of your processes may have been killed.",
    "slurmstepd: error: Detected 1 oom_kill event in StepId=146.0. Some of the step tasks have been OOM Killed.",
    "[12.3] Memory cgroup out of memory: Killed process 4711 (python)",
    "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array with shape (1000000000,)",
    'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    x\nMemoryError',
    "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\nAborted (core dumped)",
    'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space',
    "Error: cannot allocate vector of size 3.7 Gb",
]


@pytest.mark.parametrize("tail", MEMORY_TEXTS)
def test_words_of_kernel_batch_system_and_program_mean_out_of_memory(tail: str) -> None:
    found = verdict("exit", EXIT1, f"reading\n{tail}\n")
    assert found.kind is Kind.OUT_OF_MEMORY
    assert found.shape is not None
    assert found.shape.memory >= 2 * GB
    assert found.sentence.startswith("it ran out of memory: ")


@pytest.mark.parametrize(
    "batch",
    [
        {"code": 34, "subcode": 102},
        {"code": 34, "subcode": 0},
        {"code": 26, "text": "Job has gone over cgroup memory limit of 1000 megabytes. Peak usage: 1000 megabytes."},
        {"state": "OUT_OF_MEMORY"},
        "Docker job has gone over memory limit of 1000 Mb",
    ],
)
def test_the_batch_system_s_hold_for_memory_is_understood(batch: object) -> None:
    found = verdict("terminated", "the batch system held it", detail={"batch": batch})
    assert found.kind is Kind.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("batch", "kind"),
    [
        ({"code": 34, "subcode": 104}, Kind.OVER_DISK),
        ({"code": 46, "subcode": 7}, Kind.OVER_TIME),
        ({"state": "NODE_FAIL"}, Kind.NODE_LOST),
        ({"state": "PREEMPTED"}, Kind.EVICTED),
        ({"text": "Worker node is out of memory"}, Kind.NODE_FAULT),
        ({"code": "34", "subcode": None, "text": 5}, Kind.EVICTED),
        (["?"], Kind.EVICTED),
    ],
)
def test_other_words_of_a_batch_system(batch: object, kind: Kind) -> None:
    assert verdict("terminated", "stopped", detail={"batch": batch}).kind is kind


@pytest.mark.parametrize("how", [{"exit": 137}, {"exit": 143}, {"signal": 9, "exit": None}])
@pytest.mark.parametrize("peak", [None, 0, 500 * MB, 900 * MB])
def test_a_kill_alone_is_never_out_of_memory(how: dict, peak: int | None) -> None:
    reason = "signal" if how.get("signal") else "exit"
    words = "`a` was killed by SIGKILL; the node's memory may have run out"
    found = verdict(reason, words, "line 3: 4711 Killed      python a.py\n", usage=Usage(memory=peak), **how)
    assert found.kind is Kind.KILLED
    assert found.shape is None


@pytest.mark.parametrize("how", [{"exit": 137}, {"exit": 143}, {"signal": 9, "exit": None}])
def test_a_kill_at_the_measured_limit_is_out_of_memory(how: dict) -> None:
    found = verdict("signal" if how.get("signal") else "exit", "x", usage=Usage(memory=980 * MB), **how)
    assert found.kind is Kind.OUT_OF_MEMORY
    assert "980 MB" in found.sentence
    assert "1 GB" in found.sentence


def test_another_exit_code_with_a_peak_over_the_limit_is_out_of_memory_unless_the_log_says_why() -> None:
    over = Usage(memory=1100 * MB)
    assert verdict("exit", "x", usage=over, exit=2).kind is Kind.OUT_OF_MEMORY
    assert verdict("exit", "x", "ValueError: no events\n", usage=over, exit=2).kind is Kind.COMMAND_FAILED


def test_an_attempt_that_vanished_at_its_memory_limit_ran_out_of_memory() -> None:
    assert verdict("lost", "no word", usage=Usage(memory=GB)).kind is Kind.OUT_OF_MEMORY
    assert verdict("lost", "no word", usage=Usage(memory=GB // 2)).kind is Kind.LOST


@pytest.mark.parametrize(
    "text",
    ["torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "CL_MEM_OBJECT_ALLOCATION_FAILURE"],
)
def test_gpu_memory_is_its_own_kind_and_raises_nothing(text: str) -> None:
    found = verdict("exit", EXIT1, f"RuntimeError: {text}\n")
    assert found.kind is Kind.OUT_OF_GPU_MEMORY
    assert found.shape is None


NODE_TEXTS = [
    (
        "command",
        "exec format error: sim is built for aarch64, this node is x86_64",
        "",
        Kind.WRONG_ARCHITECTURE,
        "built for aarch64",
    ),
    ("exit", EXIT1, "bash: ./sim: cannot execute binary file: Exec format error", Kind.WRONG_ARCHITECTURE, "./sim"),
    ("exit", EXIT1, "OSError: [Errno 8] Exec format error: './sim'", Kind.WRONG_ARCHITECTURE, "./sim"),
    (
        "exit",
        EXIT1,
        "./a: error while loading shared libraries: libgsl.so.25: cannot open shared object file",
        Kind.MISSING_LIBRARY,
        "libgsl.so.25",
    ),
    (
        "exit",
        EXIT1,
        "./a: /lib64/libc.so.6: version `GLIBC_2.34' not found (required by ./a)",
        Kind.MISSING_LIBRARY,
        "GLIBC_2.34",
    ),
    ("exit", EXIT1, "ModuleNotFoundError: No module named 'scipy'", Kind.MISSING_LIBRARY, "scipy"),
    ("command", "cannot run sim: its loader is not on this node", "", Kind.MISSING_LIBRARY, "sim"),
    ("command", "command not found: root", "", Kind.COMMAND_NOT_FOUND, "root"),
    (
        "command",
        "command not found: /usr/bin/perl (the first line of a.pl)",
        "",
        Kind.COMMAND_NOT_FOUND,
        "/usr/bin/perl",
    ),
    (
        "setup",
        "the setup script s.sh ended with exit code 127: s.sh: line 2: module: command not found",
        "",
        Kind.COMMAND_NOT_FOUND,
        "module",
    ),
    (
        "setup",
        "the setup script ended with exit code 1: /cvmfs/icecube.opensciencegrid.org/py3/setup.sh: No such file or directory",
        "",
        Kind.NOT_MOUNTED,
        "/cvmfs/icecube.opensciencegrid.org",
    ),
    (
        "exit",
        EXIT1,
        "OSError: [Errno 107] Transport endpoint is not connected: '/cvmfs/atlas.cern.ch'",
        Kind.NOT_MOUNTED,
        "/cvmfs/atlas.cern.ch",
    ),
    (
        "stage-in",
        "the input a could not be had: [Errno 116] Stale file handle: '/data/a'",
        "",
        Kind.NOT_MOUNTED,
        "node17",
    ),
    (
        "setup",
        "the task needs a container image, and neither apptainer nor singularity is on this node",
        "",
        Kind.NO_CONTAINER,
        "node17",
    ),
    ("exit", EXIT1, "socket.gaierror: [Errno -3] Temporary failure in name resolution", Kind.NO_NETWORK, "node17"),
    ("internal", "OSError: [Errno 28] No space left on device", "", Kind.SCRATCH_FULL, "node17"),
    ("stage-in", "the input a could not be had: [Errno 28] No space left on device", "", Kind.SCRATCH_FULL, "node17"),
]


@pytest.mark.parametrize(("reason", "message", "tail", "kind", "named"), NODE_TEXTS)
def test_what_a_node_lacks_is_named_and_tried_elsewhere_free(
    reason: str, message: str, tail: str, kind: Kind, named: str
) -> None:
    found = verdict(reason, message, tail)
    assert (found.kind, found.action, found.counts) == (kind, Action.ELSEWHERE, False)
    assert found.avoid.nodes == ("node17",)
    assert named in found.sentence
    assert found.whose == "site's"


def test_exit_127_and_a_shell_s_words_mean_a_command_that_is_not_there() -> None:
    found = verdict("exit", "`/bin/sh -c nosuch` ended with exit code 127", "sh: 1: nosuch: not found\n", exit=127)
    assert found.kind is Kind.COMMAND_NOT_FOUND
    assert "nosuch" in found.sentence
    assert verdict("exit", EXIT1, "LookupError: event 5: not found\n").kind is Kind.COMMAND_FAILED


@pytest.mark.parametrize(
    "message",
    [
        "command not found: ./fit.sh",
        "command not found: fit.sh (in the sandbox there is one: write ./fit.sh)",
        "cannot run fit.sh: it is not executable",
        "exec format error: fit is no program (a script needs a first line such as #!/bin/sh), this node is x86_64",
    ],
)
def test_a_command_that_the_recipe_gets_wrong_is_final_at_once(message: str) -> None:
    found = verdict("command", message)
    assert (found.kind, found.action, found.whose) == (Kind.CANNOT_RUN, Action.FAILED, "yours")
    assert message in found.sentence


def test_an_illegal_instruction_is_the_processor_s() -> None:
    assert verdict("signal", "`a` was killed by SIGILL", signal=4).kind is Kind.OLD_PROCESSOR
    assert verdict("exit", "x", exit=132).kind is Kind.OLD_PROCESSOR


@pytest.mark.parametrize(
    "text", ["NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus", "RuntimeError: No CUDA GPUs are available"]
)
def test_a_broken_gpu_is_the_node_s_only_if_a_gpu_was_asked_for(text: str) -> None:
    with_gpu = History(shape=Shape(gpu=1), node="node17")
    assert verdict("exit", EXIT1, text, history=with_gpu).kind is Kind.BROKEN_GPU
    assert verdict("exit", EXIT1, text).kind is Kind.GPU_NOT_ASKED


def test_a_full_disk_is_the_task_s_only_if_the_task_filled_it() -> None:
    text = "OSError: [Errno 28] No space left on device: 'out.npz'"
    assert verdict("exit", EXIT1, text, usage=Usage(disk=MB)).kind is Kind.SCRATCH_FULL
    mine = verdict("exit", EXIT1, text, usage=Usage(disk=GB))
    assert mine.kind is Kind.OVER_DISK
    assert mine.shape is not None
    assert mine.shape.disk >= 2 * GB
    assert mine.shape.memory == GB


FILE_TEXTS = [
    ("stage-in", "the input run.npz has 0 bytes, expected 5000 (/data/run.npz)", Kind.INPUT_TRUNCATED, Action.FAILED),
    ("stage-in", "the input run.npz has 6000 bytes, expected 5000 (/data/run.npz)", Kind.INPUT_CHANGED, Action.FAILED),
    (
        "stage-in",
        "the input run.npz has the checksum ab12, expected cd34 (/data/run.npz)",
        Kind.INPUT_CHANGED,
        Action.FAILED,
    ),
    (
        "stage-in",
        "the input run.npz has 10 bytes, expected 5000 (https://s/run.npz)",
        Kind.INPUT_TRUNCATED,
        Action.ELSEWHERE,
    ),
    ("stage-in", "the input a is missing: there is no file /data/a", Kind.INPUT_MISSING, Action.ELSEWHERE),
    ("stage-in", "the input a is missing: https://s/a answered 404 Not Found", Kind.INPUT_MISSING, Action.ELSEWHERE),
    (
        "stage-in",
        "the input a could not be had: https://s/a answered 503 Busy (after 5 tries)",
        Kind.STORAGE_DOWN,
        Action.AGAIN,
    ),
    (
        "stage-in",
        "the input a could not be had: https://s/a: [Errno 111] Connection refused (after 5 tries)",
        Kind.STORAGE_DOWN,
        Action.AGAIN,
    ),
    (
        "stage-in",
        "the input a could not be had: [Errno 13] Permission denied: '/data/a'",
        Kind.STAGE_IN,
        Action.ELSEWHERE,
    ),
    (
        "stage-out",
        "the output a could not be stored: [Errno 122] Disk quota exceeded: '/data/a'",
        Kind.STORAGE_FULL,
        Action.ELSEWHERE,
    ),
    (
        "stage-out",
        "the output a could not be stored: https://s/a answered 403 Forbidden",
        Kind.STORAGE_DENIED,
        Action.ELSEWHERE,
    ),
    (
        "stage-out",
        "the output a could not be stored: https://s/a timed out (after 5 tries)",
        Kind.STORAGE_DOWN,
        Action.AGAIN,
    ),
    (
        "stage-out",
        "the output a could not be stored: /d/a does not read back as it was written",
        Kind.STAGE_OUT,
        Action.ELSEWHERE,
    ),
    ("output", "missing: a.npz; there is: nothing", Kind.OUTPUT_MISSING, Action.ELSEWHERE),
]


@pytest.mark.parametrize(("reason", "message", "kind", "action"), FILE_TEXTS)
def test_what_is_wrong_with_files(reason: str, message: str, kind: Kind, action: Action) -> None:
    found = verdict(reason, message)
    assert (found.kind, found.action) == (kind, action)


def test_a_truncated_input_is_yours_and_not_tried_again() -> None:
    found = verdict("stage-in", "the input run.npz has 0 bytes, expected 5000 (/data/run.npz)")
    assert found.sentence == "input truncated: run.npz has 0 B of 5 kB (/data/run.npz)"
    assert (found.whose, found.action) == ("yours", Action.FAILED)
    assert found.advice == "replace the file, then: nunatak retry 42/17/fit"


@pytest.mark.parametrize(
    "text",
    [
        "zipfile.BadZipFile: File is not a zip file",
        "EOFError: Compressed file ended before the end-of-stream marker was reached",
        "OSError: Unable to open file (truncated file: eof = 96, sblock->base_addr = 0)",
        "pyarrow.lib.ArrowInvalid: Parquet magic bytes not found in footer.",
    ],
)
def test_a_program_that_finds_its_input_truncated_is_not_run_again(text: str) -> None:
    inputs = (FileRecord("fit.py", "/b/1", 90, ""), FileRecord("muons.npz", "/d/muons.npz", 0, ""))
    found = verdict("exit", EXIT1, f"{text}\n", inputs=inputs)
    assert (found.kind, found.action) == (Kind.INPUT_TRUNCATED, Action.FAILED)
    assert "muons.npz" in found.sentence
    assert "fit.py" not in found.sentence.partition(":")[0]


def test_a_syntax_error_is_no_truncated_input() -> None:
    assert verdict("exit", EXIT1, "a.sh: line 9: syntax error: unexpected end of file\n").kind is Kind.COMMAND_FAILED


def test_standing_still_is_told_from_computing_too_long() -> None:
    assert verdict("time", "x", usage=Usage(wall=3600, cpu=2)).kind is Kind.STALLED
    assert verdict("time", "x", usage=Usage(wall=3600, cpu=2), detail={"quiet": 5.0}).kind is Kind.OVER_TIME
    assert verdict("time", "x", usage=Usage(wall=60, cpu=0.1)).kind is Kind.OVER_TIME
    busy = verdict("time", "x", usage=Usage(wall=3600, cpu=3500))
    assert busy.kind is Kind.OVER_TIME
    assert busy.shape is not None
    assert busy.shape.time >= 7200


@pytest.mark.parametrize(
    ("reason", "kind"), [("terminated", Kind.EVICTED), ("lost", Kind.LOST), ("submit", Kind.SUBMIT_FAILED)]
)
def test_what_the_resource_did_is_free(reason: str, kind: Kind) -> None:
    found = verdict(reason, "gone")
    assert (found.kind, found.counts, found.action) == (kind, False, Action.AGAIN)


def test_words_of_a_program_or_a_path_are_not_taken_for_a_system_s() -> None:
    assert verdict("exit", "x: ValueError: preempted by node_fail out_of_memory").kind is Kind.COMMAND_FAILED
    assert verdict("stage-in", "the input a is missing: there is no file /data/preempted").kind is Kind.INPUT_MISSING


def test_the_worker_s_choice_of_line_gives_way_to_the_one_that_matters() -> None:
    tail = "[ERROR] rule map: could not open the geometry\nExiting because a job execution failed. See log\n"
    found = verdict("exit", f"{EXIT1}: Exiting because a job execution failed. See log", tail)
    assert found.sentence == f"{EXIT1}: [ERROR] rule map: could not open the geometry"


def test_a_passed_over_error_is_shown_beside_the_missing_output() -> None:
    found = verdict("output", "missing: a.npz; there is: nothing", "ValueError: no events left\n")
    assert found.sentence.endswith("ValueError: no events left")
    assert verdict("output", "missing: a.npz", "all is well\n").sentence == "missing: a.npz"


def test_the_log_that_travels_with_the_outcome_is_read() -> None:
    found = verdict("exit", EXIT1, detail={"tail": {"stderr": " \n", "stdout": "MemoryError\n"}})
    assert found.kind is Kind.OUT_OF_MEMORY
    assert verdict("exit", EXIT1, detail={"tail": 5}).kind is Kind.COMMAND_FAILED


CHAIN = """\
Traceback (most recent call last):
  File "/a/fit.py", line 10, in load
    return table["energy"]
           ~~~~~^^^^^^^^^^
KeyError: 'energy'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/a/fit.py", line 20, in <module>
    main()
  File "/a/fit.py", line 15, in main
    raise ValueError("no energy in run 7")
ValueError: no energy in run 7
"""


def test_of_chained_tracebacks_the_first_cause_is_kept_and_the_last_line_leads() -> None:
    found = matter("much\nearlier talk\n" + CHAIN + "cleaning up\n")
    assert found.headline == "ValueError: no energy in run 7"
    assert found.lines[1] == "KeyError: 'energy'"
    assert found.place == "fit.py main"
    assert len(found.lines) == 4


@pytest.mark.parametrize(
    ("tail", "headline"),
    [
        (
            "terminate called after throwing an instance of 'std::runtime_error'\n  what():  bad geometry\nAborted\n",
            "bad geometry",
        ),
        ("x\nCaused by: java.io.IOException: disk gone\n\tat a.b\n", "java.io.IOException: disk gone"),
        ("\x1b[31mERROR: no events\x1b[0m\n", "ERROR: no events"),
        ("10 %\r50 %\rfatal: bad object\n", "fatal: bad object"),
        ("0 errors\nwarning: error in fit ignored\nchannel 3 is saturated\n", "channel 3 is saturated"),
        ("one\ntwo\n\n\n", "two"),
        ("", ""),
    ],
)
def test_the_line_that_matters_is_found(tail: str, headline: str) -> None:
    assert matter(tail).headline == headline


def test_an_error_far_above_the_last_lines_is_found() -> None:
    tail = "RuntimeError: geometry is empty\n" + "freeing buffer\n" * 60
    assert matter(tail).headline == "RuntimeError: geometry is empty"


def test_the_policy_may_be_left_out() -> None:
    assert judge(Outcome("1/0/a#1", "ff", Reason.EXIT), History(), Policy()).kind is Kind.COMMAND_FAILED


def test_the_frame_of_a_traceback_names_the_file_and_not_the_sandbox_it_lay_in() -> None:
    place = "/srv/engines/local/attempts/1/10/fit.2.257eed31bf399588/work"
    tail = f'Traceback (most recent call last):\n  File "{place}/lib/m.py", line 3, in fit\n    x()\nValueError: bad\n'
    assert matter(tail).lines == ('File "lib/m.py", line 3, in fit', "ValueError: bad")
    assert matter(tail.replace(place, "/work/soft")).lines[0] == 'File "/work/soft/lib/m.py", line 3, in fit'


@pytest.mark.parametrize(
    ("address", "typed"),
    [("42/17/fit#2", "nunatak try 42/17/fit"), ("42/sum#1", "nunatak try 42/sum")],
)
def test_the_advice_of_an_error_names_the_job_if_there_is_one(address: str, typed: str) -> None:
    assert general(Kind.USER_ERROR, address).endswith(f"to run it here: {typed}")
