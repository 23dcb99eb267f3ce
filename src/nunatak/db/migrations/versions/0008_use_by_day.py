"""What was spent on each day; what was spent before is that of day 0."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "use_by_day",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("dataset", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("wall", sa.Float(), nullable=False),
        sa.Column("cpu", sa.Float(), nullable=False),
        sa.Column("core_hours", sa.Float(), nullable=False),
        sa.Column("gpu_hours", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("day", "dataset", "site", "cause", name=op.f("pk_use_by_day")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_use_by_day_dataset", "use_by_day", ["dataset"])
    op.execute(
        "INSERT INTO use_by_day (day, dataset, site, cause, attempts, wall, cpu, core_hours, gpu_hours)"
        " SELECT 0, dataset, site, cause, attempts, wall, cpu, core_hours, gpu_hours FROM spent"
    )
