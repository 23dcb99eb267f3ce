"""The command line against a real server with a real engine: data, talk, JSON and exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nunatak.cli import reference
from nunatak.cli.main import VERBS, app
from tests.edge.live import BROKEN, NEEDS, Live, hello, live

__all__ = ["live"]
Run = Callable[..., Result]
STATES = ("waiting", "ready", "queued", "running", "done", "failed", "held")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the user of this machine has out of the tests."""
    for name in ("NUNATAK_URL", "NUNATAK_TOKEN", "NUNATAK_DATA", "NUNATAK_DEBUG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def nunatak(*words: str, code: int = 0, **more: Any) -> Result:
    found = CliRunner().invoke(app, list(words), prog_name="nunatak", **more)
    assert found.exit_code == code, f"{found.exit_code}: {found.output}\n{found.exception!r}"
    return found


@pytest.fixture
def cli(live: Live, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("NUNATAK_URL", live.url)
    monkeypatch.setenv("NUNATAK_TOKEN", live.token)
    return nunatak


def submitted(cli: Run, path: Path, *words: str, code: int = 0) -> str:
    return str(json.loads(cli("submit", str(path), "--json", *words, code=code).stdout.splitlines()[0])["dataset"])


# ---- from recipe to outputs


def test_submit_says_the_number_and_nothing_else_in_json(cli: Run, live: Live, tmp_path: Path) -> None:
    found = json.loads(cli("submit", str(hello(tmp_path)), "--json", "--set", "word=ho", "--jobs", "1").stdout)
    assert found == {"dataset": found["dataset"], "url": f"{live.url}/datasets/{found['dataset']}", "warnings": []}


def test_counts_of_status_add_up(cli: Run, tmp_path: Path) -> None:
    number = submitted(cli, hello(tmp_path), "--watch")
    plain = json.loads(cli("status", number, "--json").stdout)
    assert (plain["dataset"], plain["name"], plain["state"]) == (int(number), "hello", "done")
    assert plain["jobs"] == {"total": 2, "open": 0, "done": 2, "failed": 0, "held": 0}
    for counts in (plain["tasks"], *plain["per_task"].values()):
        assert counts["total"] == sum(counts[state] for state in STATES)


def test_a_dataset_can_be_looked_at_from_all_sides(cli: Run, tmp_path: Path) -> None:
    number = submitted(cli, hello(tmp_path), "--watch")
    assert "2/2 done" in cli("status", number).stdout
    assert "attempt" in cli("status", f"{number}/0/first").stdout
    assert "wall" in cli("status", f"{number}/0/first#1").stdout
    assert "second" in cli("status", f"{number}/0").stdout
    assert cli("logs", f"{number}/1/first").stdout == "hi 1\n"
    assert cli("logs", "-f", f"{number}/1/first").stdout == "hi 1\n"
    assert json.loads(cli("logs", f"{number}/1/first", "--json").stdout)["text"] == "hi 1\n"
    assert "submit" in cli("history", number).stdout
    assert cli("why", number).stdout.strip()
    assert f"{number}/1/second" in cli("tasks", number, "--state", "done").stdout
    assert len(json.loads(cli("tasks", number, "--task", "first", "--limit", "1", "--json").stdout)) == 1
    assert [row["address"] for row in json.loads(cli("tasks", f"{number}/1", "--json").stdout)] == [
        f"{number}/1/first",
        f"{number}/1/second",
    ]
    assert [row["task"] for row in json.loads(cli("tasks", f"{number}/1/second", "--json").stdout)] == ["second"]
    assert len(json.loads(cli("tasks", f"{number}/0", "--limit", "1", "--json").stdout)) == 1
    assert "its jobs are 0 to 1" in cli("tasks", f"{number}/2", code=3).stderr
    assert f"give the dataset: {number}" in cli("more", f"{number}/0", "--jobs", "1", code=2).stderr
    assert f"give the dataset: {number}" in cli("what-if", f"{number}/0", "--priority", "2", code=2).stderr
    assert f"{number}/0/first" in cli("files", f"{number}/0").stdout
    assert cli("recipe", number).stdout.startswith("name: hello")
    assert "batch systems show it" in cli("why", f"{number}/0/first", "--script", code=3).stderr
    assert number in cli("ls", "--state", "done").stdout
    quiet = cli("errors", number)
    assert (quiet.stdout, f"held or cancelled: nunatak history {number}" in quiet.stderr) == ("", True)
    assert json.loads(cli("errors", number, "--json").stdout) == []
    assert f"{number} hello" in cli("watch", number).stdout


def test_get_brings_what_is_missing_and_nothing_twice(cli: Run, tmp_path: Path) -> None:
    number = submitted(cli, hello(tmp_path), "--watch")
    target = tmp_path / "got"
    assert "there already" not in cli("get", number, "--to", str(target)).stderr
    (target / "out/1.txt").unlink()
    (target / "0/first/a.txt").write_text("hx 0\n")
    found = cli("get", number, "--to", str(target))
    assert "; 2 were there already" in found.stderr
    assert (target / "0/first/a.txt").read_text() == "hi 0\n"
    assert str(target / "out/1.txt") in found.stdout.splitlines()
    assert len(json.loads(cli("get", f"{number}/1", "--to", str(tmp_path / "one"), "--json").stdout)) == 2


def test_work_that_failed_has_an_exit_code_of_its_own(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(BROKEN)
    number = submitted(cli, tmp_path / "broken.yaml", "--watch", code=7)
    assert "1 x" in cli("errors", number).stdout
    assert cli("logs", "--stderr", f"{number}/0/only").stdout == "oh\n"
    assert cli("retry", number, "--json").stdout == '{"changed": 1}\n'
    cli("watch", number, code=7)


def test_failures_of_one_group_are_tried_again_and_those_of_all_datasets_shown(cli: Run, tmp_path: Path) -> None:
    ends = "[41, 42, 43]\nparameters: {end: '{item}'}"
    text = BROKEN.replace("name: broken\n", f"name: broken\nforeach: {ends}\n").replace("exit 3", "exit {end}")
    (tmp_path / "broken.yaml").write_text(text)
    number = submitted(cli, tmp_path / "broken.yaml", "--watch", code=7)
    groups = json.loads(cli("errors", number, "--json").stdout)
    assert len(groups) == 3
    signature = groups[0]["signature"]
    assert f"nunatak retry {number} --signature {signature}" in cli("errors", number).stdout
    assert cli("retry", number, "--signature", signature).stdout == "retry: 1 changed\n"
    assert "of a group" in cli("retry", f"{number}/0", "--signature", signature, code=2).stderr
    cli("watch", number, code=7)
    everywhere = cli("errors").stdout
    assert f"group {signature}" in everywhere
    assert re.search(rf"NUN-\w+, 1 task of dataset {number} at here \(2\), last", everywhere)
    found = json.loads(cli("errors", "--signature", signature, "--json").stdout)
    assert [(item["attempts"], item["datasets"][0]["address"]) for item in found["items"]] == [(2, number)]
    assert cli("errors", "--owner", "nobody").stdout == ""
    assert "leave out" in cli("errors", number, "--site", "here", code=2).stderr


def test_actions_say_how_much_changed(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text(f"name: slow\njobs: 3\nneeds: {NEEDS}\ntasks:\n  only: {{run: sleep 60}}\n")
    number = submitted(cli, tmp_path / "slow.yaml")
    assert "changed" in cli("hold", f"{number}/0", f"{number}/1", "-r", "wait for calibration").stdout
    cli("release", f"{number}/1")
    assert json.loads(cli("more", number, "--jobs", "2", "--json").stdout) == {"dataset": int(number), "jobs": 5}
    cli("close", number)
    assert "nunatak:" in cli("more", number, "--jobs", "2", code=4).stderr
    cli("cancel", number)
    cli("watch", number, code=7)


def test_what_is_cancelled_before_it_began_is_not_called_done(cli: Run, tmp_path: Path) -> None:
    needs = "{cpu: 1, memory: 1 MB, time: 1 min, features: [nobody-has-it]}"
    (tmp_path / "never.yaml").write_text(f"name: never\njobs: 3\nneeds: {needs}\ntasks:\n  only: {{run: sleep 60}}\n")
    number = submitted(cli, tmp_path / "never.yaml")
    cli("cancel", number)
    assert f"{number} never: ended before it began" in cli("status", number).stdout
    assert re.search(rf"^{number} +never +ended before it began +none begun", cli("ls").stdout, re.MULTILINE)
    assert "ended before it began" in cli("watch", number, code=7).stderr


def test_a_value_that_cannot_be_is_said_in_our_words(cli: Run, tmp_path: Path) -> None:
    said = cli("submit", str(hello(tmp_path)), "--priority", "0", code=2).stderr
    assert "priority: must be more than 0" in said


def test_ctrl_c_ends_the_looking_and_not_the_work(cli: Run, live: Live, tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text(f"name: slow\nneeds: {NEEDS}\ntasks:\n  only: {{run: sleep 60}}\n")
    number = submitted(cli, tmp_path / "slow.yaml")
    argv = [sys.executable, "-m", "nunatak.cli", "watch", number, "--json"]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["state"] == "open"
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=120)
    assert watching.returncode == 130
    assert "Traceback" not in said
    assert json.loads(cli("status", number, "--json").stdout)["state"] == "open"
    cli("cancel", number)


# ---- the analyser's path


SCRIPT = "import sys, pathlib\npathlib.Path(sys.argv[2]).write_text(pathlib.Path(sys.argv[1]).read_text().upper())\n"


@pytest.fixture
def analysis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fit.py").write_text(SCRIPT)
    (tmp_path / "data").mkdir()
    for name in "abc":
        (tmp_path / f"data/{name}.txt").write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


RUN = (
    "run",
    "fit.py",
    "--input",
    "data/*.txt",
    "--output",
    "out/{stem}.json",
    "--python",
    "python3",
    "--memory",
    "100 MB",
)


def test_run_tries_one_then_the_rest_and_get_brings_all(cli: Run, analysis: Path) -> None:
    found = cli(*RUN, "--json")
    assert "the first job is done; starting the rest" in found.stderr
    plain = json.loads(found.stdout)
    assert plain["state"] == "done"
    history = json.loads(cli("history", str(plain["dataset"]), "--json").stdout)
    assert any(event["what"] == "more" for event in history)
    cli("get", str(plain["dataset"]), "--to", "results")
    assert [path.read_text() for path in sorted(analysis.glob("results/out/*.json"))] == ["A", "B", "C"]


def test_what_people_say_moves_no_cursor_and_changes_no_colour(cli: Run, tmp_path: Path) -> None:
    number = submitted(cli, hello(tmp_path))
    cli("hold", number, "--reason", "x\x1b[31my\x07")
    for words in (("status", number), ("why", number), ("history", number), ("ls",)):
        assert "\x1b" not in cli(*words).stdout
    assert "x?[31my?" in cli("why", number).stdout
    cli("release", number)


def test_ctrl_c_while_the_first_job_is_tried_leaves_no_job_behind(
    cli: Run, live: Live, analysis: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("nunatak.cli.analyse._settled", interrupted)
    said = cli(*RUN, code=130).stderr
    number = re.search(r"dataset (\d+): 3 jobs", said)
    assert "starting the other 2 jobs" in said
    assert number
    assert f"nunatak watch {number[1]}" in said
    *_, last = live.client().watch(number[1])
    assert last.plain["jobs"]["total"] == 3


def test_run_speaks_of_its_options_not_of_a_recipe_that_nobody_wrote(cli: Run, analysis: Path) -> None:
    said = cli("run", "fit.py", "--input", "none/*", code=2).stderr
    assert said == f'--input: no file matches "none/*" (patterns are read in {analysis})\n'
    said = cli("run", "fit.py", "--input", "data/*", "--output", "{stm}", "--memory", "much", code=2).stderr
    assert '--output: "stm" is not a known name (did you mean "stem"?)\n' in said
    assert "--memory: " in said
    assert "fit.yaml" not in said


def test_what_is_not_there_or_no_name_is_said_with_what_to_do(cli: Run) -> None:
    assert cli("ls", "--owner", "nobody").stderr == "no such datasets; `nunatak ls` shows all\n"
    assert cli("ls", "--state", "held", "--json").stdout == "[]\n"
    assert cli("ls", "--state", "held").stderr == "no held datasets; `nunatak ls` shows all\n"
    for verb in ("drain", "undrain"):
        assert "'node7' is no node\nhint: write SITE/NODE" in cli("node", verb, "node7", code=2).stderr
    assert "ID: 'abc' is not a whole number\nhint: ID: As" in cli("token", "revoke", "abc", code=2).stderr


def test_run_stops_after_a_first_job_that_failed(cli: Run, analysis: Path) -> None:
    (analysis / "fit.py").write_text("raise SystemExit(3)\n")
    found = cli(*RUN, "--json", code=7)
    plain = json.loads(found.stdout)
    assert plain["state"] == "failed"
    assert json.loads(cli("status", str(plain["dataset"]), "--json").stdout)["jobs"]["total"] == 1


def test_run_detached_starts_all_at_once(cli: Run, analysis: Path) -> None:
    plain = json.loads(cli(*RUN, "--json", "--detach").stdout)
    assert plain["state"] == "open"
    cli("watch", str(plain["dataset"]))
    assert json.loads(cli("status", str(plain["dataset"]), "--json").stdout)["jobs"]["done"] == 3


# ---- without a server


def test_check_prints_every_problem_with_its_place(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: x\ntasks:\n  a:\n    run: echo\n    needs: {memory: 2 GX}\n  b:\n    rum: echo\n")
    said = nunatak("check", str(bad), code=2).stderr
    assert "bad.yaml:5:" in said
    assert '"2 GX"' in said
    assert "bad.yaml:7:" in said
    assert "Traceback" not in said


def test_check_and_dry_run_need_no_server(tmp_path: Path) -> None:
    path = hello(tmp_path)
    assert json.loads(nunatak("check", str(path), "--json").stdout) == {
        "name": "hello",
        "jobs": 2,
        "tasks": ["first", "second"],
    }
    assert "fine" in nunatak("check", str(path)).stdout
    text = nunatak("submit", str(path), "--dry-run", "--job", "1", "--set", "word=a b").stdout
    assert "run: python3 say.py 'a b' 1" in text
    assert "output: b.txt -> file:///store/1/out/1.txt" in text
    plain = json.loads(nunatak("submit", str(path), "--dry-run", "--json").stdout)
    assert plain[0]["commands"][0]["argv"] == ["python3", "say.py", "hi", "0"]
    nunatak("submit", str(path), "--dry-run", "--job", "2", code=2)


def test_try_runs_one_job_and_says_where_its_outputs_are(tmp_path: Path) -> None:
    found = nunatak("try", str(hello(tmp_path)), "--job", "1", "--to", str(tmp_path / "tried"), "--json")
    plain = json.loads(found.stdout)
    assert [task["reason"] for task in plain["tasks"]] == ["ok", "ok"]
    paths = nunatak(
        "try", str(tmp_path / "hello.yaml"), "--task", "first", "--to", str(tmp_path / "again")
    ).stdout.splitlines()
    assert len(paths) == 2
    assert Path(paths[0]).read_text() == "hi 0\n"
    nunatak("try", str(tmp_path / "hello.yaml"), "--to", str(tmp_path / "again"), code=4)


def test_try_does_what_is_needed_once_and_gathers_if_asked(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"""\
name: campaign
jobs: 3
needs: {NEEDS}
tasks:
  tables: {{once: true, run: sh -c "echo t > t.txt", outputs: [t.txt]}}
  each: {{inputs: [tables/t.txt], run: cp t.txt e.txt, outputs: [e.txt]}}
  all: {{once: true, inputs: [each/e.txt], run: "cat {{inputs}}"}}
""")
    found = nunatak("try", str(tmp_path / "r.yaml"), "--json", "--to", str(tmp_path / "a"))
    assert [task["address"] for task in json.loads(found.stdout)["tasks"]] == ["1/tables#1", "1/0/each#1"]
    assert "not tried: all" in found.stderr
    found = nunatak("try", str(tmp_path / "r.yaml"), "--json", "--task", "all", "--to", str(tmp_path / "b"))
    assert [task["reason"] for task in json.loads(found.stdout)["tasks"]] == ["ok"] * 3
    nunatak("try", str(tmp_path / "r.yaml"), "--task", "all", "--job", "1", code=2)


def test_try_brings_what_a_task_reads_of_another_dataset(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = submitted(cli, hello(tmp_path), "--watch")
    text = f"""\
name: after
jobs: 2
needs: {NEEDS}
tasks:
  alone: {{run: "true"}}
  reads: {{after: "{number}/{{job}}/first", run: cp a.txt c.txt, inputs: ["{number}/{{job}}/first/a.txt"], outputs: [c.txt]}}
"""
    (tmp_path / "after.yaml").write_text(text)
    found = cli("try", str(tmp_path / "after.yaml"), "--job", "1", "--task", "reads", "--to", str(tmp_path / "a"))
    assert f"reads {number}/1/first of another dataset" in found.stderr
    assert Path(found.stdout.strip()).read_text() == "hi 1\n"
    (tmp_path / "other.yaml").write_text(text.replace("first/a.txt", "second/b.txt"))
    words = ("try", str(tmp_path / "other.yaml"), "--task", "reads", "--to")
    assert "no such file is recorded at" in cli(*words, str(tmp_path / "b"), code=3).stderr
    (tmp_path / "perhaps.yaml").write_text(text.replace("first/a.txt", "second/b.txt?").replace("cp a.txt", "touch"))
    cli("try", str(tmp_path / "perhaps.yaml"), "--task", "reads", "--to", str(tmp_path / "c"))
    monkeypatch.setenv("NUNATAK_URL", "http://127.0.0.1:1")
    cli("try", str(tmp_path / "after.yaml"), "--task", "alone", "--to", str(tmp_path / "d"))  # nobody is asked
    assert nunatak(*words, str(tmp_path / "e"), code=6).stderr


def test_try_of_a_job_that_fails_says_so_and_exits_7(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(BROKEN)
    assert "failed (exit)" in nunatak("try", str(tmp_path / "broken.yaml"), "--to", str(tmp_path / "t"), code=7).stderr


def test_try_runs_what_was_submitted_by_its_address_without_a_recipe_here(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"""\
name: fits
jobs: 2
needs: {NEEDS}
tasks:
  tables: {{once: true, run: sh -c "echo t > t.txt", outputs: [t.txt]}}
  make: {{inputs: [tables/t.txt], run: 'sh -c "cp t.txt m.txt; echo {{job}} >> m.txt"', outputs: ["m.txt -> made/{{job}}.txt"]}}
  fit: {{inputs: [make/m.txt], run: "python3 fit.py {{input}} {{job}}", files: [fit.py], outputs: [f.txt], retry: {{tries: 1}}}}
  all: {{once: true, inputs: [make/m.txt], run: "cat {{inputs}}"}}
"""
    (tmp_path / "fits.yaml").write_text(text)
    (tmp_path / "fit.py").write_text(
        "import sys\nopen('f.txt', 'w').write(open(sys.argv[1]).read())\nassert sys.argv[2] != '1'\n"
    )
    number = submitted(cli, tmp_path / "fits.yaml")
    cli("watch", number, code=7)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    found = cli("try", f"{number}/1/fit", "--to", "a", "--json", code=7)
    (task,) = json.loads(found.stdout)["tasks"]
    assert (task["address"], task["reason"], "not tried" in found.stderr) == (f"{number}/1/fit#1", "exit", False)
    assert [file["name"] for file in task["inputs"]] == ["fit.py", "m.txt"]
    assert (elsewhere / "a/sandboxes/fit/work/m.txt").read_text() == "t\n1\n"
    found = cli("try", number, "--to", "b")  # the first job, and what was done for all of them is brought
    assert [Path(line).read_text() for line in found.stdout.splitlines()] == ["t\n0\n"] * 2
    assert "not tried: all (" in found.stderr
    assert cli("try", number, "--task", "all", "--to", "c").stderr.count("m.txt") == 2
    assert "jobs are numbered from 0 to 1" in cli("try", f"{number}/2", "--to", "d", code=2).stderr
    assert f"nunatak try {number}/all" in cli("try", f"{number}/0/all", "--to", "d", code=2).stderr
    assert "both say which job" in cli("try", f"{number}/0", "--job", "1", code=2).stderr
    (tmp_path / "fit.py").write_text("open('f.txt', 'w').write('mended')\n")
    cli("edit", number, str(tmp_path / "fits.yaml"), "--yes")
    assert Path(cli("try", f"{number}/1/fit", "--to", "e").stdout.strip()).read_text() == "mended"
    assert "failed (exit)" in cli("try", f"{number}/1/fit#1", "--to", "f", code=7).stderr  # by what it ran by
    assert "has not been" in cli("try", f"{number}/1/fit#2", "--to", "g", code=3).stderr
    assert "--set are for recipe files" in cli("try", number, "--set", "a=1", code=2).stderr
    assert "nor is that an address" in cli("try", "fit.yaml", code=3).stderr
    assert not (elsewhere / "d").exists()


def test_a_trial_keeps_no_output_where_the_real_task_does(tmp_path: Path) -> None:
    real = tmp_path / "real" / "0.txt"
    (tmp_path / "r.yaml").write_text(f"""\
name: kept elsewhere
needs: {NEEDS}
tasks:
  first: {{run: sh -c "echo new > a.txt", outputs: ["a.txt -> file://{real.parent}/{{job}}.txt"]}}
  second: {{run: cp a.txt b.txt, inputs: [first/a.txt], outputs: [b.txt]}}
""")
    real.parent.mkdir()
    real.write_text("old\n")
    found = nunatak("try", str(tmp_path / "r.yaml"), "--to", str(tmp_path / "t"))
    assert [Path(line).read_text() for line in found.stdout.splitlines()] == ["new\n"] * 2
    assert (real.read_text(), f"a.txt is kept here, not at file://{real}" in found.stderr) == ("old\n", True)


def test_who_stops_looking_is_told_that_it_goes_on(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nunatak.cli.live.follow", interrupted)
    found = cli("submit", str(hello(tmp_path)), "--watch", code=130)
    number = found.stdout.split()[1]
    assert f"it goes on. `nunatak watch {number}` looks again" in found.stderr
    assert "it goes on" in cli("watch", number, code=130).stderr
    monkeypatch.setattr("nunatak.cli.trial.Trial.run", interrupted)
    found = cli("try", str(tmp_path / "hello.yaml"), "--to", str(tmp_path / "tried"), code=130)
    assert f"stopped; logs and sandboxes are in {tmp_path / 'tried'}" in found.stderr


def test_what_is_wrong_is_said_without_what_a_terminal_would_obey(tmp_path: Path) -> None:
    (tmp_path / "red.yaml").write_text('name: "x\\e[31mred"\ntasks: {a: {run: "true"}}\n')
    found = nunatak("check", str(tmp_path / "red.yaml"), code=2)
    assert 'name: "x?[31mred" is not a name (one line, no control characters)' in found.stderr


def test_help_has_a_word_for_each_value() -> None:
    said = nunatak("submit", "--help").stdout
    assert "nunatak submit [OPTIONS] RECIPE\n" in said
    assert {"--jobs N", "--team TEAM", "--priority NUMBER", "--set NAME=VALUE"} <= {
        line.strip().split("  ")[0] for line in said.splitlines()
    }
    assert "<" not in said
    assert "nunatak status [OPTIONS] [ADDRESS]\n" in nunatak("status", "--help").stdout
    assert "--scope SCOPE " in nunatak("token", "create", "--help").stdout


def test_what_failed_is_said_at_the_end_with_what_helps(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "typo.yaml").write_text(
        f"name: typo\nneeds: {NEEDS}\ntasks: {{a: {{run: pyhton x.py, retry: {{tries: 1}}}}}}\n"
    )
    found = cli("submit", str(tmp_path / "typo.yaml"), "--watch", code=7)
    number = found.stdout.split()[1]
    assert re.search(r"\n  1 x [a-z-]+: .*pyhton.*\n  yours: check .*\n", found.stderr), found.stderr
    assert f"every job has begun, and no more can be added; see: nunatak status {number}" in cli("close", number).stderr
    assert 'did you mean "user-error"' in cli("errors", "--kind", "user-eror", code=2).stderr


# ---- errors and access


def test_every_class_of_errors_has_its_exit_code(
    cli: Run, live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("status", "nonsense", code=2)
    cli("no-such-verb", code=2)
    said = cli("status", "999999", code=3).stderr
    assert said.startswith("nunatak: ")
    assert "hint:" in said
    monkeypatch.setenv("NUNATAK_TOKEN", "nun_wrong_secret")
    assert "wrong_secret" not in cli("ls", code=5).output
    monkeypatch.setenv("NUNATAK_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("nunatak.client.connection.time.sleep", lambda _: None)
    assert "nunatak up" in cli("ls", code=6).stderr


def test_without_any_server_it_says_how_to_get_one() -> None:
    assert "nunatak up" in nunatak("ls", code=5).stderr


def test_login_saves_a_token_that_the_server_knows_and_no_other(live: Live, tmp_path: Path) -> None:
    file = tmp_path / "config/nunatak/login.json"
    nunatak("login", live.url, input="nun_wrong\n", code=5)
    assert not file.exists()
    assert "root" in nunatak("login", live.url, input=f"{live.token}\n").stdout
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(nunatak("ls", "--json").stdout) is not None
    nunatak("login", live.url, input="\n", code=2)


def test_tokens_are_made_listed_and_revoked(cli: Run, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    made = cli("token", "create", "laptop", "-s", "read", "--days", "1", "--for", "bob")
    secret = made.stdout.strip()
    assert secret not in made.stderr
    rows = json.loads(cli("token", "list", "--json").stdout)
    number = next(str(row["id"]) for row in rows if row["principal"] == "bob")
    assert secret not in cli("token", "list").stdout
    cli("token", "revoke", number)
    monkeypatch.setenv("NUNATAK_TOKEN", secret)
    cli("ls", code=5)


def test_nothing_is_coloured_away_from_a_terminal(cli: Run, tmp_path: Path) -> None:
    number = submitted(cli, hello(tmp_path), "--watch")
    assert "\x1b" not in cli("status", number).output + cli("ls").output + cli("watch", number).output


# ---- the command line as a whole


def test_every_verb_that_prints_can_print_json() -> None:
    silent = ("serve",)
    families = {
        "config": ("check", "show"),
        "import": ("iceprod",),
        "node": ("ls", "drain", "undrain"),
        "token": ("create", "list", "revoke"),
    }
    whole = [(verb.name,) for verb in VERBS if verb.name not in (*silent, *families)]
    members = [(verb, name) for verb, names in families.items() for name in names]
    assert [words for words in whole + members if "--json" not in nunatak(*words, "-h").stdout] == []


def loaded(*words: str, **environ: str) -> set[str]:
    """Return the packages a command imports."""
    code = (
        "import sys\nsys.argv = ['nunatak', *sys.argv[1:]]\nfrom nunatak.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint('MODULES', *sys.modules)"
    )
    argv = [sys.executable, "-c", code, *words]
    found = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **environ}, check=True)
    return {name.split(".")[0] for name in found.stdout.rsplit("MODULES", 1)[1].split()}


HEAVY = {"fastapi", "sqlalchemy", "pydantic", "rich", "yaml", "tenacity", "structlog", "uvicorn", "alembic", "httpx2"}


def test_help_and_status_import_little(live: Live) -> None:
    assert not loaded("--help") & HEAVY
    assert not loaded("status", NUNATAK_URL=live.url, NUNATAK_TOKEN=live.token) & HEAVY


def test_reference_pages_are_those_of_this_command_line() -> None:
    pages = Path(__file__).parents[2] / "docs/reference"
    hint = "run python -m nunatak.cli.reference docs/reference"
    assert (pages / "cli.md").read_text() == reference.command_page(), hint
    assert (pages / "exit-codes.md").read_text() == reference.exit_page(), hint


def test_every_verb_is_there_and_explained() -> None:
    page = reference.command_page()
    assert [verb.name for verb in VERBS if f"## `nunatak {verb.name}" not in page] == []


def test_completion_offers_verbs() -> None:
    environ = {"_NUNATAK_COMPLETE": "complete_bash", "COMP_WORDS": "nunatak st", "COMP_CWORD": "1"}
    argv = [sys.executable, "-c", "from nunatak.cli.main import main; main()"]
    found = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **environ}, check=False)
    assert found.stdout.split() == ["status"]


def test_a_stack_trace_is_shown_only_when_asked_for(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "nunatak.cli", "status", "0"]
    environ = {**os.environ, "NUNATAK_URL": "http://127.0.0.1:9", "NUNATAK_TOKEN": "t"}
    found = subprocess.run(argv, capture_output=True, text=True, env=environ, check=False)
    assert (found.returncode, "Traceback" in found.stderr) == (2, False)
    found = subprocess.run(argv, capture_output=True, text=True, env={**environ, "NUNATAK_DEBUG": "1"}, check=False)
    assert "Traceback" in found.stderr


def test_operators_set_shares_and_see_them(cli: Run) -> None:
    assert (
        cli("shares", "set", "group", "icecube", "--weight", "3", "--running", "500").stdout
        == "set for group icecube\n"
    )
    lines = [line.split() for line in cli("shares").stdout.splitlines()]
    assert lines[0][:3] == ["kind", "name", "weight"]
    assert ["group", "icecube", "3", "500"] in [line[:4] for line in lines]
    rows = json.loads(cli("shares", "--json").stdout)
    assert ("group", "icecube", 3.0) in [(row["kind"], row["name"], row["weight"]) for row in rows]
    cli("shares", "unset", "group", "icecube")
    assert "nothing is said of group icecube" in cli("shares", "unset", "group", "icecube", code=3).stderr
    assert "has no weight" in cli("shares", "set", "site", "desy", "--weight", "2", code=2).stderr


def test_nodes_are_listed_drained_and_undrained(cli: Run) -> None:
    assert cli("node", "ls").stderr == "all nodes are fine\n"
    assert json.loads(cli("node", "ls", "--all", "--json").stdout) == []
    assert "there is no node here/n1" in cli("node", "drain", "here/n1", "--for", "2h", code=3).stderr
    assert "there is no node here/n1" in cli("node", "undrain", "here/n1", code=3).stderr


def test_use_and_what_was_lost_are_shown(cli: Run, tmp_path: Path) -> None:
    number = submitted(cli, hello(tmp_path), "--watch")
    rows = json.loads(cli("usage", "--by", "dataset", "--json").stdout)
    (row,) = [row for row in rows if row["name"] == number]
    assert row["attempts"] == 4
    assert row["core_hours"] > 0
    assert "core-hours" in cli("usage").stdout
    assert "attempts that went well" in cli("usage", "--by", "cause").stdout
    wrong = cli("usage", "--by", "planet", code=2)
    assert "one of user, group, dataset, site, cause, day, month" in wrong.stderr
    assert "no attempt ended in these days" in cli("usage", "--since", "2001-01-01", "--until", "2001-01-31").stderr
    assert "is after" in cli("usage", "--since", "2001-02-01", "--until", "2001-01-31", code=2).stderr


# ---- what a shell offers


def offered(words: str) -> list[str]:
    """Return what bash would offer for the last of some words, which may be empty."""
    typed = words.split(" ")
    environ = {"_NUNATAK_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(typed) - 1)}
    return nunatak(env=environ).stdout.split()


def test_a_shell_completes_verbs_options_words_and_addresses(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = submitted(cli, hello(tmp_path))
    assert offered("nunatak st") == ["status"]
    assert offered("nunatak status --js") == ["--json"]
    assert offered("nunatak ls --state h") == ["held"]
    assert offered("nunatak usage --by d") == ["dataset", "day"]
    assert offered("nunatak status ")[0] == number
    assert offered(f"nunatak retry {number}/0/") == [f"{number}/0/first", f"{number}/0/second"]
    assert offered("nunatak logs 999999/") == []
    monkeypatch.setenv("NUNATAK_URL", "http://127.0.0.1:9")
    assert offered("nunatak status ") == []
