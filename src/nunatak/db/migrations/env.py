"""Runs migrations on the connection that `db.migrate` hands in."""

from alembic import context

connection = context.config.attributes["connection"]
# On SQLite the transaction is the caller's; on PostgreSQL each revision has its own, which it may leave (db.steps).
own = connection.dialect.name == "postgresql"
context.configure(connection=connection, transaction_per_migration=own, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
