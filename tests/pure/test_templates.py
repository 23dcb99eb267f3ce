"""Templates that become code the short way say what Jinja2 alone would, and nothing that is no markup goes through as it is."""

from __future__ import annotations

import gc

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.runtime import markup_join
from markupsafe import Markup, escape

from nunatak.web.environment import Passing, Templates, drawn
from nunatak.web.quick import joined, written

OPTIONS = {"autoescape": True, "undefined": jinja2.StrictUndefined}
TEMPLATE = """{% macro cell(item, words="none", kind="plain") %}
<td class="{{ kind }}">{{ item.name }} {{ words }}</td>{% endmacro %}
{% macro framed(title) %}<b>{{ title }}</b>{{ caller() }}{% endmacro %}
{% for item in rows %}{{ cell(item) }}{{ cell(item, item.name) }}{{ cell(item, kind=item.name) }}{{ loop.index }}
{{ "of " ~ item.name ~ "!" }}{{ cell(item) ~ item.name }}{{ item.keys() | list | length }} {{ item.n }} {{ item.share }}
{% call framed(item.name) %}{{ item.name | upper }}{% endcall %}{% set kept %}{{ item.name }}{% endset %}{{ kept }}
{{ item.inner.values() | list }}{% if item.yes is defined %}yes{% endif %}{{ "<i>" | safe }}{{ thing.real }}{% endfor %}"""
hostile = st.text("<>&'\"{}%abc \x00é", max_size=8)
values = st.one_of(hostile, hostile.map(Markup), st.integers(), st.floats(), st.booleans(), st.none())


@given(values)
def test_what_is_written_is_escaped(value: object) -> None:
    assert written(value) == str(escape(value))


@given(st.lists(values, min_size=1, max_size=4))
def test_what_is_joined_is_markup_if_a_part_of_it_is(parts: list[object]) -> None:
    found, wanted = joined(parts), markup_join(parts)
    assert found == wanted
    assert type(found) is type(wanted)


@given(
    st.lists(st.fixed_dictionaries({"name": values, "n": values, "share": st.floats(0, 1), "inner": st.just({"a": 1})}))
)
def test_pages_are_as_jinja_makes_them(rows: list[dict[str, object]]) -> None:
    quick, plain = (kind(**OPTIONS).from_string(TEMPLATE) for kind in (Templates, jinja2.Environment))
    assert quick.render(rows=rows, thing=7) == plain.render(rows=rows, thing=7)


@pytest.mark.parametrize("text", ["{{ nothing }}", "{{ row.nothing }}", "{{ 'a' ~ nothing }}", "{{ nothing() }}"])
def test_what_is_not_there_is_an_error(text: str) -> None:
    with pytest.raises(jinja2.UndefinedError):
        Templates(**OPTIONS).from_string(text).render(row={})


def test_nothing_of_a_page_waits_for_the_search_for_garbage() -> None:
    def alive() -> int:
        return sum(type(thing) is Passing for thing in gc.get_objects())

    drawn("macros.html", {"now": 0.0})
    gc.collect()
    before = alive()
    gc.disable()
    try:
        drawn("macros.html", {"now": 0.0})
        assert alive() == before
    finally:
        gc.enable()
