"""PostgreSQL analyzes tasks and attempts when there are twice as many: what it learns are shares, and plans hardly follow them.

At thousands of ends a second a tenth more is there every few seconds, and to look at it took a fifth of the database's time.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Set it; nothing is rewritten, and nobody who reads or writes waits."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE tasks SET (autovacuum_analyze_scale_factor = 4)")
        op.execute("ALTER TABLE attempts SET (autovacuum_analyze_scale_factor = 1)")
