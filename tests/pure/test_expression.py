"""Expressions and templates: what they give, what they refuse, and that they agree with Python where both speak."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nunatak.core.errors import Invalid
from nunatak.datasets.expression import compile_expression
from nunatak.datasets.functions import FUNCTIONS, MOST_BITS
from nunatak.datasets.parameters import parameters_of
from nunatak.datasets.template import Scope, compile_template, compile_value

KNOWN: dict[str, Any] = {"dataset": 42, "job": 17, "jobs": 200, "task": "generate", "store": "file:///store"}
PARAMETERS: dict[str, Any] = {
    "events": 5000,
    "seed": "{dataset}{job:06d}",
    "nside": 64,
    "energies": [1.5, 10, "{events*2}"],
    "flux": {"name": "H3a", "gamma": 2.7, "bins": [1, 2]},
    "deep": "{flux.bins[1]}",
    "on": True,
}


def scope(**known: Any) -> Scope:
    return Scope({**KNOWN, **known}, parameters_of(PARAMETERS, {}))


def value(text: str, **known: Any) -> Any:
    return compile_template(text).value(scope(**known))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("{events}", 5000),
        ("{job:06d}", "000017"),
        ("{store}/{dataset}/{job:06d}.parquet", "file:///store/42/000017.parquet"),
        ("{nside*2}", 128),
        ("{seed}", "42000017"),
        ("{energies[2]}", 10000),
        ("{energies[-1] // 3}", 3333),
        ("{flux.name}-{flux['gamma']}", "H3a-2.7"),
        ("{deep}", 2),
        ("{{literal}} {job}", "{literal} 17"),
        ("{'even' if job % 2 == 0 else 'odd'}", "odd"),
        ("{1 < job <= 17 and not on == false}", True),
        ("{'3' in seed}", False),
        ("{min(3, 1)} {max([4, 2])} {abs(-2)} {round(2.567, 2)}", "1 4 2 2.57"),
        ("{int('007') + float('1e2')}", 107.0),
        ("{sum(range(5))} {len('hello')} {zfill(7, 3)}", "10 5 007"),
        ("{stem('data/a.b.i3')} {name('data/a.i3')} {suffix('data/a.i3')}", "a.b a.i3 .i3"),
        ("{join(['a', 1], ',')}", "a,1"),
        ("{format(3.14159, '.2f')}", "3.14"),
        ("{job:0{2+2}d}", "0017"),
        ("{on}", True),
        ("is {on}", "is true"),
        ("{json(flux)}", '{"bins": [1, 2], "gamma": 2.7, "name": "H3a"}'),
        ("{2**10} {7 // 2} {-7 % 3} {1 / 4}", "1024 3 2 0.25"),
        ("{floor(2.5) + ceil(2.5)}", 5),
        ("{null == null}", True),
    ],
)
def test_templates_give_typed_values(text: str, expected: Any) -> None:
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("{jbo}", '"jbo" is not a known name', 'did you mean "job"?'),
        ("{mni(1, 2)}", '"mni" is not a known function', 'did you mean "min"?'),
        ("{flux.gama}", 'there is no "gama" in this table', 'did you mean "gamma"?'),
        ("{energies[3]}", "there is no number 3 in a list of 3", "the first is number 0"),
        ("{job", 'a "{" is never closed', 'write "{{" for a brace'),
        ("job}", 'a "}" has no "{" before it', 'write "}}" for a brace'),
        ("{}", "an expression is empty", 'write "{{" and "}}" for braces'),
        ("{job +}", '"job +" is not an expression', 'write "{{" and "}}" for braces'),
        ("{9**9**9}", f"a number would be over {MOST_BITS} bits", "use smaller numbers, or 10.0 ** x"),
        ("{'a' * 100000}", "text would be over 65536 long", ""),
        ("{[0] * 100000}", "a list would be over 10000 long", ""),
        ("{range(10**9)}", "a list is over 10000 values", ""),
        ("{1 / 0}", "a division by zero", ""),
        ("{flux[[1]]}", "a table is looked up by text, not by a list", ""),
        ("{[[[]] * 9999, [[]] * 9999]}", "a list is over 10000 values", ""),
        ("{(0 - 1) ** 0.5}", "a number is not real", "a root of a negative number?"),
        ("{1e308 * 10}", "a number is not finite", ""),
        ("{'a' + 1}", "cannot add text and a number", "str(...) makes text of a number"),
        ("{'a' < 1}", "cannot compare text and a number", ""),
        ("{job:99999d}", '"99999d" is not a format', 'write one like 06d, .3f or >8; write "{{" and "}}" for braces'),
        ("{task:06d}", 'text has no format "06d"', "d is for whole numbers, f for any, s for text"),
        ("x{energies}", "a list cannot be part of a text", 'make it a word of its own, or write join(LIST, ",")'),
        ("{min()}", '"min()" has the wrong number of values', "write min(a, b, ...) or min(list)"),
        ("{" + "+".join(["1"] * 150) + "}", "an expression is over its cost limit", "split it over parameters"),
        (
            "{" + "(" * 60 + "-" * 60 + "1" + ")" * 60 + "}",
            "an expression is over its cost limit",
            "split it over parameters",
        ),
        ("{" + "1" * 1100 + "}", "an expression is over 1000 characters", "split it over parameters"),
    ],
)
def test_errors_say_what_is_wrong_and_what_to_do(text: str, message: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        value(text)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.code == "bad-expression"


@pytest.mark.parametrize(
    "text",
    [
        "{__import__('os')}", "{(1).__class__}", "{task.upper()}", "{[x for x in energies]}", "{lambda: 1}", "{f'{job}'}",
        "{energies[0:2]}", "{b'a'}", "{...}", "{1j}", "{(x := 1)}", "{job is job}", "{min(*energies)}", "{round(1, digits=2)}",
        "{~job}", "{1 << 9}", "{'%d' % 1}", "{await job}", "{{1: 2}[1]}", "{eval('1')}",
    ],
)  # fmt: skip
def test_what_is_not_on_the_list_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        value(text)


def test_values_that_double_are_stopped_before_they_are_large() -> None:
    doubling = {"a0": "x" * 100, **{f"a{n}": f"{{a{n - 1}}}{{a{n - 1}}}" for n in range(1, 40)}}
    lists = {"b0": [1, 2], **{f"b{n}": [f"{{b{n - 1}}}"] * 2 for n in range(1, 40)}}
    names = Scope(KNOWN, parameters_of({**doubling, **lists}, {}))
    for text in ("{a39}", "{json(b39)}"):
        with pytest.raises(Invalid, match="is over"):
            compile_template(text).value(names)


def test_a_task_parameter_may_build_on_the_datasets() -> None:
    names = Scope(KNOWN, parameters_of({"events": 10, "twice": "{events*2}"}, {"events": "{events*5}"}))
    assert (names["events"], names["twice"]) == (50, 100)


def test_seeds_depend_on_the_address_and_salt_alone() -> None:
    assert value("{seed()}") == value("{seed()}") == 425859610
    others = [
        value("{seed()}", job=18),
        value("{seed()}", dataset=43),
        value("{seed()}", task="x"),
        value("{seed('a')}"),
    ]
    assert len({425859610, *others}) == 5
    assert value("{seed()}", attempt=1) == value("{seed()}", attempt=2)
    assert value("{choice(['p', 'Fe'])}") == value("{choice(['p', 'Fe'])}")
    drawn = {value("{random(1, 6)}", job=job) for job in range(200)}
    assert drawn == {1, 2, 3, 4, 5, 6}
    assert {value("{choice([1, 2, 3])}", job=job) for job in range(50)} == {1, 2, 3}


def test_a_list_becomes_several_words_only_as_a_word_of_its_own() -> None:
    assert compile_template("{energies}").words(scope()) == ["1.5", "10", "10000"]
    assert compile_template("{task}").words(scope(task="a b; rm -rf /")) == ["a b; rm -rf /"]
    assert compile_template("--e={join(energies, ',')}").words(scope()) == ["--e=1.5,10,10000"]


def test_every_function_can_be_called_as_it_says() -> None:
    sayings = [function.says.split(":")[0].split(" is ")[0] for function in FUNCTIONS.values()]
    assert all(saying.startswith(name) for name, saying in zip(FUNCTIONS, sayings, strict=True))


numbers = st.one_of(st.integers(-1000, 1000), st.floats(-1e6, 1e6, allow_nan=False, width=32))


@st.composite
def arithmetic(draw: st.DrawFn, depth: int = 3) -> str:
    if depth == 0 or draw(st.booleans()):
        return f"({draw(numbers)!r})"
    left = draw(arithmetic(depth - 1))
    sign = draw(st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "<", "<=", "==", "!=", "and", "or"]))
    # Python works out towers of powers for as long as it takes.
    right = (
        f"({draw(st.integers(-4, 8) | st.floats(-3, 3, width=32))!r})" if sign == "**" else draw(arithmetic(depth - 1))
    )
    return f"({left} {sign} {right})"


@given(arithmetic())
def test_arithmetic_agrees_with_python(text: str) -> None:
    try:
        expected = eval(text, {"__builtins__": {}})
    except (ZeroDivisionError, OverflowError, TypeError):  # the last: no such operation on complex numbers
        expected = None
    refused = expected is None or isinstance(expected, complex) or not math.isfinite(expected)
    try:
        found = compile_expression(text).evaluate({})
    except Invalid as error:
        inner = (
            "over" in error.message or "finite" in error.message or "large" in error.message or "real" in error.message
        )
        assert refused or inner
        return
    assume(not refused)
    assert found == expected
    assert type(found) is type(expected)


@given(st.text(max_size=60) | st.text(alphabet="{}[]()+-*/%.:,'\"0123456789jobl =<>!ifelsenotandor", max_size=60))
def test_any_text_gives_a_value_or_a_plain_error(text: str) -> None:
    with contextlib.suppress(Invalid):
        found = compile_value(text).evaluate(scope())
        assert isinstance(found, str | int | float | bool | list | tuple | dict) or found is None


@given(st.text(max_size=80))
def test_braces_written_twice_give_the_text_back(text: str) -> None:
    assert compile_template(text.replace("{", "{{").replace("}", "}}")).value({}) == text
