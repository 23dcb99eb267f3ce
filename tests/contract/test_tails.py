"""A worker that tells its logs to a listener, both real: what is seen of a running attempt, and who may not write there."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nunatak.core.work import Command, Environment, Reason, Shape, TaskSpec
from nunatak.engines.tails.listener import CONNECTIONS
from nunatak.engines.tails.settings import LiveSettings
from nunatak.engines.tails.tails import Tails
from nunatak.worker.build import unpack
from tests.contract.test_worker import PYTHONS
from tests.services.authority import Authority
from tests.services.ports import free_port

KEY = ("42/17/propagate#2", "5f")
SHAPE = Shape(memory=10**9, disk=10**9, time=600)
PATIENCE = 150.0


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class House:
    """A listener, and boxes below its root."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root, self.port = root, free_port()
        scheme = "https" if "live_certificate" in settings else "http"
        given = {"live": f"{scheme}://127.0.0.1:{self.port}/live", "live_after": 0.01, "live_every": 0.05, **settings}
        self.tails = Tails(root, LiveSettings(**given))

    def listens(self) -> bool:
        self.tails.tend()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def box(self, name: str, key: tuple[str, str] = KEY, **changes: str) -> tuple[Path, dict[str, Any]]:
        """Make a box; return it and what the order of its attempt says of telling."""
        box = self.root / "boxes" / name
        box.mkdir(parents=True)
        return box, {**self.tails.order(key, box), **changes}

    def told(self, box: Path, stream: str = "stdout") -> str:
        path = box / f"live.{stream}"
        return path.read_text() if path.exists() else ""

    def heard(self) -> list[tuple[str, str]]:
        self.tails.tend()
        found: list[tuple[str, str]] = []
        self.tails.began(lambda key: found.append(key) or True)  # type: ignore[func-returns-value]
        return found


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., House]]:
    houses: list[House] = []

    def make(**settings: Any) -> House:
        houses.append(House(tmp_path / f"engine{len(houses)}", **settings))
        until(houses[-1].listens)
        return houses[-1]

    yield make
    for house in houses:
        house.tails.close()


def _shared(tmp_path_factory: pytest.TempPathFactory, **settings: Any) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("engine"), **settings)
    until(house.listens)
    yield house
    house.tails.close()


@pytest.fixture(scope="module")
def often(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A listener to which all that asks comes again at once; shared, as it takes a second to start."""
    yield from _shared(tmp_path_factory)


@pytest.fixture(scope="module")
def seldom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One that wants to hear of nobody for ten minutes; shared."""
    yield from _shared(tmp_path_factory, live_every=600)


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("worker"))


def begin(
    worker: Path, sandbox: Path, live: dict[str, Any], text: str, *, python: str = sys.executable, key: Any = KEY
) -> subprocess.Popen[str]:
    """Start a worker as it is on a node: it shares no directory with the boxes."""
    sandbox.mkdir()
    task = TaskSpec(*key, (Command((text,), shell=True),), Environment(), (), (), SHAPE)
    (sandbox / "task.json").write_text(json.dumps({**task.to_plain(), "live": live}))
    words = [python, "-I", "-S", str(worker), str(sandbox), "--grace", "5", "--live"]
    return subprocess.Popen(words, text=True, stderr=subprocess.PIPE, start_new_session=True)


def end(process: subprocess.Popen[str], sandbox: Path) -> dict[str, Any]:
    said = process.communicate(timeout=PATIENCE)[1]
    assert (process.returncode, said) == (0, "")
    found: dict[str, Any] = json.loads((sandbox / "outcome.json").read_text())
    return found


WAITS = """\
echo one; echo bad >&2
until [ -e ../more ]; do sleep 0.05; done
echo two
until [ -e ../go ]; do sleep 0.05; done
"""


VERSIONS = sorted(PYTHONS, key=lambda version: int(version.partition(".")[2]))


@pytest.mark.parametrize("version", sorted({VERSIONS[0], VERSIONS[-1]}))
def test_what_an_attempt_prints_is_seen_while_it_runs(often: House, worker: Path, tmp_path: Path, version: str) -> None:
    house, key = often, ("42/17/propagate#2", version.replace(".", ""))
    box, live = house.box(version, key)
    sandbox = tmp_path / "node"
    process = begin(worker, sandbox, live, WAITS, python=PYTHONS[version], key=key)
    until(lambda: house.told(box) == "one\n" and house.told(box, "stderr") == "bad\n")
    until(lambda: key in house.heard())
    (sandbox / "more").touch()
    until(lambda: house.told(box) == "one\ntwo\n")
    until(lambda: house.told(box, "usage"))
    using = json.loads(house.told(box, "usage"))
    assert set(using) == {"wall", "cpu", "memory", "disk", "gpu"}
    assert using["wall"] > 0
    assert using["memory"] > 0
    until(lambda: json.loads(house.told(box, "usage"))["wall"] > using["wall"])
    assert process.poll() is None
    (sandbox / "go").touch()
    outcome = end(process, sandbox)
    assert outcome["reason"] == Reason.OK
    assert "left" not in outcome["detail"]
    assert (sandbox / "stdout").read_text() == house.told(box)


