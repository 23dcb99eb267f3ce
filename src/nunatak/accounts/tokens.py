"""Tokens: issued once as text, kept as a hash, verified on every request from a short-lived cache, revoked at once."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from nunatak.accounts import store
from nunatak.accounts.policy import Principal, Scope
from nunatak.core.clock import Clock
from nunatak.core.errors import Invalid, NotFound, Refused, Unavailable
from nunatak.db.database import Database
from nunatak.db.statement import Row

PREFIX = "nun_"
CACHED_SECONDS = 30.0
CACHED_MOST = 10_000
USED_SECONDS = 60.0
LONGEST_DAYS = 3660
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; the token itself is not. Times are seconds since the epoch."""

    token: int
    name: str
    principal: str
    scopes: tuple[str, ...]
    created: float
    expires: float | None
    revoked: float | None
    used: float | None


def new_text() -> str:
    """Return the text of a fresh token: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def derived_text(parent: str, salt: str) -> str:
    """Return a token that can be made again from another token and a salt, by whoever has both (HMAC-SHA256)."""
    digest = hmac.digest(parent.encode(), salt.encode(), "sha256")
    return PREFIX + urlsafe_b64encode(digest).rstrip(b"=").decode()


def digest_of(text: str) -> str:
    """Return the hash under which a token is kept. A plain SHA-256 will do for 256 random bits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def issue(
    tx: Connection, *, text: str, name: str, principal: str, scopes: Iterable[str], days: float | None, now: float
) -> int:
    """Enter a token and return its number; it expires after `days` (None: never). Raises `Invalid`."""
    wanted = sorted(set(scopes))
    unknown = [scope for scope in wanted if scope not in set(Scope)]
    if unknown or not wanted:
        raise Invalid(
            f"{', '.join(unknown) or 'no scope'}: not what a token can be good for",
            code="bad-scope",
            hint=f"give one or more of {', '.join(Scope)}",
        )
    if days is not None and not 0 < days <= LONGEST_DAYS:
        raise Invalid(f"a token cannot hold {days} days", code="bad-days", hint=f"more than 0, at most {LONGEST_DAYS}")
    expires = None if days is None else now + days * DAY
    rows = store.ADD_TOKEN(
        tx, name=name, principal=principal, hash=digest_of(text), scopes=" ".join(wanted), now=now, expires=expires
    )
    return int(rows[0].token)


def get(tx: Connection, token: int) -> Token:
    """Return what is known of a token. Raises `NotFound`."""
    rows = store.TOKEN(tx, token=token)
    if not rows:
        raise NotFound(f"there is no token {token}", code="no-token-number", hint="nunatak token list shows them")
    return token_of(rows[0])


def listed(tx: Connection, principal: str | None, after: int, limit: int) -> list[Token]:
    """Return tokens in order of their numbers: those of one principal, or all (None)."""
    if principal is None:
        rows = store.TOKENS(tx, after=after, n=limit)
    else:
        rows = store.TOKENS_OF(tx, principal=principal, after=after, n=limit)
    return [token_of(row) for row in rows]


def revoke(tx: Connection, token: int, now: float) -> None:
    """End a token for good; ending it twice is no error. Raises `NotFound`."""
    if not store.REVOKE(tx, token=token, now=now):
        get(tx, token)


def token_of(row: Row) -> Token:
    """Return one row as what is known of a token."""
    return Token(
        row.token, row.name, row.principal, tuple(row.scopes.split()), row.created, row.expires, row.revoked, row.used
    )


class Verifier:
    """Tells who a token speaks for. What it read stays believed for 30 s, or until `forget`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Begin with nothing believed."""
        self._database = database
        self._clock = clock
        self._known: dict[str, tuple[Principal, float]] = {}
        self._lock = threading.Lock()

    def known(self, digest: str) -> Principal | None:
        """Return who a token (by its hash) speaks for, if that is still believed. Does not touch the database."""
        found = self._known.get(digest)
        if found is None:
            return None
        principal, read = found
        now = self._clock()
        expired = principal.expires is not None and principal.expires <= now
        return None if expired or not 0 <= now - read < CACHED_SECONDS else principal

    def verify(self, digest: str) -> Principal:
        """Return who a token (by its hash) speaks for. Raises `Refused` for one unknown, expired or revoked."""
        principal = self.known(digest)
        if principal is not None:
            return principal
        now = self._clock()
        with self._database.read() as tx:
            rows = store.TOKEN_BY_HASH(tx, hash=digest)
        if not rows or not hmac.compare_digest(rows[0].hash, digest):
            raise _refused("this token is not known here", "bad-token")
        row = rows[0]
        if row.revoked is not None:
            raise _refused("this token was revoked", "revoked-token")
        if row.expires is not None and row.expires <= now:
            raise _refused("this token has expired", "expired-token")
        principal = Principal(row.principal, frozenset(row.scopes.split()), row.token, row.expires)
        self._remember(digest, principal, now)
        if row.used is None or now - row.used >= USED_SECONDS:
            self._note_use(row.token, now)
        return principal

    def forget(self) -> None:
        """Believe nothing any more: the next request of every token is read anew."""
        with self._lock:
            self._known.clear()

    def _remember(self, digest: str, principal: Principal, now: float) -> None:
        with self._lock:
            if len(self._known) >= CACHED_MOST:
                self._known.clear()
            self._known[digest] = (principal, now)

    def _note_use(self, token: int, now: float) -> None:
        """Keep the time of use; a database that is busy is no reason to refuse a caller."""
        try:
            self._database.run(lambda tx: store.USED(tx, token=token, now=now, before=now - USED_SECONDS))
        except Unavailable:
            return


def _refused(message: str, code: str) -> Refused:
    return Refused(message, code=code, hint="nunatak login stores a new one")
