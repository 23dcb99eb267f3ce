"""Datasets that follow others over the API, on pages and in IceProd's interface."""

from __future__ import annotations

import json

from nunatak.loops.following import Following
from tests.edge.conftest import Api
from tests.edge.test_api_iceprod import CONFIG, IceProd, iceprod
from tests.edge.test_pages import pages, sign_in

__all__ = ["iceprod", "pages"]

FOLLOWER = 'name: late\njobs: 2\ntasks:\n  a: {run: x, after: "1/{job}/second"}\n  b: {run: x, after: [a, 1]}\n'


def tick(api: Api) -> None:
    loop = Following(api.services.database, api.services.contexts, api.services.clock)
    while loop.tick():
        pass


def test_what_is_not_there_is_said_with_its_line_at_check_and_submission(api: Api) -> None:
    body = {"text": FOLLOWER, "filename": "late.yaml"}
    for route in ("/datasets", "/recipes/check"):
        found = api.post(route, body, 422)
        assert [item["line"] for item in found["problems"]] == [4, 5]
        assert all(item["message"].startswith("there is no dataset 1") for item in found["problems"])
    assert api.get("/datasets")["items"] == []
    api.submit()
    found = api.post("/datasets", {**body, "jobs": 4}, 422)
    assert "1/{job}/second: dataset 1 has 3 jobs, and this one 4" in json.dumps(found)
    api.post("/recipes/check", body)
    assert api.post("/datasets", body, 201)["dataset"] == 2


def test_status_and_why_say_for_what_it_waits(api: Api) -> None:
    api.submit()
    api.submit(FOLLOWER)
    tick(api)
    assert [item["text"] for item in api.get("/status/2")["follows"]] == [
        "it waits for 1/{job}/second, done for 0 of 2 jobs here",
        "it waits for 1, done for 0 of 6 tasks",
    ]
    assert api.get("/status/2")["eta"]["text"] == "no time can be told: it waits for 1/{job}/second, 1"
    found = api.get("/why/2")
    assert found["sentence"].startswith("a: it waits for 1/{job}/second")
    assert found["links"] == ["1"]
    assert api.get("/why/2/0/a")["reasons"] == ["it waits for 1/0/second, which has not begun"]
    assert "it waits for 1, done for 0 of 6 tasks" in api.get("/why/2/0/b")["reasons"]
    assert "what it waits for in dataset 1 was taken to be done" not in json.dumps(api.get("/why/1"))


def test_a_failure_there_needs_you_here(api: Api) -> None:
    api.submit()
    api.submit(FOLLOWER)
    api.engine()
    api.post("/actions", {"verb": "cancel", "addresses": ["1/0"], "reason": "no more"})
    tick(api)
    assert "needs you: nunatak why 1/0/second" in api.get("/why/2/0/a")["sentence"]
    assert "2 of that failed or are held and need you: nunatak errors 1" in json.dumps(api.get("/why/2")["reasons"])
    api.post("/actions", {"verb": "cancel", "addresses": ["1"], "reason": "no more"})
    assert "dataset 1 was cancelled: `nunatak retry 1` lets it go on" in json.dumps(api.get("/why/2"))


def test_pages_say_it_with_links(pages: Api) -> None:
    sign_in(pages)
    pages.submit()
    pages.submit(FOLLOWER)
    shown = pages.http.get("/datasets/2").text
    assert "it waits for 1/{job}/second, done for 0 of 2 jobs here" in shown
    assert ">to 1</a>" in shown
    shown = pages.http.get("/why?address=2/0/a").text
    assert "it waits for 1/0/second, which has not begun" in shown
    assert 'href="/datasets/1/0/second"' in shown or ">to 1/0/second</a>" in shown
    assert "1/0/second" in pages.http.get("/datasets/2/0/a").text


def test_what_is_stuck_is_on_top_of_ones_work(pages: Api) -> None:
    sign_in(pages)
    pages.submit()
    pages.submit(FOLLOWER)
    assert "Needs you" not in pages.http.get("/datasets?owner=*").text
    pages.post("/actions", {"verb": "hold", "addresses": ["1"], "reason": "wait"})
    shown = pages.http.get("/datasets?owner=*").text
    assert "it waits for another dataset that failed, is held or was cancelled" in shown
    why = pages.http.get("/why?address=2").text
    assert why.count("dataset 1 is held: <code>nunatak release 1</code> lets it go on") > 0


def test_everything_goes_on_when_the_other_is_done(api: Api) -> None:
    api.submit()
    api.submit(FOLLOWER)
    api.engine()
    for _ in range(6):
        for task in api.claim():
            api.finish(task, data=b"x" if "/first" in task["address"] else None)
        tick(api)
    assert [api.get(f"/datasets/{number}")["state"] for number in (1, 2)] == ["done", "done"]
    assert api.faults() == []
    assert api.get("/status/2")["follows"][0]["text"] == "1/{job}/second is done"


def test_iceprods_depends_names_a_dataset_by_its_id_here(api: Api, iceprod: IceProd) -> None:
    first = iceprod.submit()
    task = {**CONFIG["tasks"][0], "depends": [f"{first}:filter"]}  # type: ignore[index, dict-item]
    body = {"config": {**CONFIG, "tasks": [task]}, "jobs_submitted": 3}
    names = [item["name"] for item in CONFIG["tasks"]]  # type: ignore[index, attr-defined]
    assert "has no task 'nobody'" in json.dumps(
        iceprod.post(
            "/actions/submit",
            {**body, "config": {**CONFIG, "tasks": [{**task, "depends": ["1:nobody"]}]}},
            400,
        )
    )
    task["depends"] = [f"{first}:{names[-1]}"]
    second = iceprod.post("/actions/submit", {**body, "config": {**CONFIG, "tasks": [task]}}, 201)["result"]
    found = iceprod.get(f"/datasets/{second}/tasks")
    depends = {tuple(item["depends"]) for item in found.values()} if found else set()
    assert depends in (set(), {(f"1-{job}-{names[-1]}",) for job in range(3)})
    assert api.get("/why/2/1/generate")["reasons"][0].startswith(f"it waits for 1/1/{names[-1]}")


def test_an_import_takes_the_numbers_of_datasets(api: Api) -> None:
    task = {**CONFIG["tasks"][0], "depends": ["9f3e:gen"]}  # type: ignore[index, dict-item]
    text = json.dumps({**CONFIG, "tasks": [task]})
    assert "--dataset 9f3e=NUMBER" in json.dumps(api.post("/import/iceprod", {"text": text}, 422))
    assert "7/{job}/gen" in api.post("/import/iceprod", {"text": text, "datasets": {"9f3e": 7}})["text"]
