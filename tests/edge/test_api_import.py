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
    trays = [{"modules": [{"src": "/sw/run.py", "configs": {"settings.json": {"depth": 3}}}]}]
    config = {
        **CONFIG,
        "tasks": [
            {**CONFIG["tasks"][0], "trays": trays, "data": [{"remote": "gsiftp://h/x_$(pad)", "movement": "output"}]}
        ],
    }  # type: ignore[index, dict-item]
    form = {"mode": "recipe", "source": json.dumps(config), "jobs": "5", "csrf": csrf_of(pages.http.get("/new").text)}
    shown = pages.http.post("/new/check", data=form).text
    assert "Read as an IceProd configuration" in shown
    assert "a client for gsiftp:// on the machine" in shown
    assert "5\xa0jobs of muons" in shown
    assert pages.http.post("/new", data=form).status_code == 303
    plan = pages.get("/datasets/1/recipe")["plan"]
    assert list(plan["files"]) == ["settings.json"]
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


FILTER = {
    "version": 3.2,
    "tasks": [
        {"name": "filter", "task_files": True, "token_scopes": {"file:///data/": "storage.read:/"},
         "data": [{"remote": "out/$(job).i3", "movement": "output"}],
         "trays": [{"modules": [{"src": "/sw/filter.py", "args": "$(input) $(label)"}]}]}
    ],
}  # fmt: skip
FILES = [{"filename": f"file:///data/in_{job}.i3", "task_name": "filter", "job_index": job} for job in range(3)]


def test_options_and_files_of_tasks_are_given_on_the_page_as_on_the_command_line(pages: Api) -> None:
    sign_in(pages)
    form = {
        "mode": "recipe", "source": json.dumps(FILTER, indent=1), "csrf": csrf_of(pages.http.get("/new").text),
        "options": "data_url = file:///made/\r\n\r\nlabel=north sky", "task_files": json.dumps(FILES, indent=1),
    }  # fmt: skip
    shown = pages.http.post("/new/check", data=form).text
    assert "data-iceprod" in shown
    assert "python /sw/filter.py in_0.i3 north sky" in shown
    assert "3\xa0jobs" in shown
    files = {"task_files": ("files.json", form["task_files"].encode("utf-8-sig"))}
    assert pages.http.post("/new", data={**form, "task_files": ""}, files=files).status_code == 303
    plan = pages.get("/datasets/1/recipe")["source"]
    assert "file:///made/out/{job}.i3" in plan
    assert pages.get("/datasets/1")["jobs"]["total"] == 3
    for name, text, message, place in (
        ("options", "a=1\nlabel", "the option &#39;label&#39; has no value", "line 2 of options"),
        ("task_files", '[\n {"filename": 1}]', "file 0 has no filename", "line 2 of the list of files"),
        ("task_files", "[\n {", "the list of files is no JSON", "line 2 of the list of files"),
    ):
        found = pages.http.post("/new/check", data={**form, name: text}).text
        assert message in found
        assert place in found
        assert text.splitlines()[1].replace('"', "&#34;") in found
    wrong = json.dumps(FILTER, indent=1).replace("$(label)", "$steering(no)")
    found = pages.http.post("/new/check", data={**form, "source": wrong}).text
    assert "tasks[0].trays[0].modules[0].args" in found
    assert 'class="at"' in found  # the line of the configuration, not of what it would become
    assert "data-iceprod" in found
    assert "data-iceprod" not in pages.http.post("/new/check", data={**form, "source": "name: x"}).text


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
