"""What an engine has for a server: known to the host by handles, compared with what the server believes, given back."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

from nunatak.client.engine import EngineClient, Key
from nunatak.core.work import Outcome
from nunatak.engines.keys import key_of
from nunatak.engines.protocol import Engine, Handle, Nodes
from nunatak.loops.engine_logs import LogCarrier

RETURNED = 1000
"""Attempts given back in one request, or told again in one."""
UNHEARD = 100
"""Claims that failed whose leases are remembered: what they leased may be written down later than they failed."""


class Holdings:
    """The attempts of an engine that have not ended as far as the host knows, and the ends of those it never had."""

    def __init__(self, engine: Engine, server: EngineClient, logs: LogCarrier) -> None:
        """Begin with nothing known."""
        self._engine, self._server, self._logs = engine, server, logs
        self._handles: dict[Key, Handle] = {}
        self._nodes: Nodes | None = (
            None  # as the engine was told last; one that waits may be kept off from an earlier life
        )
        self.refused: list[Outcome] = []
        """Ends of attempts that never reached the engine."""
        self.unheard: deque[str] = deque(maxlen=UNHEARD)
        """Lease keys of claims whose answers may have been lost."""
        self.doubtful = True
        """Whether engine and server may disagree on what the engine has."""

    def __len__(self) -> int:
        """Return how many attempts there are."""
        return len(self._handles)

    def add(self, handles: Sequence[Handle]) -> None:
        """Know attempts, and carry what was submitted for them."""
        self._handles.update({key_of(handle): handle for handle in handles})
        self._logs.follow(handles)

    def drop(self, keys: Iterable[Key]) -> None:
        """Forget attempts that ended."""
        for key in keys:
            self._handles.pop(key, None)

    def cancel(self, keys: Iterable[Key]) -> None:
        """End those of some attempts that the engine has."""
        ours = [self._handles[key] for key in keys if key in self._handles]
        if ours:
            self._engine.cancel(ours)

    def cancel_all(self) -> None:
        """End all."""
        self._engine.cancel(list(self._handles.values()))

    def stop(self, keys: Sequence[Key]) -> None:
        """End what the server wants ended, and tell it what the engine does not have."""
        self.cancel(keys)
        self.give_back([key for key in keys if key not in self._handles], "the engine does not have it")

    def give_back(self, keys: Sequence[Key], reason: str, *, unbegun: bool = False) -> None:
        """Let others have attempts, free of charge."""
        for start in range(0, len(keys), RETURNED):
            self._server.give_back(keys[start : start + RETURNED], reason, unbegun)

    def adopt(self, ended: set[Key]) -> set[Key]:
        """Know what the engine has now, but for what it reported as `ended`; return all that it has."""
        ours = {key_of(handle): handle for handle in self._engine.adopt()}
        self._handles = {key: handle for key, handle in ours.items() if key not in ended}
        self._logs.follow(self._handles.values())
        return set(ours)

    def reconcile(self, ended: set[Key]) -> list[Key]:
        """Compare what the server believes with what the engine has, and settle the differences.

        Returns what was leased by claims whose answers were lost: nobody has begun it.
        """
        ours = self.adopt(ended)
        theirs = set(self._server.leases())
        refused = {(item.address, item.lease) for item in self.refused}
        missing = sorted(theirs - ours - refused)
        unheard = [key for key in missing if key[1] in self.unheard]
        self.give_back([key for key in missing if key[1] not in self.unheard], "the engine lost it")
        self.cancel(ours - theirs)
        self.doubtful = False
        return unheard

    def heard(self, leases: Collection[str]) -> None:
        """Know that it was told what claims with these keys leased: if it is missing from now on, the engine lost it."""
        for lease in leases:
            with suppress(ValueError):
                self.unheard.remove(lease)

    # ---- nodes that are not fine

    @property
    def nodes(self) -> Nodes:
        """Return what the server said last of the nodes."""
        return Nodes(self._server.drained, self._server.probed)

    def told(self, nodes: Nodes) -> None:
        """Remember what the engine was told."""
        self._nodes = nodes

    def pass_on_nodes(self) -> None:
        """Tell the engine which of its nodes are not fine, if that changed."""
        if self.nodes != self._nodes:
            self._engine.submit([], self.nodes)
            self._nodes = self.nodes
