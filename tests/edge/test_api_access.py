"""Who gets in, and who does not: tokens, scopes, owners, and no route without a rule."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from nunatak.accounts import policy, tokens
from nunatak.api.app import bare_app, create_app
from nunatak.api.guard import GuardedRoute
from nunatak.api.iceprod.app import compat_app
from nunatak.db.bounds import Bounds
from nunatak.db.database import Database
from nunatak.web.app import routes as page_routes
from tests.edge.conftest import CAPACITY, RECIPE, Api

ROUTES = [route for route in bare_app().routes if isinstance(route, APIRoute)]


def example(route: APIRoute) -> str:
    """A path of a route, its parameters filled in."""
    values = {
        "sha256": "0" * 64,
        "digest": "0" * 64,
        "name": "local",
        "address": "1/0/first",
        "dataset": "1",
        "token": "1",
    }
    return re.sub(r"\{(\w+)(?::path)?\}", lambda found: values[found[1]], route.path)


def test_every_route_is_guarded_and_has_a_rule() -> None:
    assert len(ROUTES) > 30
    for route in bare_app().routes:
        assert isinstance(route, GuardedRoute), f"{route} has no guard"
        assert route.name in policy.RULES or route.name in policy.PUBLIC, f"{route.name} has no rule"


def test_every_rule_belongs_to_a_route() -> None:
    pages = {route.name.partition(".")[0] for route in page_routes() if isinstance(route, GuardedRoute)}
    compat = {route.name for route in compat_app().routes}
    assert {*policy.RULES, *policy.PUBLIC} == {route.name for route in ROUTES} | pages | compat


def test_names_of_routes_are_unique() -> None:
    names = [route.name for route in ROUTES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("route", [route for route in ROUTES if route.name not in policy.PUBLIC], ids=lambda r: r.name)
def test_no_token_no_answer(api: Api, route: APIRoute) -> None:
    for method in route.methods:
        found = api.http.request(method, example(route))
        assert found.status_code == 401
        assert found.headers["www-authenticate"].startswith("Bearer")
        assert found.headers["content-type"] == "application/problem+json"
        assert found.json()["code"] == "no-token"


@pytest.mark.parametrize("route", [route for route in ROUTES if route.name not in policy.PUBLIC], ids=lambda r: r.name)
def test_each_scope_opens_what_its_rule_says_and_nothing_else(api: Api, route: APIRoute) -> None:
    rule = policy.RULES[route.name]
    for scope in ("read", "submit", "engine"):
        headers = api.token(scope)
        for method in route.methods:
            if scope in rule.scopes:
                continue
            found = api.http.request(method, example(route), headers=headers)
            assert found.status_code == 403
            assert found.json()["code"] == "scope"
            assert found.json()["data"]["needed"] == sorted(rule.scopes)


def test_a_route_without_a_rule_is_closed_to_everybody(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "RULES", {})
    assert api.get("/whoami", 403)["code"] == "no-policy"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_token(api: Api, path: str) -> None:
    found = api.http.get(path)
    assert (found.status_code, found.json()) == (200, {"status": "ok"})


def test_readiness_tells_when_the_database_is_of_another_version(api: Api) -> None:
    with api.services.database.write() as tx:
        tx.exec_driver_sql("DELETE FROM alembic_version")
    found = api.http.get("/readyz")
    assert (found.status_code, found.json()["code"]) == (503, "not-migrated")
    assert found.headers["retry-after"] == "1"
    assert api.http.get("/healthz").status_code == 200


def test_a_server_on_its_way_out_is_alive_and_not_ready(api: Api) -> None:
    api.services.stopping.set()
    found = api.http.get("/readyz")
    assert (found.status_code, found.json()["code"]) == (503, "stopping")
    assert api.http.get("/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/datasets", "/engines"])
def test_without_a_free_connection_to_the_database_callers_are_told_to_come_again(api: Api, path: str) -> None:
    full = Database(api.services.database.url, Bounds(pool=1, wait=0.05))
    with full.write(), full.read(), full.glance(), TestClient(create_app(replace(api.services, database=full))) as http:
        found = http.get(f"/api/v1{path}", headers=api.headers)
    full.close()
    assert (found.status_code, found.json()["code"]) == (503, "database-busy")
    assert found.headers["content-type"] == "application/problem+json"
    assert found.headers["retry-after"] == "1"
    assert "tried again" in found.json()["hint"]


@pytest.mark.parametrize(
    ("value", "code"), [("Bearer nun_wrong", "bad-token"), ("Basic abc", "no-token"), ("Bearer ", "no-token")]
)
def test_a_strange_token_is_refused(api: Api, value: str, code: str) -> None:
    found = api.http.get("/api/v1/whoami", headers={"Authorization": value})
    assert (found.status_code, found.json()["code"]) == (401, code)


def test_an_expired_token_is_refused(api: Api) -> None:
    headers = api.token("read", days=1.0)
    assert api.get("/whoami", headers=headers)["scopes"] == ["read"]
    api.clock.advance(86_401)
    assert api.get("/whoami", 401, headers=headers)["code"] == "expired-token"


def test_a_revoked_token_is_refused_at_once(api: Api) -> None:
    made = api.post("/tokens", {"name": "robot", "scopes": ["read"]}, 201)
    headers = {"Authorization": f"Bearer {made['token']}"}
    api.get("/whoami", headers=headers)
    assert api.call("DELETE", f"/api/v1/tokens/{made['id']}") == {"id": made["id"]}
    assert api.get("/whoami", 401, headers=headers)["code"] == "revoked-token"
    api.call("DELETE", f"/api/v1/tokens/{made['id']}")
    api.call("DELETE", "/api/v1/tokens/9999", 404)


def test_a_token_is_told_once_and_kept_as_a_hash(api: Api) -> None:
    made = api.post("/tokens", {"name": "robot", "scopes": ["read"], "days": 7}, 201)
    assert made["token"].startswith(tokens.PREFIX)
    listed = api.get("/tokens")["items"]
    assert listed[-1]["name"] == "robot"
    assert made["token"] not in api.http.get("/api/v1/tokens", headers=api.headers).text
    with api.services.database.read() as tx:
        rows = tx.exec_driver_sql("SELECT hash FROM tokens WHERE token = ?", (made["id"],)).fetchall()
    assert rows[0].hash == tokens.digest_of(made["token"])


def test_a_token_made_twice_with_one_key_is_the_same_and_its_text_is_not_kept(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    body = {"name": "robot", "scopes": ["read"]}
    first = api.post("/tokens", body, 201, headers=headers)
    assert api.post("/tokens", body, 201, headers=headers) == first
    with api.services.database.read() as tx:
        kept = tx.exec_driver_sql("SELECT body FROM idempotency").fetchall()
    assert first["token"] not in kept[0].body


def test_only_administrators_see_the_tokens_of_others(api: Api) -> None:
    alice = api.token("read", "alice")
    assert {item["principal"] for item in api.get("/tokens", headers=alice)["items"]} == {"alice"}
    assert {item["principal"] for item in api.get("/tokens")["items"]} == {"alice", "root"}
    page = api.get("/tokens?limit=1")
    assert page["next"]
    assert api.get(f"/tokens?limit=1&after={page['next']}")["items"][0]["principal"] == "alice"


def test_datasets_of_others_are_changed_by_their_owner_and_administrators_only(api: Api) -> None:
    alice, bob = api.token("read", "submit", "alice"), api.token("read", "submit", "bob")
    number = api.submit(headers=alice)
    assert api.get(f"/datasets/{number}", headers=bob)["owner"] == "alice"
    tag = {"If-Match": "*"}
    hold = {"verb": "hold", "addresses": [str(number)]}
    assert api.post("/actions", hold, 403, headers=bob)["code"] == "not-owner"
    assert api.post(f"/datasets/{number}/more", {"jobs": 1}, 403, headers=bob)["code"] == "not-owner"
    path = f"/api/v1/datasets/{number}"
    assert api.call("PATCH", path, 403, json={"priority": 2.0}, headers={**bob, **tag})["code"] == "not-owner"
    for who in (alice, api.headers):
        api.post("/actions", hold, headers=who)
        api.post(f"/datasets/{number}/more", {"jobs": 1}, headers=who)
        api.call("PATCH", path, json={"priority": 2.0}, headers={**who, **tag})


def test_who_am_i(api: Api) -> None:
    found = api.get("/whoami", headers=api.token("read", "submit", "alice"))
    assert found["name"] == "alice"
    assert found["scopes"] == ["read", "submit"]
    assert found["expires"].endswith("Z")


def test_every_answer_has_the_security_headers(api: Api) -> None:
    for path in ("/healthz", "/api/v1/whoami", "/nothing", "/api/v1/datasets/99"):
        headers = api.http.get(path, headers=api.headers).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_there_are_no_pages_of_documentation_that_load_from_elsewhere(api: Api) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert api.http.get(path, headers=api.headers).status_code == 404
    assert api.get("/openapi.json")["openapi"].startswith("3.1")


def test_metrics_count_and_can_be_switched_off(api: Api) -> None:
    api.submit()
    api.engine()
    body = {"session": "s1", "capacity": CAPACITY}
    api.post("/engines/local/heartbeat", body)
    text = api.http.get("/metrics", headers=api.headers).text
    assert 'nunatak_requests_total{route="submit_dataset",status="201"} 1.0' in text
    assert 'nunatak_requests_total{route="heartbeat",status="200"} 1.0' in text
    assert 'nunatak_tasks{state="ready"} 3.0' in text
    assert 'nunatak_engines{alive="true"} 1.0' in text
    from fastapi.testclient import TestClient

    with TestClient(create_app(replace(api.services, metrics=False))) as other:
        assert other.get("/metrics", headers=api.headers).json()["code"] == "no-metrics"


def test_a_recipe_is_checked_without_being_kept(api: Api) -> None:
    found = api.post("/recipes/check", {"text": RECIPE, "job": 2}, headers=api.token("read"))
    assert found["tasks"] == ["first", "second"]
    assert found["dry_run"][0]["commands"][0]["argv"] == ["echo", "2", "5"]
    wrong = api.post(
        "/recipes/check", {"text": "name: x\ntasks:\n  a: {run: x, nedes: {}}\n", "filename": "m.yaml"}, 422
    )
    assert wrong["code"] == "bad-recipe"
    assert wrong["problems"][0]["line"] == 3
    assert "nedes" in wrong["problems"][0]["path"] + wrong["problems"][0]["message"]
    assert api.get("/datasets")["items"] == []
    assert api.get("/schema/recipe")["$schema"].startswith("https://json-schema.org")