def test_over_tls_a_worker_believes_whom_its_order_names_and_nobody_else(
    made: Callable[..., House], worker: Path, tmp_path: Path
) -> None:
    ours = Authority.make(tmp_path / "ours")
    certificate, key = ours.sign("127.0.0.1", "host", "subjectAltName=IP:127.0.0.1")
    house = made(live_certificate=certificate, live_private_key=key, live_authority=ours.base / "ca.pem")
    box, live = house.box("a")
    other, wrong = house.box("b")
    del wrong["ca"]  # those that the node believes do not know our authority
    processes = [
        begin(worker, tmp_path / "node", live, WAITS),
        begin(worker, tmp_path / "other", wrong, WAITS),
    ]
    until(lambda: house.told(box) == "one\n")
    for name in ("node", "other"):
        (tmp_path / name / "more").touch()
    until(lambda: house.told(box) == "one\ntwo\n")
    for name, process in zip(("node", "other"), processes, strict=True):
        (tmp_path / name / "go").touch()
        assert end(process, tmp_path / name)["reason"] == Reason.OK
    assert not house.told(other)


def test_a_listener_that_never_answers_or_is_not_there_costs_a_task_nothing(worker: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        live = {"url": f"http://127.0.0.1:{silent.getsockname()[1]}", "place": "x", "key": "k", "after": 0.01}
        sandbox = tmp_path / "slow"
        process = begin(worker, sandbox, live, WAITS)
        silent.settimeout(PATIENCE)
        asks, _ = silent.accept()  # it waits for an answer now
        for name in ("more", "go"):
            (sandbox / name).touch()
        assert end(process, sandbox)["reason"] == Reason.OK
        asks.settimeout(PATIENCE)
        while asks.recv(65536):  # who asked is gone, though nobody answered
            pass
        asks.close()
    process = begin(worker, tmp_path / "none", {**live, "url": f"http://127.0.0.1:{free_port()}"}, "sleep 0.2")
    assert end(process, tmp_path / "none")["reason"] == Reason.OK


@pytest.mark.parametrize(
    "live", [None, 7, {}, {"after": "x"}, {"after": 0.01, "url": "nonsense", "place": "x", "key": 1}]
)
def test_an_order_that_cannot_be_told_by_costs_a_task_nothing(worker: Path, tmp_path: Path, live: Any) -> None:
    process = begin(worker, tmp_path / "node", live, "sleep 0.2; echo done")
    assert end(process, tmp_path / "node")["reason"] == Reason.OK


def test_a_worker_that_is_told_to_stop_or_killed_leaves_nobody_who_tells(
    often: House, worker: Path, tmp_path: Path
) -> None:
    house = often
    for name, signum in (("term", signal.SIGTERM), ("kill", signal.SIGKILL)):
        box, live = house.box(name)
        process = begin(worker, tmp_path / name, live, WAITS)
        until(lambda box=box: house.told(box) == "one\n")
        below = _below(process.pid)
        assert len(below) > 2  # the inner process, what it runs, and who tells
        process.send_signal(signum)
        process.communicate(timeout=PATIENCE)
        until(lambda below=below: not any(_lives(pid) for pid in below))


def _below(pid: int) -> list[int]:
    found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [below for child in found for below in _below(child)]


def _lives(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


# ---- who may not


def ask(house: House, body: bytes | dict[str, Any], method: str = "POST") -> tuple[int, Any]:
    """Send a request; return its status and what was answered."""
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=PATIENCE)
    try:
        connection.request(method, "/live", body if isinstance(body, bytes) else json.dumps(body).encode())
        answer = connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if answer.status == 200 else None
    finally:
        connection.close()


def telling(live: dict[str, Any], key: tuple[str, str] = KEY, **changes: Any) -> dict[str, Any]:
    plain = {"address": key[0], "lease": key[1], "sizes": {"stdout": 4}, "parts": [["stdout", 0, "b25lCg=="]]}
    return {**plain, "place": live["place"], "key": live["key"], **changes}


def test_a_key_opens_its_own_attempt_and_nothing_else(seldom: House) -> None:
    house = seldom
    mine, live = house.box("a")
    box, other = house.box("b", ("42/18/propagate#1", "60"))
    for wrong in (
        {"key": "0" * 64},
        {"key": other["key"]},
        {"place": other["place"]},
        {"address": "42/18/propagate#1"},
        {"lease": "60"},
        {"place": other["place"], "address": "42/18/propagate#1", "lease": "60"},
    ):
        assert ask(house, telling(live, **wrong))[0] == 403
    assert ask(house, telling(live, place="../../etc"))[0] == 400
    assert not house.told(mine) + house.told(box)
    status, answer = ask(house, telling(live))
    assert (status, answer["want"], house.told(mine)) == (200, {"stdout": 4, "stderr": 0}, "one\n")
    assert ask(house, telling(live))[0] == 429  # it was told to come in ten minutes
    (box / "outcome.json").write_text("{}")
    assert ask(house, telling(other, ("42/18/propagate#1", "60")))[0] == 410
    box, late = house.box("c")
    box.rmdir()
    assert ask(house, telling(late))[0] == 410
    assert not box.exists()


def test_whatever_is_sent_is_refused_in_bounded_memory_and_the_next_is_answered(seldom: House) -> None:
    house = seldom
    _, live = house.box("flooded")
    assert ask(house, b"", "GET")[0] == 405
    for garbage in (b"", b"{", b"[]", b"\0" * 1000, b"[" * 50_000, b'{"key": 1e999}'):
        assert ask(house, garbage)[0] == 400
    assert ask(house, b"x" * 100_000)[0] == 413
    floods = (b"X-Long: " + b"x" * 50_000_000, b"\r\n" * 10, os.urandom(5000), b"Content-Length: 99\r\n\r\n")
    for flood in floods:
        with socket.create_connection(("127.0.0.1", house.port)) as raw:
            try:
                raw.sendall(b"POST /live HTTP/1.1\r\n" + flood)
            except (ConnectionResetError, BrokenPipeError):
                continue
    assert house.tails._process
    status = Path(f"/proc/{house.tails._process.pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert resident < 150_000  # kB
    assert ask(house, telling(live))[0] == 200


def test_those_who_hold_connections_open_are_cut_off_above_a_bound(made: Callable[..., House]) -> None:
    house = made()
    _, live = house.box("a")
    held = [socket.create_connection(("127.0.0.1", house.port)) for _ in range(CONNECTIONS + 20)]
    gone = [_is_cut(sock) for sock in held[CONNECTIONS + 1 :]]
    for sock in held:
        sock.close()
    assert all(gone)
    until(lambda: _answered(house, live))


def _is_cut(sock: socket.socket) -> bool:
    sock.settimeout(PATIENCE)
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def _answered(house: House, live: dict[str, Any]) -> bool:
    try:
        return ask(house, telling(live))[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_a_listener_that_was_killed_is_started_again_and_ends_with_its_engine(made: Callable[..., House]) -> None:
    house = made()
    _, live = house.box("a")
    first = house.tails._process
    assert first
    first.kill()
    until(lambda: house.listens() and house.tails._process is not first)
    assert ask(house, telling(live))[0] == 200
    second = house.tails._process
    assert second
    assert second.stdin
    second.stdin.close()  # as when its engine is killed
    assert second.wait(PATIENCE) == 0


def test_what_is_looked_at_is_told_soon(seldom: House) -> None:
    house = seldom
    _, live = house.box("not-looked-at")
    assert ask(house, telling(live))[1]["again"] == 600
    keys = [(f"42/{number}/propagate#1", "60") for number in range(100)]
    boxes = [house.box(f"watched{number}", key) for number, key in enumerate(keys)]
    house.tails.watch(house, [box for box, _ in boxes])
    each = enumerate(zip(boxes, keys, strict=True))

    def soon() -> bool:
        number, ((_, live), key) = next(each)
        time.sleep(min(1.0, 0.05 * 1.1**number))  # the listener may hear of it a little later
        answer: dict[str, Any] = ask(house, telling(live, key))[1]
        return answer["again"] < 3

    until(soon)


def test_where_tls_is_spoken_nothing_else_is_and_a_renewed_certificate_is_shown(
    made: Callable[..., House], tmp_path: Path
) -> None:
    authority = Authority.make(tmp_path / "authority")
    one, two = (
        b"".join(path.read_bytes() for path in authority.sign("127.0.0.1", name, "subjectAltName=IP:127.0.0.1"))
        for name in ("one", "two")
    )
    file = tmp_path / "both.pem"
    file.write_bytes(one)
    house = made(live_certificate=file)
    _, live = house.box("a")
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(house, telling(live))
    context = ssl.create_default_context(cafile=str(authority.base / "ca.pem"))
    connection = http.client.HTTPSConnection("127.0.0.1", house.port, context=context, timeout=PATIENCE)
    connection.request("POST", "/live", json.dumps(telling(live)).encode())
    assert connection.getresponse().status == 200
    connection.close()
    draft = tmp_path / "draft"
    draft.write_bytes(two)
    draft.replace(file)
    until(lambda: ssl.get_server_certificate(("127.0.0.1", house.port)).encode() in two)
