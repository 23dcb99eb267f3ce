"""Configurations of IceProd where a recipe is expected: read as one, with all there is to say about them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nunatak.api.services import Services
from nunatak.core.errors import Invalid, Problem
from nunatak.datasets.plan import StoredFile

if TYPE_CHECKING:
    from nunatak.iceprod.importing import Imported

FILENAME = "config.json"
"""What problems call the configuration."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a form says of a configuration besides its text: how it is expanded, options and other datasets (one a line), files."""

    mode: str = ""
    options: str = ""
    datasets: str = ""
    task_files: str = ""

    def texts(self) -> dict[str, str]:
        """Return the texts in which there may be mistakes, by what problems call them."""
        return {"options": self.options, "other datasets": self.datasets, "the list of files": self.task_files}


def is_configuration(text: str) -> bool:
    """Tell whether a text is an IceProd configuration rather than a recipe."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(plain, dict) and isinstance(plain.get("tasks"), list)


def read_configuration(text: str, jobs: int | None, told: Told) -> Imported | None:
    """Return what an IceProd configuration becomes; None for a text that is none. Raises `Invalid` for a wrong one."""
    if not is_configuration(text):
        return None
    from nunatak.iceprod.importing import import_config  # not loaded where nobody imports anything
    from nunatak.iceprod.options import read_datasets, read_options

    return import_config(
        text, filename=FILENAME, jobs=jobs, mode="exact" if told.mode == "exact" else "strict",
        options=read_options(told.options.splitlines()), task_files=told.task_files,
        datasets=read_datasets(told.datasets.splitlines()),
    )  # fmt: skip


def check_sources(made: Imported, files: Container[str]) -> None:
    """Raise `Invalid` for each file that modules run and that is not among those there are."""
    missing = [name for name in made.sources if name not in files]
    if missing:
        hint = "choose it under Files it names; or have src say where it is on the machines, by a path or a URL"
        problems = [Problem(f"a module runs {name}, which is not here", hint=hint) for name in missing]
        raise Invalid(f"not here: {', '.join(missing)}", code="no-source", problems=problems)


def files_of(made: Imported) -> dict[str, StoredFile]:
    """Return the files that come with the recipe, by name."""
    return {name: _stored(content) for name, content in made.files.items()}


def keep(services: Services, files: Mapping[str, bytes]) -> None:
    """Keep the files that come with a recipe."""
    for content in files.values():
        services.blobs.put([content], hashlib.sha256(content).hexdigest(), services.limits.blob)


def _stored(content: bytes) -> StoredFile:
    return StoredFile(hashlib.sha256(content).hexdigest(), len(content))
