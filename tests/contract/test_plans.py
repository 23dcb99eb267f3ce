"""How databases go about the statements of a life, in tables that they have not looked at yet: each task by its whole key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import ClientCursor
from sqlalchemy import Connection

from nunatak.db.statement import Statement
from nunatak.tasks import store
from tests.contract.world import World, chain

OF_A_LIFE = [store.CLAIM, store.START, store.END, store.FREE_CHILDREN]
NAME = re.compile(r"%\((\w+)\)s")
WHOLE = ("dataset", "job", "task")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every step of a plan of PostgreSQL, but for those of its common table expressions."""
    if plan.get("Parent Relationship") != "InitPlan":
        yield plan
        for part in plan.get("Plans", ()):
            yield from nodes(part)


def ways(tx: Connection, statement: Statement, values: dict[str, Any]) -> list[str]:
    """By what a statement finds the tasks that it changes or reads."""
    driver: Any = tx.connection.driver_connection
    if tx.dialect.name == "sqlite":
        rows = driver.execute("EXPLAIN QUERY PLAN " + statement.sqlite, statement._json(values)).fetchall()
        return [row[3].partition(" USING ")[2] for row in rows if row[3].startswith(("SEARCH tasks", "SCAN tasks"))]
    given = statement._arrays(values)
    names = list(dict.fromkeys(NAME.findall(statement.postgresql)))
    text = NAME.sub(lambda found: f"${names.index(found[1]) + 1}", statement.postgresql).replace("%%", "%")
    driver.execute(f"PREPARE looked_at AS {text}")  # planned for any values, as it is when it runs
    with ClientCursor(driver) as cursor:
        cursor.execute(
            f"EXPLAIN (FORMAT JSON, VERBOSE) EXECUTE looked_at({', '.join('%s' for _ in names)})",
            [given[name] for name in names],
        )
        plan = cursor.fetchone()[0][0]["Plan"]
    driver.execute("DEALLOCATE looked_at")
    scans = [node for node in nodes(plan) if node.get("Relation Name") == "tasks" and "Scan" in node["Node Type"]]
    return [f"{node.get('Index Name')} {node.get('Index Cond')}" for node in scans]


def test_tasks_of_a_life_are_found_by_their_whole_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[Statement, dict[str, Any]] = {}
    before = Statement.__call__

    def noted(self: Statement, tx: Connection, **values: Any) -> Any:
        seen[self] = values
        return before(self, tx, **values)

    world.submit(chain(300, 2))
    monkeypatch.setattr(Statement, "__call__", noted)
    for _ in range(2):  # then some are ready that have rows
        claimed = world.claim(300)
        world.start(claimed)
        world.end(claimed)
    monkeypatch.undo()
    found = world.database.run(lambda tx: {one: ways(tx, one, seen[one]) for one in OF_A_LIFE if one in seen})
    assert {store.CLAIM, store.START, store.END} <= found.keys()
    for statement, by in found.items():
        whole = [way for way in by if all(name in way for name in WHOLE)]
        others = [way for way in by if "ready" in way]  # what is picked is found in the order of its index
        assert whole, (statement.sqlite, by)
        assert len(whole) + len(others) == len(by), (statement.sqlite, by)
