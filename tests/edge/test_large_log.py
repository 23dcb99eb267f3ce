"""A log of 500 MB on its page: the end, the beginning, around a line, a search; in little memory of the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from nunatak.api.services import Services
from nunatak.core.address import parse
from nunatak.tasks.logs.live import Extent, LiveLog
from nunatak.tasks.logs.places import live_of, path_of
from nunatak.web.app import create_app
from tests.edge.conftest import Api

SIZE = 500_000_000
WIDTH = 100
"""Bytes of each line, with its end."""
LAST = SIZE // WIDTH
MOST = 40_000_000
"""Bytes of memory that all of it may take."""
TOLD = b"KeyError: 'spice'"


@pytest.fixture
def pages(services: Services) -> Iterator[Api]:
    with TestClient(create_app(services), raise_server_exceptions=True) as client:
        yield Api(services, client)


def write(root: Path, address: str) -> None:
    """Put the log of an attempt that runs where the store keeps it: equal lines but for two, a megabyte at a time."""
    path = live_of(path_of(root, parse(address), "stdout"))
    path.parent.mkdir(parents=True, exist_ok=True)
    block = (b"photon bunch propagated".ljust(WIDTH - 1) + b"\n") * 10_000
    with LiveLog(path, Extent.for_limit(4 * SIZE), create=True) as live:
        live.begin(Extent(2 * SIZE, 2 * SIZE, SIZE, SIZE))
        for start in range(0, SIZE, len(block)):
            live.fill(start, block)
        live.fill(SIZE - 20 * WIDTH, TOLD.ljust(WIDTH - 1))
        live.fill(SIZE - 5_000_000, b"needle".ljust(WIDTH - 1))


def test_a_log_of_500_mb_is_read_by_pages_in_little_memory(pages: Api) -> None:
    pages.submit()
    pages.engine()
    task = pages.claim(1)[0]
    pages.report(started=[{"address": task["address"], "lease": task["lease"], "at": pages.clock(), "host": "node1"}])
    root = pages.services.logs.root
    write(root, task["address"])

    def lines(**query: object) -> list[int]:
        found = pages.http.get(
            f"/datasets/{task['address'].replace('#', '/')}/log", headers=pages.headers, params=query
        )
        assert found.status_code == 200
        assert len(found.content) < 200_000
        return [int(number) for number in re.findall(r'data-line="(\d+)"', found.text)]

    lines(at=0)  # what is needed for any page is there now
    before = memory(afresh=True)
    assert lines()[-1] == LAST, "one that grows opens at its end"
    assert lines(at=0)[0] == 1
    assert lines(at=SIZE // 2)[0] == LAST // 2 + 1
    assert 4_000_000 in lines(line=4_000_000)
    assert lines(before=SIZE // 2)[-1] == LAST // 2
    twin = f"/datasets/{task['address'].replace('#', '/')}/log.json"
    begun = pages.call("GET", twin, params={"q": "needle"})["search"]
    assert begun["hits"] == []
    assert 0 < begun["next"] < SIZE, "a request looks through a part, and says where to go on"
    found = pages.call("GET", twin, params={"q": "NEEDLE", "after": SIZE - 30_000_000})
    assert [hit["line"] for hit in found["search"]["hits"]] == [LAST - 49_999]
    assert found["search"]["next"] is None
    pages.finish(task, "exit", exit=1, message="exit code 1", stderr=TOLD.decode() + "\n")
    assert LAST - 19 in lines(stream="stdout"), "one that ended badly opens at the error"
    assert memory() - before < MOST
    for path in (root / "logs").rglob("*.live"):
        path.unlink()


def memory(*, afresh: bool = False) -> int:
    """Return the most memory this process had since it was looked at `afresh`, in bytes."""
    if afresh:
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak begins anew
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(found.split()[1]) * 1024
