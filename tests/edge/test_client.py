"""The client against a real server with a real engine."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from nunatak import Client
from nunatak.client import download, login
from nunatak.client.connection import Connection
from nunatak.client.problems import error_of
from nunatak.client.results import OutputFile, Submitted
from nunatak.client.statuses import DatasetStatus, TaskStatus
from nunatak.core import checksums
from nunatak.core.errors import Conflict, Invalid, NotFound, NunatakError, Refused, Unavailable
from tests.edge.live import BROKEN, NEEDS, Live, hello, live

__all__ = ["live"]


@pytest.fixture
def client(live: Live) -> Iterator[Client]:
    with live.client() as found:
        yield found


def settled(client: Client, made: Submitted) -> DatasetStatus:
    last = None
    for last in client.watch(made):
        assert isinstance(last, DatasetStatus)
        tasks = last.tasks
        assert (
            tasks.total
            == tasks.waiting + tasks.ready + tasks.queued + tasks.running + tasks.done + tasks.failed + tasks.held
        )
    assert last is not None
    return last


def test_a_recipe_goes_from_file_to_outputs(client: Client, tmp_path: Path) -> None:
    made = client.submit(hello(tmp_path), parameters={"word": "ho"})
    assert made.planned == 2
    last = settled(client, made)
    assert last.state == "done"
    assert last.per_task["first"].done == 2
    assert "".join(client.logs(f"{made.dataset}/1/first")) == "ho 1\n"
    found = client.get(made, tmp_path / "got")
    assert [str(item.path.relative_to(tmp_path / "got")) for item in found] == [
        "0/first/a.txt", "1/first/a.txt", "out/0.txt", "out/1.txt",
    ]  # fmt: skip
    assert (tmp_path / "got/1/first/a.txt").read_text() == "ho 1\n"
    assert not any(item.had for item in found)
    assert all(item.had for item in client.get(made, tmp_path / "got"))


def test_what_comes_back_is_pleasant_in_a_notebook(client: Client, tmp_path: Path) -> None:
    made = client.submit(hello(tmp_path))
    last = settled(client, made)
    assert repr(last) == f"<{made.dataset} hello: done, 2 of 2 jobs done (tasks: 4 done)>"
    assert "<table>" in last._repr_html_()
    task = client.status(f"{made.dataset}/0/first")
    assert isinstance(task, TaskStatus)
    assert [attempt.state for attempt in task.attempts] == ["ended"]
    assert task.attempts[0].wall is not None
    assert client.status(f"{made.dataset}/0/first#1").state == "ended"
    assert client.status(f"{made.dataset}/0").state == "done"
    assert str(client.why(made)) != ""
    assert any(event.what == "submit" for event in client.history(made))


def test_failures_are_grouped_and_can_be_tried_again(client: Client, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(BROKEN)
    made = client.submit(tmp_path / "broken.yaml")
    assert settled(client, made).state == "failed"
    failures = list(client.errors(made))
    assert [failure.count for failure in failures] == [1]
    assert "".join(client.logs(f"{made.dataset}/0/only", stream="stderr")) == "oh\n"
    assert client.retry(made) == 1
    assert settled(client, made).state == "failed"


def test_lists_are_paged_without_the_caller_noticing(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nunatak.client.connection.PAGE", 2)
    path = hello(tmp_path)
    made = [client.submit(path, name="paged").dataset for _ in range(5)]
    assert [item.dataset for item in client.datasets(name="paged")] == made[::-1]
    assert [item.dataset for item in client.datasets(name="paged", limit=3)] == made[:1:-1]


def test_more_close_and_the_conflict_that_follows(client: Client, tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text(f"name: slow\nneeds: {NEEDS}\ntasks:\n  only: {{run: sleep 3600}}\n")
    made = client.submit(tmp_path / "slow.yaml")
    assert client.more(made, 3) == 4
    next(last for last in client.watch(made) if isinstance(last, DatasetStatus) and last.tasks.running)
    client.close(made)
    with pytest.raises(Conflict):
        client.more(made, 1)
    assert client.cancel(made) > 0
    assert settled(client, made).state == "failed"


def test_errors_arrive_as_they_were_raised(client: Client, live: Live, tmp_path: Path) -> None:
    with pytest.raises(NotFound) as missing:
        client.status(999_999)
    assert missing.value.code
    assert missing.value.hint
    with Client(live.url, "nun_wrong") as stranger, pytest.raises(Refused):
        stranger.whoami()
    with Client(live.url, live.make_token("read")) as reader, pytest.raises(Refused):
        reader.submit(hello(tmp_path))
    (tmp_path / "bad.yaml").write_text("name: x\ntasks:\n  a:\n    rum: echo\n")
    with pytest.raises(Invalid) as wrong:
        client.submit(tmp_path / "bad.yaml")
    assert any(problem.line == 4 for problem in wrong.value.problems)
    with pytest.raises(Invalid):
        client.status("no address")


def test_tokens_come_and_go(client: Client, live: Live) -> None:
    made = client.create_token("laptop", ["read"], days=1, principal="bob")
    assert made.token not in repr(made)
    with Client(live.url, made.token) as bob:
        assert bob.whoami().name == "bob"
        assert made.id in [token.id for token in client.tokens()]
        client.revoke_token(made.id)
        with pytest.raises(Refused):
            bob.whoami()


def test_engines_are_shown(client: Client) -> None:
    assert [engine["name"] for engine in client.engines()] == ["local"]


# ---- without a server


class Script(httpx2.BaseTransport):
    """Answers what it was told, in order, and remembers what it was asked."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers, self.asked = list(answers), list[httpx2.Request]()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def over(script: Script) -> Client:
    return Client("http://x", "secret", transport=script, sleep=lambda _: None)


