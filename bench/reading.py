"""Reading the status of one dataset over and over on one server process, and what the server needs of memory."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from bench.installation import Installation, installation
from bench.lives import EngineClient, median, submit
from bench.say import say

READER = """
import socket, sys, time
port, token, path, seconds = int(sys.argv[1]), sys.stdin.readline().strip(), sys.argv[2], float(sys.argv[3])
ask = f"GET {path} HTTP/1.1\\r\\nHost: x\\r\\nAuthorization: Bearer {token}\\r\\n\\r\\n".encode()
s = socket.create_connection(("127.0.0.1", port)); n = 0; stop = time.perf_counter() + seconds
while time.perf_counter() < stop:
    s.sendall(ask); data = b""
    while b"\\r\\n\\r\\n" not in data: data += s.recv(65536)
    head, body = data.split(b"\\r\\n\\r\\n", 1)
    length = next(int(line.split(b":")[1]) for line in head.split(b"\\r\\n") if line.lower().startswith(b"content-length"))
    while len(body) < length: body += s.recv(65536)
    assert head.startswith(b"HTTP/1.1 200"), head
    n += 1
print(n)
"""


def reads(running: Installation, path: str, clients: int = 4, seconds: float = 5.0) -> float:
    """Return requests a second of some clients that do nothing else, on kept-alive connections."""

    def one(_: int) -> int:
        words = [sys.executable, "-c", READER, str(running.port), path, str(seconds)]
        done = subprocess.run(words, input=running.token + "\n", capture_output=True, text=True, check=True)
        return int(done.stdout)

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(one, range(clients))) / seconds


def main() -> None:
    """Measure both figures on PostgreSQL."""
    with installation("postgresql") as running:
        to = running.connect()
        number = submit(to, 1_050_000)
        bare = median(lambda: reads(running, "/healthz"))
        value = median(lambda: reads(running, f"/api/v1/datasets/{number}"))
        say("GET /datasets/N on one process", value, "requests/s", ">= 1500", bare)
        engine = EngineClient(to, "holder")
        held = 0
        while held < 50_000:
            tasks = engine.claim(1000)
            started = [
                {"address": task["address"], "lease": task["lease"], "at": time.time(), "host": "node1"}
                for task in tasks
            ]
            to.post(f"{engine.base}/report", {"session": engine.session, "started": started})
            held += len(tasks)
        for page in (f"/api/v1/datasets/{number}", f"/api/v1/datasets/{number}/tasks?state=running&limit=1000"):
            to.get(page)
        say("server memory with 50,000 running and 1 M untouched jobs", running.memory(), "MB", "< 250")


if __name__ == "__main__":
    main()
