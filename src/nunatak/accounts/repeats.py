"""Requests that create something may be sent again with the same Idempotency-Key: they are done once, answered twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from nunatak.accounts import store
from nunatak.core.errors import Conflict

KEPT_SECONDS = 86400.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and a JSON text."""

    status: int
    body: str


def once(
    tx: Connection, principal: str, key: str, request: str, now: float, work: Callable[[Connection], Answer]
) -> tuple[Answer, bool]:
    """Do `work` in this transaction unless the key was used within a day; returns the answer, and whether it is a kept one.

    `request` is a hash of what was asked. Raises `Conflict` if the key was used for another request. The key is reserved
    first, so that of two requests at the same moment one waits for the other's end.
    """
    store.DROP_KEPT(tx, principal=principal, key=key, before=now - KEPT_SECONDS)
    if store.RESERVE(tx, principal=principal, key=key, request=request, now=now):
        answer = work(tx)
        store.KEEP(tx, principal=principal, key=key, status=answer.status, body=answer.body)
        return answer, False
    kept = store.KEPT(tx, principal=principal, key=key)[0]
    if kept.request != request:
        raise Conflict(
            "this Idempotency-Key was used for another request",
            code="key-reused",
            hint="use a new key for a new request",
        )
    return Answer(kept.status, kept.body), True


def forget_old(tx: Connection, now: float, limit: int = 1000) -> int:
    """Drop answers older than a day, at most `limit`; returns how many."""
    return len(store.DROP_OLD(tx, before=now - KEPT_SECONDS, n=limit))
