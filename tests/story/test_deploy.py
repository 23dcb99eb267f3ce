"""An installation as deploy/ has it: what the units start, two servers behind nginx and Caddy with TLS, one of them stopped."""

from __future__ import annotations

import hashlib
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
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from nunatak.web.throttle import EACH
from tests.services.ports import free_port
from tests.story.installation import until

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = "nunatak.example.org"
RECIPE = "name: hello\njobs: 3\ntasks:\n  hello: {run: 'echo hello from {job}'}\n"


SERVER = {"extensions": {"sni_hostname": NAME}}


@dataclass(frozen=True)
class Proxy:
    """A proxy before the servers: its port, and the certificates by which it is known."""

    name: str
    port: int
    trust: Path

    def client(self, token: str = "", address: str = "127.0.0.1") -> httpx2.Client:
        """Return a client at an address that goes through it, and trusts its certificate only."""
        context = ssl.create_default_context(cafile=str(self.trust))
        headers = {"Host": NAME, **({"Authorization": f"Bearer {token}"} if token else {})}
        way = httpx2.HTTPTransport(verify=context, local_address=address)
        return httpx2.Client(base_url=f"https://127.0.0.1:{self.port}", transport=way, headers=headers, timeout=30)

    def ready(self) -> bool:
        """Tell whether it answers for a server."""
        try:
            with self.client() as client:
                return client.get("/readyz", **SERVER).status_code == 200
        except (httpx2.HTTPError, OSError):
            return False


