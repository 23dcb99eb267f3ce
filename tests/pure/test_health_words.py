"""The sentences people read, to the letter."""

from __future__ import annotations

from nunatak.tasks.health.badput import Use, account
from nunatak.tasks.health.drain import FINE, POLICY, Health, Standing, drain_by_hand, undrain_by_hand
from nunatak.tasks.health.events import Cause, Node
from nunatak.tasks.health.features import Pair
from nunatak.tasks.health.standout import Answer, Finding
from nunatak.tasks.health.words import badput_sentence, because, move, node_sentence, pair_sentence, spared_sentence

NOON = 1_800_014_580.0  # 15 January 2027, 12:03 UTC
NODE = Node("siteA", "node7")
FOUND = Finding(Answer.STANDS_OUT, 15.0, 5.0, 5.0, 1.02, "exec format error", 1, 3.2, 411.8)
DRAINED = Standing(Health.DRAINED, NOON, NOON + 900, proven=True, finding=FOUND)


def test_a_drained_node() -> None:
    assert node_sentence(NODE, DRAINED, NOON + 300) == (
        "node7 at siteA is drained since 12:03 UTC: 5 of its last 5 attempts ended in 1 s with 'exec format error';"
        " elsewhere 3 of 412 did. Probed again in 10 min."
    )
    assert move("siteA/node7", DRAINED) == (
        "the site's move: repair it; it is tried again by itself. To give it work now: nunatak node undrain siteA/node7"
    )


def test_a_suspected_node() -> None:
    finding = FOUND._replace(answer=Answer.UNEXPLAINED, others_bad=0.0, others=0.0)
    standing = Standing(Health.SUSPECT, NOON, NOON + 600, finding=finding)
    assert node_sentence(NODE, standing, NOON) == (
        "node7 at siteA gets no new work since 12:03 UTC: 5 of its last 5 attempts ended in 1 s with 'exec format error';"
        " elsewhere nobody has tried the same yet. It goes on as soon as others fail the same way,"
        " is drained if they do not, and is probed in 10 min at the latest."
    )


def test_a_node_being_probed_and_one_that_is_fine() -> None:
    probing = Standing(Health.PROBING, NOON, finding=FOUND)
    assert node_sentence(NODE, probing, NOON + 86400).startswith(
        "node7 at siteA is being probed since 15 Jan 12:03 UTC, one task at a time: before that, 5 of its last 5"
    )
    assert node_sentence(NODE, FINE, NOON) == "node7 at siteA is fine."
    assert move("siteA/node7", FINE) == ""


def test_what_a_person_did() -> None:
    drained = drain_by_hand(FINE, "ada", "a new disk", NOON)
    assert node_sentence(NODE, drained, NOON) == (
        "node7 at siteA is drained since 12:03 UTC by ada, until someone undrains it: a new disk."
    )
    assert move("siteA/node7", drained) == "ada's move; to give it work again: nunatak node undrain siteA/node7"
    undrained = undrain_by_hand(drained, "ada", NOON, POLICY)
    assert node_sentence(NODE, undrained, NOON) == (
        "node7 at siteA gets work since 12:03 UTC, by ada; it is left alone until 13:03 UTC."
    )


def test_a_feature_at_a_site() -> None:
    finding = Finding(Answer.STANDS_OUT, 15.0, 9.0, 10.0, 65.0, "OpenCL is missing", 3, 0.0, 88.0)
    standing = Standing(Health.DRAINED, NOON, NOON + 7200, proven=True, finding=finding)
    assert pair_sentence(Pair("opencl", "siteA"), standing, NOON) == (
        "work with opencl at siteA is drained since 12:03 UTC: 9 of the last 10 attempts on 3 nodes ended in 1 min 5 s"
        " with 'OpenCL is missing'; at other sites none of 88 did. Probed again in 2 h."
    )


def test_a_reason_without_a_kind() -> None:
    assert because(FOUND._replace(kind="", wall=0.0)) == ("5 of its last 5 attempts failed; elsewhere 3 of 412 failed")


def test_nodes_left_in() -> None:
    assert spared_sentence(2, 0.3).startswith("2 more nodes stand out, but they still get work: no more than 30 %")


def test_lost_time() -> None:
    uses = [
        Use(1, "siteA", Cause.OK, 3600.0 * 88),
        Use(1, "siteA", Cause.FREE, 3600.0 * 8),
        Use(1, "siteB", Cause.NODE, 3600.0 * 4),
    ]
    assert badput_sentence(account(uses)) == (
        "12 % of 4 d 4 h was lost: 8 h to evictions and lost nodes, 4 h to faults of nodes"
    )
    assert badput_sentence(account(uses[:1])) == "nothing was lost of 3 d 16 h"
    assert badput_sentence({}) == "no time was spent yet"
