"""What a user reads when real processes fail: the kind, the sentence, whose move it is; and what Nunatak did by itself."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from nunatak.client.results import Failure
from tests.story.installation import NUNATAK, Installation, installation, until

pytestmark = pytest.mark.slow
NEEDS = "needs: {memory: 64 MB, disk: 64 MB, time: 10 min}"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path / "data") as made:
        yield made
        made.until_no_work()
        assert made.doctor().faults == []


def failures(house: Installation) -> list[Failure]:
    with house.client() as client:
        return list(client.errors(1))


def printed(house: Installation, *words: str) -> str:
    """Return what a command prints."""
    environ = {**house.environ, "NUNATAK_DATA": str(house.data), "NO_COLOR": "1"}
    done = subprocess.run((*NUNATAK, *words), env=environ, capture_output=True, text=True, check=True)
    return done.stdout


def attempts(house: Installation, task: str) -> list[tuple[str, str]]:
    with house.client() as client:
        return [(of.verdict or "", of.action or "") for of in client.status(task).attempts]


def test_a_typo_stops_the_dataset_after_twenty_tasks_with_one_error(house: Installation) -> None:
    house.submit(f"name: typo\njobs: 2000\n{NEEDS}\ntasks:\n  a: {{run: python3 -c 'prinn(1)'}}\n")
    house.until_state("held")
    house.until_no_work()
    until(lambda: house.status().tasks.queued + house.status().tasks.running == 0, "the last reports")
    plain = house.status()
    (failure,) = failures(house)
    tried = failure.tasks
    assert 20 <= tried <= 80, "what was with the engine when it was held may end"
    assert plain.tasks.done == 0
    assert "NameError: name 'prinn' is not defined" in failure.message
    shown = printed(house, "errors", "1")
    assert shown.splitlines()[0] == f"{failure.count} x {failure.kind}: {failure.message}"
    assert "yours: look at the log" in shown
    why = printed(house, "why", "1")
    assert "failed the same way (100 %)" in why
    assert "NameError" in why


def test_a_truncated_input_is_named_and_not_tried_again(house: Installation, tmp_path: Path) -> None:
    whole = gzip.compress(bytes(range(256)) * 1000)
    (tmp_path / "events.gz").write_bytes(whole[: len(whole) // 2])
    house.submit(f"name: truncated\njobs: 1\n{NEEDS}\ntasks:\n  a: {{run: gzip -dc events.gz, files: [events.gz]}}\n")
    house.until_state("failed")
    assert attempts(house, "1/0/a") == [("input-truncated", "failed")]
    (failure,) = failures(house)
    assert (failure.whose, failure.id) == ("yours", "NUN-INPUT-TRUNCATED")
    assert failure.message.startswith("the input events.gz is truncated or damaged")
    assert "yours: replace the file" in printed(house, "errors", "1")


def test_a_program_for_another_architecture_is_named_as_such(house: Installation, tmp_path: Path) -> None:
    other = bytearray(Path("/bin/true").read_bytes())
    other[18:20] = (243).to_bytes(2, "little")  # e_machine: RISC-V
    (tmp_path / "simulate").write_bytes(other)
    (tmp_path / "simulate").chmod(0o755)
    house.submit(f"name: built elsewhere\njobs: 1\n{NEEDS}\ntasks:\n  a: {{run: ./simulate, files: [simulate]}}\n")
    house.until_state("failed")
    (failure,) = failures(house)
    assert (failure.id, failure.kind) == ("NUN-ARCH", "wrong-architecture")
    assert "built for another" in failure.message or "architecture" in failure.message
    assert "needs.platform" in printed(house, "errors", "1")


GREEDY = """\
name: greedy
jobs: 1
needs: {memory: 64 MB, disk: 64 MB, time: 10 min}
retry: {delay: 0.2 s}
tasks:
  a:
    shell: true
    run: "python3 -c 'import time; x = bytearray(200_000_000); time.sleep(3)'"
"""


def test_memory_that_ran_out_is_asked_for_again_by_what_was_seen(house: Installation) -> None:
    house.submit(GREEDY)
    house.until_state("done")
    with house.client() as client:
        found = client.status("1/0/a")
    verdicts = [(of.verdict, of.action) for of in found.attempts]
    assert verdicts[-1] == ("ok", "done")
    assert set(verdicts[:-1]) == {("out-of-memory", "again")}
    assert len(verdicts) <= 3
    first = found.attempts[0].message or ""
    assert first.startswith("it ran out of memory")
    assert "the next try asks for" in first
    plain: Mapping[str, object] = json.loads(printed(house, "status", "1/0/a", "--json"))
    assert isinstance(plain["shape"], dict)
    assert plain["shape"]["memory"] >= 200_000_000


CHAIN = """\
name: chain
jobs: 40
needs: {memory: 100 MB, disk: 64 MB, time: 10 min}
retry: {delay: 0.2 s}
tasks:
  generate: {run: python3 use.py 10 0, files: [use.py]}
  photons: {after: generate, run: python3 use.py 180 1.5, files: [use.py]}
  detector: {after: photons, run: python3 use.py 10 0, files: [use.py]}
"""
USE = "import sys, time\nx = bytearray(int(sys.argv[1]) * 1_000_000)\ntime.sleep(float(sys.argv[2]))\n"


def test_the_photon_step_runs_out_of_memory_and_the_next_jobs_ask_for_enough_at_once(
    house: Installation, tmp_path: Path
) -> None:
    pytest.importorskip("nunatak.tasks.asking", reason="tasks do not ask for what was learnt yet")
    (tmp_path / "use.py").write_text(USE)
    house.submit(CHAIN)
    house.until_state("done")
    tried = {job: attempts(house, f"1/{job}/photons") for job in range(40)}
    begun = [job for job, verdicts in tried.items() if verdicts != [("ok", "done")]]
    assert 1 <= len(begun) <= 10, f"those that began before anything was known, and no others: {tried}"
    for job in begun:
        assert set(tried[job][:-1]) == {("out-of-memory", "again")}
        assert tried[job][-1] == ("ok", "done")
    shown = printed(house, "errors", "1")
    assert "out-of-memory: it ran out of memory" in shown.splitlines()[0]
    assert "100 MB" in shown or "128 MB" in shown
    for job in range(40):
        assert attempts(house, f"1/{job}/generate") == [("ok", "done")]
