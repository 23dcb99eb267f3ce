"""The worker's parts that need no process: orders, logs, addresses of files, environments, words for failures."""

import hashlib
import json
import string
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.work import Command, Environment, Input, Outcome, Output, Reason, Shape, TaskSpec
from nunatak.worker import document, program, spec, surroundings, transfer, virtualenv
from nunatak.worker.clear import clear
from nunatak.worker.failure import REASONS, Failure, amount
from nunatak.worker.logs import CappedLog, last_line
from nunatak.worker.main import Options
from nunatak.worker.record import blank, epitaph
from nunatak.worker.signals import name_of


def order(**more: Any) -> dict[str, Any]:
    values = {"environment": Environment(), "inputs": (), "outputs": (), "shape": Shape(), **more}
    task = TaskSpec(address="1/0/a#1", lease="ff", commands=(Command(("true",)),), **values)
    plain: dict[str, Any] = json.loads(json.dumps(task.to_plain()))
    return plain


def test_every_field_of_an_order_is_read() -> None:
    plain = order(
        inputs=(Input("a", "u", sha256="0", size=3, optional=True, mode=0o755),),
        outputs=(Output("b", "v", optional=True, temporary=True),),
        environment=Environment({"A": "1"}, "setup.sh", "image", "need.txt"),
        shape=Shape(3, 1, 5, 6, 7),
        log_limit=9,
    )
    task = spec.Task(plain)
    assert vars(task.inputs[0]) == plain["inputs"][0]
    assert vars(task.outputs[0]) == plain["outputs"][0]
    assert vars(task.commands[0]) == plain["commands"][0]
    assert vars(task.environment) == plain["environment"]
    assert vars(task.shape) == {key: plain["shape"][key] for key in ("cpu", "gpu", "memory", "disk", "time")}
    assert (task.address, task.lease, task.log_limit) == ("1/0/a#1", "ff", 9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format: expected 1, found 2"),
        ({"address": 3}, "address: expected str"),
        ({"commands": [{"argv": []}]}, "commands[0].argv: expected a command"),
        ({"commands": [{"argv": ["a", "b"], "shell": True}]}, "exactly one text"),
        ({"commands": [{"argv": ["a\0"]}]}, "without NUL"),
        ({"commands": ["true"]}, "commands[0]: expected an object"),
        ({"shape": {"memory": True}}, "shape.memory: expected int, found True"),
        ({"environment": {"variables": {"A": 1}}}, "environment.variables: expected a text"),
        ({"environment": {"variables": {"A=B": "1"}}}, "cannot name a variable"),
        ({"environment": {"setup": "../s"}}, "does not stay inside"),
        ({"outputs": [{"name": "a", "url": "u"}, {"name": "a", "url": "v"}]}, "'a' is named twice"),
    ],
)
def test_what_is_wrong_with_an_order_is_said(change: dict[str, Any], words: str) -> None:
    with pytest.raises(spec.Malformed) as caught:
        spec.Task({**order(), **change})
    assert words in str(caught.value)


def test_reasons_are_those_of_the_server() -> None:
    assert {reason.value for reason in Reason} > REASONS
    assert {reason.value for reason in Reason} - REASONS == {"submit"}


def test_a_blank_outcome_is_one_the_server_reads() -> None:
    outcome = Outcome.from_plain(json.loads(json.dumps(blank("1/0/a#1", "ff"))))
    assert set(blank("1/0/a#1", "ff")) == set(outcome.to_plain())


