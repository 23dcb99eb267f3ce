"""How an engine host gets work: it claims as much as the engine wants, works out the orders and hands them on."""

from __future__ import annotations

from collections.abc import Sequence

from nunatak.client.engine import Claim, EngineClient, Key, Registration, places, within
from nunatak.core.clock import Clock, Keys, system_keys
from nunatak.core.errors import NunatakError, Unavailable
from nunatak.core.work import Grouping
from nunatak.engines.protocol import CarriesFiles, Engine
from nunatak.loops.engine_holdings import RETURNED, Holdings
from nunatak.loops.engine_pace import Pace
from nunatak.loops.engine_specs import Specs


class Claims:
    """Claims for one engine. After a claim that found less than was wanted the next one waits, longer each time.

    While there is plenty, little is not asked for at once: it is put together for a second, or until it is a large claim.
    """

    def __init__(
        self,
        engine: Engine,
        server: EngineClient,
        holdings: Holdings,
        pace: Pace,
        clock: Clock,
        keys: Keys = system_keys,
    ) -> None:
        """Begin with a claim that is due; `keys` makes up lease keys."""
        self._engine, self._server, self._holdings = engine, server, holdings
        self._pace, self._clock, self._keys = pace, clock, keys
        self._specs = Specs(server, engine.carries if isinstance(engine, CarriesFiles) else None)
        self._most = 1  # the largest number of attempts the engine ever asked for
        self._pause, self._at, self._room = 0.0, float("-inf"), False
        self._asked = float("-inf")  # when it was claimed last
        self.closed = False
        """Whether no more is claimed."""

    @property
    def due(self) -> float:
        """Return when the next claim is due; never while the engine wants nothing."""
        return self._at if self._room else float("inf")

    def hurry(self, now: float) -> None:
        """Let the next claim be due now: there is reason to think that it finds something."""
        self._pause, self._at = 0.0, now

    def claim(self, given: Registration, now: float) -> bool:
        """Claim and submit as much as the engine wants; tell whether there was anything."""
        want = self._engine.capacity().queue
        self._most = max(self._most, want)
        little = 2 * want < min(self._most, given.claim_limit) and now - self._asked < self._pace.idle
        self._room = want >= 1 and not (self._pause == 0.0 and little) and not self.closed
        if not self._room or now < self._at:
            return False
        self._asked = now
        want = min(want, given.claim_limit)
        lease = f"{self._keys():x}"
        try:
            claims = self._server.claim(self._engine.capacity().total, want, self._grouping, lease)
        except Unavailable:
            self._holdings.unheard.append(lease)
            self._holdings.doubtful = True  # the answer may have been lost, with leases in it
            raise
        least = max(self._pace.claim, 0.0 if claims else 2 * self._pause)
        self._pause = min(least, self._pace.idle) if places(claims) < want else 0.0
        self._at = now + self._pause
        self._submit(claims, given)
        self._holdings.pass_on_nodes()
        return bool(claims)

    @property
    def _grouping(self) -> Grouping | None:
        found: Grouping | None = getattr(self._engine, "grouping", None)  # of an engine that takes series
        return found

    def hear_again(self, keys: Sequence[Key], given: Registration) -> None:
        """Have told again what claims leased whose answers were lost, and submit it; the rest is given back."""
        for start in range(0, len(keys), RETURNED):
            part, want = keys[start : start + RETURNED], min(max(0, self._engine.capacity().queue), given.claim_limit)
            try:
                claims = self._server.unheard(part, self._engine.capacity().total, want, self._grouping)
            except NunatakError:
                self._holdings.doubtful = True  # they are still there, and asked for at the next time
                raise
            claims = within(claims, want)
            told = {(claim.address, claim.lease) for claim in claims}
            self._holdings.give_back([key for key in part if key not in told], "not to begin any more", unbegun=True)
            if claims:
                self._submit(claims, given)
        self._holdings.heard({lease for _, lease in keys})

    def _submit(self, claims: Sequence[Claim], given: Registration) -> None:
        holdings = self._holdings
        try:
            batch, refused = self._specs.batch(claims, given, self._clock())
            holdings.refused += refused
            nodes = holdings.nodes
            handles = self._engine.submit(batch, nodes) if batch else []
            if batch:
                holdings.told(nodes)
        except NunatakError as error:
            holdings.doubtful = True  # in case what follows does not reach the server
            lost = {(item.address, item.lease) for item in holdings.refused}
            keys = [(claim.address, claim.lease) for claim in claims]
            holdings.give_back([key for key in keys if key not in lost], error.message[:200])
            raise
        holdings.add(handles)
