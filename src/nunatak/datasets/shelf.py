"""The submitter's files during a check: every name a recipe mentions is looked up here, and what was found is kept."""

from __future__ import annotations

import difflib
import re

from nunatak.core.errors import Invalid
from nunatak.datasets.manifest import Manifest, is_pattern, relative
from nunatak.datasets.plan import StoredFile
from nunatak.datasets.report import Report, quoted
from nunatak.datasets.yaml_source import Path


class Shelf:
    """Looks names up in a manifest; `files` has those found, `wrong` the names already reported."""

    def __init__(self, manifest: Manifest, report: Report) -> None:
        """Start with nothing looked up."""
        self.manifest = manifest
        self.report = report
        self.files: dict[str, StoredFile] = {}
        self.wrong: set[str] = set()

    def names(self, text: str, path: Path) -> list[str]:
        """Return the files a name or pattern stands for; report if there are none."""
        if not is_pattern(text):
            found = self.find(text, path)
            return [found] if found else []
        try:
            pattern = relative(text)
            matches = self.manifest.matches.get(pattern, ())
        except Invalid as error:
            self.report.error(path, error)
            return []
        if not matches:
            self.report.add(path, f"no file matches {quoted(pattern)}", "patterns are read beside the recipe")
        return [name for name in matches if self.find(name, path)]

    def find(self, text: str, path: Path, hint: str = "") -> str:
        """Return the name of a file that is there, or "" after reporting."""
        try:
            name = relative(text)
            if name not in self.files:
                self.files[name] = _sound(name, self.manifest.files[name])
        except KeyError:
            self.report.add(path, f"there is no file {quoted(name)} beside the recipe", hint or self._near(name))
            self.wrong.add(name)
            return ""
        except Invalid as error:
            self.report.error(path, error)
            return ""
        return name

    def _near(self, name: str) -> str:
        near = difflib.get_close_matches(name, list(self.manifest.files), 1, 0.6)
        return f'did you mean "{near[0]}"?' if near else ""


def _sound(name: str, stored: StoredFile) -> StoredFile:
    """Return an entry of a manifest, which may come from anywhere. Raises `Invalid` if it would make a wrong place."""
    if not stored.url and not re.fullmatch(r"[0-9a-f]{64}", stored.sha256):
        raise Invalid(f'"{name}" has no SHA-256 checksum', code="bad-manifest")
    return stored
