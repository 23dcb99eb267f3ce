"""What tasks come after in other datasets, and which of that is there already."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "follows",
        sa.Column("dataset", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("task", sa.Integer(), nullable=False),
        sa.Column("other", sa.Integer(), nullable=False),
        sa.Column("other_task", sa.Integer(), nullable=False),
        sa.Column("each_job", sa.Boolean(), nullable=False),
        sa.Column("seen", sa.Integer(), server_default="0", nullable=False),
        sa.Column("passed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("opened", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("dataset", "number", name=op.f("pk_follows")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index(
        "ix_follows_closed",
        "follows",
        ["dataset", "number"],
        postgresql_where=sa.text("opened IS NULL"),
        sqlite_where=sa.text("opened IS NULL"),
    )
    op.create_index("ix_follows_other", "follows", ["other"])
    op.create_table(
        "arrivals",
        sa.Column("dataset", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("job", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("taken", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("dataset", "number", "job", name=op.f("pk_arrivals")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_arrivals_new",
        "arrivals",
        ["dataset", "number", "job"],
        postgresql_where=sa.text("NOT taken"),
        sqlite_where=sa.text("NOT taken"),
    )
