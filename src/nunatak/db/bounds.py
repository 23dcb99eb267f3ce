"""How long and how many: what a process may ask of its database, and the options that hold PostgreSQL to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

PLANS = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
"""Ways of PostgreSQL to read whole tables."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Connections of one process, and seconds it waits. A process has three pools: to write, to read, and for single looks."""

    pool: int = 8  # connections kept in a pool
    overflow: int = 0  # more of them while many are needed
    wait: float = 10.0  # for a free connection
    connect: float = 10.0  # for the server to take a new one
    statement: float = 30.0
    lock: float = 5.0
    idle: float = 60.0  # inside a transaction in which nothing is asked

    def for_long(self, statement: float) -> Bounds:
        """Return the same for work whose statements may take long, one after the other."""
        return replace(self, pool=1, overflow=1, statement=statement)

    def options(self, *, read_only: bool) -> str:
        """Return what a PostgreSQL connection is opened with.

        Every statement of requests and rounds goes by an index to few rows. Tables grow a thousandfold between two looks of
        the statistics collector, so the planner is kept from plans that suit small tables; `let_plan` lets it go.
        """
        given = {
            "statement_timeout": milliseconds(self.statement),
            "lock_timeout": milliseconds(self.lock),
            "idle_in_transaction_session_timeout": milliseconds(self.idle),
            "timezone": "UTC",
            "jit": "off",
            **dict.fromkeys(PLANS, "off"),
            "plan_cache_mode": "force_generic_plan",
        }
        if read_only:
            given["default_transaction_read_only"] = "on"
        return " ".join(f"-c {name}={value}" for name, value in given.items())


def let_plan(tx: Connection) -> None:
    """Let PostgreSQL plan as it likes until the end of a transaction: for work on whole tables."""
    if tx.dialect.name == "postgresql":
        free = [*(f"set_config('{plan}', 'on', true)" for plan in PLANS), "set_config('plan_cache_mode', 'auto', true)"]
        tx.exec_driver_sql(f"SELECT {', '.join(free)}")


def milliseconds(seconds: float) -> str:
    """Return a time as PostgreSQL takes it; what is shorter than a millisecond is one, as 0 means for ever."""
    return str(max(1, round(seconds * 1000)))
