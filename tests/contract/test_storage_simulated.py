"""The faults of the simulated storage: they happen at the rate asked for, and the same way each time."""

from __future__ import annotations

import pytest

from nunatak.core import checksums
from nunatak.core.clock import ManualClock
from nunatak.core.errors import Unavailable
from nunatak.storage.protocol import Put
from nunatak.storage.simulated import Faults, SimulatedStorage

URLS = [f"sim:///store/{number}" for number in range(400)]


def failures(seed: int, urls: list[str], rounds: int = 1) -> list[bool]:
    storage = SimulatedStorage(seed, Faults(fail=0.25))
    answers = []
    for _ in range(rounds):
        for url in urls:
            try:
                storage.stat([url])
                answers.append(False)
            except Unavailable:
                answers.append(True)
    return answers


def test_failures_come_at_their_rate_and_follow_the_seed() -> None:
    first = failures(1, URLS)
    assert 60 < sum(first) < 140
    assert failures(1, URLS) == first
    assert failures(2, URLS) != first


def test_a_failure_depends_on_url_and_try_not_on_the_order_of_calls() -> None:
    assert failures(1, URLS[::-1]) == failures(1, URLS)[::-1]
    both = failures(1, URLS, rounds=2)
    assert both[:400] != both[400:]


def test_what_failed_works_when_tried_again() -> None:
    storage = SimulatedStorage(3, Faults(fail=0.5))
    for url in URLS[:50]:
        for _ in range(40):
            try:
                storage.put([Put(url, b"x")])
                break
            except Unavailable:
                continue
        else:
            pytest.fail(f"{url} never worked")
    assert len(_without_faults(storage).entries("sim:///store/").files) == 50


def _without_faults(storage: SimulatedStorage) -> SimulatedStorage:
    storage.faults = Faults()
    return storage


def test_a_failed_put_stores_nothing_and_a_lost_answer_does() -> None:
    failed = SimulatedStorage(1, Faults(fail=1))
    lost = SimulatedStorage(1, Faults(lost_answer=1))
    for storage in (failed, lost):
        with pytest.raises(Unavailable):
            storage.put([Put(URLS[0], b"x")])
    assert _without_faults(failed).stat(URLS[:1]) == [None]
    assert lost.stat(URLS[:1])[0] is not None
    with pytest.raises(Unavailable):
        lost.delete(URLS[:1])
    assert lost.stat(URLS[:1]) == [None]


def test_a_truncated_read_is_a_shorter_beginning() -> None:
    storage = SimulatedStorage(1, Faults(truncate=1))
    storage.put([Put(URLS[0], b"0123456789")])
    data = storage.open(URLS[0]).read()
    assert len(data) < 10
    assert b"0123456789".startswith(data)


def test_a_corrupt_read_differs_in_one_byte_and_what_is_stored_does_not() -> None:
    storage = SimulatedStorage(1, Faults(corrupt=1))
    (stored,) = storage.put([Put(URLS[0], b"0123456789")])
    data = storage.open(URLS[0]).read()
    assert sum(a != b for a, b in zip(data, b"0123456789", strict=True)) == 1
    assert storage.checksums(URLS[:1]) == [stored.sha256]


def test_rot_is_found_by_the_checksum() -> None:
    storage = SimulatedStorage(1, Faults(rot=1))
    (stored,) = storage.put([Put(URLS[0], b"0123456789")])
    assert stored.sha256 == checksums.of_bytes(b"0123456789")
    assert storage.checksums(URLS[:1]) != [stored.sha256]


def test_an_outage_begins_and_ends_with_the_clock() -> None:
    clock = ManualClock(100)
    storage = SimulatedStorage(1, Faults(outages=((110, 120),)), clock)
    storage.put([Put(URLS[0], b"x")])
    for now, up in ((109, True), (110, False), (119, False), (120, True)):
        clock.now = now
        if up:
            assert storage.stat(URLS[:1])[0] is not None
            continue
        with pytest.raises(Unavailable) as caught:
            storage.stat(URLS[:1])
        assert caught.value.code == "storage-down"


def test_a_slow_storage_takes_the_time_of_the_clock_it_was_given() -> None:
    clock = ManualClock(0)
    storage = SimulatedStorage(1, Faults(slow=2.5), clock, wait=clock.advance)
    storage.put([Put(url, b"x") for url in URLS[:4]])
    assert clock.now == 10
