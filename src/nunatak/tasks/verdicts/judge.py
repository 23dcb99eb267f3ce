"""From an outcome to a verdict: the cause by `causes`, what is done about it by `treatments`. Pure."""

from __future__ import annotations

from nunatak.core.work import Outcome, Reason
from nunatak.tasks.verdicts.advice import advise
from nunatak.tasks.verdicts.causes import cause
from nunatak.tasks.verdicts.evidence import Case, Finding, gather
from nunatak.tasks.verdicts.kinds import Action, Kind
from nunatak.tasks.verdicts.model import DEFAULT, NOWHERE, WELL, Avoid, History, Policy, Verdict
from nunatak.tasks.verdicts.signature import digest, normalise
from nunatak.tasks.verdicts.treatments import TREATMENTS
from nunatak.tasks.verdicts.ways import WAYS, Judged, Step

K = Kind
MOST_AVOIDED = 20
MOST_SENTENCE = 1000


def judge(
    outcome: Outcome, history: History, policy: Policy = DEFAULT, *, tail: str = "", chance: float = 0.5
) -> Verdict:
    """Judge one attempt.

    `tail` is the end of its log (else what the outcome carries of it), `chance` a random number from 0 to 1 that spreads the
    delays of retries. For every outcome the tries are bounded: those that count by `policy.tries`, the others by `policy.free`.
    """
    if outcome.reason is Reason.OK:
        return WELL
    case = gather(outcome, history, tail)
    finding = cause(case)
    pattern = _pattern(case, finding)
    treatment = TREATMENTS[finding.kind]
    signature = digest(pattern)
    same = tuple([past for past in history.attempts if past.signature == signature])
    judged = Judged(case, finding, treatment, signature, policy, same)
    step = WAYS[treatment.way](judged)
    return _verdict(judged, step, pattern, chance)


def _pattern(case: Case, finding: Finding) -> str:
    """Return what is common to failures like this: how the command ended, and what the log says of it."""
    if finding.about:
        return str(finding.kind) if finding.about == finding.kind else normalise(finding.about)
    outcome = case.outcome
    end = f"signal {outcome.signal}: " if outcome.signal else ""
    if outcome.exit is not None:
        end = f"exit {outcome.exit}: "
    if not case.headline:
        return end + normalise(outcome.message or finding.sentence)
    place = f" in {case.matter.place}" if case.matter.place else ""
    return f"{end}{normalise(case.headline)}{place}"


def _verdict(judged: Judged, step: Step, pattern: str, chance: float) -> Verdict:
    case, finding = judged.case, judged.finding
    history, kind = case.history, step.kind or finding.kind
    retried = step.action in (Action.AGAIN, Action.ELSEWHERE)
    first = history.first
    other = first is not None and first.signature != judged.signature
    return Verdict(
        kind=kind,
        sentence=(finding.sentence + step.remark)[:MOST_SENTENCE],
        action=step.action,
        advice=advise(kind, step.action, case.outcome.address, judged.case.shape, step.more),
        whose=TREATMENTS[kind].whose,
        counts=step.counts,
        delay=_delay(judged.policy, history, step.counts, chance)
        if retried and not step.at_once and kind is not K.SUPERSEDED
        else 0.0,
        shape=step.more.shape if step.more else None,
        avoid=_avoid(judged) if step.action is Action.ELSEWHERE else NOWHERE,
        signature=judged.signature,
        pattern=pattern,
        lines=case.matter.lines,
        first=first.sentence if first is not None and other else "",
    )


def _delay(policy: Policy, history: History, counts: bool, chance: float) -> float:
    """Grow with each try of the same sort, spread by chance around that, up to the most."""
    times = history.tries if counts else history.free
    delay = min(policy.delay * policy.factor ** min(times, 30), policy.most_delay)
    return max(0.0, min(delay * (1.0 + policy.jitter * (chance - 0.5)), policy.most_delay))


def _avoid(judged: Judged) -> Avoid:
    """Not again where it failed the same way; not at a site either where two nodes have the same lasting fault."""
    case, history = judged.case, judged.case.history
    if judged.finding.kind is K.NO_SITE:
        return Avoid(sites=tuple(sorted({history.site, *(past.site for past in judged.same)} - {""})))
    if not judged.same:
        return Avoid((case.node,))
    places = {(past.site, past.node) for past in judged.same if past.node} | {(history.site, case.node)}
    nodes = tuple(sorted({node for _, node in places if node})[:MOST_AVOIDED])
    of_site = [site for site, node in sorted(places) if site and node]
    sites = {site for site in of_site if of_site.count(site) > 1} if judged.treatment.lasting else set()
    return Avoid(nodes, tuple(sorted(sites)))
