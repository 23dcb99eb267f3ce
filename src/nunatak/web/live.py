"""Live parts of pages as server-sent events: one look at a time for all who watch the same, only what changed is sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from nunatak.api.requests import dumps, principal_of
from nunatak.api.sending import KEEP_ALIVE, Event, Pieces, Sending
from nunatak.api.services import Services
from nunatak.api.staying import Staying
from nunatak.api.watched import Watched
from nunatak.web.render import MARKED

SHARE = 0.2
"""Part of one core that all looks together may take: the more is watched, the rarer each is looked at."""
Look = Callable[[], Mapping[str, str]]
Seen = tuple[Mapping[str, str], float]
"""What was seen, and the seconds of processor that looking took."""
Key = tuple[str, str, str]


class Feed(Watched):
    """One thing that is watched: its parts, each with the version at which it changed last."""

    def __init__(self, feeds: Feeds, name: str, look: Look) -> None:
        """Begin without watchers."""
        super().__init__(name)
        self._feeds, self._look = feeds, look
        self._parts: dict[str, tuple[int, str]] = {}
        self._ready: dict[int, Event] = {}
        self.pieces = Pieces()

    def begin(self, seen: Seen | None = None) -> None:
        """Go on looking while anyone watches, after what was seen just now."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(seen))

    async def _run(self, seen: Seen | None) -> None:
        while self.watchers and not self.ended and not self._feeds.services.stopping.is_set():
            seen = seen or await self._seen(lambda: _timed(self._look))
            found, took = seen or (None, 0.0)
            if found is not None:
                self._publish(found)
            seen = None
            await asyncio.sleep(self._feeds.pause(took))
        self._end()

    def _publish(self, found: Mapping[str, str]) -> None:
        before, self._parts = self._parts, {}
        for name, text in found.items():
            at, was = before.get(name, (0, ""))
            self._parts[name] = (at, was) if text == was else (self.version + 1, text)
        if all(at <= self.version for at, _ in self._parts.values()):
            return
        self.version += 1
        self._ready.clear()
        self.pieces.forget()
        self._tell()

    def since(self, version: int) -> Event:
        """Return the event with what changed after `version`; made once for all who ask."""
        if version not in self._ready:
            news = news_of(self._parts, version)
            self._ready[version] = Event(b"event: parts\ndata: " + dumps(news) + b"\n\n")
        return self._ready[version]


def news_of(parts: Mapping[str, tuple[int, str]], version: int) -> dict[str, str]:
    """Return what changed after a version: parts whole, with the parts in them; of others those parts that changed. Pure."""
    new = {name: text for name, (at, text) in parts.items() if at > version}
    inside = {inner for text in new.values() for inner in MARKED.findall(text)}
    return {name: MARKED.sub(lambda mark: parts[mark[1]][1], text) for name, text in new.items() if name not in inside}


def _timed(look: Look) -> Seen:
    """Look; waiting for others takes no time of the processor."""
    begun = time.thread_time()
    return look(), time.thread_time() - begun


class Feeds:
    """All that is watched in one server process."""

    def __init__(self, services: Services) -> None:
        """Begin with nothing watched."""
        self.services = services
        self._known: dict[Key, Feed] = {}
        self._trying: dict[Key, asyncio.Future[Seen]] = {}

    def pause(self, took: float) -> float:
        """Return the seconds until the next look of a feed, given the seconds of processor that the last one took."""
        return max(self.services.limits.events, took * len(self._known) / SHARE)

    def has_seen(self, key: Key) -> bool:
        """Tell whether somebody watches this already, and sees it: then there is nothing to try."""
        feed = self._known.get(key)
        return feed is not None and not feed.ended and feed.version > 0

    async def tried(self, key: Key, look: Look) -> Seen:
        """Look once for all who begin to watch the same at the same time, as after a restart. Raises what the look raises."""
        trying = self._trying.get(key)
        if trying is None:
            trying = self._trying[key] = asyncio.ensure_future(run_in_threadpool(_timed, look))
            trying.add_done_callback(lambda _: self._trying.pop(key, None))
        return await asyncio.shield(trying)  # who goes away does not end it for the others

    def join(self, key: Key, look: Look, seen: Seen | None = None) -> Feed:
        """Return the feed of what is to be watched, with one watcher more; a new one begins with what was `seen` just now."""
        feed = self._known.get(key)
        if feed is None or feed.ended:
            feed = self._known[key] = Feed(self, key[0], look)
        feed.watchers += 1
        feed.begin(seen)
        return feed

    async def leave(self, key: Key, feed: Feed) -> None:
        """Take a watcher away."""
        feed.watchers -= 1
        if not feed.watchers:
            if self._known.get(key) is feed:
                del self._known[key]
            await feed.stop()


def stream_of(request: Request) -> str:
    """Return where the live parts of a page come from."""
    query = request.url.query
    return f"{request.scope['path']}.live" + (f"?{query}" if query else "")


async def watch(request: Request, look: Look, *, shared: bool) -> Response:
    """Answer with the stream of what changes. Raises what the first look raises, before anything is sent."""
    me = principal_of(request)
    who = "" if shared else f"{me.token} {request.scope['nunatak.seed']}"
    key = (request.scope["path"], request.url.query, who)
    feeds: Feeds = request.app.state.feeds
    seen = None if feeds.has_seen(key) else await feeds.tried(key, look)
    sending = Sending(request)
    stream = _stream(request, key, look, seen, sending)
    return StreamingResponse(stream, headers=sending.headers, media_type="text/event-stream")


async def _stream(request: Request, key: Key, look: Look, seen: Seen | None, sending: Sending) -> AsyncIterator[bytes]:
    feeds: Feeds = request.app.state.feeds
    feed = feeds.join(key, look, seen)
    version, staying = 0, Staying(request)
    try:
        while True:
            told = await feed.after(version, feeds.services.limits.keep_alive)
            if not await staying.holds():
                return
            if not told:
                yield sending.next(KEEP_ALIVE, feed.pieces)
            elif feed.version > version:
                event, version = feed.since(version), feed.version
                yield sending.next(event, feed.pieces)
            else:
                return
    finally:
        await feeds.leave(key, feed)
