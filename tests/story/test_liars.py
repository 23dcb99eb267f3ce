"""A worker that lies, hangs or sends garbage harms its own attempt and nothing else, and the verdict says so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nunatak.client.statuses import AttemptStatus, TaskStatus
from nunatak.core.work import Outcome, Reason, Usage
from nunatak.worker import build
from tests.story.installation import Installation, installation
from tests.story.node import NODE, Engine

PYTHON = (sys.executable, "-I", "-S")
LIAR = (*PYTHON, str(Path(__file__).with_name("liar.py")))

SLACK = timedelta(seconds=6)
VERDICTS = {
    "lease": ("invalid", "bad-outcome", "it is about '1/0/lease#1' with lease 'abc123'"),
    "address": ("invalid", "bad-outcome", "it is about '1/0/honest#1'"),
    "garbage": ("invalid", "bad-outcome", "it is not JSON"),
    "half": ("invalid", "bad-outcome", "it is not JSON"),
    "empty": ("invalid", "bad-outcome", "it is empty"),
    "types": ("invalid", "bad-outcome", "exit"),
    "negative": ("invalid", "bad-outcome", "an amount is below zero"),
    "infinite": ("invalid", "bad-outcome", "not finite"),
    "nul": ("invalid", "bad-outcome", "characters that are not allowed"),
    "reason": ("invalid", "bad-outcome", "reason"),
    "hangs": ("time", "over-time", "10 s were asked for"),
    "missing": ("invalid", "bad-outcome", "without the output a.txt"),
    "more": ("invalid", "bad-outcome", "the output b.txt, which was not asked for"),
    "elsewhere": ("invalid", "bad-outcome", "the output a.txt at 'file:///etc/passwd'"),
    "long": ("exit", "user-error", "xxxx"),
    "longer": ("invalid", "bad-outcome", "not understood by the server"),
    "longest": ("invalid", "bad-outcome", "it is longer than"),
}
"""What is recorded of each task that fails: reason, verdict, and words of the message."""
TRUE = {"honest", "silent", "gone", "altered", "resized", "changed", "ahead", "behind"}
"""What nothing contradicts while nobody reads their outputs."""
MADE = TRUE | {"missing", "more", "elsewhere"}
RECIPE = """\
name: liars
jobs: 1
needs: {memory: 64 MB, disk: 64 MB, time: 10 s}
retry: {tries: 1, delay: 0.1 s}
tasks:
""" + "".join(
    f"  {name}: {{run: nothing{', outputs: [a.txt]' if name in MADE else ''}}}\n" for name in [*VERDICTS, *sorted(TRUE)]
)


@contextmanager
def liar(house: Installation) -> Iterator[Engine]:
    """An engine whose workers lie."""
    made = Engine(house, (*LIAR, str(build.unpack(house.data / "workers"))), "node")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path / "data", start=False) as made:
        made.start_server()
        yield made


def tasks_of(house: Installation) -> dict[str, TaskStatus]:
    with house.client() as client:
        return {task.task: task for task in client.tasks(1)}


def test_every_lie_is_found_and_named_and_the_honest_are_not_harmed(house: Installation) -> None:
    house.submit(RECIPE)
    with liar(house) as node:
        node.until(lambda: list(house.data.glob("engines/*/attempts/1/0/hangs*/hangs")), "one to hang")
        node.until(
            lambda: house.status().tasks.running == 1 == house.status().tasks.total - settled(house), "the others"
        )
        node.more = 60.0
        node.until(lambda: house.status().settled, "the end of the one that hangs")
        states = {name: task.state for name, task in tasks_of(house).items()}
        assert {name for name, state in states.items() if state == "failed"} == set(VERDICTS)
        assert {name for name, state in states.items() if state == "done"} == TRUE
        with house.client() as client:
            for name, (reason, verdict, words) in VERDICTS.items():
                attempt = client.status(f"1/0/{name}#1")
                assert (attempt.reason, attempt.verdict) == (reason, verdict), name
                assert words in (attempt.message or ""), name
                assert len(attempt.message or "") <= 4000, name
            assert {str(file.address) for file in client.files(1)} == {f"1/0/{name}" for name in TRUE}
            for name in ("ahead", "behind"):  # a clock that is hours wrong says how long it took, not when
                attempt = client.status(f"1/0/{name}#1")
                assert isinstance(attempt, AttemptStatus)
                assert attempt.claimed
                assert attempt.started
                assert attempt.ended
                assert (attempt.ended - attempt.started).total_seconds() == pytest.approx(0.05, abs=0.02)
                assert attempt.claimed - SLACK <= attempt.started <= attempt.ended <= datetime.now(UTC) + SLACK
            silent = client.status("1/0/silent")
            assert [(a.reason, a.verdict) for a in silent.attempts] == [("lost", "lost"), ("ok", "ok")]
    house.until_no_work()
    assert house.doctor().faults == []
    assert set(house.ledger().values()) == {1}


def settled(house: Installation) -> int:
    counts = house.status().tasks
    return counts.done + counts.failed


READS = """\
name: what liars leave is not taken for good
jobs: 1
needs: {memory: 64 MB, disk: 64 MB, time: 10 min}
retry: {tries: 1}
tasks:
  gone: {run: "true", outputs: [a.txt]}
  altered: {run: "true", outputs: [a.txt]}
  resized: {run: "true", outputs: [a.txt]}
  changed: {run: "true", outputs: [a.txt]}
  honest: {run: "true", outputs: [a.txt]}
  of_resized: {run: cat a.txt, inputs: [resized/a.txt]}
  of_changed: {run: cat a.txt, inputs: [changed/a.txt]}
  of_gone: {run: cat a.txt, inputs: [gone/a.txt]}
  of_altered: {run: cat a.txt, inputs: [altered/a.txt]}
  of_honest: {run: cat a.txt, inputs: [honest/a.txt]}
