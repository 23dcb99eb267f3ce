"""A program that is stopped goes on from its checkpoint, on real processes: what was done is not done again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from nunatak.tasks.tables import attempts, checkpoints
from tests.story.installation import NUNATAK, Installation, installation, until

pytestmark = pytest.mark.slow

COUNT = """\
import os, pathlib, sys, time

last, pace, stays = int(sys.argv[1]), float(sys.argv[2]), [int(number) for number in sys.argv[3:]]
attempt = int(os.environ["NUNATAK_ADDRESS"].rpartition("#")[2])
state = pathlib.Path("state.txt")
lines = state.read_text().split() if state.exists() else []
print("begin at", len(lines), flush=True)
for number in range(len(lines), last):
    while stays[attempt - 1 : attempt] == [number]:
        time.sleep(600)  # until it is ended
    time.sleep(pace)
    lines.append(f"{number}@{attempt}")
    draft = pathlib.Path("state.new")
    draft.write_text("\\n".join(lines))
    draft.rename(state)
    print("counted", number, flush=True)
pathlib.Path("counts.txt").write_text("\\n".join(lines))
"""
RECIPE = """\
name: counting
jobs: 1
needs: {{memory: 64 MB, disk: 64 MB, time: {time}}}
retry: {{delay: 0.2 s}}
tasks:
  count:
    run: python3 count.py {last} {pace} {stays}
    files: [count.py]
    checkpoint: state.txt
    outputs: [counts.txt]
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Installation]:
    (tmp_path / "count.py").write_text(COUNT)
    with installation(tmp_path / "data") as made:
        yield made
        made.until_no_work()
        assert made.doctor().faults == []


def nunatak(house: Installation, *words: str) -> str:
    environ = {**house.environ, "NUNATAK_DATA": str(house.data), "NO_COLOR": "1"}
    return subprocess.run((*NUNATAK, *words), env=environ, capture_output=True, text=True, check=True).stdout


def submit(house: Installation, *stays: int, last: int = 15, pace: float = 0.1, time: str = "10 min") -> None:
    """Let it count to `last`; of the first attempts each stays at a number until it is ended."""
    house.submit(RECIPE.format(last=last, pace=pace, time=time, stays=" ".join(map(str, stays))))


def counted(house: Installation, number: int, attempt: int = 1) -> None:
    """Wait until the program has counted so far."""

    def there() -> bool:
        boxes = [
            Path(box) for box, _, files in os.walk(house.data / "engines") if "stdout" in files
        ]  # some vanish meanwhile
        logs = [box / "stdout" for box in boxes if box.name.startswith(f"count.{attempt}.")]
        return bool(logs) and f"counted {number}\n" in logs[0].read_text()

    until(there, f"attempt {attempt} to count to {number}")


def kept(house: Installation) -> list[Any]:
    with house.database() as opened, opened.read() as tx:
        return list(tx.execute(select(checkpoints)))


def counts(house: Installation) -> list[tuple[int, int]]:
    """Return (number, attempt that counted it) of the output."""
    (made,) = (house.data / "store").rglob("counts.txt")
    return [(int(a), int(b)) for a, b in (line.split("@") for line in made.read_text().split())]


def ledger(house: Installation) -> list[Any]:
    with house.database() as opened, opened.read() as tx:
        return list(tx.execute(select(attempts).order_by(attempts.c.attempt)))


def no_files_left(house: Installation) -> None:
    def gone() -> bool:
        return not any(files for place, _, files in os.walk(house.data) if ".checkpoints" in Path(place).parts)

    until(gone, "the files to go")


def test_what_is_held_goes_on_when_it_is_released(house: Installation) -> None:
    submit(house, 10)
    counted(house, 9)
    nunatak(house, "hold", "1")
    (row,) = until(lambda: kept(house), "the checkpoint to be kept")
    assert row.attempt == 1
    assert 0.9 <= row.saved < 10
    assert house.status().tasks.done == 0
    nunatak(house, "release", "1")
    house.until_state("done")
    found = counts(house)
    assert found == [(number, 1 if number < 10 else 2) for number in range(15)]
    assert kept(house) == []
    no_files_left(house)


def test_an_evicted_task_says_what_was_kept(house: Installation) -> None:
    submit(house, 10)
    counted(house, 9)
    os.kill(house.of("worker")[0], signal.SIGTERM)
    house.until_state("done")
    first, second = ledger(house)
    saved = json.loads(first.detail)["checkpoint"]["saved"]
    assert 0.9 <= saved <= first.wall
    assert (first.verdict, first.action, bool(first.counted)) == ("evicted", "again", False)
    assert "of its work were kept, and the next try goes on from there" in first.message
    assert json.loads(second.detail)["resumed"] == json.loads(first.detail)["checkpoint"]["url"]
    assert [number for number, _ in counts(house)] == list(range(15))
    assert "of its work were kept" in nunatak(house, "why", "1/0/count")
    no_files_left(house)


def test_time_that_is_over_is_no_failure_while_a_checkpoint_gets_on(house: Installation) -> None:
    submit(house, last=48, pace=0.5, time="10 s")
    house.until_state("done")
    rows = ledger(house)
    assert len(rows) >= 3
    assert {(row.verdict, bool(row.counted)) for row in rows[:-1]} == {("over-time", False)}
    assert len({row.shape for row in rows}) == 1, "no more time is asked for"
    assert [number for number, _ in counts(house)] == list(range(48))


def test_a_worker_killed_while_it_stores_leaves_the_checkpoint_before(house: Installation) -> None:
    submit(house, 5, 10)
    counted(house, 4)
    os.kill(house.of("worker")[0], signal.SIGTERM)
    counted(house, 9, attempt=2)
    for role in ("inner", "worker"):
        os.kill(house.of(role)[0], signal.SIGSTOP)
    house.kill_all("inner", "worker", "payload")  # at no better moment than this: nothing of the second is kept
    house.until_state("done")
    assert counts(house) == [(number, 1 if number < 5 else 3) for number in range(15)]
    no_files_left(house)


def test_a_damaged_checkpoint_means_beginning_anew(house: Installation) -> None:
    submit(house, 5)
    counted(house, 4)
    nunatak(house, "hold", "1")
    until(lambda: kept(house), "the checkpoint to be kept")
    (file,) = (house.data / "store").rglob(".checkpoints/**/state.txt")
    file.write_text(file.read_text()[:-1] + "7")
    nunatak(house, "release", "1")
    house.until_state("done")
    assert {attempt for _, attempt in counts(house)} == {2}
    assert [row.verdict for row in ledger(house)][-1] == "ok"
