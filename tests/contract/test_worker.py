"""The worker as a program: a sandbox with task.json goes in, an outcome comes out, whatever the payload does."""

import hashlib
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nunatak.core.work import Checkpoint, Command, Environment, Input, Outcome, Output, Reason, Shape, TaskSpec
from nunatak.worker.build import build, unpack
from tests.services.workers import impatient

PATIENCE = 150.0
SHAPE = Shape(cpu=2, memory=10**9, disk=10**9, time=600)


def interpreters() -> dict[str, str]:
    """Return the interpreters of this machine that the worker has to run on, one for each version."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = {"{}.{}".format(*sys.version_info[:2]): sys.executable}
    for place in [*versions.glob("3.*/bin"), Path("/usr/bin"), Path("/usr/local/bin")]:
        for minor in range(6, 14):
            program = place / f"python3.{minor}"
            if program.is_file():
                found.setdefault(f"3.{minor}", str(program))
    return found


PYTHONS = interpreters()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worker unpacked, as engines on this machine run it."""
    return unpack(tmp_path_factory.mktemp("worker"))


class Box:
    """A sandbox, and a worker to run in it."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root / "box"
        self.root.mkdir()
        self.outside = root
        self.home = home
        self.python = sys.executable
        self.env = dict(os.environ)

    def order(self, *commands: Command | str, **more: Any) -> None:
        """Write task.json; a text is a Python program."""
        all_commands = tuple(Command((sys.executable, "-c", c)) if isinstance(c, str) else c for c in commands)
        values = {"environment": Environment(), "inputs": (), "outputs": (), "shape": SHAPE, **more}
        task = TaskSpec(address="42/17/propagate#2", lease="5f", commands=all_commands, **values)
        (self.root / "task.json").write_text(json.dumps(task.to_plain()))

    def start(self, *options: str) -> subprocess.Popen[str]:
        words = [self.python, "-I", "-S", str(self.home), str(self.root), "--grace", "5", *options]
        return subprocess.Popen(words, env=self.env, text=True, stderr=subprocess.PIPE, start_new_session=True)

    def run(self, *commands: Command | str, options: tuple[str, ...] = (), **more: Any) -> Outcome:
        """Run a task to its end."""
        self.order(*commands, **more)
        worker = self.start(*options)
        said = worker.communicate(timeout=PATIENCE)[1]
        assert (worker.returncode, said) == (0, "")
        return self.outcome()

    def outcome(self) -> Outcome:
        return Outcome.from_plain(json.loads((self.root / "outcome.json").read_text()))

    def text(self, name: str) -> str:
        return (self.root / name).read_text()


@pytest.fixture
def box(tmp_path: Path, home: Path) -> Box:
    return Box(tmp_path, home)


def until(condition: Callable[[], Any]) -> Any:
    """Wait for something to be true, and return it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it never came true")


def number(path: Path) -> int:
    """Return the number in a file; 0 if there is none yet."""
    text = path.read_text() if path.exists() else ""
    return int(text) if text.endswith("\n") else 0


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# ---- on every interpreter ----


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_a_task_with_files_and_several_commands_succeeds(version: str, box: Box) -> None:
    (box.outside / "in.txt").write_bytes(b"hello\n")
    given = Input("data/in.txt", f"file://{box.outside}/in.txt", sha256=sha(b"hello\n"), size=6)
    box.python = PYTHONS[version]
    outcome = box.run(
        Command(("/bin/cat",), stdin="data/in.txt"),
        Command(("tr a-z A-Z <data/in.txt >out.txt; echo $NUNATAK_TASK >&2",), shell=True),
        inputs=(given,),
        outputs=(Output("out.txt", f"{box.outside}/store/out.txt"),),
    )
    assert (outcome.reason, outcome.exit, outcome.address, outcome.lease) == ("ok", None, "42/17/propagate#2", "5f")
    assert (box.outside / "store/out.txt").read_bytes() == b"HELLO\n"
    assert [(f.name, f.size, f.sha256) for f in outcome.inputs] == [("data/in.txt", 6, sha(b"hello\n"))]
    assert [(f.name, f.size, f.sha256) for f in outcome.outputs] == [("out.txt", 6, sha(b"HELLO\n"))]
    assert (box.text("stdout"), box.text("stderr")) == ("hello\n", "propagate\n")
    assert outcome.detail["python"].startswith(version)
    assert [c["exit"] for c in outcome.detail["commands"]] == [0, 0]


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_memory_is_enforced_and_failures_are_told(version: str, box: Box) -> None:
    box.python = PYTHONS[version]
    hog = "import time; held = bytearray(b'x') * 300_000_000; print('full', flush=True); time.sleep(60)"
    outcome = box.run(hog, shape=replace(SHAPE, memory=100_000_000))
    assert outcome.reason is Reason.MEMORY
    assert "100 MB" in outcome.message
    assert (outcome.usage.memory or 0) > 100_000_000
    assert box.run("import sys; sys.exit(3)").exit == 3


