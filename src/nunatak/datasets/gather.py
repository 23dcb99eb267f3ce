"""Reads the submitter's directory for a recipe: the files it names, sizes, checksums. The only step that does."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from nunatak.core.checksums import of_bytes, of_file
from nunatak.core.errors import Conflict, Invalid
from nunatak.core.units import memory_text
from nunatak.datasets.manifest import Among, Manifest, relative
from nunatak.datasets.plan import StoredFile
from nunatak.datasets.recipe import compile_recipe
from nunatak.datasets.yaml_source import parse

MOST_READ = 1_000_000_000
"""Bytes of `foreach` files read for their checksums; beyond, the first task that reads a file records its checksum."""
MOST_SHIPPED = 100_000_000
"""Size of one file that travels with a recipe."""


def gather(
    text: str | bytes,
    directory: Path,
    filename: str,
    *,
    jobs: int | None = None,
    parameters: Mapping[str, str] = {},
    kept: Mapping[str, StoredFile] = {},
) -> Manifest:
    """Return what a recipe needs of a directory, after checking the recipe in full.

    Files that are `kept` with a dataset already need not be there; they are not among those returned.
    Files of `foreach` stay where they are (`url` is set); all others are to be stored by content hash. Raises `Invalid`
    (code `bad-recipe`) with every problem of the recipe and of its files.
    """
    matches = _Matches(directory, _foreach_texts(text, filename), Among(kept))
    files = _Files(directory, matches, kept)
    compile_recipe(text, filename=filename, manifest=Manifest(files, matches), jobs=jobs, parameters=parameters)
    return Manifest(dict(sorted(files.found.items())), dict(sorted(matches.found.items())))


def read_shipped(directory: Path, name: str, stored: StoredFile) -> bytes:
    """Return a file's content to send. Raises `Conflict` (code `file-changed`) if it is not what was gathered."""
    try:
        data = (directory / relative(name)).read_bytes()
    except OSError as error:
        raise Conflict(f'"{name}" can no longer be read: {error.strerror}', code="file-changed") from None
    if of_bytes(data) != stored.sha256:
        raise Conflict(f'"{name}" changed since the recipe was checked', code="file-changed", hint="submit again")
    return data


def _foreach_texts(text: str | bytes, filename: str) -> set[str]:
    """Return the patterns whose files stay where they are."""
    value = parse(text, filename).value
    each = value.get("foreach") if isinstance(value, dict) else None
    return {item.removeprefix("./") for item in (each if isinstance(each, list) else [each]) if isinstance(item, str)}


class _Matches(Mapping[str, tuple[str, ...]]):
    """Patterns, looked up in the directory when first asked for."""

    def __init__(self, directory: Path, staying: set[str], kept: Among) -> None:
        self.directory, self.kept = directory, kept
        self.found: dict[str, tuple[str, ...]] = {}
        self.patterns = frozenset(staying)
        self.staying = staying

    def __getitem__(self, pattern: str) -> tuple[str, ...]:
        if pattern not in self.found:
            elsewhere = pattern.startswith("file://")
            root = None if elsewhere else self.directory
            names = glob.glob(pattern.removeprefix("file://"), root_dir=root, recursive=True)  # noqa: PTH207 - Path.glob finds hidden files
            there = sorted(name for name in names if (self.directory / name).is_file())
            if not there:
                return self.kept[pattern]
            self.found[pattern] = tuple(f"file://{name}" if elsewhere else name for name in there)
            if pattern in self.patterns:
                self.staying.update(self.found[pattern])
        return self.found[pattern]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)


class _Files(Mapping[str, StoredFile]):
    """Files, looked at when first asked for."""

    def __init__(self, directory: Path, matches: _Matches, kept: Mapping[str, StoredFile]) -> None:
        self.directory, self.matches, self.kept = directory, matches, kept
        self.found: dict[str, StoredFile] = {}
        self.read = 0

    def __getitem__(self, name: str) -> StoredFile:
        if name not in self.found:
            try:
                self.found[name] = self._look(name)
            except KeyError:
                return self.kept[name]
        return self.found[name]

    def __iter__(self) -> Iterator[str]:
        """Yield names that could be meant: for hints only."""
        return iter(sorted(item.name for item in self.directory.iterdir() if item.is_file()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _look(self, name: str) -> StoredFile:
        path = Path(name.removeprefix("file://")) if name.startswith("file://") else self.directory / name
        if not os.path.lexists(path):
            raise KeyError(name)
        try:
            real = path.resolve()
        except (OSError, RuntimeError):
            raise Invalid(f'"{name}" is a link to itself', code="unreadable") from None
        if not name.startswith("file://") and not real.is_relative_to(self.directory.resolve()):
            hint = f"copy it beside the recipe, or write file://{real}"
            raise Invalid(f'"{name}" is a link that leads out of its directory', code="bad-path", hint=hint)
        try:
            return self._stored(name, real)
        except OSError as error:
            raise Invalid(f'"{name}" cannot be read: {error.strerror}', code="unreadable") from None

    def _stored(self, name: str, real: Path) -> StoredFile:
        info = real.stat()
        if not stat.S_ISREG(info.st_mode):
            raise Invalid(
                f'"{name}" is not a regular file', code="unreadable", hint="name files one by one, or by a pattern"
            )
        mode = 0o755 if info.st_mode & stat.S_IXUSR else 0o644
        if name in self.matches.staying:
            self.read += info.st_size
            checksum = of_file(real) if self.read <= MOST_READ else ""
            return StoredFile(checksum, info.st_size, mode, real.as_uri())
        if info.st_size > MOST_SHIPPED:
            hint = f"put it into storage all machines reach and name it as an input by its URL, such as {real.as_uri()}"
            raise Invalid(
                f'"{name}" is over {memory_text(MOST_SHIPPED)}, too large to be sent along', code="too-large", hint=hint
            )
        return StoredFile(of_file(real), info.st_size, mode)
