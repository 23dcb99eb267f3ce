"""Sessions in browsers are tokens that were made from others."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and its index."""
    op.add_column("tokens", sa.Column("parent", sa.Integer(), nullable=True))
    op.create_index("ix_tokens_parent", "tokens", ["parent", "token"], unique=False)
