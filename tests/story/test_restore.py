"""A backup taken in the middle of the work is restored after a disaster: it is sound, and the work goes on from there."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from nunatak.core.errors import NotFound
from tests.services.postgres import Postgres, binary
from tests.story.installation import Installation, installation, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

GATED = """\
name: each waits for a sign of its own
jobs: 4
needs: {{memory: 64 MB, disk: 64 MB, time: 10 min}}
retry: {{delay: 0.1 s}}
tasks:
  wait:
    shell: true
    files: [note.txt]
    run: "echo {{job}} >> {place}/begun; until [ -e {place}/go{{job}} ]; do sleep 0.05; done; echo {{job}} > a.txt"
    outputs: [a.txt]
  after:
    shell: true
    inputs: [wait/a.txt]
    run: "grep -qx {{job}} a.txt; echo {{job}} >> {place}/after; until [ -e {place}/end ]; do sleep 0.05; done"
"""


def sqlite_backup(url: str, to: Path) -> Callable[[], None]:
    """Copy the database as the manual says; returns what restores it."""
    file = Path(url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(file)) as opened:
        opened.execute("VACUUM INTO ?", (str(to / "copy.db"),))

    def restore() -> None:
        for end in ("", "-wal", "-shm"):
            file.with_name(file.name + end).unlink(missing_ok=True)
        shutil.copy(to / "copy.db", file)

    return restore


def postgres_backup(server: Postgres, url: str, to: Path) -> Callable[[], None]:
    """Copy the database as the manual says; returns what restores it."""
    name = url.rsplit("/", 1)[1]
    where = ("--host=127.0.0.1", f"--port={server.port}", "--username=nunatak")
    subprocess.run([binary("pg_dump"), *where, "--format=custom", f"--file={to}/nunatak.dump", name], check=True)

    def restore() -> None:
        with server.connect() as c:
            c.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
            c.execute(f'CREATE DATABASE "{name}"'.encode())
        subprocess.run(
            [binary("pg_restore"), *where, "--exit-on-error", f"--dbname={name}", f"{to}/nunatak.dump"], check=True
        )

    return restore


def begun(place: Path, name: str = "begun") -> Counter[int]:
    """Return how often a task of each job began."""
    file = place / name
    return Counter(map(int, file.read_text().split())) if file.exists() else Counter()


def start_engine(house: Installation, token: str) -> None:
    """Start the engine, on the directory it had before."""
    words = ("serve", "engine", "node", "--cores", "2", "--memory", "8 GB")
    variables = {"NUNATAK_URL": house.url, "NUNATAK_TOKEN": token}
    house.spawn(*words, log="node.log", data=house.data / "node", variables=variables)


def test_work_goes_on_from_a_backup(tmp_path: Path, database_url: str, request: pytest.FixtureRequest) -> None:
    (tmp_path / "note.txt").write_text("sent along")
    backup = tmp_path / "backup"
    backup.mkdir()
    with installation(tmp_path / "data", start=False, database=database_url) as house:
        house.start_server()
        with house.client() as client:
            token = client.create_token("node", ["engine"], days=1).token or ""
        (house.data / "node").mkdir()
        start_engine(house, token)
        house.submit(GATED.format(place=tmp_path))
        until(lambda: len(begun(tmp_path)) == 2 and house.status().tasks.queued == 2, "two jobs to begin")
        (tmp_path / "go0").touch()
        until(lambda: len(begun(tmp_path)) == 3 and house.status().tasks.done == 1, "a third job to begin")
        until(lambda: house.status().tasks.running == 2, "the server to know that")

        if database_url.startswith("sqlite"):
            shutil.copytree(house.data / "blobs", backup / "blobs")
            restore = sqlite_backup(database_url, backup)
        else:
            restore = postgres_backup(request.getfixturevalue("postgres"), database_url, backup)
            shutil.copytree(house.data / "blobs", backup / "blobs")

        for job in (1, 3):  # end, and are reported, after the backup
            (tmp_path / f"go{job}").touch()
        until(lambda: begun(tmp_path, "after") and house.status().tasks.done == 3, "a later task to begin")
        assert house.submit(GATED.format(place=tmp_path)) == 2

        house.end_server()
        house.kill_all("engine")  # its tasks go on
        shutil.rmtree(house.data / "blobs")
        shutil.copytree(backup / "blobs", house.data / "blobs")
        restore()
        house.data.chmod(0o700)
        found = house.doctor()
        assert (found.faults, found.datasets) == ([], 1)

        house.start_server()
        start_engine(house, token)
        for sign in ("go2", "end"):
            (tmp_path / sign).touch()
        house.until_state("done")
        # What ran then and runs now was taken up; what ended since, or began since, was done again.
        assert begun(tmp_path) == Counter({0: 1, 1: 2, 2: 1, 3: 2})
        later = begun(tmp_path, "after")
        assert later.keys() == {0, 1, 2, 3}
        assert max(later.values()) <= 2
        house.assert_each_done_once(8)
        assert set(house.endings()) == {("ok", "ok"), ("terminated", "lost")}
        house.until_no_work()
        with house.client() as client, pytest.raises(NotFound):
            client.dataset(2)
        assert house.doctor_command()["sound"]
