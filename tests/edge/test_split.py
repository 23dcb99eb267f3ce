"""`split` over HTTP: who may, what is answered, what is done once; and the command that asks first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.edge.conftest import Api
from tests.edge.live import live
from tests.edge.test_cli import Run, _home, cli, submitted

__all__ = ["_home", "cli", "live"]
LONG = """\
name: long
jobs: 9
parameters: {events: 5000}
tasks:
  only:
    run: echo {events} {job}
    splittable: events
    needs: {time: 10 min}
"""


def test_it_answers_with_both_and_is_done_once_for_a_key(api: Api) -> None:
    number = api.submit(LONG)
    path = f"/datasets/{number}/split"
    seen = api.post(path, {"into": 4, "preview": True})
    assert (seen["made"], seen["moved"], seen["jobs"]) == (0, 9, 36)
    assert len(api.get("/datasets")["items"]) == 1
    key = {"Idempotency-Key": "k"}
    found = api.post(path, {"into": 4}, headers=key)
    assert api.post(path, {"into": 4}, headers=key) == found
    assert len(api.get("/datasets")["items"]) == 2
    (note,) = found.pop("notes")
    assert note.startswith("only uses {job} without {dataset}")
    assert found == {
        "dataset": number, "made": number + 1, "moved": 9, "jobs": 36, "pieces": 4, "parameter": "events", "whole": 5000,
        "low": 1250, "high": 1250, "url": f"http://testserver/datasets/{number + 1}",
    }  # fmt: skip
    recipe = api.get(f"/datasets/{number + 1}/recipe")
    assert (recipe["plan"]["parameters"], recipe["source"]) == ({"events": 1250}, LONG)
    assert api.get(f"/datasets/{number}")["jobs"]["total"] == 0
    for of in (number, number + 1):
        assert "split" in [item["what"] for item in api.get(f"/history/{of}")["items"]]
    assert api.post(path, {"into": 4}, 409)["code"] == "nothing-left"
    assert api.faults() == []


def test_only_the_owner_and_administrators_may(api: Api) -> None:
    number = api.submit(LONG, headers=api.token("submit", "alice"))
    path = f"/datasets/{number}/split"
    assert api.post(path, {"into": 4}, 403, headers=api.token("submit", "bob"))["code"] == "not-owner"
    assert api.post(path, {"into": 4}, 403, headers=api.token("read", "alice"))["code"] == "scope"
    made = api.post(path, {"into": 4})["made"]
    assert api.get(f"/datasets/{made}")["owner"] == "alice"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 409, "not-too-long"),
        ({"into": 5001}, 422, "bad-pieces"),
        ({"into": 1}, 422, None),
        ({"into": "4"}, 422, None),
        ({"pieces": 4}, 422, None),
    ],
)
def test_what_cannot_be_is_refused(api: Api, body: dict[str, object], status: int, code: str | None) -> None:
    number = api.submit(LONG)
    found = api.post(f"/datasets/{number}/split", body, status)
    assert code in (None, found["code"])
    assert api.post("/datasets/9/split", {"into": 2}, 404)["code"] == "no-dataset"
    assert api.get(f"/datasets/{number}")["jobs"]["total"] == 9


def test_the_command_asks_before_it_splits(cli: Run, tmp_path: Path) -> None:
    needs = "{cpu: 1, memory: 1 MB, time: 1 min, features: [nobody-has-it]}"  # so that no job begins meanwhile
    recipe = f"name: long\njobs: 200\nparameters: {{events: 5000}}\nneeds: {needs}\ntasks:\n"
    (tmp_path / "long.yaml").write_text(f"{recipe}  only: {{run: 'sleep {{events}}', splittable: events}}\n")
    number = submitted(cli, tmp_path / "long.yaml")
    asked = cli("split", number, "--into", "4", input="n\n", code=130)
    assert f"jobs of dataset {number} into " in asked.stderr
    assert "with events 1250 instead of 5000? [y/N]" in asked.stderr
    assert "nothing was changed" in asked.stderr
    assert "nothing was changed" in cli("split", number, "--into", "4", input="", code=130).stderr
    assert json.loads(cli("status", number, "--json").stdout)["jobs"]["total"] == 200
    made = json.loads(cli("split", number, "--into", "3", "--yes", "--json").stdout)
    assert (made["dataset"], made["pieces"], made["low"], made["high"]) == (int(number), 3, 1666, 1667)
    assert made["jobs"] == 3 * made["moved"] > 0
    kept = json.loads(cli("status", number, "--json").stdout)["jobs"]["total"]
    assert kept + made["moved"] == 200
    assert "splittable" in cli("split", str(made["made"]), "--into", "2", "--yes", code=4).stderr
    assert "only a dataset" in cli("split", f"{number}/0", "--into", "2", code=2).stderr
    cli("cancel", str(made["made"]))
