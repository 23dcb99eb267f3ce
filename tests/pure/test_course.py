"""What is used over time: points of the worker stay few and true, the server believes nothing else, the page says it in words."""

from __future__ import annotations

import json
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.tasks.logs import course as kept
from nunatak.web.pages.task_course import curves
from nunatak.worker import course

LOOKS = st.lists(
    st.tuples(st.floats(0.05, 400.0), st.floats(0.0, 8.0), st.integers(0, 10**12)), min_size=1, max_size=300
)
"""Seconds since the look before, processors busy meanwhile, bytes of memory then."""


def seen(looks: list[tuple[float, float, int]], gpu: float | None = None) -> tuple[course.Course, float, float]:
    """Return a course of these looks, how long it is and the processor seconds it used."""
    made, wall, cpu = course.Course(), 0.0, 0.0
    for seconds, busy, memory in looks:
        wall, cpu = wall + seconds, cpu + seconds * busy
        made.add(wall, cpu, memory, gpu)
    return made, wall, cpu


@given(LOOKS)
def test_points_are_few_and_neither_peaks_nor_seconds_get_lost(looks: list[tuple[float, float, int]]) -> None:
    made, wall, cpu = seen(looks)
    plain = made.plain(wall)
    if wall < course.SHORTEST:
        assert plain is None
        return
    assert plain is not None
    step, memory = plain["step"], plain["memory"]
    assert 1 <= len(memory) == len(plain["cpu"]) <= course.MOST
    whole = [
        memory
        for at, (_, _, memory) in zip(accumulate(s for s, *_ in looks), looks, strict=True)
        if at < step * len(plain["memory"])
    ]
    assert max(plain["memory"]) == max(whole, default=max(plain["memory"]))
    lasted = [min(step, wall - n * step) for n in range(len(memory))]
    told = sum(busy * seconds for busy, seconds in zip(plain["cpu"], lasted, strict=True))
    assert told <= cpu + 0.01 * wall
    assert step * len(memory) > wall - step
    assert "gpu" not in plain
    assert len(json.dumps(plain)) < kept.MOST_BYTES
    found = kept.read(json.dumps(plain).encode())
    assert found is not None
    assert list(found.cpu) == plain["cpu"]


def test_a_day_has_as_many_points_as_an_hour() -> None:
    for seconds in (3600, 86_400):
        made, wall, _ = seen([(1.0, 0.5, 10**9)] * seconds, gpu=3.0)
        plain = made.plain(wall)
        assert plain is not None
        assert 30 <= len(plain["memory"]) <= 60
        assert plain["cpu"][3] == 0.5
        assert sum(plain["gpu"]) * plain["step"] == pytest.approx(3.0, abs=0.5 * plain["step"] * 0.01 * 60)


@pytest.mark.parametrize(
    "plain",
    [
        None, [], "x", {}, {"step": 0, "memory": [1], "cpu": [1]}, {"step": 2, "memory": [1, 2], "cpu": [1]},
        {"step": 2, "memory": ["<b>"], "cpu": [1]}, {"step": 2, "memory": [-1], "cpu": [1]},
        {"step": 2, "memory": [1] * 101, "cpu": [1] * 101}, {"step": 1e400, "memory": [1], "cpu": [1]},
        {"step": True, "memory": [1], "cpu": [1]}, {"step": 2, "memory": [], "cpu": []},
        {"step": 2, "memory": [1], "cpu": [1], "gpu": [1, 2]},
    ],
)  # fmt: skip
def test_what_no_worker_of_ours_wrote_is_not_believed(plain: Any) -> None:
    assert kept.read(json.dumps(plain).encode()) is None
    assert kept.read(b"{") is None


def test_a_curve_is_also_said_in_words() -> None:
    found = kept.read(b'{"step": 60, "memory": [200000000, 1200000000, 900000000], "cpu": [0.5, 1, 0]}')
    assert found is not None
    memory, cpu = curves(found.to_plain(), {"memory": 2e9, "cpu": 8})
    assert memory["words"].replace("\u00a0", " ") == (
        "memory over 3 min: 200 MB in the beginning, 1.2 GB at most, after 1 min 30 s, 900 MB in the end"
    )
    assert memory["asked"] == pytest.approx(1.9, abs=0.1)
    assert cpu["asked"] is None, "so much more was asked for that the curve would be flat"
    assert memory["line"].split()[:2] == ["0.0,36.2", "100.0,36.2"]
