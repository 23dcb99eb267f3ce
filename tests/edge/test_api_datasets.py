"""Datasets over HTTP: submit, look, page, edit, act, repeat."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

import pytest

from tests.edge.conftest import RECIPE, Api

HELLO = b"print('hello')\n"
SHA = hashlib.sha256(HELLO).hexdigest()
WITH_FILE = "name: f\ntasks:\n  a: {run: python hello.py, files: [hello.py]}\n"
MANIFEST = {"files": {"hello.py": {"sha256": SHA, "size": len(HELLO)}}, "matches": {}}


def test_a_submitted_recipe_is_a_dataset(api: Api) -> None:
    found = api.post("/datasets", {"text": RECIPE, "filename": "chain.yaml"}, 201)
    assert found == {"dataset": 1, "url": "http://testserver/datasets/1", "warnings": []}
    status = api.get("/datasets/1")
    assert (status["name"], status["state"], status["owner"]) == ("chain", "open", "root")
    assert status["jobs"] == {"total": 3, "open": 3, "done": 0, "failed": 0, "held": 0}
    assert status["tasks"]["total"] == 6
    assert status["per_task"]["first"]["ready"] == 3
    detail = api.get("/status/1")
    assert {**status, "used": {}, "eta": detail["eta"], "spent": detail["spent"]} == detail
    assert detail["eta"]["text"] == "no time can be told: no engine that is running could take what is ready"
    assert detail["spent"]["text"] == "no time was spent yet"
    assert api.faults() == []


def test_name_team_priority_jobs_and_parameters_can_be_given(api: Api) -> None:
    number = api.submit(name="other", team="ice", priority=3.5, jobs=7, parameters={"events": "9"})
    status = api.get(f"/datasets/{number}")
    assert (status["name"], status["team"], status["priority"], status["jobs"]["total"]) == ("other", "ice", 3.5, 7)
    assert api.get(f"/datasets/{number}/recipe")["plan"]["parameters"] == {"events": 9}


def test_a_wrong_recipe_is_refused_with_every_problem_at_its_place(api: Api) -> None:
    text = "name: x\ntasks:\n  a:\n    run: x\n    needs: {memory: 2 GX, cpu: none}\n"
    found = api.post("/datasets", {"text": text, "filename": "m.yaml"}, 422)
    assert found["code"] == "bad-recipe"
    assert {(item["file"], item["line"]) for item in found["problems"]} == {("m.yaml", 5)}
    assert len(found["problems"]) == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": 1},
        {"text": RECIPE, "nonsense": 1},
        {"text": RECIPE, "priority": 0},
        {"text": RECIPE, "priority": True},
        {"text": RECIPE, "jobs": 0},
        {"text": RECIPE, "team": "a\x00b"},
        {"text": RECIPE, "name": ""},
        {"text": RECIPE, "manifest": {"files": {"a": {"sha256": "x", "size": 1}}}},
        [],
        None,
    ],
)
def test_a_body_of_another_form_is_refused(api: Api, body: object) -> None:
    found = api.post("/datasets", body, 422)
    assert found["code"] == "invalid-request"
    assert found["problems"]


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"text": "\\ud800"}'])
def test_a_body_that_is_no_json_is_refused(api: Api, raw: bytes) -> None:
    found = api.call("POST", "/api/v1/datasets", 422, content=raw, headers={"Content-Type": "application/json"})
    assert found["code"] == "invalid-request"


def test_files_have_to_be_sent_before_the_recipe(api: Api) -> None:
    body = {"text": WITH_FILE, "manifest": MANIFEST}
    found = api.post("/datasets", body, 409)
    assert (found["code"], found["data"]["missing"]) == ("blob-missing", [SHA])
    assert api.post("/blobs/missing", {"sha256": [SHA, SHA]}) == {"missing": [SHA]}
    for status in (201, 200):
        found = api.call("PUT", f"/api/v1/blobs/{SHA}", status, content=HELLO)
        assert found == {"sha256": SHA, "size": len(HELLO)}
    assert api.post("/blobs/missing", {"sha256": [SHA]}) == {"missing": []}
    api.post("/datasets", body, 201)


def test_files_of_a_recipe_are_given_back_by_their_name_and_nothing_else_is(api: Api) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    for data in (HELLO, b"other"):
        api.call("PUT", f"/api/v1/blobs/{hashlib.sha256(data).hexdigest()}", 201, content=data)
    files = {
        "in/a b.txt": {"sha256": SHA, "size": len(HELLO)},
        "far.txt": {"sha256": other, "size": 5, "url": "file:///far.txt"},
    }
    text = """\
