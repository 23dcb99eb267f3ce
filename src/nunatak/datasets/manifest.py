"""What was found in the submitter's directory, and the rules for names of files. No file is touched here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nunatak.core.errors import Invalid
from nunatak.datasets.plan import StoredFile


@dataclass(frozen=True, slots=True)
class Manifest:
    """The submitter's files by name relative to the recipe, and what each pattern matched, in order."""

    files: Mapping[str, StoredFile] = field(default_factory=dict)
    matches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def relative(name: str) -> str:
    """Return a name relative to the recipe or the sandbox, without `./`. Raises `Invalid` (code `bad-path`)."""
    while name.startswith("./"):
        name = name[2:]
    if name.startswith(("/", "~")):
        hint = f"write file://{name} if every machine can reach it there" if name.startswith("/") else ""
        raise Invalid(f'"{name}" is an absolute path', code="bad-path", hint=hint)
    parts = name.split("/")
    if ".." in parts:
        raise Invalid(f'"{name}" leads out of its directory', code="bad-path", hint='names have no ".." in them')
    if not name or "" in parts or "." in parts or "\\" in name or any(ord(letter) < 32 for letter in name):
        raise Invalid(f'"{name}" is not a file name', code="bad-path", hint="write it as dir/name.ext")
    if len(name) > 1000 or max(map(len, parts)) > 255:
        raise Invalid(f'"{name[:40]}..." is too long a file name', code="bad-path")
    return name


def is_pattern(text: str) -> bool:
    """Tell whether a text is a pattern of file names."""
    return any(letter in text for letter in "*?[")