"""


def test_an_output_that_is_not_what_was_said_of_it_is_found_by_the_task_that_reads_it(house: Installation) -> None:
    house.submit(READS)
    with liar(house) as node:
        node.until(lambda: house.status().settled, "the readers to end")
    with house.client() as client:
        for name, kind, words in (
            ("of_gone", "input-missing", "there is no file"),
            ("of_altered", "input-changed", "its checksum is a17fcf0a2f50"),
            ("of_resized", "input-truncated", "5"),
            ("of_changed", "input-changed", "its checksum is"),
        ):
            attempt = client.status(f"1/0/{name}#1")
            assert (attempt.state, attempt.reason, attempt.verdict) == ("ended", "stage-in", kind)
            assert words in (attempt.message or "")
    assert tasks_of(house)["of_honest"].state == "done"
    assert house.doctor().faults == []


TWO = """\
name: two
jobs: 2
needs: {memory: 64 MB, disk: 64 MB, time: 10 min}
retry: {tries: 1}
tasks:
  first: {run: "true"}
  second: {run: "true", after: first}
"""


def test_an_end_reported_twice_or_with_another_lease_or_address_changes_nothing(house: Installation) -> None:
    house.submit(TWO)
    with liar(house) as node:
        node.server.register("local", "here", {"total": NODE.to_plain()})
        one, two = node.server.claim(NODE, 2)
        ok = Outcome(one.address, one.lease, Reason.OK, usage=Usage(wall=1.0, cpu=1.0))
        bad = Outcome(one.address, one.lease, Reason.EXIT, "it failed after all", exit=1)
        stolen = Outcome(two.address, "1f", Reason.OK)
        unknown = Outcome("1/0/third#1", two.lease, Reason.OK)
        later = Outcome(two.address.replace("#1", "#7"), two.lease, Reason.OK)
        foreign = Outcome("77/0/first#1", two.lease, Reason.OK)
        assert node.server.report([], [ok, ok]) == []
        assert node.server.report([], [ok]) == []  # as after an answer that was lost
        for lie in (bad, stolen, unknown, later, foreign):
            assert node.server.report([], [lie]) == [(lie.address, lie.lease)]
        counts = house.status().tasks
        assert (counts.done, counts.ready, counts.queued, counts.waiting) == (1, 1, 1, 1)
        assert house.endings() == {("ok", "ok"): 1}
        assert house.doctor().faults == []
