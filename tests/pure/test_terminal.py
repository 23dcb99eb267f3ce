"""Lines of programs for eyes: colours become classes, every other control is gone or shown, nothing deceives."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.web.terminal import ESCAPE, NOTE, Piece, line, lines, plain

KINDS = {"", ESCAPE, NOTE, "bold", "faint", "italic", "under", "strike"} | {
    f"{way}{n}" for way in "ig" for n in range(8)
}
WILD = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x1b[]0123456789;:m\x07\x9b\x9dP^_X\\\r\t\u202e\u2066\u200f\ufeff\u00ad\U000e0041 <>&a"),
    )
)


@given(WILD)
def test_nothing_is_left_that_deceives_and_classes_are_ours(text: str) -> None:
    pieces, _ = line(text)
    for piece in pieces:
        assert all(kind in KINDS for kind in piece.kind.split(" "))
        for letter in piece.text:
            assert letter == "\t" or unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs"))))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m rest", [Piece("red", "i1"), Piece(" rest")]),
        ("\x1b[1;92mok\x1b[22mx", [Piece("ok", "bold i2"), Piece("x", "i2")]),
        ("\x1b[38;5;196mr\x1b[39mx", [Piece("r", "i1"), Piece("x")]),
        ("\x1b[38;2;0;0;250mb", [Piece("b", "i4")]),
        ("\x1b[31;44mg", [Piece("g", "g4")]),
        ("\x1b[7mswapped", [Piece("swapped", "g7")]),
        ("a\x1b[2J\x1b[10;3Hb\x1b(Bc", [Piece("a"), Piece("b"), Piece("c")]),
        ("a\x1b]8;;http://evil\x07link\x1b]8;;\x07", [Piece("a"), Piece("link")]),
        ("a\x1b]0;no end", [Piece("a"), Piece("0;no end")]),
        ("user\u202egnp.exe", [Piece("user"), Piece("\\u202e", ESCAPE), Piece("gnp.exe")]),
        ("a\x00\x08b", [Piece("a"), Piece("\\x00", ESCAPE), Piece("\\x08", ESCAPE), Piece("b")]),
        ("1%\r50%\r100%\r\n", [Piece("[written over 2\u00d7] ", NOTE), Piece("100%")]),
        ("<script>alert(1)</script>", [Piece("<script>alert(1)</script>")]),
        ("\x1b[8mhidden", [Piece("hidden")]),
        ("\x1b[999;38;5mx\x1b[" + "9" * 50 + "my", [Piece("x", "i0"), Piece("y")]),
    ],
)
def test_each_kind_of_control(text: str, expected: list[Piece]) -> None:
    assert line(text)[0] == expected


def test_a_colour_goes_on_into_the_next_line() -> None:
    assert list(lines(["\x1b[33mone", "two\x1b[0m", "three"])) == [
        [Piece("one", "i3")], [Piece("two", "i3")], [Piece("three")],
    ]  # fmt: skip


def test_long_hostile_lines_take_time_in_proportion_to_their_length() -> None:
    for unit in ("\x1b[", "\x1b]", "\x1b[1;", "\r", "\x9b0"):
        assert len(plain(unit * 30_000)) <= 400_000