def test_a_node_is_measured_once_a_day_after_what_took_long(tmp_path: Path, box: Box, home: Path) -> None:
    box.home = impatient(tmp_path / "workers")
    lasts, cache = "import time; time.sleep(0.6)", ("--cache", str(tmp_path / "cache"))
    box.env["NUNATAK_SPEED"] = "0"
    assert "speed" not in box.run(lasts, options=cache).detail, "it is switched off"
    del box.env["NUNATAK_SPEED"]
    assert "speed" not in box.run(lasts + "; raise SystemExit(1)", options=cache).detail
    box.home, hasty = home, box.home
    assert "speed" not in box.run("pass", options=cache).detail, "it would cost more than the task"
    box.home = hasty
    assert 0.01 < box.run(lasts, options=cache).detail["speed"] < 20
    assert "speed" not in box.run(lasts, options=cache).detail, "it was measured just now"
    assert "speed" in box.run(lasts).detail, "nobody knows where the cache does not last"
    (mark,) = (tmp_path / "cache").glob("speed-*")
    os.utime(mark, (1, 1))
    assert "speed" in box.run(lasts, options=cache).detail


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_every_interpreter_measures_alike(version: str, home: Path) -> None:
    script = "import sys; sys.path.insert(0, sys.argv[1]); from nunatak_worker import speed; print(speed.measured())"
    said = subprocess.run(
        [PYTHONS[version], "-I", "-S", "-c", script, str(home)], capture_output=True, text=True, check=True
    )
    assert 0.02 < float(said.stdout) < 20


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_a_daemon_is_found_and_killed(version: str, box: Box) -> None:
    box.python = PYTHONS[version]
    pid = daemon(box, "")
    assert box.outcome().reason is Reason.OK
    assert not alive(pid)


def daemon(box: Box, then: str) -> int:
    """Run a task that leaves a process of another session behind; return its pid."""
    note = box.outside / "daemon"
    box.run(
        "import os, signal, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork(): os._exit(0)\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"    open({str(note)!r}, 'w').write(str(os.getpid()) + '\\n')\n"
        "    time.sleep(100)\n"
        "os.wait()\n"
        f"while not os.path.exists({str(note)!r}): time.sleep(0.01)\n" + then
    )
    return number(note)


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_a_signal_ends_the_payload_and_gives_an_outcome(version: str, box: Box) -> None:
    box.python = PYTHONS[version]
    box.order("import time\nprint('begun', flush=True)\ntime.sleep(100)")
    worker = box.start()
    until(lambda: (box.root / "stdout").exists() and box.text("stdout"))
    worker.send_signal(signal.SIGTERM)
    assert worker.communicate(timeout=PATIENCE) == (None, "")
    outcome = box.outcome()
    assert (outcome.reason, outcome.message) == ("terminated", "told to stop by SIGTERM")
    assert outcome.usage.cpu is not None


# ---- how commands end ----


def test_the_first_command_to_fail_ends_the_task(box: Box) -> None:
    outcome = box.run("pass", "raise ValueError('too cold')", "open('never', 'w')", options=("--keep",))
    assert (outcome.reason, outcome.exit) == ("exit", 1)
    assert outcome.message.endswith("ended with exit code 1: ValueError: too cold")
    assert [c["exit"] for c in outcome.detail["commands"]] == [0, 1]
    assert not (box.root / "work/never").exists()


def test_the_outcome_of_a_failure_has_the_end_of_its_logs(box: Box) -> None:
    lines = "\n".join(f"print('line {n} ' + 'x' * 100)" for n in range(1000))
    tail = box.run(f"{lines}\nprint('zero', chr(0))\n1/0").detail["tail"]
    assert tail["stderr"].splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert tail["stdout"].endswith(f"line 999 {'x' * 100}\nzero \ufffd\n")
    assert tail["stdout"].startswith("line ")
    assert 7500 < len(tail["stdout"].encode()) <= 8200
    assert "tail" not in box.run("print('well')").detail


def test_a_missing_command_is_named(box: Box) -> None:
    outcome = box.run(Command(("no-such-program", "-x")))
    assert (outcome.reason, outcome.message) == ("command", "command not found: no-such-program")


def test_a_program_for_another_machine_is_named(box: Box) -> None:
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + (183).to_bytes(2, "little") + bytes(100)
    (box.outside / "alien").write_bytes(head)
    outcome = box.run(Command(("./alien",)), inputs=(Input("alien", f"{box.outside}/alien", mode=0o755),))
    assert outcome.reason is Reason.COMMAND
    assert "exec format error: alien is built for aarch64" in outcome.message


def test_a_script_that_may_not_be_executed_is_named(box: Box) -> None:
    (box.outside / "go").write_text("#!/bin/no-shell\n")
    plain = Input("go", f"{box.outside}/go")
    assert "not executable" in box.run(Command(("./go",)), inputs=(plain,)).message
    outcome = box.run(Command(("./go",)), inputs=(replace(plain, mode=0o755),))
    assert outcome.message == "command not found: /bin/no-shell (the first line of go)"
    assert "./go" in box.run(Command(("go",)), inputs=(plain,)).message


