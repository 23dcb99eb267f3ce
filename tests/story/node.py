"""An engine beside a server, in the process of the test, with workers and a boot clock of the test's choice."""

from __future__ import annotations

from collections.abc import Callable

from nunatak.client.connection import Connection
from nunatak.client.engine import EngineClient
from nunatak.core.work import Shape
from nunatak.engines.local import LocalEngine
from nunatak.engines.processes import since_boot
from nunatak.engines.workers import Limits
from nunatak.loops.engine import EngineHost, Pace
from tests.story.installation import Installation, until

NODE = Shape(cpu=4, memory=10**11, disk=10**12, time=10**6)


class Engine:
    """A local engine beside a server, in this process, with workers of the test's choice."""

    def __init__(self, house: Installation, worker: tuple[str, ...], name: str) -> None:
        self.more = 0.0
        with house.client() as client:
            token = client.create_token(name, ["engine"], days=1).token
        assert token
        self.connection = Connection(house.url, token, patience=0.0)
        self.server = EngineClient(self.connection, name, "session")
        self.engine = LocalEngine(
            house.data / "engines" / name / "attempts",
            total=NODE,
            worker=worker,
            cache=house.data / "cache",
            limits=Limits(margin=1.0, grace=1.0, look=0.0),
            boot_clock=lambda: since_boot() + self.more,
        )
        pace = Pace(idle=0.1, away=0.1, away_most=0.5)
        self.host = EngineHost(self.engine, self.server, kind="local", site="here", pace=pace)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Go on until a condition holds."""

        def step() -> object:
            self.host.tick()
            self.engine.wait(0.02)
            return condition()

        until(step, what)

    def close(self) -> None:
        self.engine.close()
        self.connection.close()
