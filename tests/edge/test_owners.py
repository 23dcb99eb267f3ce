"""Whatever changes what is somebody's is refused to everybody else: each route whose rule asks for the owner, by its name."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from nunatak.accounts import policy
from nunatak.api.services import Services
from nunatak.web.app import create_app
from tests.edge.conftest import RECIPE, Api

ICE = "/compat/iceprod/datasets/1"
API: dict[str, tuple[str, str, Any]] = {
    "edit_dataset": ("PATCH", "/api/v1/datasets/1", {"priority": 2.0}),
    "edit_recipe": ("PUT", "/api/v1/datasets/1/recipe", {"text": RECIPE, "filename": "r.yaml"}),
    "more_jobs": ("POST", "/api/v1/datasets/1/more", {"jobs": 1}),
    "split_dataset": ("POST", "/api/v1/datasets/1/split", {"into": 2}),
    "act": ("POST", "/api/v1/actions", {"verb": "cancel", "addresses": ["2", "1/0"]}),
    "iceprod_set_dataset_status": ("PUT", f"{ICE}/status", {"status": "suspended"}),
    "iceprod_set_description": ("PUT", f"{ICE}/description", {"description": "mine"}),
    "iceprod_set_priority": ("PUT", f"{ICE}/priority", {"priority": 0.5}),
    "iceprod_set_jobs": ("PUT", f"{ICE}/jobs_submitted", {"jobs_submitted": 50}),
    "iceprod_truncate": ("POST", f"{ICE}/dataset_actions/truncate", {}),
    "iceprod_act": (
        "POST",
        "/compat/iceprod/actions/dataset_status",
        {"dataset_id": "1", "action": "suspend"},
    ),
    "iceprod_hard_reset": ("POST", f"{ICE}/dataset_actions/hard_reset", {}),
    "iceprod_set_job_status": ("PUT", f"{ICE}/jobs/1-0/status", {"status": "suspended"}),
    "iceprod_bulk_job_status": ("POST", f"{ICE}/job_actions/bulk_status/suspended", {"jobs": ["1-0"]}),
    "iceprod_bulk_jobs": ("POST", f"{ICE}/job_actions/bulk_suspend", {"jobs": ["1-0"]}),
    "iceprod_set_task_status": ("PUT", f"{ICE}/tasks/1-0-first/status", {"status": "suspended"}),
    "iceprod_bulk_task_status": ("POST", f"{ICE}/task_actions/bulk_status/suspended", {"tasks": ["1-0-first"]}),
    "iceprod_bulk_tasks": ("POST", f"{ICE}/task_actions/bulk_suspend", {"tasks": ["1-0-first"]}),
}
PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "act_from_page": ("/actions", {"verb": "cancel", "address": "1"}),
    "more_from_page": ("/datasets/1/more", {"jobs": "1", "of": "2"}),
    "edit_from_page": ("/datasets/1/priority", {"priority": "2"}),
    "check_edit_from_page": ("/datasets/1/edit/check", {"source": RECIPE, "since": "1"}),
    "edit_recipe_from_page": ("/datasets/1/edit", {"source": RECIPE, "since": "1"}),
    "retry_from_page": ("/datasets/1/retry", {"signature": "x"}),
    "revoke_own_token": ("/profile/tokens/1/revoke", {}),
}


@pytest.fixture
def house(services: Services) -> Api:
    client = TestClient(create_app(services), raise_server_exceptions=True, follow_redirects=False)
    api = Api(services, client)
    assert api.submit(RECIPE, headers=api.token("submit", who="alice")) == 1
    assert api.submit(RECIPE, headers=api.token("submit", who="bob")) == 2
    return api


def test_each_such_rule_has_its_attack() -> None:
    assert {*API, *PAGES} == {name for name, rule in policy.RULES.items() if rule.owner}


def test_another_user_is_refused_and_nothing_changes(house: Api) -> None:
    before = house.get("/datasets/1"), house.get("/history/1"), house.get("/datasets/2")
    mallory = house.token("read", "submit", who="bob")
    tag = {"If-Match": house.http.get("/api/v1/datasets/1", headers=house.headers).headers["etag"]}
    said = {name: house.http.request(verb, path, json=body, headers={**mallory, **tag}).status_code
            for name, (verb, path, body) in API.items()}  # fmt: skip
    said |= {
        name: house.http.post(path, data=sent, headers=mallory).status_code for name, (path, sent) in PAGES.items()
    }
    assert said == dict.fromkeys(said, 403)
    assert (house.get("/datasets/1"), house.get("/history/1"), house.get("/datasets/2")) == before
    assert [item["revoked"] for item in house.get("/tokens")["items"]] == [None] * 4


def test_the_owner_is_let_in(house: Api) -> None:
    alice = house.token("read", "submit", who="alice")
    tag = {"If-Match": house.http.get("/api/v1/datasets/1", headers=house.headers).headers["etag"]}
    for name in API:
        verb, path, body = (
            API[name] if name != "act" else ("POST", "/api/v1/actions", {"verb": "hold", "addresses": ["1"]})
        )
        assert house.http.request(verb, path, json=body, headers={**alice, **tag}).status_code != 403, name
