"""Values that are made quickly are what they were: frozen, equal, hashed, copied and sent as any dataclass."""

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.values import quickly_made


@dataclass(frozen=True, slots=True, order=True)
class Usual:
    """A dataclass as it is."""

    a: int
    b: str = "b"
    c: tuple[int, ...] = ()
    d: dict = field(default_factory=dict, hash=False, compare=False)


@quickly_made
@dataclass(frozen=True, slots=True, order=True)
class Quick:
    """The same, made quickly."""

    a: int
    b: str = "b"
    c: tuple[int, ...] = ()
    d: dict = field(default_factory=dict, hash=False, compare=False)


GIVEN = st.fixed_dictionaries(
    {"a": st.integers()},
    optional={"b": st.text(), "c": st.tuples(st.integers()), "d": st.dictionaries(st.text(), st.integers())},
)


@given(GIVEN, GIVEN)
def test_they_are_what_dataclasses_are(one, other):
    usual, quick = Usual(**one), Quick(**one)
    assert asdict(quick) == asdict(usual)
    assert repr(quick) == repr(usual).replace("Usual", "Quick", 1)
    assert type(quick) is Quick
    assert (quick == Quick(**other)) == (usual == Usual(**other))
    assert (quick < Quick(**other)) == (usual < Usual(**other))
    assert quick == Quick(*[getattr(quick, item.name) for item in fields(quick)])
    assert hash(quick) == hash(Quick(**one))
    assert replace(quick, a=1).a == 1
    for again in (copy.copy(quick), copy.deepcopy(quick), pickle.loads(pickle.dumps(quick))):
        assert again == quick
        assert type(again) is Quick


def test_they_are_frozen_and_take_what_they_took():
    quick = Quick(1)
    for name in ("a", "d", "other"):
        with pytest.raises((FrozenInstanceError, TypeError)):
            setattr(quick, name, 2)
    with pytest.raises(FrozenInstanceError):
        del quick.a
    assert Quick(1).d is not Quick(1).d
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        Quick()
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        Quick(1, z=2)
    assert list(inspect.signature(Quick).parameters) == list(inspect.signature(Usual).parameters)


def test_what_would_be_left_out_is_refused():
    with pytest.raises(TypeError, match="__post_init__"):

        @quickly_made
        @dataclass(frozen=True, slots=True)
        class Checked:
            a: int

            def __post_init__(self):
                assert self.a
