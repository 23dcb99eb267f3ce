"""Callers that share a transaction each get their own result, and nobody suffers from another's mistake."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, text

from nunatak.core.errors import Invalid
from nunatak.db.database import Database
from nunatak.db.together import Together


@pytest.fixture
def numbers(database: Database) -> Database:
    with database.write() as tx:
        tx.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"))
    return database


def add(tx: Connection, items: Sequence[int]) -> list[int]:
    for item in items:
        if item < 0:
            raise Invalid(f"{item} is negative")
        tx.execute(text("INSERT INTO numbers VALUES (:n)"), {"n": item})
    return [item * 2 for item in items]


def kept(database: Database) -> list[int]:
    with database.read() as tx:
        return [row.n for row in tx.execute(text("SELECT n FROM numbers ORDER BY n"))]


def test_every_caller_gets_its_own_result(numbers: Database) -> None:
    together = Together(numbers, add)
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(together, range(200))) == [n * 2 for n in range(200)]
    assert kept(numbers) == list(range(200))


def test_callers_that_wait_share_one_transaction(numbers: Database) -> None:
    sizes: list[int] = []
    first, go = threading.Event(), threading.Event()

    def slow(tx: Connection, items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        if 0 in items:
            first.set()
            assert go.wait(20)
        return add(tx, items)

    together = Together(numbers, slow)
    with ThreadPoolExecutor(8) as pool:
        leader = pool.submit(together, 0)
        assert first.wait(20)
        others = [pool.submit(together, n) for n in range(1, 8)]
        deadline = threading.Event()
        while together.waiting < 7 and not deadline.wait(0.01):
            pass
        go.set()
        assert leader.result(20) == 0
        assert [other.result(20) for other in others] == [n * 2 for n in range(1, 8)]
    assert sizes == [1, 7]


def test_a_mistake_of_one_spoils_nothing_for_the_others(numbers: Database) -> None:
    together = Together(numbers, add)

    def call(n: int) -> object:
        try:
            return together(n)
        except Invalid as error:
            return error.message

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(call, [1, -1, 2, -2, 3, 4, 5, -3]))
    assert results == [2, "-1 is negative", 4, "-2 is negative", 6, 8, 10, "-3 is negative"]
    assert kept(numbers) == [1, 2, 3, 4, 5]


def test_an_error_of_the_database_reaches_its_caller(numbers: Database) -> None:
    together = Together(numbers, add)
    together(7)
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        together(7)
    assert together(8) == 16