def test_the_outcome_of_a_killed_worker_has_the_usage_it_left(tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text(json.dumps(order()))
    usage = {"wall": 3.0, "cpu": 2.0, "memory": 5, "disk": 6, "gpu": None}
    (tmp_path / "usage.json").write_text(json.dumps({**usage, "started": 100.0, "at": 103.0}))
    epitaph(str(tmp_path), "lost", "the worker was killed")
    outcome = Outcome.from_plain(json.loads((tmp_path / "outcome.json").read_text()))
    assert (outcome.reason, outcome.started, outcome.usage.cpu, outcome.usage.memory) == ("lost", 100.0, 2.0, 5)
    epitaph(str(tmp_path), "terminated", "again")
    assert Outcome.from_plain(json.loads((tmp_path / "outcome.json").read_text())).reason == "lost"


@given(chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=40), limit=st.integers(2, 100))
def test_a_log_keeps_all_or_head_and_tail(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], limit: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "stdout"
    log = CappedLog(str(path), limit)
    seen = b""
    for chunk in chunks:
        log.write(chunk)
        now = path.read_bytes()
        assert now.startswith(seen)
        assert len(now) <= limit
        assert sum(p.stat().st_size for p in path.parent.iterdir()) <= 2 * limit
        seen = now
    log.close()
    whole, kept = b"".join(chunks), path.read_bytes()
    assert kept.startswith(seen)
    if len(whole) <= limit:
        assert kept == whole
    else:
        head = whole[: limit // 2]
        note = b"\n[nunatak: %d bytes dropped here]\n" % (len(whole) - limit)
        assert kept == head + note + whole[len(whole) - (limit - limit // 2) :]
    assert [p.name for p in path.parent.iterdir()] == ["stdout"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        ('Traceback (most recent call last):\n  File "x"\nValueError: bad\nlater talk\n', "ValueError: bad"),
        (
            "Traceback (most recent call last):\n  x\nKeyError: 1\nTraceback (most recent call last):\n  y\nE: 2\n",
            "E: 2",
        ),
        ("\xff\n", "\xff"),
        ("a \0 b\n", "a  b"),
    ],
)
def test_the_line_that_says_most_is_found(text: str, line: str) -> None:
    assert last_line(text.encode()) == line


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_file_url_is_its_path(name: str) -> None:
    quoted = "".join(c if c in string.ascii_letters else "".join(f"%{b:02X}" for b in c.encode()) for c in name)
    assert transfer.local_path(f"file:///{quoted}", "/base") == "/" + name


def test_other_urls_are_paths_or_refused() -> None:
    assert transfer.local_path("a/b c", "/base") == "/base/a/b c"
    assert transfer.local_path("/a/100%", "/base") == "/a/100%"
    assert transfer.local_path("file://localhost/a", "/base") == "/a"
    for url in ("file://elsewhere/a", "file:a", "s3://bucket/a"):
        with pytest.raises(transfer.Wrong):
            transfer.local_path(url, "/base")


@pytest.mark.parametrize("size", [0, 5, transfer._LARGE + 7])
def test_a_copy_has_the_bytes_mode_and_checksum(size: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * size)
    found = transfer.copy(str(tmp_path / "a"), str(tmp_path / "b"), 0o640)
    assert (tmp_path / "b").read_bytes() == b"x" * size
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o640
    assert found == transfer.checksum(str(tmp_path / "b")) == (size, hashlib.sha256(b"x" * size).hexdigest())
    with pytest.raises(transfer.Gone):
        transfer.copy(str(tmp_path / "c"), str(tmp_path / "d"), 0o640)
    with pytest.raises(transfer.Wrong):
        transfer.copy(str(tmp_path), str(tmp_path / "d"), 0o640)


def test_only_listed_variables_pass() -> None:
    env = surroundings.passed({"PATH": "/p", "LC_ALL": "C", "NUNATAK_TOKEN": "x", "PYTHONPATH": "y", "http_proxy": "z"})
    assert env == {"PATH": "/p", "LC_ALL": "C", "http_proxy": "z"}
    assert surroundings.passed({})["PATH"]


def test_a_task_done_once_a_dataset_has_no_job() -> None:
    plain = order()
    plain["address"] = "42/analyze#1"
    told = surroundings.told(spec.Task(plain))
    assert (told["NUNATAK_DATASET"], told["NUNATAK_JOB"], told["NUNATAK_TASK"]) == ("42", "", "analyze")


def test_programs_are_described() -> None:
    elf = b"\x7fELF\x02\x01" + bytes(12) + (243).to_bytes(2, "little")
    assert program.kind(elf) == "built for riscv64"
    assert program.kind(b"MZ...") == "built for Windows"
    assert program.kind(b"") == "empty"
    assert program.display(["a", "", "b\nc"]) == "a '' b c"
    assert len(program.display(["x" * 200])) == 80
    assert program.shell_exit(137) == (9, " (as a shell says: killed by SIGKILL)")
    assert program.shell_exit(3) == (0, "")
    assert name_of(99) == "signal 99"
    assert [amount(n) for n in (999, 1500, 2 * 10**9)] == ["999 B", "1.5 kB", "2 GB"]


def test_the_command_line_is_read() -> None:
    options = Options(["box", "--cache=c", "--keep", "--grace", "0.5"])
    assert (Path(options.sandbox).name, Path(options.cache).name) == ("box", "c")
    assert (options.keep, options.grace) == (True, 0.5)
    assert Options(["box"]).cache == str(Path(options.sandbox) / "cache")
    for words in ([], ["a", "b"], ["a", "--no"], ["a", "--grace", "x"], ["a", "--cache"]):
        with pytest.raises(ValueError):
            Options(words)


def test_clearing_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    deep = tmp_path / "gone"
    for level in range(300):
        deep = deep / str(level % 10)
    deep.mkdir(parents=True)
    (deep / "link").symlink_to(tmp_path / "kept")
    clear(str(tmp_path / "gone"))
    clear(str(tmp_path / "gone"))
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "kept"]


# ---- virtual environments: the making itself is replaced, the cache is real ----


class Maker:
    """Makes a directory where an environment would be made; counts, and fails when told to."""

    def __init__(self) -> None:
        self.made = 0
        self.fails = False

    def __call__(self, argv: list[str], env: dict[str, str]) -> None:
        if argv[1:3] == ["-m", "venv"]:
            self.made += 1
            Path(argv[3]).mkdir()
        elif self.fails:
            raise Failure("setup", "no such package")


@pytest.fixture
def need(tmp_path: Path) -> tuple[str, str, dict[str, str]]:
    (tmp_path / "need.txt").write_text("numpy\n")
    env = surroundings.passed({"PATH": str(Path(sys.executable).parent)})
    return str(tmp_path / "need.txt"), str(tmp_path / "cache"), env


def test_an_environment_is_made_once_by_many(need: Any) -> None:
    maker, homes = Maker(), []
    make = lambda: homes.append(virtualenv.virtual_environment(*need, maker))  # noqa: E731
    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (maker.made, len(homes), len(set(homes))) == (1, 4, 1)


def test_an_environment_cut_short_is_made_anew(need: Any) -> None:
    maker = Maker()
    home = Path(virtualenv.virtual_environment(*need, maker))
    (home / ".complete").unlink()
    (home / "half").touch()
    assert virtualenv.virtual_environment(*need, maker) == str(home)
    assert maker.made == 2
    assert not (home / "half").exists()


def test_an_environment_that_cannot_be_made_leaves_nothing(need: Any) -> None:
    maker = Maker()
    maker.fails = True
    with pytest.raises(Failure, match="no such package"):
        virtualenv.virtual_environment(*need, maker)
    assert [p.suffix for p in Path(need[1], "venv").iterdir()] == [".lock"]
    Path(need[0]).write_text("scipy\n")
    maker.fails = False
    assert Path(virtualenv.virtual_environment(*need, maker)).is_dir()


# ---- JSON ----

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_documents_are_json(value: Any) -> None:
    assert json.loads(document.dump(value)) == value
    assert document.load(json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


@given(st.text(st.sampled_from('{}[]",:01e-.tn ul\\\n'), max_size=12))
def test_what_is_no_json_is_refused_as_json_does(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            document.load(text.encode())
    else:
        assert document.load(text.encode()) == expected


@pytest.mark.parametrize("text", ["{", "[1,", "{} x", '"', "nul", ""])
def test_wrong_json_is_told_in_a_fresh_interpreter(text: str) -> None:
    """Not here, where `json` is loaded already and some errors look otherwise."""
    program = "import document, sys\ntry: document.load(sys.argv[1].encode())\nexcept ValueError as error: print(error)"
    where = str(Path(document.__file__).parent)
    words = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {where!r})\n" + program, text]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert "char" in done.stdout


def test_extremes_of_json_are_refused() -> None:
    for data in (b"\xff", b"NaN", b"[" * 200_000, b""):
        with pytest.raises(ValueError):
            document.load(data)
    with pytest.raises(TypeError):
        document.dump(object())
