"""By which revision of its recipe an attempt runs, and what was done when a revision came; null is the first."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns; no row has to be rewritten."""
    op.add_column("tasks", sa.Column("revision", sa.Integer(), nullable=True))
    op.add_column("attempts", sa.Column("revision", sa.Integer(), nullable=True))
    op.add_column("revisions", sa.Column("done", sa.Integer(), nullable=True))
    op.add_column("revisions", sa.Column("live", sa.Integer(), nullable=True))
