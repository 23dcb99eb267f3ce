"""What routes need from the outside, made by `assembly` and handed to `create_app`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from nunatak.accounts.tokens import Verifier
from nunatak.core.clock import Clock, Keys
from nunatak.db.database import Database
from nunatak.storage.content import ContentStore
from nunatak.storage.protocol import Storage
from nunatak.tasks.choosing import Rules
from nunatak.tasks.context import Contexts
from nunatak.tasks.logs.keeping import LogStore


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes and times in seconds that the API keeps to."""

    body: int = 8_000_000  # a request, but for blobs
    blob: int = 1_000_000_000  # one file sent along with a recipe
    recipe: int = 1_000_000  # the text of a recipe
    log: int = 10_000_000  # kept of stdout and of stderr of an attempt, each
    lease: float = 300.0  # how long an engine may be silent
    heartbeat: float = 60.0  # how often it should be heard of
    claim: int = 500  # tasks leased in one request
    report: int = 500  # outcomes that an engine should send in one request
    token: float = 90 * 86400.0  # how long a token holds that nobody asked a time for
    session: float = 7 * 86400.0  # how long a browser stays signed in
    demand: float = 0.25  # how old the list of ready work may be that a claim goes by
    events: float = 0.5  # between two looks at a watched dataset
    keep_alive: float = 15.0  # between two signs of life to a watcher


@dataclass(frozen=True)
class Services:
    """Everything concrete behind the routes. `store` and `blobs_url` are URL prefixes that engine hosts use."""

    database: Database
    contexts: Contexts
    storage: Storage
    blobs: ContentStore
    logs: LogStore
    tokens: Verifier
    clock: Clock
    keys: Keys
    chance: Callable[[], float]
    store: str
    blobs_url: str
    url: str = ""  # how people reach this server; "" = as the request did
    metrics: bool = True  # whether /metrics is served
    limits: Limits = field(default_factory=Limits)
    rules: Rules = field(default_factory=Rules)  # of fair share
    stopping: threading.Event = field(default_factory=threading.Event)
