"""Nodes at the edge: engines hear who gets no work, operators drain and undrain, others may only look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from nunatak.api.app import create_app
from nunatak.engines.hosts import Fault
from nunatak.tasks.scoreboard import Scoreboard
from tests.contract.test_engine_host import Site
from tests.edge.conftest import Api, services_at

MANY = "name: many\njobs: 300\ntasks:\n  a: {run: 'true', needs: {memory: 1 GB}}\n"
NODES = tuple(f"node{number}" for number in range(20))


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    services = services_at(tmp_path)
    with TestClient(create_app(services), raise_server_exceptions=True) as client:
        yield Api(services, client)
    services.database.close()


def test_an_engine_host_carries_a_dataset_past_a_black_hole(api: Api) -> None:
    site = Site(api, duration=10.0, hosts=("hole", *NODES), slots_per_host=1, faults={"hole": Fault()})
    services = api.services
    board = Scoreboard(services.database, services.contexts, services.clock, lambda: 0.5, "one")
    api.submit(MANY)

    def done() -> bool:
        board.tick()
        return site.is_done()

    site.until(done, seconds=0.5, most=3000)
    assert site.world.hosts.nodes.drained == ("hole",)
    (line,) = api.get("/nodes")["items"]
    assert (line["name"], line["health"]) == ("here/hole", "drained")
    assert line["faults"] <= 6
    assert {row["name"] for row in api.get("/nodes?all=true")["items"]} == {f"here/{node}" for node in ("hole", *NODES)}
    assert api.faults() == []


def test_an_engine_whose_only_node_is_drained_gets_nothing_until_it_is_undrained(api: Api) -> None:
    token = api.token("engine")
    capacity = {"total": {"cpu": 4, "memory": 10**10, "disk": 10**11, "time": 10**6}}
    register = {"kind": "local", "site": "s", "session": "x", "capacity": capacity, "node": "n1"}
    api.http.post("/api/v1/engines/e/register", json=register, headers=token).raise_for_status()
    api.submit(MANY)

    def claim() -> dict[str, Any]:
        body = {"session": "x", "offer": capacity["total"], "limit": 2}
        found = api.http.post("/api/v1/engines/e/claim", json=body, headers=token)
        return dict(found.json())

    drained = api.post("/nodes/drain", {"node": "s/n1", "reason": "repair", "seconds": 600.0})
    assert drained["sentence"].endswith(": repair.")
    assert claim() == {"tasks": []}
    found = api.http.post("/api/v1/nodes/drain", json={"node": "s/n1"}, headers=api.token("admin"))
    assert (found.status_code, found.json()["code"]) == (409, "drained-already")
    assert api.post("/nodes/undrain", {"node": "s/n1"})["health"] == "fine"
    assert [task["address"] for task in claim()["tasks"]] == ["1/0/a#1"]  # one tries alone what its kind needs
    refused = api.http.post("/api/v1/nodes/drain", json={"node": "s/n1"}, headers=api.token("read", "submit"))
    assert refused.status_code == 403