def test_a_signal_is_told_by_name(box: Box) -> None:
    outcome = box.run("import os; os.abort()")
    assert (outcome.reason, outcome.signal, outcome.exit) == ("signal", 6, None)
    assert "SIGABRT" in outcome.message
    outcome = box.run(Command(("kill -9 $$; true",), shell=True))
    assert (outcome.reason, outcome.signal) == ("signal", 9)


def test_words_are_passed_as_they_are(box: Box) -> None:
    words = ("a b", "", "$HOME", "*", "'\"\\", "ä\n")
    box.run(Command((sys.executable, "-c", "import sys, json; print(json.dumps(sys.argv[1:]))", *words)))
    assert json.loads(box.text("stdout")) == list(words)


def test_stdin_is_empty_unless_said(box: Box) -> None:
    box.run("import sys; print(repr(sys.stdin.read()))")
    assert box.text("stdout") == "''\n"
    outcome = box.run(Command(("cat",), stdin="absent"))
    assert (outcome.reason, outcome.message) == ("command", "stdin: there is no file absent in the sandbox")


# ---- limits and ends ----


def test_a_task_over_its_time_is_ended_politely(box: Box) -> None:
    listens = "trap 'printf saved > note; exit' TERM; while :; do sleep 0.05; done"  # a shell is there at once
    outcome = box.run(Command((listens,), shell=True), shape=replace(SHAPE, time=2), options=("--keep",))
    assert (outcome.reason, outcome.message) == ("time", "ran longer than the 2 s asked for")
    assert box.text("work/note") == "saved"
    assert 2.0 <= (outcome.usage.wall or 0) < PATIENCE


def test_a_task_that_does_not_listen_is_killed(box: Box) -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(100)"
    outcome = box.run(deaf, shape=replace(SHAPE, time=1), options=("--grace", "0.2"))
    assert outcome.reason is Reason.TIME


def test_a_task_over_its_disk_is_ended(box: Box) -> None:
    outcome = box.run(
        "import time\nopen('big', 'wb').write(bytes(30_000_000))\ntime.sleep(100)",
        shape=replace(SHAPE, disk=10_000_000),
    )
    assert outcome.reason is Reason.DISK
    assert "10 MB was asked for" in outcome.message
    assert (outcome.usage.disk or 0) > 10_000_000


def test_usage_covers_children_and_short_tasks(box: Box) -> None:
    burn = "import time\nheld = bytearray(b'x') * 50_000_000\nwhile time.process_time() < 0.3: pass"
    outcome = box.run(f"import subprocess, sys\nsubprocess.check_call([sys.executable, '-c', {burn!r}])")
    assert 0.3 <= (outcome.usage.cpu or 0) < 5
    assert (outcome.usage.memory or 0) >= 50_000_000
    assert set(outcome.detail["phases"]) == {"prepare", "stage-in", "setup", "run", "stage-out"}


def order_deaf(box: Box) -> Path:
    """Order a payload whose child, in another session, ignores signals; return where that writes its pid."""
    note = box.outside / "pid"
    child = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.setsid()\n"
        f"open({str(note)!r}, 'w').write(str(os.getpid()) + '\\n')\n"
        "time.sleep(100)"
    )
    box.order(f"import subprocess, sys; subprocess.call([sys.executable, '-c', {child!r}])")
    return note


def test_a_killed_worker_takes_its_payload_with_it(box: Box) -> None:
    note = order_deaf(box)
    worker = box.start()
    pid = until(lambda: number(note))
    worker.kill()
    worker.communicate(timeout=PATIENCE)
    until(lambda: not alive(pid))
    assert not (box.root / "outcome.json").exists()


def test_when_the_inner_worker_is_killed_an_outcome_is_still_written(box: Box, tmp_path: Path) -> None:
    box.home = impatient(tmp_path / "workers")
    note = order_deaf(box)
    worker = box.start()
    pid = until(lambda: number(note))
    until(lambda: (box.root / "usage.json").exists() and "course" in box.text("usage.json"))
    inner = int(Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()[0])
    os.kill(inner, signal.SIGKILL)
    assert worker.communicate(timeout=PATIENCE) == (None, "")
    assert not alive(pid)
    outcome = box.outcome()
    assert outcome.reason is Reason.LOST
    assert "killed by SIGKILL" in outcome.message
    assert (outcome.usage.memory or 0) > 0
    assert max(outcome.detail["course"]["memory"]) > 0, "and what was used over time"
    assert not (box.root / "work").exists()


def test_a_signal_kills_even_those_who_ignore_it(box: Box) -> None:
    note = order_deaf(box)
    worker = box.start("--grace", "0.1")
    pid = until(lambda: number(note))
    worker.send_signal(signal.SIGINT)
    worker.communicate(timeout=PATIENCE)
    assert not alive(pid)
    assert box.outcome().message == "told to stop by SIGINT"


