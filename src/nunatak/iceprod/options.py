"""What people say beside a configuration, at a command line or one a line on a page: options, and other datasets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nunatak.core.errors import Invalid, Problem

OPTIONS = "options"
DATASETS = "other datasets"
"""What problems call the lines they are about."""


def read_options(words: Iterable[str]) -> dict[str, str]:
    """Return the values by name; empty words are passed over. Raises `Invalid` (code `bad-option`) with each that is wrong."""
    pairs, problems = {}, []
    for line, word in _lines(words):
        name, equals, value = (part.strip() for part in word.partition("="))
        if equals and name:
            pairs[name] = value
        else:
            problems.append(Problem(f"the option {word!r} has no value", "", "NAME=VALUE", OPTIONS, line))
    _refuse(problems, "write NAME=VALUE")
    return pairs


def read_datasets(words: Iterable[str]) -> dict[str, int]:
    """Return the numbers here of datasets there, 0 for one that is said to be done (`ID=`); empty words are passed over.

    Raises `Invalid` (code `bad-option`) with each that is wrong.
    """
    pairs, problems = {}, []
    for line, word in _lines(words):
        name, equals, number = (part.strip() for part in word.rpartition("="))
        if equals and name and (not number or (number.isascii() and number.isdigit() and len(number) < 10)):
            pairs[name] = int(number or 0)
        else:
            said = f"{word!r} names no dataset and its number here"
            problems.append(Problem(said, "", "ID=NUMBER, or ID= if it is done already", DATASETS, line))
    _refuse(problems, "write ID=NUMBER, or ID= for one that is done already")
    return pairs


def _lines(words: Iterable[str]) -> Iterator[tuple[int, str]]:
    return ((line, word.strip()) for line, word in enumerate(words, 1) if word.strip())


def _refuse(problems: Sequence[Problem], hint: str) -> None:
    if problems:
        raise Invalid(problems[0].message, code="bad-option", hint=hint, problems=problems)
