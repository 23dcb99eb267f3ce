"""Failures across datasets are found by when they last came."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_error_groups_latest", "error_groups", ["last_at", "kind", "dataset", "signature"], unique=False)
