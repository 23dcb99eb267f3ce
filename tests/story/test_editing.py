"""A dataset that was split is edited while its server is killed, with a real local engine: all ends as it was written last."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from nunatak.db.database import Database
from nunatak.tasks.context import Contexts
from nunatak.tasks.invariants import check
from tests.story.test_up import Up, data, until, watched

__all__ = ["data"]

pytestmark = pytest.mark.slow

RECIPE = """\
name: muons
jobs: 2
foreach: {kind: [p, e]}
parameters: {events: 7}
tasks:
  generate:
    run: sh -c "echo {kind} {events} $NUNATAK_MEMORY; echo {kind} > {output}"
    splittable: events
    outputs: [gen.txt]
    learn: off
    needs: {memory: 64 MB, disk: 10 MB, time: 1 min}
  filter:
    after: generate
    inputs: [generate/gen.txt]
    run: sh -c "HELD; echo old {job} $NUNATAK_MEMORY"
    needs: {memory: "{64 * (1 + job % 2)} MB", disk: 10 MB, time: 1 min}
"""


def test_a_split_dataset_is_edited_and_ends_right(data: Path, tmp_path: Path) -> None:
    """What is done stays, what runs goes on, and each of the rest asks for what is written of whole jobs, by its own number."""
    text = RECIPE.replace("64 MB, disk", "64 MB, features: [not-yet], disk", 1)
    text = text.replace("HELD", f"until [ -e {tmp_path}/go ]; do sleep 0.1; done")
    better = text.replace(", features: [not-yet]", "").replace("64 * (1 + job % 2)", "128 * (1 + job % 3)")
    path, up = tmp_path / "r.yaml", Up(data)
    with up.client() as client:
        path.write_text(text)
        whole = client.submit(path).dataset
        number = client.split(whole, 3).made
        client.hold(*(f"{number}/{job}" for job in range(6, 12)))
        path.write_text(text.replace(", features: [not-yet]", ""))
        made = client.edit(number, path, since=client.recipe(number)["tag"])
        assert made.revision == 2
        until(lambda: client.dataset(number).per_task["filter"].running == 2)
        path.write_text(better)
        told = client.edit(number, path, since=client.recipe(number)["tag"], check=True)
        assert [(change["task"], change["what"]) for change in told.changes] == [("filter", "needs")]
        assert client.edit(number, path, since=client.recipe(number)["tag"]).revision == 3
        os.kill(up.child("serve api"), signal.SIGKILL)
        client.release(*(f"{number}/{job}" for job in range(6, 12)))
        (tmp_path / "go").touch()
        assert watched(client, number).state == "done"
        jobs = client.dataset(number).jobs.total
        said = [" ".join("".join(client.logs(f"{number}/{job}/generate")).split()) for job in range(jobs)]
        asked = {}
        for job in range(jobs):
            log = re.search(r"old (\d+) (\d+)", "".join(client.logs(f"{number}/{job}/filter")))
            attempt = client.status(f"{number}/{job}/filter").plain["attempts"][-1]
            assert log is not None
            assert int(log[1]) == job
            asked[job] = (attempt["revision"], int(log[2]) // 10**6)
    assert up.end() == 0
    assert sum(int(one.split()[1]) for one in said) == 4 * 7
    assert Counter(one.split()[0] for one in said) == {"p": 6, "e": 6}
    assert {revision for revision, _ in asked.values()} == {2, 3}
    for job, (revision, memory) in asked.items():
        assert memory == (64 * (1 + job % 2) if revision == 2 else 128 * (1 + job % 3))
    database = Database(f"sqlite:///{data / 'nunatak.db'}")
    with database.read() as tx:
        assert check(tx, Contexts()) == []
    database.close()
