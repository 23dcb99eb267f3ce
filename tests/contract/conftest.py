"""What tests of the domains start from: an installation without edges, whose books must agree in the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nunatak.core.clock import ManualClock
from nunatak.db.database import Database
from tests.contract.world import World


@pytest.fixture
def world(database: Database, clock: ManualClock) -> Iterator[World]:
    world = World(database, clock)
    yield world
    assert world.faults() == []
