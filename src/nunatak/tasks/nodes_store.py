"""All SQL on the health of nodes, and of features at sites: news, scores and standings."""

from __future__ import annotations

from nunatak.db.statement import Statement

ADD_NEWS = Statement("INSERT INTO health_news (events) VALUES (:events) RETURNING news")
FORGET_NEWS = Statement("DELETE FROM health_news WHERE news <= :last")
NEWS = Statement("SELECT news, events FROM health_news ORDER BY news LIMIT :n")
DROP_NEWS = Statement("DELETE FROM health_news WHERE news IN (SELECT news FROM {v})", v="news big")

# One row stands for all of it: whoever changes scores or standings locks it first, and notes who has the scores in memory.
ADD_BOARD = Statement(
    "INSERT INTO health (kind, site, name, seen, at) VALUES ('board', '', '', :now, :now)"
    " ON CONFLICT (kind, site, name) DO NOTHING"
)
BOARD = Statement("SELECT score, standing FROM health WHERE kind = 'board' AND site = '' AND name = '' {wait}")
BOARD_SEEN = Statement("SELECT standing FROM health WHERE kind = 'board' AND site = '' AND name = ''")
SET_BOARD = Statement(
    "UPDATE health SET score = :holder, standing = :spared, at = :now WHERE kind = 'board' AND site = '' AND name = ''"
)

KINDS = "kind IN ('feature', 'node')"
SCORES = Statement(f"SELECT kind, site, name, seen, at, score FROM health WHERE {KINDS} AND score IS NOT NULL")
STANDINGS = Statement(
    f"SELECT kind, site, name, standing FROM health WHERE {KINDS} AND standing IS NOT NULL ORDER BY kind, site, name"
)
ROW = Statement(
    "SELECT kind, site, name, seen, at, score, standing FROM health WHERE kind = :kind AND site = :site AND name = :name"
)
SET_SCORES = Statement(
    "INSERT INTO health (kind, site, name, seen, at, score) SELECT kind, site, name, seen, at, score FROM {v} WHERE true"
    " ON CONFLICT (kind, site, name) DO UPDATE SET seen = excluded.seen, at = excluded.at, score = excluded.score",
    v="kind text, site text, name text, seen real, at real, score text",
)
SET_STANDINGS = Statement(
    "INSERT INTO health (kind, site, name, seen, at, standing) SELECT kind, site, name, :now, :now, standing FROM {v}"
    " WHERE true ON CONFLICT (kind, site, name) DO UPDATE SET standing = excluded.standing",
    v="kind text, site text, name text, standing text",
)
FORGET = Statement(
    "DELETE FROM health WHERE kind IN ('feature', 'node', 'speed') AND seen < :before AND standing IS NULL"
)
PAGE = Statement(
    "SELECT kind, site, name, seen, at, score, standing FROM health WHERE kind = :kind AND (site, name) > (:site, :name)"
    " ORDER BY site, name LIMIT :n"
)

# How fast nodes are: the latest measurements of each, in rows beside those of their health.
SPEEDS = Statement(
    "SELECT h.site, h.name, h.score FROM {v} JOIN health h ON h.kind = 'speed' AND h.site = v.site AND h.name = v.name",
    v="site text, name text",
)
SPEEDS_AT_SITES = Statement("SELECT site, score FROM health WHERE kind = 'speed' ORDER BY site, name LIMIT :n")
NOT_FINE = Statement(
    f"SELECT kind, site, name, seen, at, score, standing FROM health WHERE {KINDS} AND standing IS NOT NULL"
    " ORDER BY kind DESC, site, name"
)
NAMES_AT = Statement("SELECT name FROM health WHERE kind = 'node' AND site = :site ORDER BY name LIMIT 10000")

# What went before a task's success, since a person last let it go on.
BEFORE = Statement(
    "SELECT v.engine AS well_engine, v.host AS well_host, a.dataset, a.task, a.verdict, a.host, a.engine, a.claimed, a.shape,"
    " a.started, a.ended, a.wall FROM {v} JOIN tasks t ON t.dataset = v.dataset AND t.job = v.job AND t.task = v.task"
    " JOIN attempts a ON a.dataset = v.dataset AND a.job = v.job AND a.task = v.task AND a.attempt < v.attempt"
    " AND a.attempt > v.attempt - t.tries - t.free AND a.attempt >= v.attempt - :most"
    " ORDER BY a.dataset, a.job, a.task, a.attempt",
    v="dataset int, job int, task int, attempt int, engine int, host text",
)
