"""An installation as deploy/ has it: what the units start, two servers behind the real nginx with TLS, one of them stopped."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.services.postgres import free_port
from tests.story.installation import until

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = "nunatak.example.org"
RECIPE = "name: hello\njobs: 3\ntasks:\n  hello: {run: 'echo hello from {job}'}\n"


class House:
    """The processes of the units of deploy/systemd in a directory, without systemd."""

    def __init__(self, root: Path) -> None:
        self.root, self.children = root, list[subprocess.Popen[bytes]]()
        self.ports = (free_port(), free_port())
        self.tls, self.http = free_port(), free_port()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(root / "notify"))
        self.notify.settimeout(60)
        text = (DEPLOY / "nunatak.toml").read_text()
        for before, after in (
            ("/var/lib/nunatak", f"{root}/lib"),
            ("/srv/nunatak", f"{root}/srv"),
            ("/etc/nunatak", str(root)),
            ("postgresql://nunatak@127.0.0.1:5432/nunatak", f"sqlite:///{root}/nunatak.db"),
            ("port = 8642", f"port = {self.ports[0]}"),
            ("127.0.0.1:8642,", f"127.0.0.1:{self.ports[0]},"),
            ("127.0.0.1:8643", f"127.0.0.1:{self.ports[1]}"),
            ('grace = "30 s"', 'grace = "5 s"'),
        ):
            assert before in text
            text = text.replace(before, after)
        (root / "nunatak.toml").write_text(text)
        (root / "tokens").mkdir()

    def words(self, unit: str, instance: str = "") -> list[str]:
        """Return the command of a unit, with its places moved here."""
        lines = (DEPLOY / "systemd" / unit).read_text().splitlines()
        command = next(line for line in lines if line.startswith("ExecStart=")).removeprefix("ExecStart=")
        moved = command.replace("/etc/nunatak", str(self.root)).replace(
            "/var/lib/nunatak-engine", f"{self.root}/engine"
        )
        return [sys.executable, "-m", "nunatak.cli", *shlex.split(moved.replace("%i", instance))[1:]]

    def start(self, unit: str, instance: str) -> subprocess.Popen[bytes]:
        """Start a unit and wait until it says that it is ready, as systemd does."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("NUNATAK_", "XDG_"))}
        with (self.root / f"{unit}{instance}.log").open("wb") as log:
            child = subprocess.Popen(
                self.words(unit, instance), env={**environ, "NOTIFY_SOCKET": str(self.root / "notify")},
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.children.append(child)
        assert self.notify.recv(100) == b"READY=1"
        return child

    def nginx(self) -> None:
        """Start nginx with the file of deploy/proxy, on ports of ours, with a certificate of its own."""
        root = self.root
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", "key.pem", "-out", "fullchain.pem"],
            cwd=root, check=True, capture_output=True,
        )  # fmt: skip
        text = (DEPLOY / "proxy" / "nginx.conf").read_text().replace("/etc/ssl/nunatak", str(root))
        for before, after in zip(
            ("8642;", "8642 ", "8643 "), (f"{self.ports[0]};", f"{self.ports[0]} ", f"{self.ports[1]} "), strict=True
        ):
            text = text.replace(before, after)
        text = text.replace("listen 443", f"listen 127.0.0.1:{self.tls}").replace(
            "listen 80", f"listen 127.0.0.1:{self.http}"
        )
        temporary = " ".join(
            f"{kind}_temp_path {root}/ng-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""  # the directory of a test is its owner's alone
        (root / "nginx.conf").write_text(
            f"{user} daemon off; pid {root}/nginx.pid; error_log {root}/nginx.log; events {{}}"
            f" http {{ access_log off; {temporary} {text} }}"
        )
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "apt-get install nginx-light"
        self.children.append(
            subprocess.Popen([program, "-p", str(root), "-c", str(root / "nginx.conf")], stderr=subprocess.DEVNULL)
        )

    def client(self) -> httpx2.Client:
        """Return a client that goes through nginx, and trusts its certificate only."""
        context = ssl.create_default_context(cafile=str(self.root / "fullchain.pem"))
        token = (self.root / "lib" / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Host": NAME}
        return httpx2.Client(base_url=f"https://127.0.0.1:{self.tls}", verify=context, headers=headers, timeout=30)

    def close(self) -> None:
        """End everything."""
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            child.wait(60)
        self.notify.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    opened = House(tmp_path)
    yield opened
    opened.close()


@pytest.mark.slow
def test_units_and_proxy_make_an_installation_that_bears_the_end_of_a_server(house: House) -> None:
    subprocess.run(house.words("nunatak-migrate.service"), check=True, capture_output=True, timeout=120)
    first = house.start("nunatak-api@.service", str(house.ports[0]))
    house.start("nunatak-api@.service", str(house.ports[1]))
    house.start("nunatak-loops@.service", "1")
    house.nginx()
    server = {"extensions": {"sni_hostname": NAME}}
    with house.client() as client:

        def ready() -> bool:
            try:
                return client.get("/readyz", **server).status_code == 200
            except httpx2.HTTPError:
                return False

        until(ready, "nginx")
        assert client.get("/metrics", **server).status_code == 404
        made = client.post("/api/v1/tokens", json={"name": "here", "scopes": ["engine"], "days": 1}, **server)
        (house.root / "tokens" / "here").write_text(made.json()["token"])
        house.start("nunatak-engine@.service", "here")
        sent = client.post("/api/v1/datasets", json={"text": RECIPE, "filename": "hello.yaml"}, **server)
        assert sent.status_code == 201, sent.text
        heard, done = list[str](), threading.Event()

        def listen() -> None:
            with house.client() as other, other.stream("GET", "/api/v1/datasets/1/events", **server) as stream:
                for line in stream.iter_lines():
                    heard.append(line)
                    if '"done"' in line:
                        break
            done.set()

        listener = threading.Thread(target=listen)
        listener.start()
        until(lambda: client.get("/api/v1/datasets/1", **server).json()["state"] == "done", "the dataset")
        assert done.wait(60), "the stream of events is held back by the proxy"
        listener.join()
        assert any(line.startswith("data:") for line in heard)
        first.send_signal(signal.SIGTERM)
        codes = {client.get("/api/v1/datasets/1", **server).status_code for _ in range(20)}
        assert first.wait(60) == 0
        codes |= {client.get("/api/v1/datasets/1", **server).status_code for _ in range(20)}
        assert codes == {200}
