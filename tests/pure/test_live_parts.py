"""Which live parts of a page are sent: those that changed, and of a drawing that changed in places those places."""

from __future__ import annotations

from nunatak.web.live import news_of
from nunatak.web.render import parts_of

PAGE = (
    '<h1>x</h1><!--[a--><p id="a">one</p><!--a]-->'
    '<!--[b--><svg id="b"> <!--[b1--><g id="b1">1</g><!--b1]-->\n<!--[b2--><g id="b2">2</g><!--b2]--></svg><!--b]-->'
)
PARTS = {
    "a": '<p id="a">one</p>', "b": '<svg id="b"> <!--b1--> <!--b2--></svg>', "b1": '<g id="b1">1</g>', "b2": '<g id="b2">2</g>',
}  # fmt: skip


def test_a_part_has_a_mark_where_its_own_parts_are() -> None:
    assert parts_of(PAGE) == PARTS


def test_space_that_means_something_stays() -> None:
    part = '<!--[a--><div id="a">\n  <p>x</p>\n<pre class="lines">one\n  two\n</pre>\n</div><!--a]-->'
    assert parts_of(part) == {"a": '<div id="a"> <p>x</p> <pre class="lines">one\n  two\n</pre> </div>'}


def test_who_comes_anew_gets_all_parts_once_and_whole() -> None:
    parts = {name: (1, text) for name, text in PARTS.items()}
    assert news_of(parts, 0) == {"a": PARTS["a"], "b": '<svg id="b"> <g id="b1">1</g> <g id="b2">2</g></svg>'}


def test_of_a_drawing_that_changed_in_places_those_are_sent() -> None:
    parts = {name: (3 if name == "b2" else 1, text) for name, text in PARTS.items()}
    assert news_of(parts, 2) == {"b2": PARTS["b2"]}
    assert news_of(parts, 3) == {}


def test_a_drawing_that_changed_itself_is_sent_with_all_its_places() -> None:
    parts = {name: (3 if name in ("b", "b2") else 1, text) for name, text in PARTS.items()}
    assert news_of(parts, 2) == {"b": '<svg id="b"> <g id="b1">1</g> <g id="b2">2</g></svg>'}
