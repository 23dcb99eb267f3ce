"""What a site cannot do is learnt from what other sites can, and forgotten again."""

from __future__ import annotations

import random

from nunatak.tasks.health.drain import FINE, Health, Standing
from nunatak.tasks.health.events import Cause, Event, Node
from nunatak.tasks.health.features import FEATURE_RULES, PLAIN, Pair, lacking, pairs_board, pairs_of
from nunatak.tasks.health.review import review

NOW = 1_800_000_000.0


class Sites:
    """Three sites of five nodes, looked at after every attempt."""

    def __init__(self, sites: str = "ABC", nodes: int = 5) -> None:
        self.nodes = [Node(f"site{site}", f"n{number}") for site in sites for number in range(nodes)]
        self.board, self.now = pairs_board(NOW), NOW
        self.standings: dict[Pair, Standing] = {}

    def end(self, node: Node, cause: Cause, *features: str, work: int = 1) -> None:
        self.now += 1
        event = Event((work, 0), cause, self.now, self.now - 1, "OpenCL is missing", 2.0)
        found = review(
            self.board, self.standings, pairs_of(features, node, event), self.now, lambda: 0.5, FEATURE_RULES
        )
        self.standings.update(found.changed)

    def allowed(self, node: Node, *features: str) -> bool:
        return not {PLAIN, *features} & set(lacking(self.standings).get(node.site, []))


def test_a_feature_that_fails_at_one_site_is_learnt_and_other_work_still_goes_there() -> None:
    sites, draw, tried = Sites(), random.Random(1), 0
    for _ in range(400):
        node, gpu = draw.choice(sites.nodes), draw.random() < 0.5
        features = ("opencl",) if gpu else ()
        if sites.allowed(node, *features):
            bad = gpu and node.site == "siteA"
            tried += bad
            sites.end(node, Cause.SITE if bad else Cause.OK, *features, work=1 + gpu)
    assert lacking(sites.standings) == {"siteA": ["opencl"]}
    assert tried <= 15
    assert sites.allowed(Node("siteA", "n0"))
    assert sites.allowed(Node("siteB", "n0"), "opencl")


def test_the_guilty_one_of_two_features_is_told_apart() -> None:
    sites, draw = Sites(), random.Random(2)
    for _ in range(600):
        node = draw.choice(sites.nodes)
        features = draw.choice([("cvmfs",), ("cvmfs", "opencl")])
        if sites.allowed(node, *features):
            bad = "opencl" in features and node.site == "siteA"
            sites.end(node, Cause.NODE if bad else Cause.OK, *features, work=len(features))
    assert lacking(sites.standings) == {"siteA": ["opencl"]}


def test_a_feature_that_fails_everywhere_is_the_datasets() -> None:
    sites, draw = Sites(), random.Random(3)
    for _ in range(300):
        sites.end(draw.choice(sites.nodes), Cause.NODE, "opencl")
    assert not lacking(sites.standings)


def test_one_broken_node_does_not_condemn_its_site() -> None:
    sites, draw = Sites(), random.Random(4)
    for _ in range(400):
        node = draw.choice(sites.nodes)
        sites.end(node, Cause.NODE if node == sites.nodes[0] else Cause.OK, "opencl")
    for _ in range(50):
        sites.end(sites.nodes[0], Cause.NODE, "opencl")
    assert not lacking(sites.standings)


def test_the_only_site_is_never_given_up() -> None:
    sites, draw = Sites("A"), random.Random(5)
    for _ in range(200):
        sites.end(draw.choice(sites.nodes), draw.choice([Cause.NODE, Cause.SITE]), "opencl")
    assert not sites.standings


def test_what_fails_at_a_site_is_tried_again_and_forgotten_when_it_goes_well() -> None:
    sites, draw = Sites(), random.Random(6)
    for _ in range(200):
        node = draw.choice(sites.nodes)
        if sites.allowed(node, "opencl"):
            sites.end(node, Cause.SITE if node.site == "siteA" else Cause.OK, "opencl")
    pair = Pair("opencl", "siteA")
    assert sites.standings[pair].health is Health.DRAINED
    sites.now = sites.standings[pair].until
    sites.end(sites.nodes[-1], Cause.OK)
    assert sites.standings[pair].health is Health.PROBING
    assert sites.allowed(sites.nodes[0], "opencl")
    sites.end(sites.nodes[0], Cause.OK, "opencl")
    assert sites.standings[pair].health is Health.FINE


def test_a_fault_of_a_task_with_features_says_nothing_of_plain_work_and_a_success_does() -> None:
    node = Node("siteA", "n0")

    def pairs(cause: Cause, *features: str) -> list[Pair]:
        return [pair for pair, _ in pairs_of(features, node, Event((1, 0), cause, NOW))]

    assert pairs(Cause.NODE, "opencl") == [Pair("opencl", "siteA")]
    assert pairs(Cause.OK, "opencl") == [Pair("", "siteA"), Pair("opencl", "siteA")]
    assert pairs(Cause.NODE) == [Pair("", "siteA")]
    assert lacking({Pair("", "siteA"): FINE}) == {}
