"""The ways of treating a failure: again, elsewhere, with more, or not at all. Every way ends after a bounded number of tries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from nunatak.core.units import time_text
from nunatak.tasks.verdicts.evidence import Case, Finding
from nunatak.tasks.verdicts.kinds import Action, Kind
from nunatak.tasks.verdicts.model import Past, Policy
from nunatak.tasks.verdicts.raising import TEXT, More, more, set_to, used
from nunatak.tasks.verdicts.treatments import Treatment, Way

K = Kind


class Step(NamedTuple):
    """What is done: the action, whether it counts, and what changes for the next try or in what is said."""

    action: Action
    counts: bool = True
    kind: Kind | None = None
    more: More | None = None
    remark: str = ""
    at_once: bool = False


class Judged(NamedTuple):
    """A finding with its signature and the attempts before that ended the same way."""

    case: Case
    finding: Finding
    treatment: Treatment
    signature: str
    policy: Policy
    same: tuple[Past, ...]


def _nodes(judged: Judged) -> int:
    """Return on how many different nodes it has ended so, this one included; unknown ones count as one."""
    if not judged.same:
        return 1
    return max(1, len(({past.node for past in judged.same} | {judged.case.node}) - {""}))


def _elsewhere(judged: Judged) -> Action:
    """Go elsewhere if there may be another place."""
    known = judged.policy.nodes
    return Action.AGAIN if not judged.case.node or (known is not None and known <= _nodes(judged)) else Action.ELSEWHERE


def _final(judged: Judged, *, counts: bool, remark: str = "") -> Step:
    return Step(judged.treatment.final, counts, judged.treatment.then, remark=remark)


def _times(judged: Judged) -> str:
    """Say how often and where it ended so; nothing if it was once."""
    times, nodes = len(judged.same) + 1, _nodes(judged)
    if times == 1:
        return ""
    return f" ({times} times, on {nodes} different nodes)" if nodes > 1 else f" ({times} times)"


def _used_up(judged: Judged) -> bool:
    return judged.case.history.tries + 1 >= judged.policy.tries


def _asked(judged: Judged) -> Step:
    return Step(judged.treatment.final, counts=False)


def _free(judged: Judged) -> Step:
    history, policy = judged.case.history, judged.policy
    if judged.finding.kind is K.NO_SITE and policy.offers and not any(history.shape.fits(one) for one in policy.offers):
        return Step(Action.HELD, counts=False, remark="; no site offers what it asks for")
    if judged.case.outcome.saved > 0:
        return _goes_on(judged)
    if history.free >= policy.free:
        return _given_up(judged)
    return Step(Action.ELSEWHERE if judged.finding.kind is K.NO_SITE and history.site else Action.AGAIN, counts=False)


def _given_up(judged: Judged) -> Step:
    return _final(judged, counts=True, remark=f" (given up after {judged.case.history.free + 1} times)")


def _goes_on(judged: Judged) -> Step:
    """Stopped, and what it had done was kept: it comes nearer to its end each time, which is no failure."""
    if judged.case.history.free >= judged.policy.steps:
        return _given_up(judged)
    remark = f"; {time_text(judged.case.outcome.saved)} of its work were kept, and the next try goes on from there"
    return Step(Action.AGAIN, counts=False, remark=remark, at_once=True)


def _more(judged: Judged) -> Step:
    """Ask for more; without any more to be had another try would end the same way."""
    field, case, policy = judged.treatment.raises, judged.case, judged.policy
    if field == "time" and case.outcome.saved > 0:
        return _goes_on(judged)
    lowered = _lowered(judged, field)
    if lowered is not None:
        return lowered
    if getattr(policy, field).factor <= 1:
        return _tries(judged)
    found = more(field, case.shape, case.outcome.usage, policy, judged.finding.wanted)
    if found.stop:
        return Step(Action.HELD, more=found, remark=f"; {found.stop}")
    if _used_up(judged):
        return Step(Action.FAILED, more=found._replace(shape=None), remark=_times(judged))
    amount = TEXT[field](getattr(found.shape, field))
    return Step(Action.AGAIN, more=found, remark=f"; the next try asks for {amount}")


def _lowered(judged: Judged, field: str) -> Step | None:
    """Ask for what is written, free of charge, where the attempt had less because others needed no more; else None."""
    case, history = judged.case, judged.case.history
    if history.written is None or history.free >= judged.policy.free:
        return None
    written, seen = getattr(history.written, field), used(field, case.outcome.usage) + judged.finding.wanted
    if not getattr(case.shape, field) < written or seen > written:
        return None
    remark = (
        f"; others had needed less than the {TEXT[field](written)} that are written: it is tried again, free of charge"
    )
    return Step(Action.AGAIN, counts=False, more=More(set_to(case.shape, field, written), seen), remark=remark)


def _fault(judged: Judged) -> Step:
    """Go to another node, free of charge; where every node known has the fault, or many have, it is not the node's."""
    history, policy, nodes = judged.case.history, judged.policy, _nodes(judged)
    everywhere = policy.nodes is not None and nodes >= policy.nodes and judged.treatment.lasting
    if everywhere or len(judged.same) + 1 >= policy.repeats or history.free >= policy.free:
        return _final(judged, counts=True, remark=_times(judged))
    return Step(_elsewhere(judged), counts=False)


def _confirm(judged: Judged) -> Step:
    """The same end on different nodes, or again and again on one, is the task's own."""
    policy = judged.policy
    if _nodes(judged) >= policy.different or len(judged.same) + 1 >= policy.repeats:
        return _final(judged, counts=True, remark=_times(judged))
    if _used_up(judged):
        return Step(Action.FAILED, remark=_times(judged))
    return Step(_elsewhere(judged))


def _tries(judged: Judged) -> Step:
    if _used_up(judged):
        return _final(judged, counts=True, remark=_times(judged))
    return Step(_elsewhere(judged))


def _never(judged: Judged) -> Step:
    return _final(judged, counts=True) if judged.finding.sure else _confirm(judged)


WAYS: Mapping[Way, Callable[[Judged], Step]] = {
    Way.FREE: _free,
    Way.MORE: _more,
    Way.FAULT: _fault,
    Way.CONFIRM: _confirm,
    Way.TRIES: _tries,
    Way.FINAL: _never,
    Way.ASKED: _asked,
}
"""What is done for each way of treating a failure."""
