"""SQL of failures across datasets: the groups that were added to last, as many as fit one page, chosen by an index alone."""

from __future__ import annotations

from nunatak.db.statement import Statement

_GROUPS = (
    "SELECT g.dataset, g.signature, g.kind, g.pattern, g.attempts, g.tasks, g.first_at, g.last_at, g.job, g.task, g.attempt,"
    " g.message, g.sites, g.nodes, d.name, d.owner, d.team FROM (SELECT x.dataset, x.signature, x.last_at FROM error_groups x"
    " JOIN datasets y ON y.dataset = x.dataset WHERE (:kind = '' OR x.kind = :kind)"
    " AND (:signature = '' OR x.signature = :signature) AND (:owner = '' OR y.owner = :owner)"
    " AND (:team = '' OR y.team = :team){dataset} ORDER BY x.last_at DESC LIMIT :n) w"
    " JOIN error_groups g ON g.dataset = w.dataset AND g.signature = w.signature"
    " JOIN datasets d ON d.dataset = g.dataset ORDER BY w.last_at DESC, g.dataset, g.signature"
)
LATEST = Statement(_GROUPS.replace("{dataset}", ""))
OF_DATASET = Statement(_GROUPS.replace("{dataset}", " AND x.dataset = :dataset"))
