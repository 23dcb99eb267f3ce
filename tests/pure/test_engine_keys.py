"""What identifies an attempt is checked before a file is named after it: one spelling, and nothing else."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nunatak.api.keys import _attempt
from nunatak.core.address import ONCE, parse
from nunatak.core.errors import Invalid
from nunatak.core.work import Environment, Shape, TaskSpec
from nunatak.engines.keys import attempt_of, check

PARTS = st.lists(
    st.sampled_from([*"0123456789", "/", "#", "a", "fit", ".", "-", " ", "\n", "\u0661", ".."]), max_size=12
)


def spec(address, lease="1f"):
    return TaskSpec(address, lease, (), Environment(), (), (), Shape())


def said(address):
    try:
        found = parse(address)
    except Invalid:
        return None
    return found if found.attempt is not None and str(found) == address else None


@given(PARTS.map("".join))
@example("1/0/fit#1")
@example("1/fit#12")
@example("1/00/fit#1")
@example("01/0/fit#1")
@example("1/0/fit#1\n")
@example("1/\u0661/fit#1")
@example("1/0/..#1")
def test_what_passes_is_the_one_spelling_of_an_attempt(address):
    expected = said(address)
    if expected is None:
        with pytest.raises(Invalid):
            check(spec(address))
    else:
        assert attempt_of(spec(address)) == expected


@pytest.mark.parametrize("lease", ["", "1F", "g", "1f\n", "0" * 33, "../1"])
def test_what_is_no_lease_is_refused(lease):
    with pytest.raises(Invalid):
        check(spec("1/0/fit#1", lease))


@given(PARTS.map("".join))
@example("1/0/fit#1")
@example("1/fit#12")
@example("1/fit#012")
@example("1/0017/fit#1")
@example("1//fit#1")
@example("1/0/fit#1#2")
def test_the_server_reads_what_addresses_of_attempts_are(text):
    try:
        address = parse(text)
    except Invalid:
        address = None
    found = _attempt(text)
    if address is not None and address.attempt is not None and text == text.strip() and text.isascii():
        job = ONCE if address.job is None else address.job
        assert found == (address.dataset, job, address.task, address.attempt)
    elif found is not None:  # a name that no task has, which is looked up and not found
        dataset, job, task, attempt = found
        assert dataset > 0
        assert attempt > 0
        assert job >= ONCE
        assert "/" not in task
        assert "#" not in task
