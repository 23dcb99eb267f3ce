"""Tables of tokens and of answers kept for repeated requests. Times are seconds since the epoch (UTC)."""

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text

from nunatak.db.schema import metadata

tokens = Table(
    "tokens",
    metadata,
    Column("token", Integer, primary_key=True, autoincrement=True),
    Column("name", String(255), nullable=False),  # what it is for
    Column("principal", String(255), nullable=False),  # who it speaks for
    Column("hash", String(64), nullable=False, unique=True),  # SHA-256 of the token; the token itself is kept nowhere
    Column("scopes", String(255), nullable=False),  # separated by spaces
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("revoked", Float),
    Column("used", Float),  # last use, to about a minute
    Column("parent", Integer),  # of a session in a browser or a code to begin one: the token it was made from
)
Index("ix_tokens_principal_token", tokens.c.principal, tokens.c.token)
Index("ix_tokens_parent", tokens.c.parent, tokens.c.token)

# What was answered to a request with an Idempotency-Key, so that its repetition gets the same.
idempotency = Table(
    "idempotency",
    metadata,
    Column("principal", String(255), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request", String(64), nullable=False),  # SHA-256 of method, path and body
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Float, nullable=False),
)
Index("ix_idempotency_at", idempotency.c.at)
