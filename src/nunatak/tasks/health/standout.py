"""Whether a node does worse than others do in the same work: a Bayes factor, that is, betting odds against it.

The odds are those of Kass and Raftery (J. Am. Stat. Assoc. 90, 1995, 773): the probability of what the node did, in the
order it did it, if its share of faults may be anything (uniform), over the same if it is one of the others, whose share
follows from what they did in the same work (beta-binomial). Work that fails everywhere is expected to fail here. Whether
every work has a share of its own or all have one is not known either: both are weighed by how well they explain the others.

Bound on false alarms: were the others' share known exactly, the odds would be a fair bet against a node like the others,
so that a sequence of attempts reaches odds of `o` with probability 1/o at most, however often one looks (Ville 1939).
A window may begin at any attempt; the largest of such odds over all beginnings reaches `o` once in `o` attempts at
most on average (Lorden, Ann. Math. Stat. 42, 1971, 1897; Shin, Ramdas and Rinaldo, New Engl. J. Stat. Data Sci. 2, 2024, 229).
So a node like the others is drained by mistake at most once in `Limits.odds` attempts. The tests measure this with shares
that are estimated from small pools as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from math import exp, lgamma, log, log1p
from typing import NamedTuple

from nunatak.tasks.health.score import Tally
from nunatak.tasks.health.window import Window


class Answer(StrEnum):
    """What the comparison says."""

    LIKE_OTHERS = "like others"
    UNEXPLAINED = "unexplained"  # it fails, and too little is known of the others to tell whose fault it is
    STANDS_OUT = "stands out"


class Limits(NamedTuple):
    """When a node stands out."""

    odds: float = 1e6  # and the number of attempts in which a false alarm may be expected once, at most
    least: float = 3.0  # faults
    share: float = 0.2  # of the node's attempts that are faults, at least
    lost: float = 4.0  # faults without an explanation after which it gets no more work until others have tried
    lost_share: float = 0.5
    doubt: float = 3.0  # odds below which what others did is an explanation
    common: float = 1 / 3  # share of faults among others that is an explanation
    sources: int = 1  # nodes that must have had faults, where more than a node is judged
    prior: float = 0.1  # share of faults expected in work that nobody has tried, if others do not have more in all


NODES = Limits()
PAIRS = Limits(share=0.5, lost=float("inf"), sources=2)
"""A site is judged only by what other sites did, by faults on two nodes at least, and if most attempts are faults."""


class Finding(NamedTuple):
    """The answer with its numbers: `bad` of `attempts` here, `others_bad` of `others` elsewhere; `wall` seconds each."""

    answer: Answer = Answer.LIKE_OTHERS
    odds: float = 0.0  # natural logarithm
    bad: float = 0.0
    attempts: float = 0.0
    wall: float = 0.0
    kind: str = ""
    sources: int = 0
    others_bad: float = 0.0
    others: float = 0.0


NOTHING = Finding()


def find(window: Window, elsewhere: Sequence[Tally], whole: Tally, limits: Limits = NODES) -> Finding:
    """Compare the attempts in a node's window with what others did, all in weights of now.

    `elsewhere` has a tally for each work of the window, `whole` what the others did in all.
    """
    bad = window.bad()
    if bad < limits.least - 0.5:  # a fault of an hour ago has faded a little
        return NOTHING
    ok = sum(item[1] for item in window.works)
    prior = max(limits.prior, whole.fair_bad / max(whole.fair_bad + whole.fair_ok, 1.0))
    free = max(1.0 - prior, 1e-6)
    own = own_before = expected = all_bad = all_ok = 0.0
    for (_, here_ok, here_bad), others in zip(window.works, elsewhere, strict=True):
        other_bad, other_ok = others.fair_bad, others.fair_ok
        own_before += _likelihood(other_bad, other_ok, prior, free)
        own += _likelihood(other_bad + here_bad, other_ok + here_ok, prior, free)
        expected += (here_ok + here_bad) * (prior + other_bad) / (1.0 + other_bad + other_ok)
        all_bad, all_ok = all_bad + other_bad, all_ok + other_ok
    one, one_before = _likelihood(all_bad + bad, all_ok + ok, prior, free), _likelihood(all_bad, all_ok, prior, free)
    alike = _log_sum(own, one) - _log_sum(own_before, one_before)
    odds = _likelihood(bad, ok, 1.0, 1.0) - alike if bad > expected * (1 + 1e-9) else 0.0
    finding = Finding(
        Answer.LIKE_OTHERS,
        odds,
        bad,
        ok + bad,
        window.wall / bad,
        window.kinds[0][0] if window.kinds else "",
        len(window.sources),
        sum(tally.bad for tally in elsewhere),
        sum(tally.ok + tally.bad for tally in elsewhere),
    )
    return finding._replace(answer=_answer(finding, expected, limits))


def _answer(finding: Finding, expected: float, limits: Limits) -> Answer:
    bad, share = finding.bad, finding.bad / finding.attempts
    if finding.sources < limits.sources:
        return Answer.LIKE_OTHERS
    if share >= limits.share and finding.odds >= log(limits.odds):
        return Answer.STANDS_OUT
    common = expected / finding.attempts >= limits.common
    if bad < limits.lost - 0.5 or share < limits.lost_share or common or finding.odds < log(limits.doubt):
        return Answer.LIKE_OTHERS
    return Answer.UNEXPLAINED


def _likelihood(bad: float, ok: float, a: float, b: float) -> float:
    """Return the logarithm of the probability of attempts in their order, their share of faults being Beta(a, b)."""
    after = lgamma(a + bad) + lgamma(b + ok) - lgamma(a + bad + b + ok)
    return after - lgamma(a) - lgamma(b) + lgamma(a + b)


def _log_sum(a: float, b: float) -> float:
    """Return the logarithm of a sum from those of its parts."""
    return max(a, b) + log1p(exp(-abs(a - b)))
