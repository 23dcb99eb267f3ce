"""Bytes of outputs over HTTP, whole and in part; nothing outside the store is ever sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge.conftest import Api

DATA = bytes(range(256)) * 10
URL = "/api/v1/content/1/0/first?name=a.txt"


@pytest.fixture
def done(api: Api) -> Api:
    api.submit()
    api.engine()
    for task in api.claim():
        api.finish(task, data=DATA)
    return api


def test_files_are_listed_with_their_checksums(done: Api) -> None:
    found = done.get("/files/1?limit=2")
    assert [item["address"] for item in found["items"]] == ["1/0/first", "1/1/first"]
    assert found["items"][0]["size"] == len(DATA)
    rest = done.get(f"/files/1?after={found['next']}")
    assert [item["address"] for item in rest["items"]] == ["1/2/first"]
    assert [item["name"] for item in done.get("/files/1/0")["items"]] == ["a.txt"]
    assert done.get("/files/1/0/second")["items"] == []


def test_a_file_is_sent_whole(done: Api) -> None:
    found = done.http.get(URL, headers=done.headers)
    assert (found.status_code, found.content) == (200, DATA)
    sha = done.get("/files/1/0")["items"][0]["sha256"]
    assert found.headers["etag"] == f'"{sha}"'
    assert found.headers["content-disposition"].startswith("attachment")
    assert found.headers["content-length"] == str(len(DATA))
    assert done.http.get(URL.replace("/first", ""), headers=done.headers).content == DATA


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=2500-", 2500, 2560),
        ("bytes=-5", 2555, 2560),
        ("bytes=5-99999", 5, 2560),
    ],
)
def test_a_part_of_a_file_is_sent(done: Api, wanted: str, start: int, stop: int) -> None:
    found = done.http.get(URL, headers={**done.headers, "Range": wanted})
    assert (found.status_code, found.content) == (206, DATA[start:stop])
    assert found.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"


@pytest.mark.parametrize("wanted", ["bytes=9-5", "bytes=-", "lines=1-2", "bytes=1-2,4-5", "bytes=a-b"])
def test_a_range_that_is_not_understood_is_ignored(done: Api, wanted: str) -> None:
    assert done.http.get(URL, headers={**done.headers, "Range": wanted}).content == DATA


@pytest.mark.parametrize("wanted", ["bytes=2560-", "bytes=99999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(done: Api, wanted: str) -> None:
    found = done.http.get(URL, headers={**done.headers, "Range": wanted})
    assert found.status_code == 416
    assert found.headers["content-range"] == f"bytes */{len(DATA)}"


def test_conditions_are_kept(done: Api) -> None:
    tag = done.http.get(URL, headers=done.headers).headers["etag"]
    assert done.http.get(URL, headers={**done.headers, "If-None-Match": tag}).status_code == 304
    part = {**done.headers, "Range": "bytes=0-3"}
    assert done.http.get(URL, headers={**part, "If-Range": tag}).status_code == 206
    assert done.http.get(URL, headers={**part, "If-Range": '"old"'}).status_code == 200


@pytest.mark.parametrize("name", ["../a.txt", "/etc/passwd", "b.txt", "a.txt%00", "%2e%2e/a.txt"])
def test_a_name_that_was_not_recorded_is_not_there(done: Api, name: str) -> None:
    found = done.http.get(f"/api/v1/content/1/0/first?name={name}", headers=done.headers)
    assert found.status_code in (404, 422)


@pytest.mark.parametrize("address", ["../../etc/passwd", "1/0/first/../../..", "1/..%2f..", "%2e%2e", "1/0/first%00"])
def test_no_address_leads_elsewhere(done: Api, address: str) -> None:
    assert done.http.get(f"/api/v1/content/{address}?name=a.txt", headers=done.headers).status_code in (404, 422)


def test_an_engine_that_lies_about_a_place_does_not_open_it(api: Api, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    api.submit()
    api.engine()
    task = api.claim(1)[0]
    key = {"address": task["address"], "lease": task["lease"]}
    lies = [f"file://{secret}", f"file://{api.services.store[7:]}/../secret", "http://127.0.0.1:1/x", "nonsense"]
    outputs = [{"name": f"{i}", "url": url, "size": 6, "sha256": "0" * 64} for i, url in enumerate(lies)]
    api.report(ended=[{**key, "reason": "ok", "outputs": outputs}])
    for i in range(len(lies)):
        found = api.http.get(f"/api/v1/content/1/0/first?name={i}", headers=api.headers)
        assert found.status_code in (403, 404, 422), found.text
        assert found.content != b"secret"


def test_a_file_that_is_gone_or_changed_is_told_so(done: Api) -> None:
    url = done.get("/files/1/0")["items"][0]["url"]
    path = Path(url.removeprefix("file://"))
    path.write_bytes(b"other")
    assert done.get("/content/1/0/first?name=a.txt", 409)["code"] == "file-changed"
    path.unlink()
    assert done.get("/content/1/0/first?name=a.txt", 404)["code"] == "file-gone"


def test_a_name_that_several_tasks_have_needs_the_task(api: Api) -> None:
    api.submit("name: two\ntasks:\n  a: {run: x, outputs: [a.txt]}\n  b: {run: x, outputs: [a.txt]}\n")
    api.engine()
    for task in api.claim():
        api.finish(task, data=b"x")
    assert api.get("/content/1/0?name=a.txt", 422)["code"] == "several-files"
    assert api.http.get("/api/v1/content/1/0/b?name=a.txt", headers=api.headers).content == b"x"
    assert api.get("/content/1?name=a.txt", 422)["code"] == "bad-level"
