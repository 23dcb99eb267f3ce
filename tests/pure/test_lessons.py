"""What is written down of what tasks use: all at first, then a sample, and always what stands out."""

from __future__ import annotations

from nunatak.core.work import Shape, Usage
from nunatak.tasks.learning.evidence import End, Evidence, Observed
from nunatak.tasks.lessons import ENOUGH, Lessons

TASK = (1, 0)


def known(lessons: Lessons, attempts: int, memory: int = 1_000_000_000) -> None:
    usage = Usage(wall=100.0, cpu=90.0, memory=memory, disk=1_000_000)
    lessons.remember(TASK, Evidence().add([Observed(End.FINISHED, usage, Shape())] * attempts))


def test_all_of_the_first_attempts_are_wanted_and_then_a_share_that_shrinks_as_the_known_grow() -> None:
    numbers = [(n + 0.5) / 1000 for n in range(1000)]
    drawn = iter(numbers * 3)
    lessons = Lessons(lambda: next(drawn))
    assert lessons.wanted(TASK)
    known(lessons, ENOUGH - 1)
    assert lessons.wanted(TASK)
    for times in (2, 10):
        known(lessons, times * ENOUGH)
        assert sum(lessons.wanted(TASK) for _ in numbers) == 1000 // times


def test_an_attempt_that_used_more_than_all_that_are_known_stands_out() -> None:
    lessons = Lessons(lambda: 1.0)
    assert lessons.stands_out(TASK, Usage(memory=1))
    known(lessons, 1000)
    assert not lessons.stands_out(TASK, Usage(wall=104.0, memory=1_040_000_000, disk=1_000_000))
    assert lessons.stands_out(TASK, Usage(wall=100.0, memory=1_060_000_000))
    assert lessons.stands_out(TASK, Usage(wall=106.0))
    assert lessons.stands_out(TASK, Usage(disk=2_000_000))
    assert not lessons.stands_out(TASK, Usage())