def test_an_absent_server_is_tried_again_and_a_post_is_done_once() -> None:
    script = Script(
        httpx2.ConnectError("refused"),
        httpx2.Response(503, json={"code": "database"}),
        httpx2.Response(200, json={"changed": 4}),
    )
    assert over(script).hold("1", "2/3") == 4
    assert len({request.headers["Idempotency-Key"] for request in script.asked}) == 1
    assert json.loads(script.asked[0].content) == {"verb": "hold", "addresses": ["1", "2/3"]}


def test_what_cannot_be_right_is_not_tried_again() -> None:
    script = Script(httpx2.Response(422, json={"code": "bad", "detail": "no"}))
    with pytest.raises(Invalid):
        over(script).hold("1")


def test_patience_ends() -> None:
    with Client("http://127.0.0.1:9", "t", patience=0.05) as client, pytest.raises(Unavailable) as gone:
        client.whoami()
    assert "nunatak up" in gone.value.hint


@pytest.fixture
def spoken() -> Iterator[Spoken]:
    with Spoken() as server:
        yield server


class Spoken:
    """A server on a socket that says what it was told, one text a request, and closes where it was told to."""

    def __init__(self) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.sock.getsockname()[1]}/below"
        self.says: list[tuple[bytes, bool]] = []
        self.heard: list[str] = []
        self.accepted = 0
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Spoken:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.sock.close()

    def answer(self, body: bytes, status: str = "200 OK", *, close: bool = False) -> None:
        self.says.append((b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status.encode(), len(body)) + body, close))

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.sock.accept()
            except OSError:
                return
            self.accepted += 1
            with connection:
                while (head := connection.recv(65536)) and self.says:
                    self.heard.append(head.split(b"\r\n")[0].decode())
                    text, close = self.says.pop(0)
                    connection.sendall(text)
                    if close:
                        break
            self.closed.set()


def test_a_connection_is_kept_and_made_anew_when_the_server_closed_it(spoken: Spoken) -> None:
    for close in (False, True, False):
        spoken.answer(b'{"name": "a", "scopes": []}', close=close)
    with Client(spoken.url, "t", patience=0.0) as client:
        client.whoami()
        client.whoami()
        assert spoken.accepted == 1
        assert spoken.closed.wait(10)
        assert client.whoami().name == "a"
    assert spoken.accepted == 2
    assert set(spoken.heard) == {"GET /below/api/v1/whoami HTTP/1.1"}


