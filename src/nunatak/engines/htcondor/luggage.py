"""What many jobs take along alike is linked once for all of them, beside their directories: the fewer files to make."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import orjson

from nunatak.engines.sandbox import remove

IN = "in"
"""The directory with what goes along, as nodes call it, whoever's it is here."""
PREFIX = "files."
"""How directories of luggage begin; those of jobs begin with a digit or `once`."""
_PLAIN = re.compile(r"[A-Za-z0-9/._@+:~-]+\Z")


class Luggage:
    """ROOT/GROUP/files.HASH/in: links to the files that some jobs of a group take, named by what they are.

    It goes with the last job of its group, so that nobody has to count who needs it.
    """

    def __init__(self, root: Path) -> None:
        """Begin with nothing known of what is there."""
        self._root = root
        self.possible = bool(_PLAIN.match(str(root)))  # else HTCondor would read the path as several
        self._made: dict[tuple[str, tuple[tuple[str, str], ...]], Path] = {}

    def place(self, group: str, take: Mapping[str, str]) -> str:
        """Return the directory with links to some files, made if it is not there. Raises `OSError`."""
        key = group, tuple(take.items())
        if key not in self._made:
            content = hashlib.sha256(orjson.dumps(key[1])).hexdigest()[:24]
            path = self._root / group / f"{PREFIX}{content}"
            (path / IN).mkdir(parents=True, exist_ok=True)
            for name, source in take.items():
                with suppress(FileExistsError):  # made by an engine that was killed: the name says that it is the same
                    (path / name).symlink_to(source)
            self._made[key] = path / IN
        return str(self._made[key])

    def go(self, group: str) -> None:
        """Delete what a group has, whose last job has gone, and the group, unless something else is in it."""
        for key in [key for key in self._made if key[0] == group]:
            del self._made[key]
        place = self._root / group
        with suppress(OSError):
            there = list(place.iterdir())
            if all(path.name.startswith(PREFIX) for path in there):
                for path in there:
                    remove(path)
                place.rmdir()
