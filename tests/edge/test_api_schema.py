"""The OpenAPI document: it is what the server does, for any request schemathesis thinks of; its pages are not stale."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks

from nunatak.accounts import policy
from nunatak.api import document
from nunatak.api.app import bare_app, create_app
from nunatak.core.errors import KINDS
from tests.edge.conftest import Api, services_at

DOCS = Path(__file__).parents[2] / "docs" / "reference"
load_all_checks()
WANTED = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    )
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server with a dataset in every state of life."""
    services = services_at(tmp_path_factory.mktemp("schema"))
    with TestClient(create_app(services), raise_server_exceptions=False) as client:
        api = Api(services, client)
        api.submit()
        api.engine()
        first, second, _ = api.claim()
        api.finish(first, data=b"hello")
        api.finish(second, "exit", exit=1)
        yield api
    services.database.close()


@pytest.fixture(scope="module")
def schema(world: Api) -> Any:
    plain = json.loads(json.dumps(document.describe(world.http.app.app)))
    plain["paths"].pop("/api/v1/datasets/{dataset}/events")  # a stream without an end
    plain["paths"].pop("/api/v1/tokens/{token}")  # would revoke the token of this test
    loaded = schemathesis.openapi.from_dict(plain)
    loaded.app = world.http.app.app
    return loaded


@pytest.mark.slow
def test_no_request_makes_the_server_fail_or_break_its_word(world: Api, schema: Any) -> None:
    turn = itertools.count()
    operations = [result.ok() for result in schema.get_all_operations()]
    seen = {operation.label: _explore(world, operation, turn) for operation in operations}
    assert len(seen) > 30
    assert not any(status in (401, 403) for found in seen.values() for status in found)
    assert sum(any(status < 300 for status in found) for found in seen.values()) > 28, seen
    assert world.faults() == []


def _explore(world: Api, operation: Any, turn: Iterator[int]) -> set[int]:
    """Send generated requests to one operation, every second one steered; the statuses they met."""
    statuses: set[int] = set()

    @settings(
        max_examples=12,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def check(case: Any) -> None:
        if next(turn) % 2:
            _steer(case)
        answer = case.call(headers=world.headers)
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=WANTED)

    check()
    return statuses


def _steer(case: Any) -> None:
    """Make a case name things that are there, so that more than the front door is tried."""
    there = {"name": "local", "dataset": 1, "address": "1/0/first"}
    for key in case.path_parameters or {}:
        case.path_parameters[key] = there.get(key, case.path_parameters[key])
    if isinstance(case.body, dict):
        for key, value in {"session": "s1", "addresses": ["1/1"]}.items():
            if key in case.body:
                case.body[key] = value


def test_the_published_pages_are_not_stale() -> None:
    app = bare_app()
    hint = "run: make docs"
    assert (DOCS / "openapi.json").read_text("utf-8") == document.text(app), hint
    assert (DOCS / "api.md").read_text("utf-8") == document.page(app), hint


def test_every_operation_has_what_a_reader_needs() -> None:
    plain = document.describe(bare_app())
    assert plain["openapi"] == "3.1.0"
    for path, methods in plain["paths"].items():
        for operation in methods.values():
            name = operation["operationId"]
            assert operation["summary"], path
            assert operation["description"], path
            assert operation["tags"], path
            if name in policy.PUBLIC:
                assert "security" not in operation
            else:
                assert {"401", "403", "422"} <= operation["responses"].keys(), path
                assert operation["x-scopes"] == sorted(policy.RULES[name].scopes)


def test_every_reference_in_the_document_leads_somewhere() -> None:
    plain = document.describe(bare_app())
    text = json.dumps(plain)
    for part in text.split('"$ref": "#/components/schemas/')[1:]:
        assert part.split('"')[0] in plain["components"]["schemas"]


def test_every_kind_of_error_has_a_title() -> None:
    from nunatak.api.problems import STATUS, TITLES

    assert {kind.status for kind in KINDS} | set(STATUS.values()) <= TITLES.keys()
