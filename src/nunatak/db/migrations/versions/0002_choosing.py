"""What choosing and learning keep: needs, use, shares, the health of nodes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add tables and columns; no row has to be rewritten."""
    op.add_column("tasks", sa.Column("asked", sa.BigInteger(), nullable=True))
    op.add_column("tasks", sa.Column("avoid", sa.Text(), nullable=True))
    op.drop_index("ix_tasks_ready", table_name="tasks")
    op.create_index(
        "ix_tasks_ready",
        "tasks",
        ["dataset", "task", "shape", "not_before", "job"],
        unique=False,
        postgresql_where=sa.text("state = 'ready'"),
        sqlite_where=sa.text("state = 'ready'"),
    )
    op.add_column("job_counts", sa.Column("since", sa.Float(), server_default="0", nullable=False))
    op.add_column("engines", sa.Column("node", sa.String(length=255), server_default="", nullable=False))
    with op.batch_alter_table("lessons") as lessons:
        lessons.alter_column("evidence", existing_type=sa.Text(), nullable=True)
        lessons.add_column(sa.Column("needs", sa.Text(), nullable=True))
        lessons.add_column(sa.Column("begun", sa.Float(), nullable=True))
    op.create_table(
        "spent",
        sa.Column("dataset", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("wall", sa.Float(), nullable=False),
        sa.Column("cpu", sa.Float(), nullable=False),
        sa.Column("core_hours", sa.Float(), nullable=False),
        sa.Column("gpu_hours", sa.Float(), nullable=False),
        sa.Column("era", sa.Integer(), nullable=False),
        sa.Column("core", sa.Float(), nullable=False),
        sa.Column("gpu", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("dataset", "site", "cause", name=op.f("pk_spent")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "shares",
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("weight", sa.Float(), nullable=True),
        sa.Column("running", sa.Integer(), nullable=True),
        sa.Column("queued", sa.Integer(), nullable=True),
        sa.Column("who", sa.String(length=255), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_shares")),
    )
    op.create_table(
        "health_news",
        sa.Column("news", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("news", name=op.f("pk_health_news")),
    )
    op.create_table(
        "health",
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("seen", sa.Float(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("score", sa.Text(), nullable=True),
        sa.Column("standing", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("kind", "site", "name", name=op.f("pk_health")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index(
        "ix_health_standing",
        "health",
        ["kind", "site", "name"],
        unique=False,
        postgresql_where=sa.text("standing IS NOT NULL"),
        sqlite_where=sa.text("standing IS NOT NULL"),
    )
    op.create_table(
        "checkpoints",
        sa.Column("dataset", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("job", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("task", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("saved", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("dataset", "job", "task", name=op.f("pk_checkpoints")),
    )
