"""What holds a dataset back most is said first."""

from hypothesis import given
from hypothesis import strategies as st

from nunatak.tasks.looking.hindrance import Hindrance, What, ranked

hindrances = st.lists(st.builds(Hindrance, st.sampled_from(What), st.integers(0, 10**6), st.just(("so",))))


@given(hindrances)
def test_the_worst_comes_first_whatever_the_order(found):
    order = ranked(found)
    assert order == ranked(reversed(found))
    assert sorted(order) == sorted(found)
    whats = [item.what for item in order]
    assert whats == sorted(whats, key=lambda what: (what is not What.HELD, what is What.UNDER_WAY))
    counted = [item.tasks for item in order if item.what not in (What.HELD, What.UNDER_WAY)]
    assert counted == sorted(counted, reverse=True)


def test_of_as_many_tasks_those_that_need_a_person_come_first():
    found = [
        Hindrance(What.FULL, 5, ("full",)),
        Hindrance(What.FAILED, 5, ("failed",)),
        Hindrance(What.CAP, 6, ("cap",)),
    ]
    assert [item.what for item in ranked(found)] == [What.CAP, What.FAILED, What.FULL]
