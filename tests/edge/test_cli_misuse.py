"""What cannot be read on a command line: said in one voice, with what was expected and what to type, in JSON if asked."""

from __future__ import annotations

import errno
import json

import pytest
from typer.testing import CliRunner, Result

from nunatak.cli.group import talking
from nunatak.cli.main import VERBS, app
from nunatak.cli.misuse import ELSEWHERE, OPTIONS


def misused(*words: str) -> Result:
    found = CliRunner().invoke(app, list(words), prog_name="nunatak")
    assert (found.exit_code, found.stdout) == (2, ""), found.output
    return found


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("logs", "logs needs ADDRESS", "ADDRESS: 42, 42/17, 42/17/propagate, 42/17/propagate#2, 42/analyze; nunatak logs -h"),
        ("get 1", "get needs --to", "--to DIR: Where to put them; nunatak get -h says more"),
        ("kill 1", 'there is no verb "kill"', "did you mean `nunatak cancel`? nunatak -h shows all"),
        ("sttaus 1", 'there is no verb "sttaus"', "did you mean `nunatak status`?"),
        ("qqq", 'there is no verb "qqq"', "nunatak -h shows all"),
        ("token creat", 'there is no verb "token creat"', "did you mean `nunatak token create`? nunatak token -h"),
        ("status 1 --jsn", "status has no option --jsn", "did you mean --json?"),
        ("submit x.yaml -n", "submit has no option -n", "did you mean --dry-run?"),
        ("status 1 -n", "status has no option -n", "nunatak status -h shows all"),
        ("--vrsion", "this has no option --vrsion", "did you mean --version?"),
        ("run fit.py --input a.csv b.csv c.csv", "run was given too much: b.csv c.csv", "quotes, or the shell expands"),
        ("ls 1 2", "ls was given too much: 1 2", "it is written as: nunatak ls [OPTIONS]"),
        ("ls --limit 0", "--limit: 0 is less than 1", "--limit N: How many at most"),
        ("more 1 --jobs x", "--jobs: 'x' is not a whole number", "--jobs N: How many jobs to add"),
        ("usage --since now", "--since: 'now' is not a day: write it as 2026-11-29", "--since DAY"),
        ("what-if 1 --priority", "--priority needs a value", "nunatak -h"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_to_type(words: str, message: str, hint: str) -> None:
    first, second = misused(*words.split()).stderr.splitlines()
    assert first == f"nunatak: {message}"
    assert second.startswith("hint: ")
    assert hint in second


@pytest.mark.parametrize("words", ["logs --json", "status 1 --jsn --json", "kill 1 --json", "--vrsion --json"])
def test_with_json_it_is_one_line_of_json(words: str) -> None:
    said = json.loads(misused(*words.split()).stderr)["error"]
    assert (said["code"], said["exit_code"]) == ("bad-use", 2)
    assert said["detail"]
    assert said["hint"]


def test_saying_nothing_shows_the_help() -> None:
    assert "Verbs:" in CliRunner().invoke(app, [], prog_name="nunatak").output
    assert "create" in CliRunner().invoke(app, ["token"], prog_name="nunatak").output


def test_words_of_other_systems_lead_to_verbs_that_are_there() -> None:
    verbs = {verb.name for verb in VERBS}
    assert not set(ELSEWHERE) & verbs
    assert set(ELSEWHERE.values()) <= verbs


def test_options_of_other_systems_lead_to_options_that_are_there() -> None:
    shown = "".join(
        CliRunner().invoke(app, [*verb, "--help"], prog_name="nunatak").output
        for verb in (["submit"], ["run"], ["get"], ["ls"], ["hold"], ["edit"], ["logs"])
    )
    assert [own for own in OPTIONS.values() if own not in shown] == []


def test_a_full_disk_is_no_internal_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUNATAK_DEBUG", raising=False)
    with pytest.raises(SystemExit) as ended, talking():
        raise OSError(errno.ENOSPC, "No space left on device", "/data/api.log")
    assert ended.value.code == 6
    assert (
        "nunatak: /data/api.log cannot be written: No space left on device\nhint: make room" in capsys.readouterr().err
    )
