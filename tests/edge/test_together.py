"""Callers that share a transaction each get their own result, and nobody suffers from another's mistake."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, text

from nunatak.api.together import Together
from nunatak.core.errors import Invalid, Unavailable
from nunatak.db.database import Database

T = TypeVar("T")


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


def adding(database: Database) -> Callable[[Sequence[int]], list[int]]:
    return lambda items: database.run(lambda tx: add(tx, items))


def kept(database: Database) -> list[int]:
    with database.read() as tx:
        return [row.n for row in tx.execute(text("SELECT n FROM numbers ORDER BY n"))]


def alone(asked: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread: the loop of a browser for other tests may run in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, asked).result()


def together_all(together: Together[int, int], items: Sequence[int]) -> list[int | BaseException]:
    async def ask() -> list[int | BaseException]:
        return await asyncio.gather(*(together(item) for item in items), return_exceptions=True)

    return alone(ask())


def test_every_caller_gets_its_own_result(numbers: Database) -> None:
    assert together_all(Together(adding(numbers)), range(200)) == [n * 2 for n in range(200)]
    assert kept(numbers) == list(range(200))


def test_callers_on_several_event_loops_get_their_own_results(numbers: Database) -> None:
    together = Together(adding(numbers))
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda n: together_all(together, range(n * 20, n * 20 + 20)), range(6)))
    assert [item for items in found for item in items] == [n * 2 for n in range(120)]


def test_callers_that_wait_share_one_transaction(numbers: Database) -> None:
    sizes: list[int] = []
    first, go = threading.Event(), threading.Event()

    def slow(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        if 0 in items:
            first.set()
            assert go.wait(20)
        return adding(numbers)(items)

    together = Together(slow)

    async def ask() -> list[int]:
        leader = asyncio.ensure_future(together(0))
        while not first.is_set():
            await asyncio.sleep(0)
        others = [asyncio.ensure_future(together(n)) for n in range(1, 8)]
        while together.waiting < 7:
            await asyncio.sleep(0)
        go.set()
        return [await leader, *await asyncio.gather(*others)]

    assert alone(ask()) == [n * 2 for n in range(8)]
    assert sizes == [1, 7]


def test_a_caller_that_goes_away_leaves_the_others_their_results(numbers: Database) -> None:
    first, go = threading.Event(), threading.Event()

    def slow(items: Sequence[int]) -> list[int]:
        first.set()
        assert go.wait(20)
        return adding(numbers)(items)

    together = Together(slow)

    async def ask() -> int:
        gone, other = asyncio.ensure_future(together(1)), asyncio.ensure_future(together(2))
        while not first.is_set():
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        go.set()
        return await other

    assert alone(ask()) == 4
    assert kept(numbers) == [1, 2]


def test_a_mistake_of_one_spoils_nothing_for_the_others(numbers: Database) -> None:
    found = together_all(Together(adding(numbers)), [1, -1, 2, -2, 3, 4, 5, -3])
    results = [item.message if isinstance(item, Invalid) else item for item in found]
    assert results == [2, "-1 is negative", 4, "-2 is negative", 6, 8, 10, "-3 is negative"]
    assert kept(numbers) == [1, 2, 3, 4, 5]


def test_a_database_that_is_away_is_asked_once_for_all() -> None:
    asked: list[int] = []

    def away(items: Sequence[int]) -> list[int]:
        asked.append(len(items))
        raise Unavailable("away")

    found = together_all(Together(away), range(5))
    assert all(isinstance(item, Unavailable) for item in found)
    assert sum(asked) == 5


def test_an_error_of_the_database_reaches_its_caller(numbers: Database) -> None:
    together = Together(adding(numbers))
    assert together_all(together, [7]) == [14]
    assert "unique" in str(together_all(together, [7])[0]).lower() or "duplicate" in str(together_all(together, [7]))
    assert together_all(together, [8]) == [16]
