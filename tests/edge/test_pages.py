"""Pages without a browser: who gets in, twins, forms, errors, files, hostile text, live parts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from nunatak.accounts import policy
from nunatak.accounts.policy import Scope
from nunatak.api.guard import GuardedRoute
from nunatak.api.services import Services
from nunatak.core.errors import Unavailable
from nunatak.web.app import create_app, routes
from nunatak.web.guard import PageRoute
from nunatak.web.throttle import ALL, EACH
from tests.edge.conftest import RECIPE, Api

ROUTES = routes()
OPEN_TO_ALL = {"static", "sign_in", "begin_session", "begin_session_by_code"}
READABLE = [
    route for route in ROUTES
    if isinstance(route, PageRoute) and "GET" in route.methods and route.name not in OPEN_TO_ALL and "{" not in route.path
]  # fmt: skip


@pytest.fixture
def pages(services: Services) -> Iterator[Api]:
    with TestClient(create_app(services), raise_server_exceptions=True, follow_redirects=False) as client:
        yield Api(services, client)


def sign_in(pages: Api, *scopes: str, who: str = "alice") -> None:
    """Begin a session in the client of these pages, as a browser would."""
    token = pages.token(*(scopes or ("read", "submit")), who=who)["Authorization"].removeprefix("Bearer ")
    found = post(pages, "/sign-in", {"token": token}, form="/sign-in")
    assert found.status_code == 303, found.text


def post(pages: Api, path: str, data: dict[str, str], form: str = "/datasets"):  # type: ignore[no-untyped-def]
    """Send a form as the page `form` has it."""
    return pages.http.post(path, data={"csrf": csrf_of(pages.http.get(form).text), **data})


def csrf_of(text: str) -> str:
    return re.findall(r'name="csrf" value="([^"]+)"', text)[0]


def test_every_page_is_guarded_and_has_a_rule() -> None:
    for route in ROUTES:
        assert isinstance(route, GuardedRoute), f"{route} has no guard"
        rule = route.rule if isinstance(route, PageRoute) else route.name
        assert rule in policy.RULES or rule in policy.PUBLIC, f"{route.name} has no rule"
        assert (rule in policy.PUBLIC) == (rule in OPEN_TO_ALL), f"{rule} should not be public"
        assert not route.include_in_schema


def test_a_page_without_a_rule_is_closed_to_everybody(pages: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "RULES", {})
    assert pages.call("GET", "/datasets.json", 403)["code"] == "no-policy"


@pytest.mark.parametrize("route", READABLE, ids=lambda route: route.name)
def test_nobody_sees_a_page_without_a_session(pages: Api, route: PageRoute) -> None:
    found = pages.http.get(route.path)
    if route.name == route.rule:
        assert found.status_code == 303
        assert found.headers["location"].startswith("/sign-in?next=")
    else:
        assert found.status_code == 401
        assert found.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("route", READABLE, ids=lambda route: route.name)
def test_each_scope_opens_what_its_rule_says(pages: Api, route: PageRoute) -> None:
    for scope in ("read", "submit", "engine"):
        if Scope(scope) not in policy.RULES[route.rule].scopes:
            assert pages.http.get(route.path, headers=pages.token(scope)).status_code == 403


@pytest.mark.parametrize("route", READABLE, ids=lambda route: route.name)
def test_every_page_has_the_strict_policy_and_says_what_it_is(pages: Api, route: PageRoute) -> None:
    if route.name != route.rule:
        return
    pages.submit()
    sign_in(pages, "read", "submit", "admin")
    found = pages.http.get(route.path, follow_redirects=True)
    assert found.status_code == 200
    rules = found.headers["content-security-policy"]
    assert "default-src 'none'" in rules
    assert "unsafe" not in rules
    assert found.headers["cache-control"] == "no-store"
    assert re.search(r"<title>.+ &middot; Nunatak</title>", found.text)
    assert "<script>" not in found.text
    assert not re.search(r"<[^>]+\s(style|on[a-z]+)=", found.text), "inline styles and handlers are forbidden"


def test_a_token_signs_in_and_is_never_seen_again(pages: Api) -> None:
    token = pages.token("read", who="alice")["Authorization"].removeprefix("Bearer ")
    asked = pages.http.get("/sign-in?next=/datasets%3Fstate%3Dopen")
    found = pages.http.post(
        "/sign-in", data={"csrf": csrf_of(asked.text), "token": token, "next": "/datasets?state=open"}
    )
    assert (found.status_code, found.headers["location"]) == (303, "/datasets?state=open")
    cookie = found.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert token not in cookie
    page = pages.http.get("/datasets")
    assert page.status_code == 200
    session = pages.http.cookies["nunatak-session"]
    assert token not in page.text
    assert session not in page.text


def test_signing_out_ends_the_session_for_good(pages: Api) -> None:
    sign_in(pages)
    session = pages.http.cookies["nunatak-session"]
    assert post(pages, "/sign-out", {}).headers["location"] == "/sign-in"
    pages.http.cookies.set("nunatak-session", session)
    assert pages.http.get("/datasets").status_code == 303


def test_a_session_ends_with_the_token_it_was_made_from(pages: Api) -> None:
    made = pages.post("/tokens", {"name": "laptop", "scopes": ["read"], "days": 1}, 201)
    post(pages, "/sign-in", {"token": made["token"]}, form="/sign-in")
    assert pages.http.get("/datasets").status_code == 200
    pages.call("DELETE", f"/api/v1/tokens/{made['id']}")
    assert pages.http.get("/datasets").status_code == 303


def test_a_session_holds_no_longer_than_it_may(pages: Api) -> None:
    sign_in(pages)
    pages.clock.advance(86_401.0)  # the token holds a day, sessions could hold seven
    assert pages.http.get("/datasets").status_code == 303


def test_sessions_are_not_listed_among_tokens(pages: Api) -> None:
    before = len(pages.get("/tokens")["items"])
    sign_in(pages)
    assert len(pages.get("/tokens")["items"]) == before + 1


def test_a_code_signs_in_once(pages: Api) -> None:
    path = pages.post("/sign-in-codes", {}, 201)["path"]
    assert pages.http.head(path).status_code == 405
    found = pages.http.get(path)
    assert (found.status_code, found.headers["location"]) == (303, "/datasets")
    assert pages.http.get(path).status_code == 303  # who is signed in goes on
    pages.http.cookies.clear()
    again = pages.http.get(path)
    assert again.status_code == 403
    assert "used before" in again.text


def test_a_code_is_too_old_after_ten_minutes_and_good_for_nothing_else(pages: Api) -> None:
    made = pages.post("/sign-in-codes", {}, 201)
    assert pages.get("/datasets", 403, headers={"Authorization": f"Bearer {made['code']}"})["code"] == "scope"
    pages.clock.advance(601.0)
    assert pages.http.get(made["path"]).status_code == 403


def test_a_wrong_token_is_told_in_words(pages: Api) -> None:
    found = post(pages, "/sign-in", {"token": "nun_wrong"}, form="/sign-in")
    assert found.status_code == 403
    assert "this token is not known here" in found.text
    assert "nun_wrong" not in found.text


def test_tries_to_sign_in_are_bounded_each_and_in_total(pages: Api) -> None:
    for _ in range(EACH):
        assert post(pages, "/sign-in", {"token": "x"}, form="/sign-in").status_code == 403
    assert post(pages, "/sign-in", {"token": "x"}, form="/sign-in").status_code == 429
    pages.clock.advance(60.0)
    assert post(pages, "/sign-in", {"token": "x"}, form="/sign-in").status_code == 403
    throttle = pages.http.app.app.state.throttle  # type: ignore[attr-defined]
    for n in range(ALL - 1):
        throttle.count(f"10.0.0.{n}")
    with pytest.raises(Unavailable, match="too many tries"):
        throttle.count("10.0.1.1")


def test_who_signs_in_well_does_not_use_up_tries(pages: Api) -> None:
    for _ in range(EACH + 1):
        sign_in(pages)
        pages.http.cookies.clear()
    for n in range(EACH + 1):
        assert post(pages, "/sign-in", {"token": "x"}, form="/sign-in").status_code == (403 if n < EACH else 429)


@pytest.mark.parametrize(
    "to", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/sign-in/x", "a"]
)
def test_nobody_is_led_elsewhere_after_signing_in(pages: Api, to: str) -> None:
    token = pages.token("read")["Authorization"].removeprefix("Bearer ")
    assert post(pages, "/sign-in", {"token": token, "next": to}, form="/sign-in").headers["location"] == "/datasets"


def test_a_change_needs_a_form_of_this_session(pages: Api) -> None:
    number = pages.submit(headers=pages.token("submit", who="alice"))
    sign_in(pages)
    wanted = {"verb": "hold", "address": str(number)}
    for form in ({}, {"csrf": "a.b"}, {"csrf": ""}):
        assert pages.http.post("/actions", data={**wanted, **form}).status_code == 403
    good = csrf_of(pages.http.get("/datasets").text)
    foreign = pages.http.post("/actions", data={**wanted, "csrf": good}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert not pages.get(f"/datasets/{number}")["held"]
    found = pages.http.post("/actions", data={**wanted, "csrf": good, "next": "/datasets?state=held"})
    assert (found.status_code, found.headers["location"]) == (303, "/datasets?state=held")
    assert pages.get(f"/datasets/{number}")["held"]
    assert "held" in re.findall(r'class="said" role="status">([^<]*)', pages.http.get("/datasets").text)[0]
    assert 'class="said"' not in pages.http.get("/datasets").text


def test_a_form_token_of_one_session_is_nothing_in_another(pages: Api) -> None:
    sign_in(pages)
    old = csrf_of(pages.http.get("/datasets").text)
    pages.http.cookies.clear()
    sign_in(pages, who="bob")
    assert pages.http.post("/theme", data={"csrf": old, "theme": "dark"}).status_code == 403


def test_only_the_owner_acts(pages: Api) -> None:
    number = pages.submit(headers=pages.token("submit", who="bob"))
    sign_in(pages)
    assert post(pages, "/actions", {"verb": "cancel", "address": str(number)}).status_code == 403
    assert pages.get(f"/datasets/{number}")["state"] == "open"


def test_a_script_and_its_inputs_become_a_dataset(pages: Api) -> None:
    sign_in(pages)
    files = [("script", ("fit.py", b"print(1)")), ("inputs", ("a.npz", b"1")), ("inputs", ("../b.npz", b"2"))]
    form = {"mode": "script", "outputs": "out/{stem}.json", "first": "1", "csrf": csrf_of(pages.http.get("/new").text)}
    assert pages.http.post("/new", data={**form, "csrf": ""}, files=files).status_code == 403
    assert pages.http.post("/new", data={**form, "outputs": "'"}, files=files).status_code == 422
    assert pages.http.post("/new", data=form, files=files).status_code == 303
    found = pages.get("/datasets/1")
    assert (found["name"], found["owner"], found["jobs"]["total"]) == ("fit", "alice", 1)
    plan = pages.get("/datasets/1/recipe")["plan"]
    kept = pages.services.blobs.missing([file["sha256"] for file in plan["files"].values()])
    assert sorted(plan["files"]) == ["fit.py", "inputs/a.npz", "inputs/b.npz"]
    assert kept == []


def test_light_and_dark_are_kept(pages: Api) -> None:
    sign_in(pages)
    assert 'data-theme="auto"' in pages.http.get("/datasets").text
    post(pages, "/theme", {"theme": "dark"})
    assert 'data-theme="dark"' in pages.http.get("/datasets").text
    post(pages, "/theme", {"theme": '"><script>'})
    assert 'data-theme="dark"' in pages.http.get("/datasets").text


def test_a_twin_has_the_data_of_its_page(pages: Api) -> None:
    pages.submit(headers=pages.token("submit", who="alice"))
    sign_in(pages)
    data = pages.http.get("/datasets.json").json()
    assert [item["name"] for item in data["items"]] == ["chain"]
    assert {"items", "next", "needs", "use", "filters"} <= data.keys()
    assert pages.call("GET", "/datasets.json?owner=alice")["items"] == data["items"]


def test_what_is_not_there_is_a_page_for_people_and_a_document_for_programs(pages: Api) -> None:
    sign_in(pages)
    page = pages.http.get("/nowhere", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "<h1>Not found</h1>" in page.text
    assert pages.http.get("/nowhere").headers["content-type"] == "application/problem+json"
    assert pages.http.get("/api/v1/nowhere", headers={"Accept": "text/html"}).json()["code"] == "no-route"
    wrong = pages.http.get("/datasets?sort=nonsense")
    assert wrong.status_code == 422
    assert "is no order" in wrong.text


@pytest.mark.parametrize(
    ("to", "place"),
    [
        ("42/17/propagate#2", "/datasets/42/17/propagate/2"),
        ("42", "/datasets/42"),
        ("42/analyze", "/datasets/42/analyze"),
        ("muons & more", "/datasets?owner=%2A&q=muons+%26+more"),
    ],
)
def test_an_address_leads_to_its_page_and_a_name_to_a_list(pages: Api, to: str, place: str) -> None:
    sign_in(pages)
    assert pages.http.get("/go", params={"to": to}).headers["location"] == place


HOSTILE = "</title><script>alert(1)</script>\u202e&<img src=x onerror=alert(1)> {{7*7}}"


def test_hostile_text_is_text(pages: Api) -> None:
    alice = pages.token("submit", who="alice")
    number = pages.submit(json.dumps({"name": HOSTILE, "tasks": {"a": {"run": "true"}}}), headers=alice, team="<b>x")
    pages.post("/actions", {"verb": "hold", "addresses": [str(number)], "reason": HOSTILE}, headers=alice)
    sign_in(pages)
    text = pages.http.get("/datasets", params={"q": "<script>", "group": '"><b>', "owner": "*"}).text
    text += pages.http.get("/datasets").text + pages.http.get("/datasets?owner=<script>").text
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "<b>x" not in text
    assert "49" not in re.findall(r'class="name"[^>]*>([^<]*)', text)


def test_files_are_kept_for_good_under_names_that_change_with_them(pages: Api) -> None:
    found = re.findall(r'(?:href|src)="(/static/[^"]+)"', pages.http.get("/sign-in").text)
    assert len(found) >= 4
    for path in found:
        answer = pages.http.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert pages.http.get("/static/../app.py").status_code == 404
    assert pages.http.get("/static/nunatak.css").status_code == 404


def test_rows_are_filtered_sorted_and_paged(pages: Api) -> None:
    alice = pages.token("submit", "read", who="alice")
    for name, jobs in (("b", 3), ("a", 2), ("c", 1)):
        pages.submit(RECIPE.replace("name: chain", f"name: {name}").replace("jobs: 3", f"jobs: {jobs}"), headers=alice)

    def names(**query: str) -> list[str]:
        found = pages.http.get("/datasets.json", params=query, headers=alice)
        assert found.status_code == 200, found.text
        return [item["name"] for item in found.json()["items"]]

    assert names() == ["c", "a", "b"]
    assert names(sort="oldest") == ["b", "a", "c"]
    assert names(sort="name") == ["a", "b", "c"]
    assert names(sort="jobs") == ["b", "a", "c"]
    assert names(sort="name", after="2:a") == ["b", "c"]
    assert names(sort="jobs", after="1:3") == ["a", "c"]
    assert names(q="A") == ["a"]
    assert names(q="1") == ["b"]
    assert names(state="done") == []
    assert names(owner="bob") == []
    assert pages.http.get("/datasets.json", params={"after": "x"}, headers=alice).status_code == 422
