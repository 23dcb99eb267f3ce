"""Revisions made up for tests, which go through the same machinery as real ones."""

from __future__ import annotations

from pathlib import Path

from nunatak.db import migrate

COLUMNS = """\
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "9001", "{head}", None, None


def upgrade():
    for table in ("datasets", "engines", "tasks", "job_counts"):
        op.add_column(table, sa.Column("colour", sa.Text(), server_default="blue", nullable=False))
"""
INDEX = """\
from nunatak.db.steps import add_index

revision, down_revision, branch_labels, depends_on = "9002", "9001", None, None


def upgrade():
    add_index("ix_attempts_made_up", "attempts", ["ended", "dataset"], where="action = 'done'")
"""


def made_up(place: Path) -> list[Path]:
    """Write two revisions after the newest; returns the directories of all."""
    place.mkdir()
    (place / "9001_columns.py").write_text(COLUMNS.format(head=migrate.head()))
    (place / "9002_index.py").write_text(INDEX)
    return [*migrate.PLACES, place]