def test_what_is_asked_arrives_as_it_was_meant(spoken: Spoken) -> None:
    spoken.answer(b'{"items": [], "next": null}')
    spoken.answer(b"", "204 No Content")
    with Client(spoken.url, "t", patience=0.0) as client:
        assert list(client.datasets(name="a&b=ü #1")) == []
        client.revoke_token("1?all#now")
    assert spoken.heard == [
        "GET /below/api/v1/datasets?limit=1000&name=a%26b%3D%C3%BC+%231 HTTP/1.1",
        "DELETE /below/api/v1/tokens/1%3Fall%23now HTTP/1.1",
    ]


@pytest.mark.parametrize("text", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b"what?\r\n\r\n"])
def test_an_answer_that_breaks_off_is_no_answer(spoken: Spoken, text: bytes) -> None:
    spoken.says.append((text, True))
    with Client(spoken.url, "t", patience=0.0) as client, pytest.raises(Unavailable, match="no answer from"):
        client.whoami()


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://x:port", "http://[::1", "http://a b"])
def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="address of a server"):
        Client(url, "t", patience=0.0).whoami()


def test_a_token_that_cannot_be_sent_is_never_shown() -> None:
    with pytest.raises(Invalid) as wrong:
        Client("http://x", "secret\nX: y")
    assert "secret" not in str(wrong.value)


def test_the_token_is_in_the_header_alone() -> None:
    script = Script(httpx2.Response(200, json={"name": "a", "scopes": []}))
    client = over(script)
    client.whoami()
    assert script.asked[0].headers["Authorization"] == "Bearer secret"
    assert "secret" not in str(script.asked[0].url)
    assert "secret" not in repr(client)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Refused), (403, Refused), (404, NotFound), (409, Conflict), (412, Conflict), (413, Invalid), (422, Invalid),
     (429, Unavailable), (500, NunatakError), (503, Unavailable)],
)  # fmt: skip
def test_every_status_has_its_error(status: int, kind: type[NunatakError]) -> None:
    assert type(error_of(status, b"<html>")) is kind
    body = {"code": "c", "detail": "d", "hint": "h", "problems": [{"message": "m", "line": 3}], "data": {"n": 1}}
    error = error_of(status, json.dumps(body).encode())
    assert (type(error), error.code, error.message, error.hint) == (kind, "c", "d", "h")
    assert error.problems[0].line == 3
    assert error.data == {"n": 1}


def output(name: str, url: str, address: str = "1/0/t", task: str = "t", data: bytes = b"") -> OutputFile:
    plain = {
        "address": address,
        "task": task,
        "name": name,
        "url": url,
        "size": len(data),
        "sha256": checksums.of_bytes(data),
    }
    return OutputFile.of(plain)


@pytest.mark.parametrize(
    ("file", "place"),
    [
        (output("a.txt", "file:///s/store/1/t/000/000000/a.txt"), "0/t/a.txt"),
        (output("a.txt", "file:///s/store/1/out/x.txt"), "out/x.txt"),
        (output("a.txt", "file:///d/1/e/store/1/out/x.txt"), "out/x.txt"),
        (output("a.txt", "file:///elsewhere/x.txt"), "0/t/a.txt"),
        (output("a.txt", "file:///s/store/1/t/a.txt", address="1/t"), "t/a.txt"),
        (output("a b.txt", "file:///s/store/1/out/a%20b.txt"), "out/a b.txt"),
    ],
)
def test_outputs_lie_where_the_recipe_put_them(file: OutputFile, place: str) -> None:
    assert str(download.layout([file])[0]) == place


def test_no_output_lies_outside_and_no_two_at_one_place() -> None:
    with pytest.raises(Invalid):
        download.layout([output("a.txt", "file:///s/store/1/%2e%2e/x.txt")])
    twice = [output("a.txt", "file:///s/store/1/o/x"), output("b.txt", "file:///s/store/1/o/x", address="1/1/t")]
    assert [str(place) for place in download.layout(twice)] == ["0/t/a.txt", "1/t/b.txt"]


