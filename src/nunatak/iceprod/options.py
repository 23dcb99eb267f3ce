"""What people say beside a configuration, at a command line or one a line on a page: options, and other datasets."""

from __future__ import annotations

from collections.abc import Iterable

from nunatak.core.errors import Invalid, Problem

OPTIONS = "options"
DATASETS = "other datasets"
"""What problems call the lines they are about."""


def read_options(words: Iterable[str]) -> dict[str, str]:
    """Return the values by name; empty words are passed over. Raises `Invalid` (code `bad-option`) with each that is wrong."""
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for line, word in enumerate(words, 1):
        name, equals, value = word.strip().partition("=")
        if equals and name.strip():
            found[name.strip()] = value.strip()
        elif word.strip():
            problems.append(Problem(f"the option {word.strip()!r} has no value", "", "NAME=VALUE", OPTIONS, line))
    if problems:
        raise Invalid(problems[0].message, code="bad-option", hint="write NAME=VALUE", problems=problems)
    return found


def read_datasets(words: Iterable[str]) -> dict[str, int]:
    """Return the numbers here of datasets there, 0 for one that is said to be done (`ID=`); empty words are passed over.

    Raises `Invalid` (code `bad-option`) with each that is wrong.
    """
    found: dict[str, int] = {}
    problems: list[Problem] = []
    for line, word in enumerate(words, 1):
        name, equals, number = (part.strip() for part in word.rpartition("="))
        if equals and name and (not number or (number.isascii() and number.isdigit() and len(number) < 10)):
            found[name] = int(number or 0)
        elif word.strip():
            said = f"{word.strip()!r} names no dataset and its number here"
            problems.append(Problem(said, "", "ID=NUMBER, or ID= if it is done already", DATASETS, line))
    if problems:
        hint = "write ID=NUMBER, or ID= for one that is done already"
        raise Invalid(problems[0].message, code="bad-option", hint=hint, problems=problems)
    return found