class House:
    """The processes of the units of deploy/systemd in a directory, without systemd."""

    def __init__(self, root: Path) -> None:
        self.root, self.children = root, list[subprocess.Popen[bytes]]()
        self.ports = (free_port(), free_port())
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

    def nginx(self) -> Proxy:
        """Start nginx with the file of deploy/proxy, on ports of ours, with a certificate of its own."""
        root, port = self.root, free_port()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", "key.pem", "-out", "fullchain.pem"],
            cwd=root, check=True, capture_output=True,
        )  # fmt: skip
        text = self.here((DEPLOY / "proxy" / "nginx.conf").read_text().replace("/etc/ssl/nunatak", str(root)))
        text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace(
            "listen 80", f"listen 127.0.0.1:{free_port()}"
        )
        temporary = " ".join(
            f"{kind}_temp_path {root}/ng-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""  # the directory of a test is its owner's alone
        (root / "nginx.conf").write_text(
            f"{user} daemon off; pid {root}/nginx.pid; error_log {root}/nginx.log; events {{}}"
            f" http {{ access_log off; {temporary} {text} }}"
        )
        self.run("nginx", "nginx-light", "-p", str(root), "-c", str(root / "nginx.conf"))
        return Proxy("nginx", port, root / "fullchain.pem")

    def caddy(self) -> Proxy:
        """Start Caddy with the file of deploy/proxy, on ports of ours, with a certificate by its own authority."""
        port, place = free_port(), self.root / "caddy"
        place.mkdir()
        options = (
            f"admin off\nlocal_certs\nskip_install_trust\ndefault_bind 127.0.0.1\nhttps_port {port}"
            f"\nhttp_port {free_port()}\nstorage file_system {place}"
        )
        (place / "Caddyfile").write_text(
            f"{{\n{options}\n}}\n{self.here((DEPLOY / 'proxy' / 'Caddyfile').read_text())}"
        )
        self.run("caddy", "caddy", "run", "--config", str(place / "Caddyfile"), "--adapter", "caddyfile")
        return Proxy("caddy", port, place / "pki/authorities/local/root.crt")

    def here(self, text: str) -> str:
        """Return the file of a proxy with the ports of our servers."""
        for mine, theirs in zip(self.ports, ("8642", "8643"), strict=True):
            assert f"127.0.0.1:{theirs}" in text
            text = text.replace(f"127.0.0.1:{theirs}", f"127.0.0.1:{mine}")
        return text

    def run(self, name: str, package: str, *words: str) -> None:
        """Start a proxy."""
        program = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, f"apt-get install {package}"
        environ = {**os.environ, "HOME": str(self.root), "XDG_CONFIG_HOME": str(self.root / "config")}
        with (self.root / f"{name}.out").open("wb") as log:
            self.children.append(subprocess.Popen([program, *words], stdout=log, stderr=log, env=environ))

    @property
    def token(self) -> str:
        """Return the token of the administrator."""
        return (self.root / "lib" / "token").read_text().strip()

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
    proxies = (house.nginx(), house.caddy())
    for proxy in proxies:
        until(proxy.ready, proxy.name)
    with proxies[0].client(house.token) as client:
        made = client.post("/api/v1/tokens", json={"name": "here", "scopes": ["engine"], "days": 1}, **SERVER)
        (house.root / "tokens" / "here").write_text(made.json()["token"])
        house.start("nunatak-engine@.service", "here")
    for number, proxy in enumerate(proxies, 1):
        passes_on_what_servers_say(house, proxy, number)
        passes_on_what_clients_send(house, proxy)
    first.send_signal(signal.SIGTERM)
    codes = {ask(house, proxy) for proxy in proxies for _ in range(20)}
    assert first.wait(60) == 0
    codes |= {ask(house, proxy) for proxy in proxies for _ in range(20)}
    assert codes == {200}
    for number, proxy in enumerate(proxies, 1):
        says_who_asks(proxy, number)


def ask(house: House, proxy: Proxy) -> int:
    with proxy.client(house.token) as client:
        return client.get("/api/v1/datasets/1", **SERVER).status_code


def passes_on_what_servers_say(house: House, proxy: Proxy, number: int) -> None:
    """Run a dataset; its events come while the stream is open."""
    with proxy.client(house.token) as client:
        assert client.get("/metrics", **SERVER).status_code == 404
        sent = client.post("/api/v1/datasets", json={"text": RECIPE, "filename": "hello.yaml"}, **SERVER)
        assert sent.status_code == 201, sent.text
        assert sent.json()["url"] == f"https://{NAME}/datasets/{number}"
        heard, done = list[str](), threading.Event()

        def listen() -> None:
            with (
                proxy.client(house.token) as other,
                other.stream("GET", f"/api/v1/datasets/{number}/events", **SERVER) as stream,
            ):
                for line in stream.iter_lines():
                    heard.append(line)
                    if '"done"' in line:
                        break
            done.set()

        listener = threading.Thread(target=listen)
        listener.start()
        until(lambda: client.get(f"/api/v1/datasets/{number}", **SERVER).json()["state"] == "done", "the dataset")
        assert done.wait(60), f"the stream of events is held back by {proxy.name}"
        listener.join()
        assert any(line.startswith("data:") for line in heard)


def passes_on_what_clients_send(house: House, proxy: Proxy) -> None:
    """Send a large file: it comes whole, or the server would refuse it for its checksum."""
    size = 30_000_000
    data = proxy.name.encode().ljust(size, b"x")
    name = hashlib.sha256(data).hexdigest()
    with proxy.client(house.token) as client:
        sent = client.put(f"/api/v1/blobs/{name}", content=data, **SERVER)
        assert (sent.status_code, sent.json()["size"]) == (201, size)


def says_who_asks(proxy: Proxy, number: int) -> None:
    """Cookies are for TLS only; who tries too often to sign in waits, whatever it says of itself, and nobody else."""
    mine, other = f"127.0.{number}.1", f"127.0.{number}.2"
    with proxy.client(address=mine) as client:
        shown = client.get("/sign-in", **SERVER)
        (cookie,) = shown.headers.get_list("set-cookie")
        assert cookie.startswith("__Host-nunatak-visit=")
        assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
        said = [
            client.get("/sign-in/wrong", headers={"X-Forwarded-For": f"10.0.0.{n}"}, **SERVER).status_code
            for n in range(EACH + 1)
        ]
        assert said == [403] * EACH + [429]
    with proxy.client(address=other) as client:
        assert client.get("/sign-in/wrong", **SERVER).status_code == 403
