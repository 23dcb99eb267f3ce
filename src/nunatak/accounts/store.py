"""All SQL on tokens and kept answers."""

from __future__ import annotations

from nunatak.db.statement import Statement

_TOKEN = "token, name, principal, hash, scopes, created, expires, revoked, used"  # noqa: S105 - column names

ADD_TOKEN = Statement(
    "INSERT INTO tokens (name, principal, hash, scopes, created, expires)"
    " VALUES (:name, :principal, :hash, :scopes, :now, :expires) RETURNING token"
)
TOKEN_BY_HASH = Statement(
    "SELECT t.token, t.principal, t.hash, t.scopes, t.expires, COALESCE(t.revoked, p.revoked) AS revoked, t.used"
    " FROM tokens t LEFT JOIN tokens p ON p.token = t.parent WHERE t.hash = :hash"
)
TOKEN = Statement(f"SELECT {_TOKEN} FROM tokens WHERE token = :token")
TOKENS = Statement(f"SELECT {_TOKEN} FROM tokens WHERE parent IS NULL AND token > :after ORDER BY token LIMIT :n")
TOKENS_OF = Statement(
    f"SELECT {_TOKEN} FROM tokens WHERE principal = :principal AND parent IS NULL AND token > :after"
    " ORDER BY token LIMIT :n"
)
REVOKE = Statement("UPDATE tokens SET revoked = :now WHERE token = :token AND revoked IS NULL RETURNING token")
USED = Statement("UPDATE tokens SET used = :now WHERE token = :token AND (used IS NULL OR used < :before)")

ADD_CHILD = Statement(
    "INSERT INTO tokens (name, principal, hash, scopes, created, expires, parent)"
    " SELECT :name, principal, :hash, CASE WHEN :code = 1 THEN '' ELSE scopes END, :now,"
    " CASE WHEN expires IS NULL OR expires > :until THEN :until ELSE expires END, COALESCE(parent, token)"
    " FROM tokens WHERE token = :parent AND revoked IS NULL AND (expires IS NULL OR expires > :now)"
    " RETURNING token, expires, parent"
)
REDEEM = Statement(
    "UPDATE tokens SET revoked = :now, used = :now WHERE hash = :hash AND scopes = '' AND parent IS NOT NULL"
    " AND revoked IS NULL AND expires > :now RETURNING parent"
)
CHILDREN_OF = Statement(
    f"SELECT {_TOKEN} FROM tokens WHERE principal = :principal AND parent IS NOT NULL AND scopes <> ''"
    " AND revoked IS NULL AND expires > :now ORDER BY token DESC LIMIT :n"
)
DROP_CHILDREN = Statement("DELETE FROM tokens WHERE parent = :parent AND (expires <= :now OR revoked IS NOT NULL)")

RESERVE = Statement(
    "INSERT INTO idempotency (principal, key, request, status, body, at)"
    " VALUES (:principal, :key, :request, 0, '', :now) ON CONFLICT (principal, key) DO NOTHING RETURNING key"
)
KEPT = Statement("SELECT request, status, body FROM idempotency WHERE principal = :principal AND key = :key")
KEEP = Statement("UPDATE idempotency SET status = :status, body = :body WHERE principal = :principal AND key = :key")
DROP_KEPT = Statement("DELETE FROM idempotency WHERE principal = :principal AND key = :key AND at < :before")
DROP_OLD = Statement(
    "DELETE FROM idempotency WHERE (principal, key) IN"
    " (SELECT principal, key FROM idempotency WHERE at < :before ORDER BY at LIMIT :n) RETURNING key"
)
