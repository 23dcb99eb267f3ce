"""Every kind of end has a cause, and the causes agree with how the kinds are treated."""

import pytest

from nunatak.tasks.health.causes import CAUSES, cause_of
from nunatak.tasks.health.events import Cause
from nunatak.tasks.verdicts.kinds import Kind, Whose
from nunatak.tasks.verdicts.treatments import BADPUT_ONLY, FAULTS, TREATMENTS, Way


def test_every_kind_has_a_cause_and_none_only_begins():
    assert set(CAUSES) == set(Kind)
    assert not {Cause.BEGUN, Cause.ELSEWHERE} & set(CAUSES.values())


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.OK])
def test_causes_agree_with_what_is_done(kind):
    cause, treatment = CAUSES[kind], TREATMENTS[kind]
    assert (cause is Cause.NODE) == (kind in FAULTS)
    assert (cause is Cause.ASKED) == (treatment.way is Way.ASKED)
    if kind in BADPUT_ONLY:
        assert cause in (Cause.FREE, Cause.OURS, Cause.SITE)
    if cause is Cause.DATA:
        assert treatment.whose in (Whose.OF_DATA, Whose.YOURS)


def test_words_of_the_ledger_are_read():
    assert cause_of("lease-expired") is Cause.FREE
    assert cause_of("user-error") is Cause.USER
    with pytest.raises(ValueError, match="nonsense"):
        cause_of("nonsense")
