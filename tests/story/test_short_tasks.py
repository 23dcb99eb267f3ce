"""Two thousand tasks of a second: in series a machine is busy with them, and not with starting them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import func, select

from nunatak.tasks.tables import attempts
from tests.story.installation import Installation, installation

pytestmark = pytest.mark.slow

CORES = 16
"""Slots, many more than this machine has cores: the tasks only sleep, so what counts is what is around them."""
GROUPED, ALONE = 2000, 300
NAPS = "name: naps\njobs: {jobs}\nneeds: {{cpu: 1, memory: 64 MB, disk: 10 MB, time: 1 min}}\ntasks:\n  nap: {{run: sleep 1}}\n"


@dataclass(frozen=True)
class Measured:
    """What a dataset took: its tasks' own seconds, and those from the first claim to the last end."""

    payload: float
    elapsed: float

    @property
    def share(self) -> float:
        """The part of all slots' time that was the tasks' own."""
        return self.payload / (CORES * self.elapsed)


def measure(house: Installation, jobs: int) -> Measured:
    """Run tasks to their end; each must have run just once."""
    dataset = house.submit(NAPS.format(jobs=jobs))
    house.until_state("done", dataset)
    with house.database() as database, database.read() as tx:
        wall = select(
            func.count(), func.sum(attempts.c.wall), func.min(attempts.c.claimed), func.max(attempts.c.ended)
        ).where(attempts.c.verdict == "ok")
        count, payload, begin, end = tx.execute(wall).one()
    assert count == jobs
    house.assert_each_done_once(jobs)
    return Measured(payload, end - begin)


def test_short_tasks_in_series_keep_the_slots_busy(tmp_path: Path) -> None:
    with installation(tmp_path / "alone", CORES, series_target="0") as house:
        alone = measure(house, ALONE)
    with installation(tmp_path / "grouped", CORES) as house:
        grouped = measure(house, GROUPED)
    print(f"payload share in series {grouped.share:.3f} ({grouped}), alone {alone.share:.3f} ({alone})")
    assert grouped.share >= 0.85
    assert grouped.share > alone.share
