"""Looking ahead from the command line: simulate needs no server, what-if asks one for what is going on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.live import Live, live
from tests.edge.test_cli import Run, _home, cli, nunatak

__all__ = ["_home", "cli", "live"]

CHAIN = """\
name: chain
jobs: 30
needs: {memory: 1 GB, time: 30 min}
tasks:
  make: {run: sleep 1}
  use: {after: make, run: sleep 1}
"""
ENGINES = "engines: [{name: pool, site: madison, slots: 10}]\ndurations: {make: 10 min}\nspread: 0\n"
SLOW = """\
name: slow
jobs: 200
needs: {memory: 100 MB, disk: 10 MB, time: 15 min}
tasks:
  only: {run: sleep 600}
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "chain.yaml").write_text(CHAIN)
    (tmp_path / "engines.yaml").write_text(ENGINES)
    return str(tmp_path / "chain.yaml"), str(tmp_path / "engines.yaml")


def test_simulate_says_when_it_would_be_done(files: tuple[str, str]) -> None:
    recipe, engines = files
    lines = nunatak("simulate", recipe, "--engines", engines).stdout.splitlines()
    assert lines[0] == "chain: done in 1 h 10 min"  # 30 jobs of 20 min on 10 slots, after one that tries alone
    assert lines[1] == "  pool at madison, 10 slots: 86% busy, 60 attempts"
    assert any(line.startswith("  make: 30 done; a task runs 10 min") for line in lines)


def test_simulate_in_json_with_other_jobs_and_seeds(files: tuple[str, str]) -> None:
    recipe, engines = files
    found = json.loads(nunatak("simulate", recipe, "--engines", engines, "--jobs", "5", "--seed", "3", "--json").stdout)
    assert found["settled"]
    assert found["attempts"] == 10
    assert found["datasets"][0]["hours"] == pytest.approx(1 / 3, rel=0.02)
    assert [task["task"] for task in found["tasks"]] == ["make", "use"]


def test_mistakes_of_the_engines_are_named_with_their_places(files: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "engines.yaml").write_text("engines:\n  - {name: pool, slotz: 10}\n")
    found = nunatak("simulate", files[0], "--engines", files[1], code=2)
    assert 'engines.yaml:2:18 engines[0].slotz: there is no such key (did you mean "slots"?)' in found.stderr
    assert "engines[0].slots: this is needed" in found.stderr
    nunatak("simulate", files[0], "--engines", str(tmp_path / "none.yaml"), code=3)


@pytest.fixture
def slow(cli: Run, tmp_path: Path) -> Iterator[str]:
    """A dataset that takes two cores a long time."""
    (tmp_path / "slow.yaml").write_text(SLOW)
    number = str(json.loads(cli("submit", str(tmp_path / "slow.yaml"), "--json").stdout)["dataset"])
    yield number
    cli("cancel", number)


def test_what_if_says_what_more_slots_change(cli: Run, slow: str) -> None:
    lines = cli("what-if", slow, "--add", "50 slots 4 GB", "--seeds", "2").stdout.splitlines()
    assert lines[0].startswith(f"{slow} as it is: done in ")
    assert lines[1].startswith("with 50 slots more at a new site: done in ")
    assert lines[2].endswith("sooner")
    found = cli("what-if", slow, "--add", "50 slots 4 GB", "--seeds", "2", "--json")
    plain = json.loads(found.stdout)
    assert plain["changed"]["middle"] < 0.1 * plain["now"]["middle"]
    assert plain["now"]["hours"] == pytest.approx([200 * 300 / 2 / 3600] * 2, rel=0.3)
    assert any("is a guess" in note for note in plain["notes"])


def test_what_if_takes_engines_of_a_file_priority_and_weights(cli: Run, slow: str, files: tuple[str, str]) -> None:
    (Path(files[1])).write_text("engines: [{name: pool, site: madison, slots: 10}]\n")
    plain = json.loads(
        cli(
            "what-if", slow, "--add-engine", files[1], "--priority", "2", "--weight", "user=3", "--seeds", "1", "--json"
        ).stdout
    )  # fmt: skip
    assert plain["change"] == "10 slots more at madison and priority 2 and weight 3 for user root"
    assert plain["changed"]["middle"] < plain["now"]["middle"]


def test_what_if_without_a_change_or_with_one_that_is_none_is_refused(cli: Run, slow: str) -> None:
    assert "nothing would be otherwise" in cli("what-if", slow, code=2).stderr
    cli("what-if", slow, "--add", "many slots", code=2)
    cli("what-if", slow, "--weight", "group=0", code=2)
    cli("what-if", "9999", "--add", "1 slot", code=3)


def test_a_snapshot_is_bounded_and_says_what_is_left(cli: Run, live: Live, slow: str) -> None:
    with live.client() as client:
        found = client.snapshot(slow)
    assert found["jobs"] == 200
    assert [(task["task"], task["left"]) for task in found["tasks"]] == [("only", 200)]
    assert found["engines"][0]["total"]["cpu"] == 2
    assert len(json.dumps(found)) < 20_000