def test_an_outcome_of_an_earlier_run_is_not_left_to_be_taken_for_this_one(box: Box) -> None:
    box.run("pass")
    note = order_deaf(box)
    worker = box.start()
    until(lambda: number(note))
    assert not (box.root / "outcome.json").exists()
    worker.kill()
    worker.communicate(timeout=PATIENCE)
    until(lambda: not alive(number(note)))


# ---- files ----


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"size": 7}, "has 6 bytes, expected 7"),
        ({"sha256": "0" * 64}, "has the checksum"),
        ({"url": "/no/file"}, "missing"),
    ],
)
def test_a_wrong_input_ends_the_attempt_before_the_payload(more: dict[str, Any], word: str, box: Box) -> None:
    (box.outside / "in").write_bytes(b"hello\n")
    given = replace(Input("in", f"{box.outside}/in"), **more)
    outcome = box.run("open('ran', 'w')", inputs=(given,), options=("--keep",))
    assert outcome.reason is Reason.STAGE_IN
    assert word in outcome.message
    assert not (box.root / "work/ran").exists()


def test_an_optional_input_may_be_missing_and_the_source_is_never_touched(box: Box) -> None:
    source = box.outside / "with space"
    source.write_bytes(b"keep")
    inputs = (
        Input("a", "file:///no/file", optional=True),
        Input("b", f"file://{box.outside}/with%20space", mode=0o600),
    )
    outcome = box.run("open('b', 'a').write('more')", inputs=inputs)
    assert outcome.reason is Reason.OK
    assert [f.name for f in outcome.inputs] == ["b"]
    assert source.read_bytes() == b"keep"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", ".", "a//b", "a/\0"])
def test_a_name_that_escapes_is_refused(name: str, box: Box) -> None:
    (box.outside / "in").write_bytes(b"")
    for more in ({"inputs": (Input(name, f"{box.outside}/in"),)}, {"outputs": (Output(name, f"{box.outside}/out"),)}):
        outcome = box.run("pass", **more)
        assert outcome.reason is Reason.INVALID
        assert "does not stay inside" in outcome.message


def test_an_order_that_cannot_be_read_is_told(box: Box) -> None:
    (box.root / "task.json").write_text('{"format": 1, "address": "1/0/a#1", "lease": "ff", "commands": [{"argv": 3}]}')
    worker = box.start()
    assert worker.communicate(timeout=PATIENCE) == (None, "")
    assert worker.returncode == 0
    assert (box.outcome().reason, box.outcome().lease) == ("invalid", "ff")
    assert "commands[0].argv: expected list, found 3" in box.outcome().message
    (box.root / "outcome.json").unlink()
    (box.root / "task.json").write_text("{")
    worker = box.start()
    said = worker.communicate(timeout=PATIENCE)[1]
    assert worker.returncode == 2
    assert "task.json cannot be used" in said
    assert not (box.root / "outcome.json").exists()


def test_missing_outputs_are_named_and_nothing_is_published(box: Box) -> None:
    outputs = tuple(Output(name, f"{box.outside}/store/{name}") for name in ("a", "b", "c/d"))
    outcome = box.run("open('a', 'w'); open('other', 'w')", outputs=outputs)
    assert (outcome.reason, outcome.message) == ("output", "missing: b, c/d; there is: a, other")
    assert not (box.outside / "store").exists()
    outcome = box.run("open('a', 'w'); raise SystemExit(1)", outputs=outputs[:1])
    assert outcome.reason is Reason.EXIT
    assert not (box.outside / "store").exists()


def test_an_optional_output_may_be_missing(box: Box) -> None:
    outputs = (Output("a", f"{box.outside}/a", temporary=True), Output("b", f"{box.outside}/b", optional=True))
    outcome = box.run("open('a', 'w').write('1')", outputs=outputs)
    assert [(f.name, f.temporary) for f in outcome.outputs] == [("a", True)]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        ("os.mkdir('a')", "is a directory"),
        ("os.symlink('/etc/passwd', 'a')", "leads out of the sandbox"),
        ("os.symlink('/etc', 'd'); os.symlink('d/passwd', 'a')", "leads out of the sandbox"),
        ("os.mkfifo('a')", "not a regular file"),
    ],
)
def test_an_output_that_is_no_file_of_the_sandbox_is_refused(make: str, word: str, box: Box) -> None:
    outcome = box.run(f"import os; {make}", outputs=(Output("a", f"{box.outside}/a"),))
    assert outcome.reason is Reason.OUTPUT
    assert word in outcome.message
    assert not (box.outside / "a").exists()


