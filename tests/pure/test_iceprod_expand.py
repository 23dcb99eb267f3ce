"""The expansion language of IceProd configurations: as IceProd expands, and as it is meant."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nunatak.core.errors import Invalid
from nunatak.iceprod import expand
from nunatak.iceprod.bounds import Meter
from nunatak.iceprod.exact import LIKE_A_VALUE, coerce, expand_exact
from nunatak.iceprod.names import Names

RECORDED = json.loads((Path(__file__).parent / "iceprod_expansions.json").read_text())
"""What the parser of IceProd 3.1.3 gives for each text, and the type of it; recorded from a run of it."""
JOB, ENV = RECORDED["job"], RECORDED["env"]


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: case[0])
def test_exact_is_what_iceprod_gives(case: list[Any]) -> None:
    text, result, kind = case
    found = expand_exact(text, Names(JOB, ENV), Meter())
    assert type(found).__name__ == kind
    assert (found == result) if found == found else result == "<nan>"


STRICT = [
    ("plain", "plain"),
    ("007", "007"),
    ("$(pad)", "005"),
    ("$(n)", 5),
    ("$steering(f)", 2.5),
    ("$steering(l)", [1, 2, 3]),
    ("$steering(l)[-1]", 3),
    ("$steering(d)[$(s)]", "v"),
    ("$steering(dd)[x][y][0]", 1),
    ("a-$(n)-$steering(f)", "a-5-2.5"),
    ("$sprintf('%s.%s', $sprintf('%s_%s', x, y), z)", "x_y.z"),
    ("$sprintf('%s.%s',$steering(base),z)", "x_y.z"),
    ('$sprintf("%s|%s", "a,b", c)', "a,b|c"),
    ("$sprintf('%d%%', 3)", "3%"),
    ("$sprintf('%07d', $(n))", "0000005"),
    ("$min(3,1)", 1),
    ("$max($steering(l))", 3),
    ("$sum([1, 2.5])", 3.5),
    ("$len($steering(l))", 3),
    ("$len(hello)", 5),
    ("$eval(2*(3+$(n)))", 16),
    ("$eval($(e)*2)", 4),
    ("$steering(i::j)", "c"),
    ("\\$(n)", "$(n)"),
    ("$HOME/x", "$HOME/x"),
    ("$(a)", "inner"),
    ("$steering(a)", "x"),
    ("$metadata(m)", "dm"),
    ({"a$(n)": ["$(n)", 1]}, {"a5": [5, 1]}),
]


@pytest.mark.parametrize(("text", "result"), STRICT, ids=lambda value: str(value))
def test_strict_gives_what_is_meant(text: Any, result: Any) -> None:
    found = expand(text, job=JOB, env=ENV)
    assert found == result
    assert type(found) is type(result)


WRONG = [
    ("x $(zz)", "stands for nothing", "$(zz)", 2),
    ("$stering(a)", 'did you mean "steering"', "$stering(a)", 0),
    ("$steering(nn)", 'did you mean "n"', "$steering(nn)", 0),
    ("$steering(l)[7]", "no number 7", "$steering(l)[7]", 12),
    ("$steering(n)[0]", "has no parts", "$steering(n)[0]", 12),
    ("$eval(import os)", "cannot be calculated", "$eval(import os)", 0),
    ("$eval(1/0)", "cannot be calculated", "$eval(1/0)", 0),
    ("$sprintf('%d', x)", "is no number", "$sprintf('%d', x)", 0),
    ("$sprintf('%d %d', 1)", "2 conversions", "$sprintf('%d %d', 1)", 0),
    ("$sum(x)", "needs numbers", "$sum(x)", 0),
    ("$choice()", "nothing to choose", "$choice()", 0),
    ("$(n", '")" is missing', None, 1),
]


@pytest.mark.parametrize(("text", "says", "phrase", "at"), WRONG, ids=lambda value: str(value))
def test_strict_says_what_is_wrong_and_where(text: str, says: str, phrase: str | None, at: int) -> None:
    with pytest.raises(Invalid) as caught:
        expand(text, job=JOB, env=ENV)
    assert says in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.data.get("phrase") == phrase
    assert caught.value.data["at"] == at


ENDLESS = {
    "a circle": {"x": "$steering(y)", "y": "$steering(x)"},
    "a growing circle": {"x": "$steering(y)", "y": "$steering(x) and $steering(x)"},
    "doubling": {"x": "$steering(y)"}
    | {"y": "$steering(a0)"}
    | {f"a{n}": f"$steering(a{n + 1})" * 9 for n in range(40)},
    "a power": {"x": "$eval(9**9**9)"},
    "a product of powers": {"x": "$eval(" + "*".join(["9**400"] * 400) + ")"},
    "a wide format": {"x": "$sprintf('%999999999d', 1)"},
    "a wide format with two flags": {"x": "$sprintf('%+-999999999d%s', 1)"},
}


@pytest.mark.parametrize("mode", ["strict", "exact"])
@pytest.mark.parametrize("parameters", ENDLESS.values(), ids=ENDLESS)
def test_what_would_never_end_is_an_error(parameters: dict[str, str], mode: str) -> None:
    with pytest.raises(Invalid):
        expand("$steering(x)", job={"options": {}, "steering": {"parameters": parameters}}, mode=mode)


@pytest.mark.parametrize(
    "text", ["$(" * 5000 + ")" * 5000, "[" * 50_000 + "]" * 50_000, "$eval(" + "(" * 900 + "1" + ")" * 900 + ")"]
)
@pytest.mark.parametrize("mode", ["strict", "exact"])
def test_deep_nesting_ends(text: str, mode: str) -> None:
    with contextlib.suppress(Invalid):
        expand(text, job=JOB, mode=mode)


def test_what_refers_to_itself_alone_is_left_as_it_is_or_an_error() -> None:
    job = {"options": {}, "steering": {"parameters": {"x": "$steering(x)"}}}
    assert expand("$steering(x)", job=job, mode="exact") == "$steering(x)"
    with pytest.raises(Invalid, match="circle"):
        expand("$steering(x)", job=job)


def test_choices_are_drawn_by_address_and_are_the_same_again() -> None:
    def drawn(job: int, mode: str) -> Any:
        return expand("$choice(a,b,c,d)", job={"options": {"dataset": 1, "job": job, "task": "t"}}, mode=mode)

    for mode in ("strict", "exact"):
        assert [drawn(job, mode) for job in range(20)] == [drawn(job, mode) for job in range(20)]
        assert {drawn(job, mode) for job in range(40)} == {"a", "b", "c", "d"}
    assert [drawn(job, "strict") for job in range(20)] == [drawn(job, "exact") for job in range(20)]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(Invalid, match="no mode"):
        expand("x", job={}, mode="loose")


WORDS = st.sampled_from(
    [
        "",
        "1",
        "-1",
        "a",
        ",",
        "[1,2]",
        "(1+2)",
        "*3",
        "'%s_%d'",
        '"%s"',
        "x y",
        "\\(",
        "\\[",
        "$",
        "(",
        ")",
        "[",
        "]",
        "'",
        "%",
        "\\",
    ]
)
KEYS = st.sampled_from(["a", "n", "l", "d", "pad", "nest", "base", "e", "dd", "zz", "p", "q", "i::j"])


def _phrases(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    tables = st.sampled_from(["", "steering", "system", "args", "options", "metadata", "environ"])
    functions = st.sampled_from(["eval", "sum", "min", "max", "len", "sprintf", "choice", "foo"])
    return st.one_of(
        st.builds("${}({})".format, tables, KEYS | inner),
        st.builds("${}({},{})".format, functions, inner, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}{}".format, inner, inner),
    )


TEXTS = st.recursive(WORDS, _phrases, max_leaves=12)


@given(TEXTS)
@settings(max_examples=400, deadline=None)
def test_any_text_gives_a_value_or_an_error_of_ours(text: str) -> None:
    for mode in ("strict", "exact"):
        with contextlib.suppress(Invalid):
            expand(text, job=JOB, env=ENV, mode=mode)


PLAIN_KEYS = st.sampled_from(["a", "n", "f", "s", "nest", "p", "job", "dataset"])
NUMBERS = st.recursive(
    st.integers(0, 99).map(str) | st.sampled_from(["$(n)", "$steering(n)", "$options(job)"]),
    lambda inner: st.builds("$eval({}{}{})".format, inner, st.sampled_from(["+", "-", "*", "%7+"]), inner),
    max_leaves=6,
)
PLAIN = st.lists(
    st.one_of(
        st.sampled_from(["x", "-", "/data/", ".i3", " "]),
        st.builds("$({})".format, PLAIN_KEYS),
        NUMBERS,
        st.builds("$steering(l)[$eval({}%3)]".format, NUMBERS),
        st.builds("$sprintf('%06d',{})".format, NUMBERS),
        st.builds("$steering(d)[{}]".format, st.sampled_from(["k", "$(s)"])),
        st.sampled_from(["$sum($steering(l))", "$max($steering(l))", "$len($steering(ls))"]),
    ),
    min_size=1,
    max_size=5,
).map("".join)


@given(PLAIN)
@settings(max_examples=400, deadline=None)
def test_where_nothing_is_ambiguous_both_modes_agree(text: str) -> None:
    """Of ordinary texts, exact gives what strict gives, read as the number it looks like."""
    meant = expand(text, job=JOB, env=ENV)
    assert expand(text, job=JOB, env=ENV, mode="exact") == coerce(str(meant))


def test_a_long_circle_is_found_soon() -> None:
    parameters = {f"p{n}": f"$steering(p{(n + 1) % 2000})" for n in range(2000)}
    begun = time.process_time()
    for mode in ("strict", "exact"):
        with pytest.raises(Invalid):
            expand("$steering(p0)", job={"options": {}, "steering": {"parameters": parameters}}, mode=mode)
    assert time.process_time() - begun < 20  # of CPU, and it takes a tenth of a second


@given(
    st.text(st.sampled_from(list("truefalsnifTRUEN0123456789+-._ \t'\"[]{},:\u0663\u2003xe")), max_size=8)
    | st.text(max_size=8)
)
@settings(max_examples=500)
def test_what_is_not_tried_as_a_value_is_none(text: str) -> None:
    if LIKE_A_VALUE.match(text):
        return
    for read in (json.loads, float):
        with pytest.raises(ValueError):
            read(text.replace("'", '"'))
    assert text.lower() not in ("true", "false")
    assert not text.isdigit()