def test_a_download_that_broke_off_is_continued(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10
    file = output("a.bin", "file:///s/store/1/out/a.bin", data=data)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.a.bin.part").write_bytes(data[:1000])
    script = Script(httpx2.Response(206, content=data[1000:]))
    found = download.fetch(Connection("http://x", "t", transport=script), [file], tmp_path)
    assert script.asked[0].headers["Range"] == "bytes=1000-"
    assert found[0].path.read_bytes() == data
    assert not list(tmp_path.glob("out/.*"))


def test_a_damaged_download_never_gets_its_name(tmp_path: Path) -> None:
    file = output("a.bin", "file:///s/store/1/out/a.bin", data=b"right")
    script = Script(*[httpx2.Response(200, content=b"wrong") for _ in range(download.TRIES)])
    with pytest.raises(Unavailable, match="checksum"):
        download.fetch(Connection("http://x", "t", transport=script), [file], tmp_path)
    assert not (tmp_path / "out/a.bin").exists()


# ---- which server


def test_a_login_is_saved_for_its_owner_alone_and_goes_to_its_server_alone(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "c"), "XDG_DATA_HOME": str(tmp_path / "d")}
    file = login.save(login.Login("http://a", "secret"), environ)
    assert file.stat().st_mode & 0o777 == 0o600
    assert "secret" not in repr(login.saved(environ))
    assert login.find(None, None, environ).token == "secret"
    assert login.find("http://a/", None, environ).token == "secret"
    with pytest.raises(Refused):
        login.find("http://b", None, environ)
    assert login.find(None, None, {**environ, "NUNATAK_URL": "http://b", "NUNATAK_TOKEN": "t"}) == login.Login(
        "http://b", "t"
    )


def test_a_token_may_be_in_a_file_and_is_read_again_when_the_server_does_not_take_it(
    live: Live, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    environ = {"NUNATAK_URL": live.url, "NUNATAK_TOKEN_FILE": str(file), "XDG_CONFIG_HOME": str(tmp_path)}
    with pytest.raises(Refused, match="there is no token in"):
        Client(environ=environ)
    file.write_text(live.make_token("read") + "\n")
    with Client(environ=environ) as client, live.client() as admin:
        assert client.whoami().name == "alice"
        for token in list(admin.tokens()):
            if token.principal == "alice":
                admin.revoke_token(token.id)
        with pytest.raises(Refused, match="revoked"):
            client.whoami()
        file.write_text(live.make_token("read", who="bob"))
        assert client.whoami().name == "bob"
        file.unlink()
        assert client.whoami().name == "bob"  # nothing is read while the server takes the one we have


def test_with_several_addresses_the_next_one_is_taken_when_one_is_away(live: Live) -> None:
    nobody = "http://127.0.0.1:9"
    with Client(f"{nobody}, {live.url}/", live.token, patience=5.0) as client:
        assert client.whoami().name == "root"
    with Client(f"{nobody},{nobody}", live.token, patience=0.0) as client, pytest.raises(Unavailable):
        client.whoami()
    with pytest.raises(Invalid, match="'somewhere' is not the address"):
        Client(f"{live.url},somewhere", live.token)
    with Client(f"{live.url},{nobody}", live.token, patience=0.0) as client:
        assert [client.whoami().name for _ in range(3)] == ["root"] * 3


def test_the_local_installation_is_found_last(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "c"), "NUNATAK_DATA": str(tmp_path)}
    with pytest.raises(Refused, match="no server"):
        login.find(None, None, environ)
    (tmp_path / "token").write_text("t\n")
    assert login.find(None, None, environ) == login.Login(login.LOCAL_URL, "t")
    (tmp_path / "up.json").write_text('{"url": "http://127.0.0.1:1", "pid": 1}')
    assert login.find(None, None, environ) == login.Login("http://127.0.0.1:1", "t")
