"""Editing a recipe over HTTP: what is told, what is refused, who may, who was first; and the command that asks first."""

from __future__ import annotations

import hashlib

import pytest

from tests.edge.conftest import RECIPE, Api

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
    assert [item["tasks"]["done"] for item in recipe["revisions"]] == [1, 0]
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