def test_outputs_are_published_all_or_none_and_leave_no_parts(box: Box) -> None:
    (box.outside / "blocked").write_text("a file, where a directory is wanted")
    store = box.outside / "store"
    store.mkdir()
    (store / "a").write_text("old")
    outputs = (Output("a", f"{store}/a"), Output("b", f"{box.outside}/blocked/b"))
    outcome = box.run("open('a', 'w').write('new'); open('b', 'w')", outputs=outputs)
    assert outcome.reason is Reason.STAGE_OUT
    assert "the output b could not be stored" in outcome.message
    assert [(p.name, p.read_text()) for p in store.iterdir()] == [("a", "old")]
    outcome = box.run("open('a', 'w').write('new')", outputs=outputs[:1])
    assert [(p.name, p.read_text()) for p in store.iterdir()] == [("a", "new")]


def test_relative_urls_are_beside_the_order(box: Box) -> None:
    (box.root / "in").write_text("x")
    box.run(Command(("cp", "in", "out")), inputs=(Input("in", "in"),), outputs=(Output("out", "back/out"),))
    assert box.text("back/out") == "x"


def test_the_sandbox_is_cleared_unless_kept(box: Box) -> None:
    locked = "import os; os.makedirs('a/b'); open('a/b/c', 'w'); os.chmod('a/b', 0)"
    box.run(locked)
    assert {p.name for p in box.root.iterdir()} == {
        "task.json",
        "outcome.json",
        "usage.json",
        "stdout",
        "stderr",
        "worker.log",
    }
    box.run("open('a', 'w')", options=("--keep",))
    assert (box.root / "work/a").exists()


# ---- logs ----


def test_logs_keep_head_and_tail(box: Box) -> None:
    box.run("for i in range(20000): print('line', i)", log_limit=2000)
    text = box.text("stdout")
    assert text.startswith("line 0\nline 1\n")
    assert text.endswith("line 19998\nline 19999\n")
    total = sum(len(f"line {i}\n") for i in range(20000))
    assert f"\n[nunatak: {total - 2000} bytes dropped here]\n" in text
    assert not list(box.root.glob("*.tail*"))


def test_a_log_within_the_limit_is_whole(box: Box) -> None:
    box.run("for i in range(200): print('line', i)", log_limit=2000)
    assert box.text("stdout") == "".join(f"line {i}\n" for i in range(200))


def test_logs_are_live_and_only_grow(box: Box) -> None:
    gate = box.outside / "gate"
    wait = f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
    box.order("import os, time\nprint('one', flush=True)\n" + wait + "print('two')")
    worker = box.start()
    until(lambda: (box.root / "stdout").exists() and box.text("stdout") == "one\n")
    gate.touch()
    worker.communicate(timeout=PATIENCE)
    assert box.text("stdout") == "one\ntwo\n"


# ---- surroundings ----

SHOW = "import json, os; json.dump(dict(os.environ), open(os.environ['NUNATAK_TASK'], 'w'))"


def test_the_payload_sees_a_clean_environment(box: Box) -> None:
    box.env.update(NUNATAK_TOKEN="secret", AWS_SECRET="secret", LC_TIME="C", OMP_NUM_THREADS="64", HOME="/home/me")
    around = Environment(variables={"MKL_NUM_THREADS": "1", "MODE": "task", "NUNATAK_CPU": "99"})
    box.run(
        Command((sys.executable, "-c", SHOW), variables={"MODE": "command"}), environment=around, options=("--keep",)
    )
    env = json.loads(box.text("work/propagate"))
    assert "secret" not in env.values()
    expected = {
        "HOME": "/home/me",
        "LC_TIME": "C",
        "MODE": "command",
        "MKL_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "2",
        "TMPDIR": str(box.root / "tmp"),
        "NUNATAK_ADDRESS": "42/17/propagate#2",
        "NUNATAK_DATASET": "42",
        "NUNATAK_JOB": "17",
        "NUNATAK_CPU": "2",
        "NUNATAK_MEMORY": "1000000000",
    }
    assert {key: env.get(key) for key in expected} == expected


def test_a_python_is_provided_where_none_is(box: Box) -> None:
    box.env["PATH"] = str(box.outside)
    outcome = box.run(Command(("python", "-c", "import sys; print(sys.argv)", "a b")))
    assert outcome.reason is Reason.OK, outcome.message
    assert box.text("stdout") == "['-c', 'a b']\n"


def setup(box: Box, text: str) -> dict[str, Any]:
    (box.outside / "setup.sh").write_text(text)
    return {"inputs": (Input("setup.sh", f"{box.outside}/setup.sh"),), "environment": Environment(setup="setup.sh")}


def test_a_setup_script_is_sourced_before_each_command(box: Box) -> None:
    more = setup(box, 'export COLOUR="deep blue"; echo "arguments: $#"')
    say = Command(("/bin/sh", "-c", 'echo "$COLOUR" "$1"', "x", "a  b"))
    assert box.run(say, say, **more).reason is Reason.OK
    assert box.text("stdout") == 2 * "arguments: 0\ndeep blue a  b\n"


