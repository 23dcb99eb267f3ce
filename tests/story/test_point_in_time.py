"""What the manual says of a base backup and an archived log is done as it stands there: the moment before a mistake comes back."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.postgres import Postgres
from tests.story.cluster import STEPS
from tests.story.installation import Installation, installation, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MANUAL = Path(__file__).parents[2] / "docs" / "how-to" / "back-up.md"
JOBS = 2


@pytest.fixture
def server() -> Iterator[Postgres]:
    started = Postgres.start(settings={"synchronous_commit": "on"})
    yield started
    started.stop()


class Manual:
    """The blocks of the manual, by what stands in them, for a server whose backups go elsewhere."""

    def __init__(self, server: Postgres) -> None:
        text = MANUAL.read_text()
        for there, here in (
            ("/backup/", "/backup/"),
            ("/var/lib/postgresql/15/main", "/data"),
            ("/var/lib/postgresql/15", ""),
        ):
            text = text.replace(there, f"{server.directory}{here}")
        self._blocks = re.findall(r"^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)

    def block(self, words: str) -> str:
        (found,) = [block for block in self._blocks if words in block]
        return str(found)


def run(house: Installation, place: Path) -> None:
    """Have a dataset done."""
    place.mkdir()
    number = house.submit(STEPS.format(jobs=JOBS, place=place))
    house.until_state("done", number)


def test_the_moment_before_a_mistake_is_restored_from_base_and_log(tmp_path: Path, server: Postgres) -> None:
    backup = server.directory / "backup"
    manual, url = Manual(server), server.new_database()
    server.shell(f"mkdir -p {backup}/wal")
    server.configure(manual.block("archive_command"))
    server.pg_ctl("restart", "-m", "fast")
    with installation(tmp_path / "data", start=False, database=url) as house:
        house.start_server()
        house.engine("node", "node")
        server.shell(manual.block("pg_basebackup"))
        run(house, tmp_path / "since")  # the base does not have it, the log does
        with server.connect(url.rsplit("/", 1)[1]) as c:
            (moment,) = c.execute("SELECT clock_timestamp()::text").fetchone() or ("",)
            c.execute("DELETE FROM attempts")  # the mistake
            assert house.doctor().faults != []
            (last,) = c.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone() or ("",)
        until(lambda: (backup / "wal" / last).exists(), "the log to be kept")

        house.end_server()
        server.pg_ctl("stop", "-m", "immediate")
        server.shell(manual.block("recovery.signal"))
        shutil.rmtree(server.directory / "broken")  # nothing of it is needed
        server.configure(manual.block("restore_command").replace("2026-11-28 09:59:00+00", moment))
        server.pg_ctl("start")
        with server.connect() as c:
            until(lambda: c.execute("SELECT pg_is_in_recovery()").fetchone() == (False,), "the log to be read")
        house.data.chmod(0o700)
        found = house.doctor()
        assert (found.faults, found.datasets) == ([], 1)
        house.assert_each_done_once(2 * JOBS)

        house.start_server()
        run(house, tmp_path / "after")
        house.assert_each_done_once(4 * JOBS)
