"""Fixtures for all tests: databases of both kinds, a clock that stands still."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from nunatak.core.clock import ManualClock
from nunatak.db.database import Database
from tests.order import ordered
from tests.services import databases
from tests.services.postgres import Postgres
from tests.services.slurm import Slurm

# The same examples each time, however slow the machine is: what a run shows depends on the code alone. `search` looks further.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage after everything is imported, and not among what is: it stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with stories."""
    items[:] = ordered(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this test process, on a socket in a temporary directory."""
    server = Postgres.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """A Slurm cluster of this test process: four nodes in five partitions."""
    cluster = Slurm.start()
    yield cluster
    cluster.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of database."""
    return str(request.param)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> str:
    """The address of an empty database of each kind."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path}/nunatak.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def migrated_url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> str:
    """The address of a migrated database of each kind."""
    if database_kind == "sqlite":
        return databases.migrated_file(tmp_path / "nunatak.db")
    return databases.migrated(request.getfixturevalue("postgres"))


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """A migrated database of each kind."""
    opened = Database(migrated_url)
    yield opened
    opened.close()