@pytest.mark.parametrize("text", ["echo no license >&2; exit 4", "echo no license >&2; false"])
def test_a_setup_script_that_fails_is_told_apart(text: str, box: Box) -> None:
    outcome = box.run("pass", **setup(box, text))
    assert outcome.reason is Reason.SETUP
    assert "the setup script setup.sh ended with exit code" in outcome.message
    assert outcome.message.endswith("no license")


def test_a_command_missing_after_setup_is_named(box: Box) -> None:
    outcome = box.run(Command(("no-such-program",)), **setup(box, "true"))
    assert (outcome.reason, outcome.message) == ("command", "command not found: no-such-program")


def wheel(directory: Path) -> Path:
    """Make a package of one module that pip can install without a network."""
    path = directory / "penguin-1.0-py3-none-any.whl"
    info = "penguin-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("penguin.py", "NAME = 'emperor'\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: penguin\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.slow
def test_a_requirement_file_becomes_a_cached_environment(box: Box) -> None:
    (box.outside / "bin").mkdir()
    (box.outside / "bin/python3").symlink_to(sys._base_executable)  # type: ignore[attr-defined]
    box.env.update(PATH=f"{box.outside}/bin:/usr/bin:/bin", PIP_NO_INDEX="1")
    made = wheel(box.outside)
    (box.outside / "need.txt").write_text(f"./{made.name}\n")
    more: dict[str, Any] = {
        "inputs": (Input("need.txt", f"{box.outside}/need.txt"), Input(made.name, f"{made}")),
        "environment": Environment(requirements="need.txt"),
        "options": ("--cache", f"{box.outside}/cache"),
    }
    program = Command(("python", "-c", "import penguin, sys; print(penguin.NAME, sys.prefix)"))
    first = box.run(program, **more)
    assert first.reason is Reason.OK, first.message + box.text("worker.log")
    name, prefix = box.text("stdout").split()
    assert (name, Path(prefix).parent) == ("emperor", box.outside / "cache/venv")
    stamp = (Path(prefix) / "pyvenv.cfg").stat().st_mtime_ns
    assert box.run(program, **more).reason is Reason.OK
    assert (Path(prefix) / "pyvenv.cfg").stat().st_mtime_ns == stamp


def test_a_signal_ends_the_making_of_an_environment(box: Box) -> None:
    fake = box.outside / "python3"
    fake.write_text(f"#!/bin/sh\ncase $1 in -c) echo $0; echo 3.99;; *) echo $$ >{box.outside}/pid; sleep 100;; esac\n")
    fake.chmod(0o755)
    (box.outside / "need.txt").touch()
    box.env["PATH"] = f"{box.outside}:/usr/bin:/bin"
    around = Environment(requirements="need.txt")
    box.order("pass", inputs=(Input("need.txt", f"{box.outside}/need.txt"),), environment=around)
    worker = box.start()
    pid = until(lambda: number(box.outside / "pid"))
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=PATIENCE)
    assert box.outcome().reason is Reason.TERMINATED
    assert not alive(pid)


def test_a_container_is_entered_where_there_is_one(box: Box) -> None:
    programs = box.outside / "programs"
    programs.mkdir()
    fake = programs / "apptainer"
    fake.write_text('#!/bin/sh\necho "$@"\nshift 6\nexec "$@"\n')
    fake.chmod(0o755)
    box.env["PATH"] = f"{programs}:/usr/bin:/bin"
    outcome = box.run(Command(("echo", "a b")), environment=Environment(image="/images/ice.sif"))
    assert outcome.reason is Reason.OK, outcome.message
    said = f"exec --bind {box.root} --pwd {box.root}/work /images/ice.sif echo a b\na b\n"
    assert box.text("stdout") == said


def test_a_missing_container_program_is_told(box: Box) -> None:
    box.env["PATH"] = "/usr/bin:/bin"
    outcome = box.run("pass", environment=Environment(image="ice.sif"))
    assert outcome.reason is Reason.SETUP
    assert "neither apptainer nor singularity" in outcome.message


def test_gpu_time_is_measured_where_nvidia_smi_is(box: Box) -> None:
    fake = box.outside / "nvidia-smi"
    enough = box.outside / "enough"
    samples = f"n=0; while :; do echo '0, GPU-aa, 50'; echo '1, GPU-bb, 100'; n=$((n+1)); [ $n -lt 20 ] || : >{enough}"
    fake.write_text(f"#!/bin/sh\n{samples}; sleep 0.05; done\n")
    fake.chmod(0o755)
    box.env.update(PATH=f"{box.outside}:/usr/bin:/bin", CUDA_VISIBLE_DEVICES="0")
    outcome = box.run(
        Command((f"until [ -e {enough} ]; do sleep 0.1; done; sleep 0.3",), shell=True), shape=replace(SHAPE, gpu=1)
    )
    assert 0.1 < (outcome.usage.gpu or 0) < (outcome.usage.wall or 0)
    assert box.run("pass").usage.gpu is None


# ---- http ----


