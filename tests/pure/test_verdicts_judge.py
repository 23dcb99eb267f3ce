"""From an outcome, a history and a policy to what is done: properties that hold whatever happens, and the concrete cases."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nunatak.core.work import FileRecord, Outcome, Reason, Shape, Usage
from nunatak.tasks.verdicts.hindsight import blamed
from nunatak.tasks.verdicts.judge import judge
from nunatak.tasks.verdicts.kinds import RETRIED, Action, Kind
from nunatak.tasks.verdicts.model import DEFAULT, NEW, WELL, History, Past, Policy, Raise, Verdict
from nunatak.tasks.verdicts.sayings import BATCH, PROGRAM, SYSTEM

GB = 10**9
EXIT1 = "`python fit.py 3` ended with exit code 1: ValueError: channel 3 is saturated"
NEEDLES = [needle for clues in (BATCH, PROGRAM, SYSTEM) for clue in clues.clues for needle in clue.needles]
WORDS = st.lists(st.one_of(st.sampled_from(NEEDLES), st.text(max_size=20)), max_size=4).map(" ".join)
AMOUNTS = st.none() | st.integers(0, 10**13)
USAGES = st.builds(
    Usage, wall=st.none() | st.floats(0, 1e7), cpu=st.none() | st.floats(0, 1e7), memory=AMOUNTS, disk=AMOUNTS
)
OUTCOMES = st.builds(
    Outcome,
    address=st.just("42/17/fit#1"),
    lease=st.just("ff"),
    reason=st.sampled_from(list(Reason)),
    message=WORDS,
    exit=st.sampled_from([None, 0, 1, 2, 126, 127, 132, 137, 143]),
    signal=st.sampled_from([None, 4, 9, 11, 15]),
    host=st.sampled_from(["", "a", "b"]),
    usage=USAGES,
    inputs=st.sampled_from([(), (FileRecord("x.npz", "/x.npz", 0, ""),)]),
    detail=st.sampled_from(
        [
            {},
            {"batch": {"code": 34, "subcode": 102}},
            {"quiet": 1e6},
            {"batch": 3, "tail": [1]},
            {"checkpoint": {"saved": 9.0}},
        ]
    ),
)
SHAPES = st.builds(
    Shape, memory=st.integers(10**8, 10**12), disk=st.integers(10**8, 10**12), time=st.integers(60, 10**6)
)
PASTS = st.builds(
    Past,
    kind=st.sampled_from(list(Kind)),
    signature=st.text("abc", max_size=2),
    node=st.sampled_from(["", "a", "b", "c"]),
    site=st.sampled_from(["", "s"]),
)
HISTORIES = st.builds(
    History,
    tries=st.integers(0, 8),
    free=st.integers(0, 25),
    shape=SHAPES,
    node=st.sampled_from(["", "a"]),
    attempts=st.lists(PASTS, max_size=6).map(tuple),
    first=st.none() | PASTS,
    suspect=st.booleans(),
    asked=st.sampled_from([None, None, None, Kind.CANCELLED, Kind.HELD, Kind.SUPERSEDED]),
)
RAISES = st.builds(Raise, factor=st.floats(1, 4), most=st.sampled_from([0, 2 * GB, 10**11]), margin=st.floats(1, 2))
POLICIES = st.builds(
    Policy,
    tries=st.integers(1, 8),
    delay=st.floats(0, 1000),
    factor=st.floats(1, 10),
    jitter=st.floats(0, 1),
    memory=RAISES,
    time=RAISES,
    disk=RAISES,
    offers=st.lists(SHAPES, max_size=3).map(tuple),
    nodes=st.none() | st.integers(1, 5),
    learned=st.none() | SHAPES,
)


def outcome(reason: str = "exit", message: str = EXIT1, **more) -> Outcome:
    more.setdefault("exit", 1 if reason == "exit" else None)
    return Outcome("42/17/fit#1", "ff", Reason(reason), message, **more)


def after(verdict: Verdict, history: History, node: str) -> History:
    """Return the history with one attempt more."""
    past = Past(verdict.kind, verdict.signature, node, history.site, history.shape, verdict.counts, verdict.sentence)
    return dataclasses.replace(
        history,
        tries=history.tries + verdict.counts,
        free=history.free + (not verdict.counts),
        attempts=(*history.attempts, past),
        first=history.first or (past if verdict.counts else None),
        shape=verdict.shape or history.shape,
    )


def story(nodes: list[str], policy: Policy = DEFAULT, history: History = NEW, **given_) -> list[Verdict]:
    """Return the verdicts of equal ends on one node after the other, until it is no longer tried."""
    verdicts = []
    for node in nodes:
        verdicts.append(judge(outcome(host=node, **given_), history, policy))
        if verdicts[-1].action not in RETRIED:
            break
        history = after(verdicts[-1], history, node)
    return verdicts


@given(OUTCOMES, HISTORIES, POLICIES, WORDS, st.floats(0, 1))
def test_whatever_happens_there_is_a_verdict_within_the_policy(
    told: Outcome, history: History, policy: Policy, tail: str, chance: float
) -> None:
    found = judge(told, history, policy, tail=tail, chance=chance)
    assert found == judge(told, history, policy, tail=tail, chance=chance)
    if told.reason is Reason.OK:
        assert found is WELL
        return
    assert found.action is not Action.DONE
    assert found.sentence
    assert found.signature
    assert 0 <= found.delay <= policy.most_delay
    if found.action in RETRIED and history.asked is None:
        free = policy.steps if told.saved > 0 else policy.free
        assert history.tries + 1 < policy.tries if found.counts else history.free < free
    if found.needs_person:
        assert found.advice
        assert "{" not in found.advice


@given(OUTCOMES, HISTORIES, POLICIES, WORDS)
def test_only_what_ran_out_is_raised_and_only_within_the_caps(
    told: Outcome, history: History, policy: Policy, tail: str
) -> None:
    found = judge(told, history, policy, tail=tail)
    if found.shape is None:
        return
    field = {Kind.OUT_OF_MEMORY: "memory", Kind.OVER_TIME: "time", Kind.OVER_DISK: "disk"}[found.kind]
    more = getattr(found.shape, field)
    assert more > getattr(history.shape, field)
    assert dataclasses.replace(found.shape, **{field: 0}) == dataclasses.replace(history.shape, **{field: 0})
    rule = getattr(policy, field)
    assert not rule.most or more <= rule.most
    fitting = [offer for offer in policy.offers if dataclasses.replace(history.shape, **{field: 0}).fits(offer)]
    assert not fitting or any(found.shape.fits(offer) for offer in fitting)


@settings(max_examples=60)
@given(OUTCOMES, POLICIES, WORDS, st.lists(st.sampled_from("abcd"), min_size=1))
def test_every_task_comes_to_an_end(told: Outcome, policy: Policy, tail: str, nodes: list[str]) -> None:
    history, turns = NEW, 0
    while True:
        node = nodes[turns % len(nodes)]
        found = judge(dataclasses.replace(told, host=node), history, policy, tail=tail)
        turns += 1
        if found.action not in RETRIED:
            break
        history = after(found, history, node)
    assert turns <= policy.tries + max(policy.free, policy.steps if told.saved > 0 else 0) + 1


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.text("abcdef0123456789", min_size=12, max_size=12))
def test_a_signature_does_not_depend_on_numbers_or_paths(first: int, second: int, digits: str) -> None:
    def of(number: int, directory: str) -> Verdict:
        told = outcome(message=f"`python fit.py {number}` ended with exit code 1")
        frame = f'  File "/{directory}/fit.py", line {number}, in main'
        error = f"IOError: event {number} in /{directory}/x at 0x{number:x}"
        tail = f"Traceback (most recent call last):\n{frame}\n    f()\n{error}"
        return judge(told, NEW, tail=tail)

    one, other = of(first, "data"), of(second, digits)
    assert (one.signature, one.pattern) == (other.signature, other.pattern)


def test_success_is_a_constant() -> None:
    assert judge(outcome("ok", ""), NEW) is WELL


def test_the_same_error_on_two_nodes_is_the_user_s() -> None:
    first, second = story(["a", "b"])
    assert (first.kind, first.action, first.avoid.nodes) == (Kind.COMMAND_FAILED, Action.ELSEWHERE, ("a",))
    assert (second.kind, second.action, second.whose) == (Kind.USER_ERROR, Action.FAILED, "yours")
    assert first.signature == second.signature
    assert second.sentence == EXIT1 + " (2 times, on 2 different nodes)"
    assert "nunatak logs '42/17/fit#1'" in second.advice


def test_on_one_node_alone_the_same_error_has_to_come_three_times() -> None:
    found = story(["laptop"] * 5, Policy(tries=9, nodes=1))
    assert [verdict.action for verdict in found] == [Action.AGAIN, Action.AGAIN, Action.FAILED]
    assert found[-1].kind is Kind.USER_ERROR
    assert all(not verdict.avoid.nodes for verdict in found)


def test_the_first_cause_is_not_hidden_by_a_later_one() -> None:
    policy = Policy(tries=2)
    first = judge(outcome(host="a"), NEW, policy)
    history = after(first, NEW, "a")
    lost = judge(outcome("lost", "no word", host="b"), history, policy)
    last = judge(outcome("output", "missing: out.npz", host="c"), after(lost, history, "b"), policy)
    assert last.action is Action.FAILED
    assert last.first == first.sentence
    assert last.message == f"missing: out.npz; at first: {EXIT1}"


def test_eviction_uses_up_no_try_and_twenty_are_enough() -> None:
    found = story(["a", "b"] * 20, reason="terminated", message="told to stop by SIGTERM")
    assert len(found) == 21
    assert all(not verdict.counts for verdict in found[:-1])
    assert (found[-1].kind, found[-1].action) == (Kind.EVICTED, Action.FAILED)


def test_a_missing_command_is_tried_elsewhere_free_of_charge_and_then_called_missing_everywhere() -> None:
    found = story(["a", "b", "c", "d"], reason="command", message="command not found: root")
    assert [verdict.kind for verdict in found] == [
        Kind.COMMAND_NOT_FOUND,
        Kind.COMMAND_NOT_FOUND,
        Kind.SOFTWARE_MISSING,
    ]
    assert [verdict.counts for verdict in found[:2]] == [False, False]
    assert found[1].avoid.nodes == ("a", "b")
    assert found[-1].whose == "yours"
    assert "3 different nodes" in found[-1].sentence


def test_a_site_is_avoided_when_two_of_its_nodes_lack_the_same() -> None:
    found = story(["a", "b"], history=History(site="north"), reason="command", message="command not found: root")
    assert [verdict.avoid.sites for verdict in found] == [(), ("north",)]


def test_a_wrong_architecture_on_the_only_node_is_named_at_once() -> None:
    message = "exec format error: sim is built for aarch64, this node is x86_64"
    (found,) = story(["laptop"], Policy(nodes=1), reason="command", message=message)
    assert (found.kind, found.action) == (Kind.WRONG_ARCHITECTURE, Action.FAILED)
    assert "sim is built for aarch64, this node is x86_64" in found.sentence


def test_a_failure_on_a_node_that_stands_out_is_the_node_s() -> None:
    found = judge(outcome(host="hole"), History(suspect=True))
    assert (found.kind, found.action, found.counts) == (Kind.NODE_FAULT, Action.ELSEWHERE, False)
    assert EXIT1 in found.sentence


def test_what_works_elsewhere_speaks_against_the_node_it_failed_on() -> None:
    history = after(judge(outcome(host="a"), NEW), NEW, "a")
    assert [past.node for past in blamed(history, "b")] == ["a"]
    assert blamed(history, "a") == ()
    memory = after(judge(outcome("memory", "", host="a"), NEW), NEW, "a")
    assert blamed(memory, "b") == ()


def memory_of(asked: int, used: int, policy: Policy = DEFAULT, tries: int = 0) -> Verdict:
    told = outcome("memory", "too much", usage=Usage(memory=used))
    return judge(told, History(tries=tries, shape=Shape(memory=asked)), policy)


def test_memory_is_doubled_or_follows_what_was_measured_or_learned() -> None:
    def asks(*args) -> int:
        shape = memory_of(*args).shape
        assert shape is not None
        return shape.memory

    assert 2 * GB <= asks(GB, GB) < 2.1 * GB
    assert 6 * GB <= asks(GB, 5 * GB) < 6.1 * GB
    assert 7 * GB <= asks(GB, GB, Policy(learned=Shape(memory=7 * GB))) < 7.1 * GB
    assert asks(GB, GB, Policy(memory=Raise(most=1_500_000_000))) == 1_500_000_000


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (Policy(memory=Raise(most=GB)), "the most that retry.memory allows is 1 GB"),
        (Policy(offers=(Shape(memory=GB), Shape(memory=10**8))), "the largest that any site offers is 1 GB"),
    ],
)
def test_beyond_a_cap_the_task_is_held_with_the_reason(policy: Policy, words: str) -> None:
    found = memory_of(GB, GB, policy)
    assert found.action is Action.HELD
    assert found.sentence == f"it ran out of memory: 1 GB of memory used, 1 GB asked for; {words}"
    assert "needs.memory" in found.advice


def test_when_the_tries_are_used_up_the_advice_says_how_much_it_needs() -> None:
    found = memory_of(GB, 3 * GB, tries=2)
    assert found.action is Action.FAILED
    assert "needs.memory to 3.65 GB or more" in found.advice


def test_a_policy_that_never_raises_tries_the_same_again() -> None:
    found = memory_of(GB, GB, Policy(memory=Raise(factor=1)))
    assert (found.action, found.shape) == (Action.AGAIN, None)


def test_a_storage_that_is_full_for_all_holds_the_dataset() -> None:
    message = "the output a could not be stored: [Errno 28] No space left on device"
    found = story(["a", "b"], reason="stage-out", message=message)
    assert [verdict.action for verdict in found] == [Action.ELSEWHERE, Action.HOLD_DATASET]


def test_a_task_too_large_for_every_site_is_held() -> None:
    told = outcome("submit", "it can never run here: it asks for 4 GB of memory")
    assert judge(told, History(site="s"), Policy(offers=(Shape(memory=10**8),))).action is Action.HELD
    known = judge(told, History(site="s"), Policy(offers=(Shape(memory=10**12),)))
    assert (known.action, known.avoid.sites) == (Action.ELSEWHERE, ("s",))


def test_back_off_doubles_up_to_the_most_and_spreads_by_chance() -> None:
    policy = Policy(tries=99, jitter=0.5, different=99, repeats=99)
    delays = [judge(outcome(), History(tries=n), policy).delay for n in (0, 1, 2, 30)]
    assert delays == [10, 20, 40, 3600]
    ends = [judge(outcome(), NEW, policy, chance=chance).delay for chance in (0, 0.5, 1)]
    assert ends == [7.5, 10, 12.5]


@pytest.mark.parametrize(
    ("kind", "action"), [(Kind.CANCELLED, Action.FAILED), (Kind.HELD, Action.HELD), (Kind.SUPERSEDED, Action.AGAIN)]
)
def test_what_we_stopped_ourselves_counts_for_nothing(kind: Kind, action: Action) -> None:
    found = judge(outcome("terminated", "x"), History(asked=kind))
    assert (found.kind, found.action, found.counts, found.delay) == (kind, action, False, 0.0)


@pytest.mark.parametrize("reason", [Reason.TIME, Reason.TERMINATED])
def test_what_was_stopped_and_kept_its_work_goes_on_at_once_free_of_charge_and_with_no_more(reason: Reason) -> None:
    kept = Outcome("1/0/a#1", "f", reason, host="a", usage=Usage(wall=3600.0), detail={"checkpoint": {"saved": 3000.0}})
    found = judge(kept, History(tries=2, free=50))
    assert (found.action, found.counts, found.delay, found.shape) == (Action.AGAIN, False, 0.0, None)
    assert "50 min of its work were kept" in found.sentence
    assert judge(kept, History(free=DEFAULT.steps)).action is Action.FAILED
    nothing = dataclasses.replace(kept, detail={"checkpoint": {"saved": 0.0}})
    assert judge(nothing, History(tries=2, free=50)).action is Action.FAILED
