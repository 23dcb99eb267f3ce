"""What pages draw: names below a histogram never cover each other, a matrix of any size is a shape for each kind of part."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from nunatak.web.pages import dataset_draw as draw
from nunatak.web.pages.dataset_cells import drawn


@given(st.lists(st.floats(0.0, draw.HIST_WIDTH), min_size=3, max_size=3))
def test_names_below_a_histogram_do_not_cover_each_other(places: list[float]) -> None:
    lines = [{"name": name, "x": x} for name, x in zip(("asked", "p50", "p95"), places, strict=True)]
    rows = draw._label(lines)
    assert 1 <= rows <= 3
    ends = []
    for line in lines:
        wide = len(line["name"]) * 7.0
        left = line["x"] - {"end": wide, "start": 0.0, "middle": wide / 2}[line["anchor"]]
        ends.append((line["row"], left, left + wide))
        assert left >= -8.0
        assert left + wide <= draw.HIST_WIDTH + 8.0
    assert all(a[0] != b[0] or a[2] < b[1] or b[2] < a[1] for a, b in combinations(ends, 2))


def test_a_large_matrix_is_a_handful_of_shapes_and_a_link_for_each_column() -> None:
    counts = {"done": 700, "failed": 3, "running": 97, "ready": 200}
    columns = [{"first": 1000 * n, "last": 1000 * n + 1000, "cells": [counts, {"waiting": 1000}]} for n in range(100)]
    shown = {
        "columns": columns, "tasks": ["generate", "propagate"], "step": 1000, "first": 0, "last": 100_000, "row": 0,
        "total": 100_000,
    }  # fmt: skip
    found = drawn(7, shown)
    paths = {of["kind"]: of["path"] for of in found["kinds"]}
    assert paths.keys() == {"done", "needy", "running", "ready", "waiting"}
    left = paths["done"].partition(" ")[0]
    assert all(path.startswith(f"{left} ") for path in paths.values())
    assert sum(map(len, paths.values())) < 1000, "columns that are alike touch, and are drawn as one"
    assert [len(of) for _, of in found["links"]] == [1] * 100


def test_letters_of_a_small_matrix_stand_in_their_cells() -> None:
    """One text has the letters of a row that are of a kind, each at its place."""
    columns = [{"first": n, "last": n + 1, "cells": [{"failed" if n == 3 else "done": 1}]} for n in range(5)]
    found = drawn(7, {"columns": columns, "tasks": ["fit"], "step": 1, "first": 0, "last": 5, "row": 0, "total": 5})
    letters = {of["kind"]: of["letters"] for of in found["kinds"] if of["letters"]}
    assert {kind: [line["text"] for line in lines] for kind, lines in letters.items()} == {
        "done": ["DDDD"],
        "needy": ["!"],
    }
    cells = [float(path[1:].split()[0]) for _, ((_, path, _),) in found["links"]]
    assert letters["needy"][0]["x"] == f"{cells[3] + 22:.1f}".removesuffix(".0")
    assert found["links"][3][1][0][2] == "7/3/fit: failed"
    assert found["left"] + found["width"] < 400, "five jobs need no scrolling on a phone"
