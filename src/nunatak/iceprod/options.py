"""Options of a configuration as people give them, NAME=VALUE: at a command line, or one a line on a page."""

from __future__ import annotations

from collections.abc import Iterable

from nunatak.core.errors import Invalid, Problem

OPTIONS = "options"
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
