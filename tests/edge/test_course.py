"""What an attempt uses over time, from a real worker through engine and server to the page of its task."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx2
import pytest

from nunatak.cli.show import show_status
from nunatak.core.units import memory_text
from nunatak.tasks.logs import course
from nunatak.tasks.looking import look_store
from tests.edge.live import NEEDS, installation
from tests.services.workers import impatient

BURN = """\
import time
data, begin = [], time.monotonic()
while time.monotonic() < begin + 3.0:
    if len(data) < 30 and time.monotonic() > begin + 1.5:  # by then the worker has looked for the first time
        data.append(bytearray(b"x" * 2_000_000))
    sum(range(50_000))
"""
RECIPE = f"name: burn\nneeds: {NEEDS}\ntasks:\n  burn: {{run: python3 burn.py, files: [burn.py]}}\n"


def test_what_was_used_over_time_is_on_the_page_and_not_in_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "SHORTEST", 0.5)
    (tmp_path / "burn.py").write_text(BURN)
    (tmp_path / "burn.yaml").write_text(RECIPE)
    with installation(tmp_path / "data", impatient(tmp_path / "workers")) as live, live.client() as client:
        made = client.submit(tmp_path / "burn.yaml")
        *_, last = client.watch(made)
        assert last.state == "done"
        with httpx2.Client(base_url=live.url, headers={"Authorization": f"Bearer {live.token}"}, timeout=30) as http:
            told = http.get(f"/datasets/{made.dataset}/0/burn.json").json()["course"]
            page = http.get(f"/datasets/{made.dataset}/0/burn").text
            kept = http.get(f"/api/v1/logs/{made.dataset}/0/burn", params={"stream": "course"}).json()
        assert max(told["memory"]) > 60_000_000 > told["memory"][0]
        assert max(told["cpu"]) > 0.1
        assert 0.5 < told["seconds"] < 60.0
        assert json.loads(kept["text"])["memory"] == told["memory"]
        assert kept["complete"]
        assert 'aria-label="memory over' in page
        assert 'aria-label="processors over' in page
        with live.services.database.read() as tx:
            rows = look_store.ATTEMPTS(tx, dataset=made.dataset, job=0, task=0)
        assert "course" not in json.loads(rows[0].detail)


WAITS = f"""\
name: waits
needs: {NEEDS}
tasks:
  wait: {{shell: true, run: "until [ -e PLACE/go ]; do sleep 0.1; done"}}
"""


def test_what_a_running_attempt_uses_is_on_its_page_and_told_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "waits.yaml").write_text(WAITS.replace("PLACE", str(tmp_path)))
    with installation(tmp_path / "data", impatient(tmp_path / "workers")) as live, live.client() as client:
        made = client.submit(tmp_path / "waits.yaml")
        address = f"{made.dataset}/0/wait"
        end = time.monotonic() + 120
        while (found := client.status(address)).attempts == () or found.attempts[-1].wall is None:
            assert time.monotonic() < end, found
            time.sleep(0.1)
        running = found.attempts[-1]
        assert running.verdict is None
        assert running.memory
        assert running.cpu is not None
        show_status(found.plain)
        assert memory_text(running.memory) in capsys.readouterr().out
        assert str(found).startswith(f"{address}: running for ")
        assert f"{memory_text(running.memory)} of memory" in str(found)
        with httpx2.Client(base_url=live.url, headers={"Authorization": f"Bearer {live.token}"}, timeout=30) as http:
            page = http.get(f"/datasets/{address}").text
        assert "So far, as its worker measured it last" in page
        (tmp_path / "go").touch()
        *_, last = client.watch(made)
        assert last.state == "done"
