"""What was found in the submitter's directory, and the rules for names of files. No file is touched here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from nunatak.core.errors import Invalid
from nunatak.datasets.plan import StoredFile


@dataclass(frozen=True, slots=True)
class Manifest:
    """The submitter's files by name relative to the recipe, and what each pattern matched, in order."""

    files: Mapping[str, StoredFile] = field(default_factory=dict)
    matches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Among(Mapping[str, tuple[str, ...]]):
    """What any pattern matches among names that are known, in order, as the shell has it: for files that are no directory."""

    def __init__(self, names: Collection[str]) -> None:
        """Begin."""
        self._names = sorted(names)

    def __getitem__(self, pattern: str) -> tuple[str, ...]:
        """Return the names. Raises `KeyError` if there are none."""
        wanted = pattern.split("/")
        found = tuple(name for name in self._names if _fits(name.split("/"), wanted))
        if not found:
            raise KeyError(pattern)
        return found

    def __iter__(self) -> Iterator[str]:
        """Nobody has asked for a pattern yet."""
        return iter(())

    def __len__(self) -> int:
        """Nobody has asked for a pattern yet."""
        return 0


def _fits(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Go along a name with all places of the pattern that it may have come to, so that `**` costs no more than any other."""
    at = _on({0}, wanted)
    for part in parts:
        stays = {n for n in at if n < len(wanted) and wanted[n] == "**" and not part.startswith(".")}
        goes = {n + 1 for n in at if n < len(wanted) and wanted[n] != "**" and _is(part, wanted[n])}
        at = _on(stays | goes, wanted)
    return len(wanted) in at


def _on(at: set[int], wanted: Sequence[str]) -> set[int]:
    found = set(at)
    for n in range(len(wanted)):
        if n in found and wanted[n] == "**":
            found.add(n + 1)
    return found


def _is(part: str, wanted: str) -> bool:
    return part.startswith(".") <= wanted.startswith(".") and fnmatchcase(part, wanted)


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
