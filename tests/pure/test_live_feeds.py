"""Who begins to watch the same thing at the same time shares one first look, and what it raises."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from nunatak.core.errors import NotFound
from nunatak.web.live import Feeds, Seen

T = TypeVar("T")

KEY = ("/datasets/1.live", "", "")


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run something in a thread of its own: where a browser was driven before, this one has a loop already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result(60)


def tried_by_many(look: Any, release: threading.Event) -> list[object]:
    async def many() -> list[object]:
        feeds = Feeds(cast("Any", None))
        waiting = [asyncio.ensure_future(feeds.tried(KEY, look)) for _ in range(200)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # who looked first goes away
        release.set()
        return list(await asyncio.gather(*waiting[1:], return_exceptions=True))

    return apart(many())


def test_many_who_come_at_once_share_one_look() -> None:
    looks, release = list[int](), threading.Event()

    def look() -> Mapping[str, str]:
        looks.append(1)
        assert release.wait(30)
        return {}

    found = cast("list[Seen]", tried_by_many(look, release))
    assert [parts for parts, _ in found] == [{}] * 199
    assert len(looks) == 1


def test_all_of_them_are_told_what_was_wrong() -> None:
    release = threading.Event()

    def look() -> Mapping[str, str]:
        assert release.wait(30)
        raise NotFound("there is no dataset 1", code="no-dataset")

    found = tried_by_many(look, release)
    assert all(isinstance(one, NotFound) for one in found)
    assert len(found) == 199


def test_a_look_that_is_over_is_not_kept() -> None:
    async def twice() -> int:
        feeds, looks = Feeds(cast("Any", None)), list[int]()
        for _ in range(2):
            await feeds.tried(KEY, lambda: looks.append(1) or {})  # type: ignore[func-returns-value]
            await asyncio.sleep(0)
        return len(looks)

    assert apart(twice()) == 2


def test_what_was_tried_is_what_is_seen_first_and_not_looked_at_again() -> None:
    async def watched() -> tuple[int, dict[str, tuple[int, str]]]:
        looks = list[int]()

        def look() -> Mapping[str, str]:
            looks.append(1)
            return {"part": f"look {len(looks)}"}

        services = SimpleNamespace(stopping=threading.Event(), limits=SimpleNamespace(events=3600.0))
        feeds = Feeds(cast("Any", services))
        feed = feeds.join(KEY, look, await feeds.tried(KEY, look))
        assert await feed.after(0, 30)
        await feeds.leave(KEY, feed)
        return len(looks), feed._parts

    assert apart(watched()) == (1, {"part": (1, "look 1")})
