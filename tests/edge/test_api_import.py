"""IceProd configurations over the API and the page of new work."""

from __future__ import annotations

import json

from tests.edge.conftest import WHOLE, Api
from tests.edge.test_api_iceprod import CONFIG
from tests.edge.test_pages import csrf_of, pages, sign_in

__all__ = ["pages"]


def test_a_configuration_is_given_back_as_a_recipe_with_all_there_is_to_say(api: Api) -> None:
    found = api.post("/import/iceprod", {"text": json.dumps(CONFIG), "jobs": 7, "filename": "muons.json"})
    assert "jobs: 7" in found["text"]
    assert "# From the IceProd configuration muons.json, read in strict mode." in found["text"]
    assert (found["mode"], found["jobs"], found["files"], found["sources"]) == ("strict", 7, {}, [])
    assert [item["kind"] for item in found["findings"]] == ["differs"]
    assert api.get("/datasets")["items"] == []


def test_a_wrong_configuration_is_refused_with_its_places(api: Api) -> None:
    broken = {**CONFIG, "tasks": [{**CONFIG["tasks"][0], "requirements": {"gpus": 1, "memory": -1}}]}  # type: ignore[index, dict-item]
    found = api.post("/import/iceprod", {"text": json.dumps(broken)}, 422)
    places = {item["path"] for item in found["problems"]}
    assert places == {"tasks[0].requirements.gpus", "tasks[0].requirements.memory"}
    assert api.post("/import/iceprod", {"text": "[]", "mode": "loose"}, 422)["code"] == "invalid-request"
    assert api.post("/import/iceprod", {"text": "[]"}, 422)["code"] == "bad-configuration"


def test_a_configuration_is_new_work_as_a_recipe_is(pages: Api) -> None:
    sign_in(pages)
    config = {
        **CONFIG,
        "tasks": [{**CONFIG["tasks"][0], "data": [{"remote": "gsiftp://h/x_$(pad)", "movement": "output"}]}],
    }  # type: ignore[index, dict-item]
    form = {"mode": "recipe", "source": json.dumps(config), "jobs": "5", "csrf": csrf_of(pages.http.get("/new").text)}
    shown = pages.http.post("/new/check", data=form).text
    assert "Read as an IceProd configuration" in shown
    assert "a tool for gsiftp:// on the machine" in shown
    assert "5\xa0jobs of muons" in shown
    assert pages.http.post("/new", data=form).status_code == 303
    plan = pages.get("/datasets/1/recipe")["plan"]
    assert list(plan["files"]) == ["iceprod_transfer.py"]
    assert pages.services.blobs.missing([file["sha256"] for file in plan["files"].values()]) == []
    assert pages.get("/datasets/1")["jobs"]["total"] == 5
    wrong = pages.http.post("/new/check", data={**form, "source": json.dumps({**config, "tasks": []})}).text
    assert "there are no tasks" in wrong
    beside = {"name": "b", "trays": [{"modules": [{"src": "beside.py"}]}]}
    form["source"] = json.dumps({**config, "tasks": [beside]})
    assert "a module runs beside.py, which is not here" in pages.http.post("/new/check", data=form).text
    assert (
        "beside.py"
        not in pages.http.post("/new/check", data={**form, "script_names": "beside.py"}).text.split("Job 0")[0]
    )


def test_what_needs_a_tool_or_a_token_goes_only_where_there_is_one(pages: Api) -> None:
    data = [{"remote": "root://h//in.i3"}, {"remote": "https://h/out_$(job).i3", "movement": "output"}]
    task = {**CONFIG["tasks"][0], "data": data, "token_scopes": {"https://h": "storage.create:/"}}  # type: ignore[index, dict-item]
    body = {"config": {**CONFIG, "tasks": [task]}, "jobs_submitted": 1}
    assert pages.http.post("/compat/iceprod/actions/submit", json=body, headers=pages.headers).status_code == 201
    pages.engine()
    for features in (["xrootd"], ["xrootd", "davs"], ["davs", "token"], ["xrootd", "davs", "token"]):
        offer = {**WHOLE, "features": features}
        found = pages.post("/engines/local/claim", {"session": "s1", "offer": offer, "limit": 9})["tasks"]
        assert len(found) == (len(features) == 3)