class Store(http.server.BaseHTTPRequestHandler):
    """Keeps what is PUT; answers 503 and breaks off as often as its server's `faults` say."""

    server: Any

    def _fault(self) -> bool:
        fault = self.server.faults.pop(0) if self.server.faults else ""
        if fault == "busy":
            self.send_error(503)
        return bool(fault == "busy")

    def do_GET(self) -> None:
        self.server.seen.append("GET")
        data = self.server.files.get(self.path)
        if self._fault():
            return
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) - 2] if self.server.short.pop() else data)

    def do_PUT(self) -> None:
        self.server.seen.append("PUT")
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self._fault():
            return
        self.server.files[self.path] = data
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def web() -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
    server.files, server.faults, server.seen, server.short = {}, [], [], [False] * 20
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_files_come_and_go_by_http_through_faults(box: Box, web: Any) -> None:
    web.files["/in"] = b"hello\n"
    web.faults = ["busy", "", "busy"]
    outcome = box.run(
        Command(("cp", "in", "out")),
        inputs=(Input("in", f"{web.url}/in", sha256=sha(b"hello\n")), Input("no", f"{web.url}/no", optional=True)),
        outputs=(Output("out", f"{web.url}/out"),),
    )
    assert outcome.reason is Reason.OK, outcome.message
    assert web.files["/out"] == b"hello\n"
    assert outcome.outputs[0].sha256 == sha(b"hello\n")
    assert "unverified" not in outcome.detail


def test_a_transfer_that_breaks_off_is_tried_again(box: Box, web: Any) -> None:
    web.files["/in"] = bytes(1000)
    web.short = [False] * 10 + [True]
    outcome = box.run("pass", inputs=(Input("in", f"{web.url}/in"),))
    assert [f.size for f in outcome.inputs] == [1000]
    assert web.seen == ["GET", "GET"]


def test_a_missing_or_refused_url_is_told(box: Box, web: Any) -> None:
    outcome = box.run("pass", inputs=(Input("in", f"{web.url}/absent"),))
    assert outcome.reason is Reason.STAGE_IN
    assert "404" in outcome.message
    outcome = box.run("pass", inputs=(Input("in", "ftp://host/file"),))
    assert "the scheme of ftp://host/file is not known" in outcome.message


def test_a_signal_ends_an_attempt_that_waits_for_an_input(box: Box) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        box.order("pass", inputs=(Input("in", f"http://127.0.0.1:{silent.getsockname()[1]}/in"),))
        worker = box.start()
        silent.settimeout(PATIENCE)
        with silent.accept()[0]:
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=PATIENCE)
    assert box.outcome().reason is Reason.TERMINATED


# ---- how it is shipped ----


def test_the_zipapp_is_the_same_bytes_each_time_and_runs(tmp_path: Path, box: Box) -> None:
    one, two = build(tmp_path / "a.pyz"), build(tmp_path / "b" / "worker.pyz")
    assert one.read_bytes() == two.read_bytes()
    box.order("print('from a zip')")
    done = subprocess.run([sys.executable, str(one), str(box.root)], capture_output=True, timeout=PATIENCE, check=True)
    assert done.stderr == b""
    assert box.text("stdout") == "from a zip\n"


def test_unpacking_twice_gives_the_same_directory(tmp_path: Path) -> None:
    first = unpack(tmp_path / "deep" / "cache")
    before = {p: p.stat().st_mtime_ns for p in first.rglob("*")}
    assert unpack(tmp_path / "deep" / "cache") == first
    assert {p: p.stat().st_mtime_ns for p in first.rglob("*")} == before
    assert [p.name for p in first.parent.iterdir()] == [first.name]


def test_a_wrong_command_line_is_told(home: Path) -> None:
    for words in ([], ["/no/such/dir"], ["--frob", "."], ["--grace"]):
        done = subprocess.run([sys.executable, "-I", "-S", str(home), *words], capture_output=True, timeout=PATIENCE)
        assert done.returncode == 2
        assert b"usage: nunatak-worker SANDBOX" in done.stderr


# ---- checkpoints


WRITES = "open('state.txt', 'w').write('so far'); print('written', flush=True); import time; time.sleep(60)"


def checkpoint(box: Box, content: str | None = None, sha256: str = "") -> Checkpoint:
    """A checkpoint that goes to `kept`, and what an earlier attempt left in `before`, if anything."""
    before = None
    if content is not None:
        (box.outside / "before").write_text(content)
        digest = sha256 or hashlib.sha256(content.encode()).hexdigest()
        before = Input("state.txt", str(box.outside / "before"), digest, len(content), optional=True)
    return Checkpoint("state.txt", str(box.outside / "kept" / "state.txt"), before)


