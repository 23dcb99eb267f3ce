"""How much of each site was in use at some moments of the last day."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "site_use",
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Float(), autoincrement=False, nullable=False),
        sa.Column("cores", sa.Float(), nullable=False),
        sa.Column("busy", sa.Float(), nullable=False),
        sa.Column("gpus", sa.Float(), nullable=False),
        sa.Column("gpus_busy", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("site", "at", name=op.f("pk_site_use")),
        sqlite_with_rowid=False,
    )
