"""Signatures, the most frequent places of a failure in bounded memory, the hold of a dataset, and the catalogue."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.tasks.verdicts import catalogue
from nunatak.tasks.verdicts.advice import ADVICE
from nunatak.tasks.verdicts.dataset import hold_dataset
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.model import Policy
from nunatak.tasks.verdicts.signature import MOST_KEPT, digest, normalise, signature
from nunatak.tasks.verdicts.top import Top
from nunatak.tasks.verdicts.treatments import TREATMENTS

TEXTS = [
    ("ValueError: channel 3 is saturated at 0.5", "ValueError: channel <n> is saturated at <n>"),
    ("No such file or directory: '/data/run 1/x.npz'", "No such file or directory: <value>"),
    ("cannot open /data/a/b.npz or data/c.npz.", "cannot open <path> or <path>"),
    ("2026-01-02T03:04:05.1Z lost 10.3.4.5:8080", "<time> lost <address>"),
    ("at 0x7ffee3b2 of 550e8400-e29b-41d4-a716-446655440000", "at <hex> of <id>"),
    ("object deadbeef01234567 gone from https://s.example:80/a?b=1", "object <hex> gone from <path>"),
    ("I can't do that, it doesn't fit", "I can't do that, it doesn't fit"),
    ("muon12 in run0113", "muon<n> in run<n>"),
    ("defaced facade", "defaced facade"),
]


@pytest.mark.parametrize(("text", "pattern"), TEXTS)
def test_what_varies_becomes_a_placeholder(text: str, pattern: str) -> None:
    assert normalise(text) == pattern


@given(st.text(max_size=2000))
def test_a_signature_is_short_stable_and_of_any_text(text: str) -> None:
    found, pattern = signature(text)
    assert len(pattern) <= MOST_KEPT
    assert re.fullmatch("[0-9a-f]{10}", found)
    assert (found, pattern) == signature(text)
    assert "\n" not in pattern


@given(
    st.lists(st.sampled_from(["error", "at", "event", "in"]), min_size=1),
    st.integers(0, 10**18),
    st.integers(0, 10**18),
)
def test_numbers_make_no_difference_and_words_do(words: list[str], one: int, other: int) -> None:
    text = " ".join(words)
    assert signature(f"{text} {one}") == signature(f"{text} {other}")
    assert signature(f"{text} {one}") != signature(f"{text} lost {one}")


def test_a_signature_never_changes_with_the_program() -> None:
    assert digest("exit <n>: ValueError") == "dc87c4cae0"


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 5)), max_size=60))
def test_the_most_frequent_places_are_bounded_too(seen: list[tuple[str, int]]) -> None:
    top, true = Top(3), Counter[str]()
    for name, count in seen:
        top.add(name, count)
        true[name] += count
    assert len(top.counts) <= 3
    for name, count in top.names():
        assert count - top.error.get(name, 0) <= true[name] <= count


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=80), min_size=2, max_size=5), st.integers(1, 6))
def test_merged_places_keep_the_bounds(streams: list[list[str]], most: int) -> None:
    merged, true = Top(most), Counter(name for names in streams for name in names)
    for names in streams:
        top = Top(most)
        for name in names:
            top.add(name)
        merged.merge(top)
    assert len(merged.counts) <= most
    for name, count in merged.names():
        assert count - merged.error.get(name, 0) <= true[name]
    if len(true) <= most:
        assert dict(merged.names()) == dict(true)


@pytest.mark.parametrize(
    ("finished", "failed", "held"),
    [
        (0, {}, False),
        (0, {"typo": 19}, False),
        (0, {"typo": 20}, True),
        (180, {"typo": 20}, True),
        (181, {"typo": 20}, False),
        (0, {"a": 15, "b": 15}, False),
        (10_000, {"a": 900}, False),
    ],
)
def test_a_dataset_is_held_when_a_tenth_of_at_least_twenty_failed_the_same_way(
    finished: int, failed: dict[str, int], held: bool
) -> None:
    reason = hold_dataset(finished, failed)
    assert (reason is not None) is held
    if reason:
        assert "20 of" in reason
        assert "typo" in reason


@given(st.integers(0, 10**6), st.dictionaries(st.text(max_size=3), st.integers(0, 10**6), max_size=5))
def test_more_success_never_holds_a_dataset(finished: int, failed: dict[str, int]) -> None:
    policy = Policy(hold_least=5, hold_share=0.3)
    if hold_dataset(finished, failed, policy) is None:
        assert hold_dataset(finished + 1, failed, policy) is None


def test_every_kind_has_a_number_a_treatment_an_advice_and_a_page() -> None:
    kinds = set(Kind) - {Kind.OK}
    assert set(catalogue.CATALOGUE) == set(TREATMENTS) == set(ADVICE) == kinds
    assert len(catalogue.BY_ID) == len(kinds)
    pages = catalogue.pages()
    assert len(pages) == len(kinds) + 1
    for kind in kinds:
        text = pages[catalogue.page_name(kind)]
        assert text.startswith(f"# {catalogue.CATALOGUE[kind].id}: ")
        assert "{" not in text
        assert catalogue.page_name(kind) in pages["README.md"]
        assert len(kind) <= 24


def test_numbers_that_were_given_stay() -> None:
    assert catalogue.CATALOGUE[Kind.OUT_OF_MEMORY].id == "NUN-OOM"
    assert all(re.fullmatch(r"NUN(-[A-Z]+)+", number) for number in catalogue.BY_ID)


@pytest.mark.parametrize("name", ["NUN-OOM", "nun-oom", "oom", "out-of-memory", " Out-Of-Memory "])
def test_a_kind_is_found_by_what_a_person_types(name: str) -> None:
    assert catalogue.find(name) is Kind.OUT_OF_MEMORY
    assert catalogue.find("ok") is None
    assert catalogue.find("nonsense") is None