def stopped(box: Box, order: Checkpoint, program: str = WRITES, until: str = "written") -> Outcome:
    """Run a program until it says so, then stop the worker."""
    box.order(program, checkpoint=order)
    worker = box.start()
    wait_for(lambda: until in (box.root / "stdout").read_text() if (box.root / "stdout").exists() else False)
    worker.terminate()
    worker.communicate(timeout=PATIENCE)
    return box.outcome()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_a_stopped_program_wrote_is_kept(box: Box) -> None:
    found = stopped(box, checkpoint(box))
    kept = found.detail["checkpoint"]
    assert (box.outside / "kept" / "state.txt").read_text() == "so far"
    assert (found.reason, kept["size"]) == (Reason.TERMINATED, 6)
    assert kept["sha256"] == hashlib.sha256(b"so far").hexdigest()
    assert 0 <= found.saved <= found.usage.wall


def test_a_program_may_write_its_checkpoint_when_it_is_told_to_stop(box: Box) -> None:
    program = (
        "import signal, sys, time\n"
        "def save(*_): open('state.txt', 'w').write('at the last'); sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, save)\nprint('written', flush=True)\ntime.sleep(60)"
    )
    assert stopped(box, checkpoint(box), program).detail["checkpoint"]["size"] == len("at the last")


def test_time_that_is_over_and_a_signal_keep_it_and_an_exit_code_does_not(box: Box) -> None:
    writes = Command(("printf 'so far' > state.txt; exec sleep 60",), shell=True)  # at once, as Python would not
    over = box.run(writes, checkpoint=checkpoint(box), shape=replace(SHAPE, time=2))
    assert (over.reason, over.detail["checkpoint"]["size"]) == (Reason.TIME, 6)
    write = "open('state.txt', 'w').write('so far');"
    died = box.run(write + "import os; os.kill(os.getpid(), 11)", checkpoint=checkpoint(box))
    assert (died.reason, died.detail["checkpoint"]["size"]) == (Reason.SIGNAL, 6)
    failed = box.run(write + "raise SystemExit(1)", checkpoint=checkpoint(box))
    assert (failed.reason, "checkpoint" in failed.detail) == (Reason.EXIT, False)
    assert "checkpoint" not in box.run(write, checkpoint=checkpoint(box)).detail


def test_a_program_goes_on_from_what_was_kept(box: Box) -> None:
    order = checkpoint(box, "from before")
    found = box.run("print(open('state.txt').read())", checkpoint=order)
    assert (box.root / "stdout").read_text() == "from before\n"
    assert found.detail["resumed"] == order.before.url
    assert [(record.name, record.temporary) for record in found.inputs] == [("state.txt", True)]


def test_what_was_not_written_anew_is_not_kept_again(box: Box) -> None:
    program = "print('written', flush=True); import time; time.sleep(60)"
    assert "checkpoint" not in stopped(box, checkpoint(box, "from before"), program).detail
    assert "checkpoint" not in stopped(box, checkpoint(box), program).detail


@pytest.mark.parametrize("how", ["gone", "cut short", "changed"])
def test_a_checkpoint_that_is_not_what_it_was_means_beginning_anew(box: Box, how: str) -> None:
    order = checkpoint(box, "from before", sha256="" if how != "changed" else "ab" * 32)
    if how == "gone":
        (box.outside / "before").unlink()
    elif how == "cut short":
        (box.outside / "before").write_text("from")
    found = box.run("import os; print(os.path.exists('state.txt'))", checkpoint=order)
    assert found.reason is Reason.OK
    assert (box.root / "stdout").read_text() == "False\n"
    assert "resumed" not in found.detail
    assert "beginning anew" in (box.root / "worker.log").read_text()


def test_a_link_out_of_the_sandbox_is_no_checkpoint(box: Box) -> None:
    (box.outside / "secret").write_text("x")
    program = f"import os; os.symlink({str(box.outside / 'secret')!r}, 'state.txt');" + WRITES.partition(";")[2]
    found = stopped(box, checkpoint(box), program)
    assert "checkpoint" not in found.detail
    assert not (box.outside / "kept").exists()


def test_a_kill_while_a_checkpoint_is_stored_leaves_nothing_by_its_name(tmp_path: Path) -> None:
    from nunatak.worker import stage, transfer

    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "state.txt").write_text("so far")
    target = tmp_path / "kept" / "state.txt"
    pid = os.fork()
    if pid == 0:
        transfer.synchronise = lambda _path: os.kill(os.getpid(), signal.SIGKILL)
        stage.keep("state.txt", str(target), str(tmp_path / "work"), str(tmp_path))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert [path.suffix for path in target.parent.iterdir()] == [".part"]


def test_storing_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nunatak.worker import checkpoint as keeping
    from nunatak.worker import spec, stage
    from nunatak.worker.record import Talk

    order = spec.Checkpoint({"name": "state.txt", "url": str(tmp_path / "kept")}, "checkpoint")
    (tmp_path / "state.txt").write_text("so far")
    monkeypatch.setattr(stage, "keep", lambda *_: signal.pause())
    keeper = keeping.Keeper(order, str(tmp_path), str(tmp_path), Talk(str(tmp_path / "worker.log")))
    assert keeper.keep(0.05, 1.0) is None
    assert "there was no time" in (tmp_path / "worker.log").read_text()