name: files
jobs: 1
needs: {memory: 100 MB, time: 1 min, disk: 100 MB}
tasks: {one: {run: cat b.txt far.txt, files: [in/a b.txt, far.txt]}}
"""
    number = api.post("/datasets", {"text": text, "manifest": {"files": files}}, 201)["dataset"]
    place = f"/api/v1/datasets/{number}/recipe/file"
    found = api.http.get(place, params={"name": "in/a b.txt"}, headers=api.headers)
    assert (found.status_code, found.content, found.headers["etag"]) == (200, HELLO, f'"{SHA}"')
    assert found.headers["content-disposition"].startswith("attachment")
    assert api.http.get(place, params={"name": "in/a b.txt", "revision": 1}, headers=api.headers).content == HELLO
    assert api.call("GET", f"{place}?name=in/a%20b.txt&revision=2", 404)["code"] == "no-revision"
    assert "in/a b.txt" in api.call("GET", f"{place}?name={other}", 404)["hint"]
    assert api.call("GET", f"{place}?name=../{SHA}", 404)["code"] == "no-file"
    assert api.call("GET", f"{place}?name=far.txt", 404)["code"] == "file-elsewhere"
    assert api.call("GET", "/api/v1/datasets/77/recipe/file?name=a", 404)["code"] == "no-dataset"
    assert api.http.get(place, params={"name": "in/a b.txt"}).status_code == 401


def test_a_blob_with_another_checksum_is_not_kept(api: Api) -> None:
    found = api.call("PUT", f"/api/v1/blobs/{'0' * 64}", 422, content=HELLO)
    assert found["code"] == "bad-checksum"
    assert api.post("/blobs/missing", {"sha256": ["0" * 64]})["missing"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "..%2F..%2Fetc%2Fpasswd", "A" * 64, "0" * 63])
def test_a_blob_has_no_other_name_than_a_checksum(api: Api, name: str) -> None:
    found = api.http.put(f"/api/v1/blobs/{name}", content=b"x", headers=api.headers)
    assert found.status_code in (404, 422)


def test_bodies_over_the_limit_are_refused_declared_or_not(api: Api) -> None:
    large = b"x" * 200_001
    assert api.call("POST", "/api/v1/datasets", 413, content=large)["code"] == "too-large"
    pieces = (large[i : i + 50_000] for i in range(0, len(large), 50_000))
    assert api.call("POST", "/api/v1/datasets", 413, content=pieces)["code"] == "too-large"
    api.call("PUT", f"/api/v1/blobs/{hashlib.sha256(large).hexdigest()}", 201, content=large)
    larger = b"x" * 1_000_001
    sha = hashlib.sha256(larger).hexdigest()
    assert api.call("PUT", f"/api/v1/blobs/{sha}", 413, content=larger)["code"] == "too-large"
    pieces = (larger[i : i + 100_000] for i in range(0, len(larger), 100_000))
    assert api.call("PUT", f"/api/v1/blobs/{sha}", 413, content=pieces)["code"] == "too-large"
    assert api.post("/blobs/missing", {"sha256": [sha]})["missing"] == [sha]


def test_a_blob_sent_in_pieces_is_kept(api: Api) -> None:
    data = bytes(range(256)) * 1000
    sha = hashlib.sha256(data).hexdigest()
    api.call("PUT", f"/api/v1/blobs/{sha}", 201, content=(data[i : i + 1000] for i in range(0, len(data), 1000)))
    with api.services.blobs.open(sha) as stream:
        assert stream.read() == data


def test_lists_are_paged_newest_first(api: Api) -> None:
    numbers = [api.submit(name=f"n{i}") for i in range(5)]
    first = api.get("/datasets?limit=2")
    assert [item["dataset"] for item in first["items"]] == [numbers[4], numbers[3]]
    second = api.get(f"/datasets?limit=2&after={first['next']}")
    last = api.get(f"/datasets?limit=2&after={second['next']}")
    assert [item["dataset"] for item in second["items"] + last["items"]] == numbers[2::-1]
    assert last["next"] is None
    assert "per_task" not in first["items"][0]
    assert first["items"][0]["url"] == "http://testserver/datasets/5"


def test_lists_are_filtered(api: Api) -> None:
    api.submit(headers=api.token("submit", "alice"))
    api.submit(name="muons")
    assert [item["owner"] for item in api.get("/datasets?owner=alice")["items"]] == ["alice"]
    assert [item["name"] for item in api.get("/datasets?name=muo")["items"]] == ["muons"]
    assert len(api.get("/datasets?state=open")["items"]) == 2
    assert api.get("/datasets?state=wrong", 422)["code"] == "bad-state"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "after=x", "after=1.2.3", "name=%00", "after=" + "9" * 30]
)
def test_pages_that_cannot_be_are_refused(api: Api, query: str) -> None:
    assert api.get(f"/datasets?{query}", 422)["code"] in ("invalid-request", "bad-page")


def test_jobs_and_tasks_are_listed(api: Api) -> None:
    number = api.submit()
    api.engine()
    assert len(api.claim()) == 3
    jobs = api.get(f"/datasets/{number}/jobs?limit=2")
    assert [item["address"] for item in jobs["items"]] == ["1/0", "1/1"]
    assert [item["job"] for item in api.get(f"/datasets/1/jobs?after={jobs['next']}")["items"]] == [2]
    tasks = api.get(f"/datasets/{number}/tasks?state=queued&limit=2")
    assert [item["address"] for item in tasks["items"]] == ["1/0/first", "1/1/first"]
    rest = api.get(f"/datasets/{number}/tasks?state=queued&limit=2&after={tasks['next']}")
    assert [item["address"] for item in rest["items"]] == ["1/2/first"]
    assert rest["next"] is None
    assert {item["task"] for item in api.get(f"/datasets/{number}/tasks?task=first")["items"]} == {"first"}
    assert api.get("/datasets/1/tasks?task=none", 404)["code"] == "no-task"


def test_an_edit_needs_the_tag_of_what_it_changes(api: Api) -> None:
    api.submit()
    tag = api.http.get("/api/v1/datasets/1", headers=api.headers).headers["etag"]
    path = "/api/v1/datasets/1"
    assert api.call("PATCH", path, 428, json={"name": "a"})["code"] == "if-match-needed"
    assert api.call("PATCH", path, 412, json={"name": "a"}, headers={"If-Match": '"other"'})["code"] == "changed"
    api.engine()
    api.claim()  # counts move, which is no edit
    edited = api.call("PATCH", path, json={"name": "a", "priority": 4.0}, headers={"If-Match": tag})
    assert (edited["name"], edited["priority"]) == ("a", 4.0)
    api.call("PATCH", path, 412, json={"name": "b"}, headers={"If-Match": tag})
    api.call("PATCH", "/api/v1/datasets/9", 404, json={"name": "b"}, headers={"If-Match": tag})
    assert [item["what"] for item in api.get("/history/1")["items"]] == ["submit", "edit"]


def test_jobs_are_added(api: Api) -> None:
    api.submit()
    assert api.post("/datasets/1/more", {"jobs": 4}) == {"dataset": 1, "jobs": 7}
    assert api.get("/datasets/1")["jobs"]["total"] == 7
    assert api.post("/datasets/9/more", {"jobs": 4}, 404)["code"] == "no-dataset"
    api.post("/actions", {"verb": "close", "addresses": ["1"]})
    assert api.post("/datasets/1/more", {"jobs": 1}, 409)["code"] == "closed"
    assert api.faults() == []


def test_a_recipe_is_kept_as_written_and_as_checked(api: Api) -> None:
    api.submit()
    found = api.get("/datasets/1/recipe")
    assert (found["source"], found["filename"], found["revision"]) == (RECIPE, "chain.yaml", 1)
    assert found["revisions"][0]["author"] == "root"
    plan = api.http.get(f"/api/v1/recipes/{found['digest']}", headers=api.token("engine"))
    assert plan.json() == {"digest": found["digest"], "plan": found["plan"]}
    assert "immutable" in plan.headers["cache-control"]
    assert api.get("/recipes/" + "0" * 64, 404)["code"] == "no-recipe"


def test_a_repeated_request_is_done_once_and_answered_alike(api: Api) -> None:
    headers = {"Idempotency-Key": "abc"}
    body = {"text": RECIPE}
    first = api.post("/datasets", body, 201, headers=headers)
    again = api.http.post("/api/v1/datasets", json=body, headers={**api.headers, **headers})
    assert (again.status_code, again.json()) == (201, first)
    assert again.headers["idempotency-replayed"] == "true"
    assert len(api.get("/datasets")["items"]) == 1
    assert api.post("/datasets", {"text": RECIPE, "jobs": 9}, 409, headers=headers)["code"] == "key-reused"
    assert api.post("/datasets", body, 201, headers={**headers, **api.token("submit", "bob")})["dataset"] == 2
    more = {"Idempotency-Key": "m"}
    assert api.post("/datasets/1/more", {"jobs": 1}, headers=more) == api.post(
        "/datasets/1/more", {"jobs": 1}, headers=more
    )
    assert api.get("/datasets/1")["jobs"]["total"] == 4
    act = {"verb": "hold", "addresses": ["1"]}
    key = {"Idempotency-Key": "h"}
    assert api.post("/actions", act, headers=key) == api.post("/actions", act, headers=key)
    api.clock.advance(86_401)
    api.headers = api.token("admin", "root")
    assert api.post("/datasets", body, 201, headers=headers)["dataset"] == 3


def test_a_request_that_failed_may_be_repeated_with_its_key(api: Api) -> None:
    headers = {"Idempotency-Key": "abc"}
    body = {"text": WITH_FILE, "manifest": MANIFEST}
    api.post("/datasets", body, 409, headers=headers)
    api.call("PUT", f"/api/v1/blobs/{SHA}", 201, content=HELLO)
    api.post("/datasets", body, 201, headers=headers)


def test_actions_are_done_to_all_addresses_or_to_none(api: Api) -> None:
    api.submit()
    api.submit()
    found = api.post("/actions", {"verb": "hold", "addresses": ["1", "2/99"]}, 404)
    assert found["code"] == "no-job"
    assert api.get("/datasets/1")["held"] is False
    assert api.post("/actions", {"verb": "hold", "addresses": ["1", "2/1", "2/1"], "reason": "wait"}) == {"changed": 3}
    assert api.get("/datasets/1")["reason"] == "hold by root: wait"
    assert api.get("/status/2/1")["state"] == "held"
    assert api.post("/actions", {"verb": "release", "addresses": ["1", "2/1"]})["changed"] == 3
    assert api.faults() == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"verb": "explode", "addresses": ["1"]}, "invalid-request"),
        ({"verb": "hold", "addresses": []}, "invalid-request"),
        ({"verb": "hold", "addresses": ["x"]}, "bad-address"),
        ({"verb": "hold", "addresses": ["1/0/first#1"]}, "bad-level"),
        ({"verb": "close", "addresses": ["1/0"]}, "bad-level"),
    ],
)
def test_actions_that_cannot_be_are_refused(api: Api, body: dict, code: str) -> None:
    api.submit()
    assert api.post("/actions", body, 422)["code"] == code


@pytest.mark.parametrize("path", ["status", "history", "why", "errors", "files"])
def test_every_address_that_is_not_there_is_not_found(api: Api, path: str) -> None:
    api.submit()
    for address in ("9", "1/99", "1/0/none", "1/99/first"):
        assert api.get(f"/{path}/{address}", 404)["status"] == 404
    for address in ("x", "0", "1//", "1/0/first/a", "99999999999"):
        assert api.get(f"/{path}/{address}", 422)["code"] == "bad-address"


def test_an_attempt_is_addressed_with_an_escaped_number_sign(api: Api) -> None:
    api.submit()
    api.engine()
    task = api.claim(1)[0]
    assert task["address"] == "1/0/first#1"
    assert api.get("/status/1/0/first%231")["state"] == "queued"
    assert api.get("/status/1/0/first%232", 404)["code"] == "no-attempt"
    api.finish(task, "exit", exit=3, message="it broke")
    found = api.get(f"/status/{quote(task['address'])}")
    assert (found["reason"], found["exit"], found["message"]) == ("exit", 3, "it broke")


def test_errors_of_all_datasets_are_grouped_and_filtered(api: Api) -> None:
    text = "name: one\njobs: 2\ntasks:\n  a: {run: x, retry: {tries: 1}}\n"
    mine, theirs = api.submit(text), api.submit(text, headers=api.token("submit", who="bob"))
    api.engine()
    for task in api.claim():
        api.finish(task, "exit", exit=3, message="it broke at 17", stderr="ValueError: 17\n")
    found = api.get("/errors")
    assert [(item["attempts"], item["tasks"], item["at"]) for item in found["items"]] == [(4, 4, {"here": 4})]
    assert {item["address"] for item in found["items"][0]["datasets"]} == {str(mine), str(theirs)}
    signature = found["items"][0]["signature"]
    assert api.get(f"/errors?signature={signature}&owner=bob&site=here")["tasks"] == 2
    assert api.get(f"/errors?dataset={mine}&kind={found['items'][0]['kind']}")["attempts"] == 2
    assert api.get("/errors?site=elsewhere")["items"] == []
    assert api.get("/errors?dataset=x", 422)
    again = {"verb": "retry", "addresses": [str(mine)], "signature": signature}
    assert api.post("/actions", again)["changed"] == 2
    assert api.post("/actions", {**again, "signature": "f" * 64})["changed"] == 0
    assert api.post("/actions", {**again, "verb": "hold"}, 422)["code"] == "bad-verb"
    assert api.post("/actions", again, 403, headers=api.token("submit", who="carol"))
    assert not api.faults()


def test_why_history_and_errors_tell_the_story(api: Api) -> None:
    api.submit("name: one\ntasks:\n  a: {run: x, retry: {tries: 1}}\n")
    assert "no engine" in api.get("/why/1/0/a")["sentence"]
    api.engine()
    api.finish(api.claim()[0], "exit", exit=3, message="it broke at 17")
    errors = api.get("/errors/1")["items"]
    assert [(item["count"], item["example"]) for item in errors] == [(1, "1/0/a#1")]
    history = api.get("/history/1/0?limit=3")
    assert len(history["items"]) == 3
    rest = api.get(f"/history/1/0?limit=100&after={history['next']}")
    assert {item["what"] for item in history["items"] + rest["items"]} >= {"submit", "claimed", "started"}
    assert api.get("/history/1?after=x", 422)["code"] == "bad-page"
    assert api.get("/why/1")["state"] == "failed"
    assert api.get("/why/1/0")["sentence"]
