"""Whose logs somebody reads now, as all processes of a server know it."""

from __future__ import annotations

from pathlib import Path

from nunatak.core.address import Address
from nunatak.tasks.logs.looks import AGAIN, LASTS, MOST, Looks

ONE, TWO, ONCE = Address(42, 17, "fit", 2), Address(42, 18, "fit", 1), Address(42, None, "sum", 1)


def test_a_look_is_known_to_all_processes_until_it_is_over(tmp_path: Path) -> None:
    here, there = Looks(tmp_path / "looks", age=0), Looks(tmp_path / "looks", age=0)
    assert there.now(1000.0) == []
    here.note(ONE, 1000.0)
    here.note(ONCE, 1001.0)
    assert there.now(1002.0) == [ONCE, ONE]
    here.note(ONE, 1000.0 + AGAIN)
    assert there.now(1002.0 + LASTS) == [ONE]
    assert there.now(1000.0 + AGAIN + LASTS) == []
    assert list((tmp_path / "looks").iterdir()) == []


def test_what_was_noted_a_moment_ago_is_not_written_again(tmp_path: Path) -> None:
    looks = Looks(tmp_path, age=0)
    looks.note(ONE, 1000.0)
    (written,) = tmp_path.iterdir()
    written.unlink()
    looks.note(ONE, 1000.0 + AGAIN - 1)
    assert looks.now(1004.0) == []
    looks.note(ONE, 1000.0 + AGAIN)
    assert looks.now(1000.0 + AGAIN) == [ONE]


def test_what_was_read_holds_for_a_moment_also_where_the_clock_went_back(tmp_path: Path) -> None:
    looks = Looks(tmp_path, age=0.5)
    assert looks.now(1000.0) == []
    looks.note(TWO, 1000.0)
    assert looks.now(1000.4) == []
    assert looks.now(1000.5) == [TWO]
    assert looks.now(900.0) == []


def test_no_more_are_told_than_a_bound_and_strange_files_are_none(tmp_path: Path) -> None:
    looks = Looks(tmp_path, age=0)
    for job in range(MOST + 10):
        looks.note(Address(1, job, "a", 1), 1000.0 + job / 100)
    assert len(looks.now(1003.0)) == MOST
    assert looks.now(1003.0)[0] == Address(1, MOST + 9, "a", 1)
    for path in tmp_path.iterdir():
        path.rename(tmp_path / f"strange{path.name}")
    assert looks.now(1003.0) == []


def test_a_disk_that_takes_nothing_costs_nobody_a_log(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    looks = Looks(tmp_path / "file", age=0)
    looks.note(ONE, 1000.0)
    assert looks.now(1000.0) == []
