"""Sessions in a browser: each is a token of its own, made from the one that signed in, and ends with it.

A code is a token that is good for nothing but to begin one session, once, within minutes: it may stand in an address.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from nunatak.accounts import store
from nunatak.accounts.tokens import Token, digest_of, token_of
from nunatak.core.errors import Refused

CODE_SECONDS = 600.0
MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Begun:
    """A session or code: its number, and until when it holds (seconds since the epoch)."""

    token: int
    expires: float


def begin(tx: Connection, *, parent: int, text: str, name: str, seconds: float, now: float) -> Begun:
    """Enter a session with what its parent is good for, for at most `seconds`. Raises `Refused` if the parent has ended.

    Sessions of the same parent that are over are forgotten.
    """
    return _add(tx, parent=parent, text=text, name=name, seconds=seconds, now=now, code=0)


def offer(tx: Connection, *, parent: int, text: str, now: float) -> Begun:
    """Enter a code that begins one session. Raises `Refused` if the token it is asked with has ended."""
    return _add(tx, parent=parent, text=text, name="sign-in code", seconds=CODE_SECONDS, now=now, code=1)


def redeem(tx: Connection, *, code: str, text: str, name: str, seconds: float, now: float) -> Begun:
    """Begin the session that a code stands for, and end the code. Raises `Refused` for one unknown, used or too old."""
    rows = store.REDEEM(tx, hash=digest_of(code), now=now)
    if not rows:
        hint = "`nunatak open` makes another"
        raise Refused("this address was used before, or is too old", code="bad-code", hint=hint)
    return begin(tx, parent=rows[0].parent, text=text, name=name, seconds=seconds, now=now)


def running(tx: Connection, principal: str, now: float) -> list[Token]:
    """Return the sessions that somebody has open, the newest first."""
    return [token_of(row) for row in store.CHILDREN_OF(tx, principal=principal, now=now, n=MOST_SHOWN)]


def _add(tx: Connection, *, parent: int, text: str, name: str, seconds: float, now: float, code: int) -> Begun:
    rows = store.ADD_CHILD(tx, parent=parent, name=name, hash=digest_of(text), code=code, until=now + seconds, now=now)
    if not rows:
        raise Refused("this token has ended", code="expired-token", hint="sign in with another")
    store.DROP_CHILDREN(tx, parent=rows[0].parent, now=now)
    return Begun(rows[0].token, rows[0].expires)
