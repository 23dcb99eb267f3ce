"""Hundreds of tasks of a second: in series a machine is busy with them, and not with starting them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import func, select

from nunatak.tasks.tables import attempts
from tests.story.installation import Installation, installation

pytestmark = pytest.mark.slow

CORES = 16
"""Slots, many more than this machine has cores: the tasks only sleep, so what counts is what is around them."""
GROUPED, ALONE = 800, 160
NAPS = "name: naps\njobs: {jobs}\nneeds: {{cpu: 1, memory: 64 MB, disk: 10 MB, time: 1 min}}\ntasks:\n  nap: {{run: sleep 1}}\n"


@dataclass(frozen=True)
class Measured:
    """What a dataset took: its tasks' own seconds, those from the first claim to the last end, and those of processors."""

    jobs: int
    payload: float
    elapsed: float
    spent: float

    @property
    def share(self) -> float:
        """The part of all slots' time that was the tasks' own: as large as the machine had time for them."""
        return self.payload / (CORES * self.elapsed)

    @property
    def each(self) -> float:
        """Seconds of processors that a task cost, with all that is around it, whatever else the machine had to do."""
        return self.spent / self.jobs


def spent(house: Installation) -> float:
    """Return the seconds of processors that an installation has taken, with all its processes that have ended."""
    ticks = 0
    for role in ("up", "api", "engine"):
        for pid in house.of(role):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15] if role == "engine" else fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(house: Installation, jobs: int) -> Measured:
    """Run tasks to their end; each must have run just once."""
    before = spent(house)
    dataset = house.submit(NAPS.format(jobs=jobs))
    house.until_state("done", dataset)
    house.until_no_work()
    took = spent(house) - before
    with house.database() as database, database.read() as tx:
        wall = select(
            func.count(), func.sum(attempts.c.wall), func.min(attempts.c.claimed), func.max(attempts.c.ended)
        ).where(attempts.c.verdict == "ok")
        count, payload, begin, end = tx.execute(wall).one()
    assert count == jobs
    house.assert_each_done_once(jobs)
    return Measured(jobs, payload, end - begin, took)


def test_short_tasks_in_series_keep_the_slots_busy_and_not_the_processors(tmp_path: Path) -> None:
    with installation(tmp_path / "alone", CORES, series_target="0") as house:
        alone = measure(house, ALONE)
    with installation(tmp_path / "grouped", CORES) as house:
        grouped = measure(house, GROUPED)
    print(f"payload share in series {grouped.share:.3f} ({grouped}), alone {alone.share:.3f} ({alone})")
    print(f"processor seconds a task in series {grouped.each:.4f}, alone {alone.each:.4f}")
    assert grouped.each < 0.75 * alone.each
