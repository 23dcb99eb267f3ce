"""What patterns match among names that are known is what glob finds among files of these names."""

from __future__ import annotations

import glob
from pathlib import Path

import pytest

from nunatak.datasets.manifest import Among

NAMES = ("a.csv", "b.csv", ".hidden.csv", "data/a.csv", "data/more/b.csv", "data/.x/c.csv", "fit.py", "data/[odd].csv")


PATTERNS = (
    "*.csv", "data/*.csv", "**/*.csv", "*/*/b.csv", "[ab].csv", "?.csv",
    "data/**", ".*.csv", "data/[[]odd].csv", "*.i3",
)  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_names_are_those_that_glob_finds(tmp_path: Path, pattern: str) -> None:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    there = glob.glob(pattern, root_dir=tmp_path, recursive=True)  # noqa: PTH207 - it is what is compared with
    assert Among(NAMES).get(pattern, ()) == tuple(sorted(name for name in there if (tmp_path / name).is_file()))


def test_many_stars_cost_little() -> None:
    name = "/".join(["a"] * 400)
    assert Among([name]).get("/".join(["**", "a"] * 30 + ["b"]), ()) == ()
    assert Among([name]).get("/".join(["**", "a"] * 30), ()) == (name,)
