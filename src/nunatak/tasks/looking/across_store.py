"""SQL of failures across datasets: the groups that were added to last, as many as fit one page, chosen by an index alone."""

from __future__ import annotations

from nunatak.db.statement import Statement

_OF_WHOM = "(:owner = '' OR y.owner = :owner) AND (:team = '' OR y.team = :team)"
_LATEST = (
    "SELECT x.dataset, x.signature, x.last_at, y.name, y.owner, y.team FROM error_groups x"
    f" JOIN datasets y ON y.dataset = x.dataset WHERE (:kind = '' OR x.kind = :kind) AND {_OF_WHOM}"
)
_GROUPS = (
    "SELECT g.dataset, g.signature, g.kind, g.pattern, g.attempts, g.tasks, g.first_at, g.last_at, g.job, g.task, g.attempt,"
    " g.message, g.sites, g.nodes, w.name, w.owner, w.team FROM ({chosen} ORDER BY last_at DESC LIMIT :n) w"
    " JOIN error_groups g ON g.dataset = w.dataset AND g.signature = w.signature ORDER BY w.last_at DESC, g.dataset, g.signature"
)
LATEST = Statement(_GROUPS.replace("{chosen}", _LATEST))
OF_DATASET = Statement(
    _GROUPS.replace("{chosen}", f"{_LATEST} AND (:signature = '' OR x.signature = :signature) AND x.dataset = :dataset")
)
# There are far fewer datasets than groups, and each is asked for its one by the primary key.
OF_SIGNATURE = Statement(
    "WITH v AS MATERIALIZED (SELECT y.dataset, (SELECT x.last_at FROM error_groups x WHERE x.dataset = y.dataset"
    " AND x.signature = :signature AND (:kind = '' OR x.kind = :kind)) AS last_at FROM datasets y"
    f" WHERE {_OF_WHOM}) "
    + _GROUPS.replace(
        "{chosen}",
        "SELECT v.dataset, CAST(:signature AS text) AS signature, v.last_at, y.name, y.owner, y.team FROM v"
        " JOIN datasets y ON y.dataset = v.dataset WHERE v.last_at IS NOT NULL",
    )
)
