"""IceProd's interface: what scripts of its users read, change and submit, in its words and with its codes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.routing import APIRoute

from nunatak.accounts import policy
from nunatak.api.guard import GuardedRoute
from nunatak.api.iceprod.app import compat_app
from nunatak.datasets.expand import dry_run
from nunatak.datasets.plan import Plan
from tests.edge.conftest import Api

CONFIG = {
    "version": 3.2,
    "description": "muons",
    "options": {},
    "steering": {"parameters": {"seed": "$eval($(dataset)*1000+$(job))", "pad": "$sprintf('%04d',$(job))"}},
    "tasks": [
        {
            "name": "generate",
            "trays": [{"modules": [{"src": "/sw/generate.py", "args": "--seed $steering(seed) --out $(pad).i3"}]}],
            "requirements": {"memory": 2, "time": 3},
        },
        {"name": "filter", "depends": ["generate"], "trays": [{"modules": [{"src": "/sw/filter.sh"}]}]},
    ],
}
TASK = "1-0-generate"


class IceProd:
    """A script's view of the server."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def call(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        headers = {**self.api.headers, **more.pop("headers", {})}
        found = self.api.http.request(method, f"/compat/iceprod{path}", headers=headers, **more)
        assert found.status_code == status, f"{found.status_code}: {found.text}"
        return found.json()

    def get(self, path: str, code: int = 200, **query: Any) -> Any:
        return self.call("GET", path, code, params=query)

    def post(self, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        return self.call("POST", path, status, json={} if body is None else body, **more)

    def put(self, path: str, body: Any, status: int = 200, **more: Any) -> Any:
        return self.call("PUT", path, status, json=body, **more)

    def submit(self, jobs: int = 3, **more: Any) -> str:
        body = {"config": CONFIG, "description": "muons of 2026", "jobs_submitted": jobs, "group": "simprod", **more}
        return str(self.post("/actions/submit", body, 201)["result"])


@pytest.fixture
def iceprod(api: Api) -> IceProd:
    return IceProd(api)


@pytest.fixture
def worked(api: Api, iceprod: IceProd) -> IceProd:
    """A dataset of three jobs: of the first `generate` is done, of the second it failed, of the third it runs."""
    iceprod.submit()
    api.engine()
    first, second, third = api.claim()
    api.finish(first, usage={"cpu": 30.0, "wall": 60.0})
    api.finish(second, "exit", exit=1)
    for _ in range(2):  # the same error three times is final
        api.clock.advance(3600)
        api.finish(next(task for task in api.claim() if task["address"].startswith("1/1/")), "exit", exit=1)
    api.report(started=[{"address": third["address"], "lease": third["lease"], "at": api.clock(), "host": "node2"}])
    return iceprod


def test_a_configuration_becomes_a_dataset(api: Api, iceprod: IceProd) -> None:
    action = iceprod.submit()
    found = iceprod.get(f"/actions/submit/{action}")
    assert (found["status"], found["payload"]["dataset_id"]) == ("complete", "1")
    dataset = iceprod.get("/datasets/1")
    assert {key: dataset[key] for key in ("dataset_id", "dataset", "description", "jobs_submitted", "tasks_submitted")} == {
        "dataset_id": "1", "dataset": 1, "description": "muons of 2026", "jobs_submitted": 3, "tasks_submitted": 6,
    }  # fmt: skip
    assert (dataset["tasks_per_job"], dataset["group"], dataset["username"], dataset["status"]) == (
        2,
        "simprod",
        "root",
        "processing",
    )
    assert iceprod.get("/config/1") == CONFIG
    plan = Plan.from_plain(api.get("/datasets/1/recipe")["plan"])
    assert list(dry_run(plan, 2)[0]["commands"][0]["argv"]) == [
        "python",
        "/sw/generate.py",
        "--seed",
        "1002",
        "--out",
        "2.i3",
    ]
    assert "import" in {item.get("what") for item in api.get("/history/1")["items"]}


def test_a_wrong_configuration_is_refused_with_its_places(iceprod: IceProd) -> None:
    broken = {**CONFIG, "tasks": [{**CONFIG["tasks"][0], "depends": ["nobody"]}]}  # type: ignore[index, dict-item]
    found = iceprod.post("/actions/submit", {"config": broken, "jobs_submitted": 1}, 400)
    assert found["code"] == 400
    assert found["error"].count("tasks[0].depends[0]") == 1
    body = {"config": CONFIG, "jobs_submitted": 1, "username": "somebody else"}
    assert iceprod.post("/actions/submit", body, 400)["error"] == "a dataset can be submitted for oneself only"


def test_files_of_tasks_come_with_the_submission(api: Api, iceprod: IceProd) -> None:
    tasks = [{**CONFIG["tasks"][0], "task_files": True}]  # type: ignore[index, dict-item]
    body = {"config": {**CONFIG, "tasks": tasks}, "jobs_submitted": 2}
    assert "task_files" in iceprod.post("/actions/submit", body, 400)["error"]
    files = [
        {"filename": f"https://h/run_{job}.i3", "task_name": "generate", "job_index": job, "movement": "input"}
        for job in range(2)
    ]
    iceprod.post("/actions/submit", {**body, "extra_submit_fields": {"task_files": files}}, 201)
    plan = Plan.from_plain(api.get("/datasets/1/recipe")["plan"])
    assert [dry_run(plan, job)[0]["inputs"][0]["url"] for job in range(2)] == [
        "https://h/run_0.i3",
        "https://h/run_1.i3",
    ]


def test_a_program_that_is_nowhere_is_refused(iceprod: IceProd) -> None:
    task = {"name": "a", "trays": [{"modules": [{"src": "beside.py"}]}]}
    found = iceprod.post("/actions/submit", {"config": {**CONFIG, "tasks": [task]}, "jobs_submitted": 1}, 400)
    assert "beside.py" in found["error"]


def test_datasets_are_listed_by_status_group_and_user(worked: IceProd) -> None:
    worked.submit(group="other")
    worked.put("/datasets/2/status", {"status": "suspended"})
    assert worked.get("/datasets") == {"1": {"dataset_id": "1"}, "2": {"dataset_id": "2"}}
    assert set(worked.get("/datasets", status="suspended")) == {"2"}
    assert set(worked.get("/datasets", status="processing|suspended", groups="simprod")) == {"1"}
    assert worked.get("/datasets", users="nobody") == {}
    assert worked.get("/datasets", keys="status|group")["2"] == {
        "dataset_id": "2",
        "status": "suspended",
        "group": "other",
    }
    assert worked.get("/dataset_summaries/status") == {"processing": ["1"], "suspended": ["2"]}
    assert worked.get("/datasets", 400, status="lost")["error"] == "unknown status"


def test_jobs_and_tasks_have_their_states(worked: IceProd) -> None:
    jobs = worked.get("/datasets/1/jobs")
    assert {name: job["status"] for name, job in jobs.items()} == {
        "1-0": "processing",
        "1-1": "errors",
        "1-2": "processing",
    }
    assert worked.get("/datasets/1/jobs", status="errors", keys="job_index") == {
        "1-1": {"job_id": "1-1", "job_index": 1}
    }
    assert list(worked.get("/datasets/1/jobs", job_index=2)) == ["1-2"]
    assert worked.get("/datasets/1/jobs/1-1")["status"] == "errors"
    assert worked.get("/datasets/1/job_summaries/status") == {"processing": ["1-0", "1-2"], "errors": ["1-1"]}
    assert worked.get("/datasets/1/job_counts/status") == {"processing": 2, "errors": 1}
    assert worked.get("/datasets/1/task_counts/name_status")["generate"] == {
        "complete": 1,
        "failed": 1,
        "processing": 1,
    }
    assert worked.get("/datasets/1/task_counts/status") == {
        "queued": 1,
        "idle": 2,
        "complete": 1,
        "failed": 1,
        "processing": 1,
    }
    tasks = worked.get("/datasets/1/tasks", name="generate", keys="status")
    assert {name: task["status"] for name, task in tasks.items()} == {
        "1-0-generate": "complete", "1-1-generate": "failed", "1-2-generate": "processing",
    }  # fmt: skip
    assert list(worked.get("/datasets/1/tasks", job_id="1-0", status="queued")) == ["1-0-filter"]
    assert worked.get("/datasets/1/task_summaries/status")["failed"] == ["1-1-generate"]


def test_a_task_has_its_place_and_its_needs(worked: IceProd) -> None:
    task = worked.get("/datasets/1/tasks/1-0-filter")
    assert (task["name"], task["task_index"], task["job_index"], task["depends"]) == ("filter", 1, 0, [TASK])
    assert task["job_id"] == "1-0"
    needs = worked.get(f"/datasets/1/tasks/{TASK}")["requirements"]
    assert (needs["cpu"], needs["time"]) == (1, 3.0)
    assert needs["memory"] == pytest.approx(2, rel=0.1)
    assert worked.get("/datasets/1/tasks/1-1-generate")["walltime_err_n"] == 3


def test_what_was_used_is_told(worked: IceProd) -> None:
    found = worked.get("/datasets/1/task_stats")["generate"]
    assert (found["count"], found["gpu"]) == (1, False)
    assert set(found) == {
        "count", "gpu", "total_hrs", "total_err_hrs", "avg_hrs", "stddev_hrs", "min_hrs", "max_hrs", "efficiency",
    }  # fmt: skip
    assert found["efficiency"] == pytest.approx(found["total_hrs"] / (found["total_hrs"] + found["total_err_hrs"]))
    stats = worked.get(f"/datasets/1/tasks/{TASK}/task_stats")
    (one,) = stats.values()
    assert (one["task_id"], one["stats"]["hostname"], one["stats"]["failed"]) == (TASK, "node1", False)
    text = worked.api.http.get("/compat/iceprod/datasets/1/bulk/task_stats", headers=worked.api.headers).text
    assert [json.loads(line)["task_id"] for line in text.splitlines()] == [TASK]

    def lines(**query: str) -> list[Any]:
        answer = worked.api.http.get(
            "/compat/iceprod/datasets/1/bulk/task_stats", headers=worked.api.headers, params=query
        )
        return [json.loads(line) for line in answer.text.splitlines()]

    ended = one["create_date"]
    assert lines(keys="task_id|create_date", last="true") == [{"task_id": TASK, "create_date": ended}]
    assert lines(after=ended) == lines(after=f"{ended}Z") == []
    assert [line["task_id"] for line in lines(after="1969-12-31")] == [TASK]
    assert worked.get("/datasets/1/bulk/task_stats", 400, after="soon")["error"] == '"soon" is no date'


def test_lists_of_tasks_have_what_their_attempts_took(worked: IceProd) -> None:
    for query in ({}, {"job_index": 0}, {"status": "complete"}):
        found = worked.get("/datasets/1/tasks", **query)[TASK]
        alone = worked.get(f"/datasets/1/tasks/{TASK}")
        assert {key: found[key] for key in ("walltime", "walltime_err", "walltime_err_n", "evictions", "failures")} == {
            "walltime": pytest.approx(1 / 60), "walltime_err": 0, "walltime_err_n": 0, "evictions": 0, "failures": 0,
        }  # fmt: skip
        assert {key: value for key, value in alone.items() if key != "site"} == {
            key: value for key, value in found.items() if key != "site"
        }
    failed = worked.get("/datasets/1/tasks", status="failed", keys="walltime_err_n|failures")
    assert failed == {"1-1-generate": {"task_id": "1-1-generate", "walltime_err_n": 3, "failures": 3}}
    assert worked.get("/datasets/1/tasks", job_index=2, keys="name|failures")["1-2-filter"]["name"] == "filter"
    assert "walltime" not in worked.get("/datasets/1/tasks", keys="name")[TASK]


def test_actions_on_statuses_are_done_when_they_are_answered(worked: IceProd) -> None:
    def act(what: str, action: str, code: int = 201, **more: Any) -> Any:
        return worked.post(f"/actions/{what}_status", {"dataset_id": "1", "action": action, **more}, code)

    found = act("job", "suspend", job_ids=["1-2"])
    assert worked.get("/datasets/1/jobs/1-2")["status"] == "suspended"
    status = worked.get(f"/actions/job_status/{found['result']}")
    assert (status["status"], status["payload"], status["error_message"]) == ("complete", {"dataset_id": "1"}, "")
    act("job", "reset", initial_status="errors")
    assert worked.get("/datasets/1/job_counts/status") == {"processing": 2, "suspended": 1}
    act("job", "hard_reset", initial_status="suspended")
    act("task", "suspend", task_ids=["1-2-filter"])
    assert worked.get("/datasets/1/tasks/1-2-filter")["status"] == "suspended"
    act("task", "reset", initial_status="suspended")
    assert worked.get("/datasets/1/tasks/1-2-filter")["status"] == "idle"
    act("task", "suspend", job_ids=["1-2"], task_ids=[])
    act("task", "reset")
    act("job", "suspend", job_ids=[])  # of none, not of all
    assert worked.get("/datasets/1/job_counts/status") == {"processing": 3}
    act("dataset", "suspend", initial_status="errors")
    assert worked.get("/datasets/1")["status"] == "processing"
    act("dataset", "suspend")
    assert worked.get("/datasets/1")["status"] == "suspended"
    act("dataset", "reset", initial_status="suspended")
    assert worked.get("/datasets/1")["status"] == "processing"
    assert worked.get("/actions/submit") == worked.get("/actions/task_status") == {}
    assert act("dataset", "forget", 400)["error"].startswith("action:")
    assert act("job", "reset", 400, initial_status="lost")["error"] == "unknown status"
    for what in ("/actions/edit_config", "/actions/edit_config/1", "/actions/job_status/9"):
        assert worked.get(what, 404)["code"] == 404
    other = worked.api.token("submit", "read", who="bob")
    body = {"dataset_id": "1", "action": "suspend"}
    assert worked.post("/actions/dataset_status", body, 403, headers=other)["code"] == 403
    assert worked.api.faults() == []


def test_logs_are_listed_and_read(worked: IceProd) -> None:
    address, services = "1/1/generate#3", worked.api.services
    from nunatak.core.address import parse

    services.logs.append([(parse(address), "stderr", 0, b"no such file\n")])
    logs = worked.get("/datasets/1/tasks/1-1-generate/logs", group="true")
    assert {log["name"]: log["data"] for log in logs.values()} == {"stdout": "", "stderr": "no such file\n"}
    assert "data" not in worked.get("/datasets/1/tasks/1-1-generate/logs", keys="name")["1-1-generate-3-stderr"]
    assert worked.get("/datasets/1/logs/1-1-generate-3-stderr")["data"] == "no such file\n"
    assert worked.get("/datasets/1/logs/1-1-generate-7-stderr", 404)["error"] == "Log not found"


def test_jobs_and_tasks_are_suspended_and_reset(worked: IceProd) -> None:
    worked.post("/datasets/1/job_actions/bulk_suspend", {"jobs": ["1-2"]})
    assert worked.get("/datasets/1/jobs/1-2")["status"] == "suspended"
    worked.post("/datasets/1/job_actions/bulk_reset", {"jobs": ["1-2", "1-1"]})
    assert worked.get("/datasets/1/job_counts/status") == {"processing": 3}
    worked.put("/datasets/1/tasks/1-1-generate/status", {"status": "suspended"})
    worked.put("/datasets/1/tasks/1-1-generate/status", {"status": "suspended"})  # the same again is no error
    assert worked.get("/datasets/1/tasks/1-1-generate")["status"] == "suspended"
    worked.post("/datasets/1/task_actions/bulk_status/waiting", {"tasks": ["1-1-generate"]})
    assert worked.get("/datasets/1/tasks/1-1-generate")["status"] == "waiting"
    assert worked.post("/datasets/1/job_actions/bulk_forget", {}, 404)["code"] == 404
    assert worked.post("/datasets/1/task_actions/bulk_forget", {}, 404)["error"]
    worked.put("/datasets/1/jobs/1-0/status", {"status": "suspended"})
    worked.post("/datasets/1/task_actions/bulk_hard_reset")
    worked.post("/datasets/1/task_actions/bulk_reset", {"jobs": ["1-0"]})
    worked.post("/datasets/1/task_actions/bulk_suspend", {"tasks": ["1-2-filter"]})
    worked.post("/datasets/1/job_actions/bulk_status/processing", {"jobs": ["1-2"]})
    worked.post("/datasets/1/job_actions/bulk_hard_reset", {"jobs": ["1-2"]})
    assert worked.get("/datasets/1/job_counts/status") == {"processing": 3}
    for of, body in (("job", {"jobs": []}), ("task", {"tasks": []}), ("task", {"jobs": [], "tasks": []})):
        worked.post(f"/datasets/1/{of}_actions/bulk_suspend", body)  # of none, not of all
    assert worked.get("/datasets/1/job_counts/status") == {"processing": 3}
    worked.api.post("/actions", {"verb": "hold", "addresses": ["1"]})
    worked.post("/datasets/1/task_actions/bulk_reset")
    assert worked.get("/datasets/1")["status"] == "processing"
    assert worked.get(f"/datasets/1/tasks/{TASK}")["status"] == "complete"
    assert (
        worked.put("/datasets/1/jobs/1-0/status", {"status": "complete"}, 400)["error"]
        == "Bad state transition for status"
    )
    assert worked.api.faults() == []


def test_datasets_are_changed(worked: IceProd) -> None:
    worked.put("/datasets/1/description", {"description": "other"})
    worked.put("/datasets/1/priority", {"priority": 1})
    worked.put("/datasets/1/jobs_submitted", {"jobs_submitted": 5})
    worked.put("/datasets/1/jobs_submitted", {"jobs_submitted": 5})
    found = worked.get("/datasets/1")
    assert (found["description"], found["priority"], found["jobs_submitted"]) == ("other", 1.0, 5)
    assert worked.put("/datasets/1/jobs_submitted", {"jobs_submitted": 4}, 400)["error"].startswith(
        "jobs_submitted must be"
    )
    worked.post("/datasets/1/dataset_actions/truncate")
    assert worked.get("/datasets/1")["truncated"] is True
    worked.put("/datasets/1/status", {"status": "suspended"})
    worked.post("/datasets/1/dataset_actions/hard_reset")
    assert worked.get("/datasets/1")["status"] in ("processing", "errors")
    assert worked.put("/datasets/1/status", {"status": "complete"}, 400)["code"] == 400
    assert worked.api.faults() == []


def test_a_dataset_made_from_a_recipe_has_a_configuration_of_its_tasks(api: Api, iceprod: IceProd) -> None:
    api.submit()
    config = iceprod.get("/config/1")
    assert [(task["name"], task["depends"]) for task in config["tasks"]] == [("first", []), ("second", ["first"])]


@pytest.mark.parametrize(
    "path",
    ["/datasets/9", "/datasets/x", "/datasets/1/jobs/1-9",
     "/datasets/1/jobs/2-0", "/datasets/1/tasks/1-0-z", "/datasets/1/tasks/q"],
)  # fmt: skip
def test_what_is_not_there_is_404_in_their_form(worked: IceProd, path: str) -> None:
    found = worked.get(path, 404)
    assert found["code"] == 404
    assert found["error"]


ROUTES = [route for route in compat_app().routes if isinstance(route, APIRoute)]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_is_guarded_has_a_rule_and_refuses_who_shows_no_token(api: Api, route: APIRoute) -> None:
    assert isinstance(route, GuardedRoute)
    assert route.name in policy.RULES
    path = route.path
    for name, value in {
        "dataset_id": "1",
        "job_id": "1-0",
        "task_id": TASK,
        "log_id": f"{TASK}-1-stdout",
        "status": "suspended",
        "action": "1",
        "what": "job_status",
    }.items():
        path = path.replace(f"{{{name}}}", value)
    for method in route.methods:
        found = api.http.request(method, f"/compat/iceprod{path}")
        assert (found.status_code, found.json()["code"]) == (403, 403)


def test_what_is_somebody_elses_is_not_changed(worked: IceProd) -> None:
    other = worked.api.token("submit", "read", who="bob")
    assert worked.put("/datasets/1/status", {"status": "suspended"}, 403, headers=other)["error"]
    assert worked.post("/datasets/1/job_actions/bulk_suspend", {"jobs": ["1-0"]}, 403, headers=other)["code"] == 403
    assert worked.get("/datasets/1")["status"] == "processing"


def test_a_body_of_another_form_is_400(worked: IceProd) -> None:
    assert worked.put("/datasets/1/status", {}, 400)["error"].startswith("status:")
    nothing = worked.call("POST", "/datasets/1/task_actions/bulk_reset", 400)  # to say nothing is not to say all
    assert nothing["error"].startswith("the body:")
    assert worked.post("/actions/submit", {"config": {}}, 400)["code"] == 400
