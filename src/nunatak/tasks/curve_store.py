"""SQL of the curve of progress."""

from __future__ import annotations

from nunatak.datasets.store import STATES
from nunatak.db.statement import Statement

DUE = Statement(
    "SELECT d.dataset FROM datasets d WHERE d.state = 'open' AND d.dataset > :after AND COALESCE("
    "(SELECT MAX(p.at) FROM progress p WHERE p.dataset = d.dataset), d.created)"
    " <= CASE WHEN (:now - d.created) * :share < :finest THEN :now - :finest ELSE :now - (:now - d.created) * :share END"
    " ORDER BY d.dataset LIMIT :n"
)
"""Open datasets whose last point is old enough: `finest` seconds, or a `share` of their age."""
ADD = Statement(
    f"INSERT INTO progress (dataset, at, {', '.join(STATES)})"
    f" SELECT c.dataset, :now, {', '.join(f'SUM(c.{state})' for state in STATES)}"
    " FROM {v} JOIN task_counts c ON c.dataset = v.dataset WHERE true GROUP BY c.dataset"
    " ON CONFLICT (dataset, at) DO NOTHING",
    v="dataset int",
)
POINTS = Statement(f"SELECT at, {', '.join(STATES)} FROM progress WHERE dataset = :dataset ORDER BY at")
