"""The state machine of tasks, and the states that derive from it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.states import CHANGES, LEASED_STATES, OPEN_STATES, Derived, TaskState, derive, diagram

COUNTS = st.fixed_dictionaries({state: st.integers(0, 3) for state in TaskState})


def test_every_state_can_be_reached_and_left_except_done_by_itself() -> None:
    reached = {after for nexts in CHANGES.values() for after in nexts}
    assert reached == set(TaskState)
    assert set(CHANGES) == set(TaskState)


def test_only_a_lease_leads_to_running_and_done() -> None:
    def before(after: TaskState) -> set[TaskState]:
        return {state for state, nexts in CHANGES.items() if after in nexts}

    assert before(TaskState.RUNNING) == {TaskState.QUEUED}
    assert before(TaskState.DONE) == set(LEASED_STATES)


def test_from_every_unfinished_state_work_can_be_held_and_cancelled() -> None:
    for state in OPEN_STATES:
        assert TaskState.HELD in CHANGES[state]
        assert TaskState.FAILED in CHANGES[state]


@given(COUNTS)
def test_a_derived_state_says_whose_move_it_is(counts: dict[TaskState, int]) -> None:
    state = derive(counts)
    live = counts[TaskState.READY] + counts[TaskState.QUEUED] + counts[TaskState.RUNNING]
    if live:
        assert state is Derived.OPEN
    elif counts[TaskState.FAILED]:
        assert state is Derived.FAILED
    elif counts[TaskState.HELD]:
        assert state is Derived.HELD
    else:
        assert state is (Derived.OPEN if counts[TaskState.WAITING] else Derived.DONE)


def test_the_diagram_names_every_change() -> None:
    text = diagram()
    for state, nexts in CHANGES.items():
        for after in nexts:
            assert f"{state} --> {after}" in text
