"""Watching a dataset: the first status at once, each change after that, an end."""

from __future__ import annotations

import json
import socket
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, NoReturn

import httpx2
import pytest
from structlog.testing import capture_logs

from nunatak import assembly
from nunatak.api.services import Services
from nunatak.api.watched import Watched
from nunatak.core.errors import NotFound, NunatakError, Unavailable
from nunatak.core.settings import Settings
from tests.edge.conftest import Api


class Live(Api):
    """The same server behind a real socket: streams need one."""

    def __init__(self, services: Services, server: assembly.ApiServer) -> None:
        super().__init__(services, httpx2.Client(base_url=server.url, timeout=30))
        self.server = server


@pytest.fixture
def live(services: Services, tmp_path: Any) -> Iterator[Live]:
    server = assembly.ApiServer(services, assembly.listen(Settings(data=tmp_path, port=0)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    api = Live(services, server)
    yield api
    server.stop()
    thread.join(20)
    api.http.close()
    server.sock.close()
    assert not thread.is_alive()


def events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read events, and comments as ("", {})."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
        elif line.startswith(":"):
            yield "", {}


def statuses(found: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    return (plain for name, plain in found if name == "status")


def test_a_watcher_gets_the_status_each_change_and_the_end(live: Live) -> None:
    live.submit("name: one\ntasks:\n  a: {run: x}\n")
    live.engine()
    with live.http.stream("GET", "/api/v1/datasets/1/events", headers=live.headers) as found:
        assert found.headers["content-type"].startswith("text/event-stream")
        stream = events(found.iter_lines())
        name, first = next(stream)
        assert (name, first["tasks"]["ready"]) == ("status", 1)
        assert first == live.get("/datasets/1")
        task = live.claim()[0]
        assert next(statuses(stream))["tasks"]["queued"] == 1
        live.finish(task)
        last = next(plain for plain in statuses(stream) if plain["state"] == "done")
        assert last["tasks"]["done"] == 1
        assert next(name for name, _ in stream if name) == "end"
        assert next(stream, None) is None


@pytest.mark.parametrize("path", ["/api/v1/datasets/1/events", "/datasets/1.live"])
def test_who_takes_gzip_is_sent_each_change_at_once(live: Live, path: str) -> None:
    live.submit()
    with live.http.stream("GET", path, headers={**live.headers, "Accept-Encoding": "gzip"}) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        pieces, reader = packed.iter_raw(), zlib.decompressobj(31)
        for verb, seen in (("hold", "open"), ("release", "held"), ("hold", "open")):
            text = ""
            while not ("data: " in text and text.endswith("\n\n")):
                text += reader.decompress(next(pieces)).decode()
            assert seen in text
            live.post("/actions", {"verb": verb, "addresses": ["1"]})
    with live.http.stream("GET", path, headers={**live.headers, "Accept-Encoding": "identity"}) as plain:
        assert "content-encoding" not in plain.headers
        assert next(plain.iter_raw()).startswith(b"event: ")


def test_a_quiet_dataset_gives_signs_of_life(live: Live) -> None:
    live.submit()
    with live.http.stream("GET", "/api/v1/datasets/1/events", headers=live.headers) as found:
        stream = events(found.iter_lines())
        assert next(stream)[0] == "status"
        assert next(stream) == ("", {})


def test_many_watchers_share_one_look_which_ends_with_the_last(live: Live) -> None:
    live.submit()
    pollers = live.server.config.app.app.state.pollers
    for _ in range(2):
        with (
            live.http.stream("GET", "/api/v1/datasets/1/events", headers=live.headers) as one,
            live.http.stream("GET", "/api/v1/datasets/1/events", headers=live.headers) as two,
        ):
            streams = [events(one.iter_lines()), events(two.iter_lines())]
            assert [next(stream)[0] for stream in streams] == ["status", "status"]
            assert list(pollers) == [1]
            assert pollers[1].watchers == 2
        _until(lambda: not pollers)


@pytest.mark.parametrize("path", ["/api/v1/datasets/1/events", "/datasets/1.live"])
def test_a_token_that_is_revoked_ends_what_it_watches(live: Live, path: str) -> None:
    live.submit()
    shown = live.token("read", "guest")
    with live.http.stream("GET", path, headers=shown) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("event: ")
        number = next(item["id"] for item in live.get("/tokens")["items"] if item["principal"] == "guest")
        live.call("DELETE", f"/api/v1/tokens/{number}")
        assert "event: end" not in list(lines)  # it ends, though there was no end of what is watched
    assert live.http.get(path, headers=shown).status_code == 401


def test_a_done_dataset_ends_at_once(live: Live) -> None:
    live.submit("name: one\ntasks:\n  a: {run: x}\n")
    live.engine()
    live.finish(live.claim()[0])
    with live.http.stream("GET", "/api/v1/datasets/1/events", headers=live.headers) as found:
        assert [name for name, _ in events(found.iter_lines()) if name] == ["status", "end"]


def test_a_dataset_that_is_not_there_cannot_be_watched(live: Live) -> None:
    assert live.get("/datasets/9/events", 404)["code"] == "no-dataset"


def test_while_the_database_is_away_those_who_look_for_watchers_say_nothing_and_go_on(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database says it once for all; what else goes wrong is said of the dataset and of the page."""
    live.submit()
    database, seen, looks = live.services.database, Watched._seen, Counter[str]()
    both = {"dataset 1", "/datasets.live"}

    async def counted(watched: Watched, look: Any) -> Any:
        found = await seen(watched, look)
        looks[watched.name] += 1
        return found

    def away(error: NunatakError) -> None:
        """Let reading fail until both have looked three times."""

        def refused() -> NoReturn:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(database, "read", refused)
            before = looks.copy()
            _until(lambda: all(looks[name] >= before[name] + 3 for name in both))

    monkeypatch.setattr(Watched, "_seen", counted)
    with (
        capture_logs() as said,
        live.http.stream("GET", "/api/v1/datasets/1/events", headers=live.headers) as one,
        live.http.stream("GET", "/datasets.live", headers=live.headers) as two,
    ):
        dataset, page = events(one.iter_lines()), events(two.iter_lines())
        assert [next(dataset)[0], next(page)[0]] == ["status", "parts"]
        away(Unavailable("it does not answer", code="database"))
        away(Unavailable("it takes no changes", code="database-read-only"))
        assert [line for line in said if line["event"] == "watching"] == []
        away(NotFound("it is gone"))
        assert {line["what"] for line in said if line["event"] == "watching"} == both
        live.post("/actions", {"verb": "hold", "addresses": ["1"]})
        assert next(statuses(dataset))["state"] == "held"
        assert next(name for name, _ in page if name) == "parts"


def test_a_server_that_stops_ends_its_streams(live: Live) -> None:
    live.submit()
    with live.http.stream("GET", "/api/v1/datasets/1/events", headers=live.headers) as found:
        stream = events(found.iter_lines())
        next(stream)
        live.server.stop()
        assert [name for name, _ in stream if name not in ("", "status")] == []


def test_a_server_listens_on_loopback_and_says_when_its_port_is_taken(live: Live, tmp_path: Any) -> None:
    host, port = live.server.sock.getsockname()
    assert host == "127.0.0.1"
    assert live.server.url == f"http://127.0.0.1:{port}"
    from nunatak.core.errors import Conflict

    with pytest.raises(Conflict) as found:
        assembly.listen(Settings(data=tmp_path, port=port))
    assert found.value.code == "port-taken"


def test_answers_do_not_wait_for_acknowledgements(live: Live) -> None:
    assert live.server.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def _until(condition: Any, seconds: float = 120.0) -> None:
    import time

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
