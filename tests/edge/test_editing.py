"""Editing a recipe over HTTP: what is told, what is refused, who may, who was first; and the command that asks first."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from tests.edge.conftest import RECIPE, Api
from tests.edge.live import live
from tests.edge.test_cli import Run, _home, cli, submitted

__all__ = ["_home", "cli", "live"]

BETTER = RECIPE.replace("run: cat a.txt", "run: cat -n a.txt\n    needs: {memory: 3 GB}")


def tag(api: Api, number: int) -> str:
    return api.http.get(f"/api/v1/datasets/{number}/recipe", headers=api.headers).headers["ETag"]


def put(api: Api, number: int, text: str, status: int = 200, since: str = "*", headers=None, **more) -> dict:
    headers = {**({"If-Match": since} if since else {}), **(headers or {})}
    return api.call("PUT", f"/api/v1/datasets/{number}/recipe", status, json={"text": text, **more}, headers=headers)


def test_it_is_checked_then_made_and_told_everywhere(api: Api) -> None:
    number = api.submit()
    api.engine()
    (first, *_) = api.claim(1)
    api.finish(first, data=b"x")
    since = tag(api, number)
    seen = put(api, number, BETTER, since=since, check=True)
    assert (seen["revision"], seen["changed"], seen["refusals"]) == (1, True, [])
    assert [(item["task"], item["what"]) for item in seen["changes"]] == [("second", "run"), ("second", "needs")]
    assert "+    run: cat -n a.txt" in seen["difference"]
    assert seen["tasks"]["done"] == 1
    assert tag(api, number) == since
    made = put(api, number, BETTER, since=since)
    assert (made["revision"], made["changed"]) == (2, True)
    recipe = api.get(f"/datasets/{number}/recipe")
    assert (recipe["revision"], recipe["source"], tag(api, number) != since) == (2, BETTER, True)
    assert [item["tasks"] for item in recipe["revisions"]] == [
        {"revision": 1, "done": 1, "began_before": 0, "to_do": 0},
        {"revision": 2, "done": 0, "began_before": 0, "to_do": 5},
    ]
    assert api.get(f"/datasets/{number}")["revision"] == 2
    event = next(item for item in api.get(f"/history/{number}")["items"] if item["what"] == "edit")
    assert (event["actor"], event["revision"], len(event["changes"])) == ("root", 2, 2)
    second = next(item for item in api.claim(9) if item["address"].endswith("0/second#1"))
    assert second["shape"]["memory"] >= 3_000_000_000
    assert second["recipe"] == made["digest"]
    api.finish(second)
    assert api.get(f"/status/{number}/0/second%231")["revision"] == 2
    assert api.get(f"/status/{number}/0/first%231")["revision"] == 1
    assert {item["revision"] for item in api.get(f"/files/{number}")["items"]} == {1}
    assert api.faults() == []


def test_the_same_again_is_done_once_and_who_comes_late_is_told_the_difference(api: Api) -> None:
    number = api.submit()
    since = tag(api, number)
    put(api, number, BETTER, since=since)
    assert put(api, number, BETTER, since=since)["changed"] is False
    found = put(api, number, RECIPE.replace("echo", "printf"), 412, since=since)
    assert found["code"] == "changed"
    assert "+    run: cat -n a.txt" in found["data"]["difference"]
    assert len(api.get(f"/datasets/{number}/recipe")["revisions"]) == 2
    assert put(api, number, BETTER, 428, since="")["code"] == "if-match-needed"
    assert put(api, number, BETTER, 422, since='"nonsense"')["code"] == "bad-tag"


def test_what_cannot_be_changed_is_told_by_a_check_and_refused_otherwise(api: Api) -> None:
    number = api.submit()
    text = RECIPE.replace("  second:", "  third:")
    seen = put(api, number, text, check=True)
    assert seen["changed"] is False
    assert {item["path"] for item in seen["refusals"]} == {"tasks.second", "tasks.third"}
    found = put(api, number, text, 409)
    assert found["code"] == "cannot-change"
    assert len(found["problems"]) == 2
    wrong = put(api, number, RECIPE.replace("run: cat", "rum: cat"), 422, check=True)
    assert wrong["problems"][0]["line"] == 9


def test_only_the_owner_and_administrators_may(api: Api) -> None:
    number = api.submit(headers=api.token("submit", "alice"))
    assert put(api, number, BETTER, 403, headers=api.token("submit", "bob"))["code"] == "not-owner"
    assert put(api, number, BETTER, 403, headers=api.token("submit", "bob"), check=True)["code"] == "not-owner"
    assert put(api, number, BETTER, 403, headers=api.token("read", "alice"))["code"] == "scope"
    assert put(api, number, BETTER, headers=api.token("submit", "alice"))["revision"] == 2
    put(api, 99, BETTER, 404)


def test_files_are_those_that_were_sent_unless_others_come(api: Api) -> None:
    old, new = b"print(1)\n", b"print(2)\n"
    text = "name: x\nfiles: [sim.py]\ntasks:\n  only:\n    run: python sim.py\n"

    def manifest(data: bytes) -> dict:
        return {"files": {"sim.py": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}}}

    def send(data: bytes) -> None:
        api.call("PUT", f"/api/v1/blobs/{hashlib.sha256(data).hexdigest()}", 201, content=data)

    send(old)
    number = api.submit(text, manifest=manifest(old))
    put(api, number, text.replace("sim.py\n", "sim.py -v\n"))
    assert put(api, number, text, 409, manifest=manifest(new))["code"] == "blob-missing"
    send(new)
    made = put(api, number, text, manifest=manifest(new))
    assert {item["what"] for item in made["changes"]} == {"file sim.py", "run"}
    api.engine()
    (task,) = api.claim()
    plan = api.get(f"/recipes/{task['recipe']}")["plan"]
    assert plan["files"]["sim.py"]["sha256"] == hashlib.sha256(new).hexdigest()


@pytest.mark.parametrize("sent", [{"jobs": 7}, {"jobs": 0}])
def test_the_number_of_jobs_is_not_edited(api: Api, sent: dict) -> None:
    put(api, api.submit(), BETTER, 422, **sent)


def editor(tmp_path: Path, *replaced: tuple[str, str]) -> str:
    """A command that edits a file as a person would, each time another way."""
    script, count = tmp_path / "editor.py", tmp_path / "count"
    count.write_text("0")
    script.write_text(
        f"import pathlib, sys\ncount = pathlib.Path({str(count)!r})\nn = int(count.read_text())\n"
        "count.write_text(str(n + 1))\npath = pathlib.Path(sys.argv[1])\n"
        f"old, new = {list(replaced)!r}[n]\npath.write_text(path.read_text().replace(old, new))\n"
    )
    return f"{sys.executable} {script}"


def test_the_command_edits_in_an_editor_shows_asks_and_tries_again(cli: Run, tmp_path: Path, monkeypatch) -> None:
    script = tmp_path / "here" / "check.py"
    script.parent.mkdir()
    script.write_text("raise SystemExit(3)\n")
    text = f"name: x\nfiles: [check.py]\ntasks:\n  only: {{run: '{sys.executable} check.py', retry: {{tries: 1}}}}\n"
    (script.parent / "x.yaml").write_text(text)
    number = submitted(cli, script.parent / "x.yaml")
    cli("watch", number, code=7)
    wrong = ("tries: 1", "tires: 1"), ("tires: 1", "tries: 2")
    monkeypatch.setenv("VISUAL", editor(tmp_path, *wrong))
    asked = cli("edit", number, input="y\nn\n", code=130)
    assert "tires" in asked.stderr
    assert "only retry: " in asked.stderr
    assert "make this revision 2" in asked.stderr
    assert json.loads(cli("recipe", number, "--json").stdout)["revision"] == 1
    script.write_text("print('mended')\n")
    told = json.loads(cli("edit", number, "--file", str(script), "--check", "--json").stdout)
    assert [item["what"] for item in told["changes"]] == ["file check.py"]
    made = cli("edit", number, "--file", str(script), "--yes", "--retry-failed")
    assert made.stdout == f"dataset {number} revision 2\n"
    assert "1 task to be tried again" in made.stderr
    cli("watch", number)
    assert json.loads(cli("status", f"{number}/0/only#2", "--json").stdout)["revision"] == 2
    assert "says what it said before" in cli("edit", number, "--file", str(script), "--yes").stderr


def test_the_command_takes_a_recipe_without_the_files_that_are_kept(cli: Run, tmp_path: Path) -> None:
    place = tmp_path / "here"
    place.mkdir()
    (place / "table.txt").write_text("1\n")
    text = "name: x\nfiles: [table.txt]\nneeds: {features: [nobody-has-it]}\ntasks:\n  only: {run: cat table.txt}\n"
    (place / "x.yaml").write_text(text)
    number = submitted(cli, place / "x.yaml")
    (tmp_path / "y.yaml").write_text(text.replace("cat table", "cat -n table"))
    asked = cli("edit", number, str(tmp_path / "y.yaml"), input="", code=130)
    assert "+  only: {run: cat -n table.txt}" in asked.stderr
    cli("edit", number, str(tmp_path / "y.yaml"), "-y")
    assert "-  only: {run: cat table.txt}" in cli("recipe", number, "--against", "1").stdout
    assert cli("recipe", number, "--revision", "1").stdout == text
    (tmp_path / "y.yaml").write_text(text.replace("  only:", "  other:"))
    refused = cli("edit", number, str(tmp_path / "y.yaml"), "-y", code=4)
    assert "tasks cannot be added" in refused.stderr
