"""Fair share over HTTP: operators set weights and caps, and everybody sees them."""

from __future__ import annotations

import pytest

from tests.edge.conftest import Api

PATH = "/api/v1/shares"


def put(api: Api, status: int = 200, **body: object) -> dict:
    return api.call("PUT", PATH, status, json=body)


def test_a_rule_is_set_shown_replaced_and_forgotten(api: Api) -> None:
    put(api, kind="group", name="icecube", weight=3, running=500)
    put(api, kind="group", name="icecube", weight=2.5)
    (line,) = api.get("/shares")["items"]
    assert (line["kind"], line["name"], line["weight"], line["most_running"]) == ("group", "icecube", 2.5, None)
    assert line["said_by"] == "root"
    api.call("DELETE", PATH, params={"kind": "group", "name": "icecube"})
    assert api.get("/shares")["items"] == []
    assert api.call("DELETE", PATH, 404, params={"kind": "group", "name": "icecube"})["code"] == "no-share"


def test_a_cap_binds_the_next_claim(api: Api) -> None:
    put(api, kind="user", name="*", queued=2)
    api.submit()
    api.engine()
    assert len(api.claim()) == 2
    assert api.claim() == []
    api.call("DELETE", PATH, params={"kind": "user", "name": "*"})
    assert len(api.claim()) == 1
    (group, user) = api.get("/shares")["items"]
    assert (group["kind"], user["kind"], user["queued"]) == ("group", "user", 3)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"kind": "site", "name": "desy", "weight": 2}, "bad-share"),
        ({"kind": "group", "name": "*", "weight": 2}, "bad-share"),
        ({"kind": "group", "name": "icecube"}, "bad-share"),
        ({"kind": "dataset", "name": "007", "running": 1}, "bad-share"),
        ({"kind": "planet", "name": "x", "running": 1}, "invalid-request"),
        ({"kind": "group", "name": "x", "weight": 0}, "invalid-request"),
        ({"kind": "group", "name": "x", "running": -1}, "invalid-request"),
    ],
)
def test_what_means_nothing_is_refused(api: Api, body: dict, code: str) -> None:
    assert put(api, 422, **body)["code"] == code
    assert api.get("/shares")["items"] == []


def test_only_operators_change_shares(api: Api) -> None:
    headers = api.token("read", "submit")
    assert api.get("/shares", headers=headers) == {"items": []}
    assert (
        api.call("PUT", PATH, 403, json={"kind": "group", "name": "x", "running": 1}, headers=headers)["code"]
        == "scope"
    )
    assert api.call("DELETE", PATH, 403, params={"kind": "group", "name": "x"}, headers=headers)["code"] == "scope"
