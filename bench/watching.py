"""What people see of a busy dataset, in a real browser and by many at once: paint, updates, memory, and what watching costs.

A campaign goes on meanwhile: tasks of one dataset of 1,000,000 jobs are claimed, begin and end, about a hundred a second.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from playwright.sync_api import Browser, CDPSession, Page, StorageState
from tests.services.chromium import browser

from bench import seeded
from bench.installation import Installation, installation
from bench.lives import EngineClient
from bench.pages import SHARE, nothing, timed
from bench.say import say
from nunatak.client.client import Client

JOBS = int(1_000_000 * SHARE)
WATCHERS, SECONDS, BATCH, EVERY = 200, 20.0, 25, 0.25
CHANGES, UPDATES, KEPT = 20, 3600, 12
"""Changes timed; updates of an accelerated hour, one a second, of which so many different ones are taken from the server."""
FLAT = 1.05
WATCHER = """
import selectors, socket, sys, time
port, path, n, token = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.stdin.readline().strip()
lines = (f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", "Accept-Encoding: gzip", "", "")
ask = "\\r\\n".join(lines).encode()
chosen = selectors.DefaultSelector()
for _ in range(n):
    s = socket.create_connection(("127.0.0.1", port)); s.sendall(ask); chosen.register(s, selectors.EVENT_READ)
print("watching", flush=True)
stop, seen = time.time() + float(sys.argv[4]), 0
while time.time() < stop:
    for key, _ in chosen.select(0.2):
        data = key.fileobj.recv(1 << 20)
        if not data: raise SystemExit("a watcher was left alone")
        seen += len(data)
print(seen)
"""
SHOWN = """() => new Promise((done) => new PerformanceObserver((list) => done(list.getEntries().at(-1).startTime))
  .observe({ type: "largest-contentful-paint", buffered: true }))"""
# Keeps what streams send, and can send it again.
SPY = """(() => {
  const Real = window.EventSource;
  window.streams = []; window.parts = []; window.updates = 0;
  window.EventSource = class extends Real {
    constructor(...given) {
      super(...given); window.streams.push(this);
      this.addEventListener("parts", (event) => {
        window.updates += 1;
        if (window.parts.length < %d) window.parts.push(event.data);
      });
    }
  };
})()"""
CHANGED = """() => { window.seen = []; const title = document.querySelector("#dshead h1");
  new MutationObserver(() => window.seen.push([Date.now(), document.querySelector("#dshead h1").innerText.includes("held")]))
    .observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true }); }"""
SEEN = "(want) => (window.seen.find(([at, held]) => at >= want.at && held === want.held) || [0])[0]"
AGAIN = """(n) => { for (let i = 0; i < n; i += 1) window.streams.at(-1).dispatchEvent(
  new MessageEvent("parts", { data: window.parts[i % window.parts.length] })); }"""


@contextmanager
def campaign(running: Installation) -> Iterator[list[int]]:
    """Let tasks go through their lives, some batches a second, until it is left; yields how many did, batch by batch."""
    stop, engine, lives = threading.Event(), EngineClient(running.connect(), "pool"), list[int]()

    def work() -> None:
        while not stop.wait(EVERY):
            lives.append(engine.live(BATCH))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield lives
    finally:
        stop.set()
        thread.join()


def load(running: Installation, seconds: float = SECONDS) -> tuple[float, float]:
    """Return which part of a core server and database take for some time, in percent."""
    cpu, database, begin = running.cpu(), running.database_cpu(), time.perf_counter()
    time.sleep(seconds)
    took = time.perf_counter() - begin
    return 100 * (running.cpu() - cpu) / took, 100 * (running.database_cpu() - database) / took


@contextmanager
def watchers(running: Installation, path: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Let many watch a page in another process."""
    words = [sys.executable, "-c", WATCHER, str(running.port), path, str(WATCHERS), str(seconds)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    process.stdin.write(running.token + "\n")
    process.stdin.flush()
    if process.stdout.readline().strip() != "watching":
        raise RuntimeError("nobody could watch")
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def watching(running: Installation, dataset: int) -> None:
    """Say what a crowd that watches one busy dataset takes of the server."""
    with campaign(running) as lives:
        time.sleep(3)
        alone, of_database = load(running)
        with watchers(running, f"/datasets/{dataset}.live", SECONDS + 6) as crowd:
            time.sleep(3)
            begun, before = time.time(), sum(lives)
            both, of_both = load(running)
            rate, took = (sum(lives) - before) / (time.time() - begun), time.time() - begun + 6
            crowd.wait(60)
            seen = int((crowd.stdout and crowd.stdout.read()) or 0)
    say(
        f"{WATCHERS} watchers of one busy dataset", both - alone, "% of a core", "< 20", alone,
        database=of_both - of_database, campaign_database=of_database, kb_each=seen / took / WATCHERS / 1000, lives=rate,
    )  # fmt: skip


def paints(chrome: Browser, running: Installation, dataset: int) -> None:
    """Say how long the first look at pages takes, with nothing in the browser's cache, and what is sent for it."""
    paths = {
        "my work": "/datasets",
        "dataset": f"/datasets/{dataset}",
        "errors": "/errors",
        "new": "/new",
        "sites": "/sites",
    }
    for name, path in paths.items():
        times, sent, again = [], 0.0, 0.0
        for _ in range(3):
            page = signed_in(chrome, running)
            meter = Meter(page)
            page.goto(running_url(running) + path)
            times.append(float(page.evaluate(SHOWN)))
            sent, meter.bytes = meter.bytes, 0.0
            page.goto(running_url(running) + path)
            page.wait_for_load_state("load")
            again = meter.bytes
            page.context.close()
        say(f"largest contentful paint: {name}", statistics.median(times), "ms", "< 1000", sent=sent, again=again)


def until(page: Page, script: str, given: object = None, seconds: float = 120.0) -> float:
    """Ask a page until it answers with something, and return that. The policy of pages lets them not ask themselves."""
    stop = time.monotonic() + seconds
    while not (found := page.evaluate(script, given)):
        if time.monotonic() > stop:
            raise TimeoutError(script)
        time.sleep(0.02)
    return float(found)


class Meter:
    """Counts the bytes that come for pages and their files, headers included; streams are left out."""

    def __init__(self, page: Page) -> None:
        """Begin to count, with an empty cache."""
        self.bytes = 0.0
        self.session: CDPSession = page.context.new_cdp_session(page)
        self.session.send("Network.enable")
        self.session.send("Network.clearBrowserCache")
        self.session.on("Network.loadingFinished", self._count)

    def _count(self, event: dict[str, float]) -> None:
        self.bytes += event["encodedDataLength"]


def running_url(running: Installation) -> str:
    """Return the address of the server."""
    return f"http://127.0.0.1:{running.port}"


def signed_in(chrome: Browser, running: Installation) -> Page:
    """Return a page of a browser of its own that is signed in, with nothing kept but the session."""
    context = chrome.new_context(storage_state=session(chrome, running.port, running.token))
    context.add_init_script(SPY % KEPT)
    return context.new_page()


@cache
def session(chrome: Browser, port: int, token: str) -> StorageState:
    """Sign in once; how often one may is bounded."""
    context = chrome.new_context()
    with Client(f"http://127.0.0.1:{port}", token) as client:
        context.new_page().goto(client.sign_in_url(), wait_until="commit")
    found = context.storage_state()
    context.close()
    return found


def changes(chrome: Browser, running: Installation, dataset: int) -> None:
    """Say how long it takes from a change to its being seen, while a campaign goes on."""
    to, spent, asking, bare = running.connect(), list[float](), list[float](), list[float]()
    with campaign(running):
        page = signed_in(chrome, running)
        page.goto(f"{running_url(running)}/datasets/{dataset}")
        until(page, "() => window.updates > 0")
        page.evaluate(CHANGED)
        for n in range(CHANGES):
            verb, held = ("release", False) if n % 2 else ("hold", True)
            time.sleep(0.3 + 0.07 * n % 0.5)
            begin = time.time()
            to.post("/api/v1/actions", {"verb": verb, "addresses": [str(dataset)], "reason": ""})
            asking.append(time.time() - begin)
            found = until(page, SEEN, {"at": begin * 1000, "held": held})
            spent.append(max(0.0, found / 1000 - begin - asking[-1]))  # from when the change was made, and told to be
            page.evaluate("() => { window.seen = []; }")
            bare.append(timed(lambda: to.page("/healthz")) / 1000)
        page.context.close()
    more = {"median": statistics.median(spent), "asking": statistics.median(asking), "n": len(spent)}
    say("from a change to its being seen, most", max(spent), "s", "< 1", max(bare), **more)


def memory(chrome: Browser, running: Installation, dataset: int) -> None:
    """Say how the memory of a browser grows over an hour of updates, each of them one that the server sent."""
    page = signed_in(chrome, running)
    with campaign(running):
        page.goto(f"{running_url(running)}/datasets/{dataset}")
        until(page, f"() => window.parts.length >= {KEPT}")
    session = page.context.new_cdp_session(page)
    heaps = []
    for part in (UPDATES // 10, UPDATES // 2, UPDATES // 2):
        for _ in range(part // 60):
            page.evaluate(AGAIN, 60)
        session.send("HeapProfiler.collectGarbage")
        heaps.append(session.send("Runtime.getHeapUsage")["usedSize"] / 1e6)
    page.context.close()
    must = f"<= {FLAT}"
    say(f"heap of a browser after {UPDATES:,} updates, against that at their begin", heaps[2] / heaps[0], "ratio", must,
        begin=heaps[0], middle=heaps[1], end=heaps[2])  # fmt: skip


def main() -> None:
    """Measure on PostgreSQL."""
    with installation("postgresql", NUNATAK_PROBE="0", NUNATAK_LEASE="3600") as running:
        seeded.engines(running.connect())
        dataset = seeded.large(running, JOBS)
        running.analyze()
        say("a request that does nothing", nothing(running), "ms of processor", "-")
        watching(running, dataset)
        with browser() as chrome:
            paints(chrome, running, dataset)
            changes(chrome, running, dataset)
            memory(chrome, running, dataset)


if __name__ == "__main__":
    main()
