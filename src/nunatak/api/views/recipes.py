"""The forms of answers about recipes and the files they bring."""

from __future__ import annotations

from typing import Any

from nunatak.api.views.answers import View


class Checked(View):
    """What a recipe says; `dry_run` has every task of the job asked for."""

    name: str
    jobs: int
    tasks: list[str]
    dry_run: list[dict[str, Any]] | None = None


class PlanView(View):
    """A checked recipe; never changes."""

    digest: str
    plan: dict[str, Any]


class RecipeView(View):
    """A dataset's recipe as written and as checked, and its revisions; an edit of it names its `tag` as `If-Match`."""

    digest: str
    tag: str
    revision: int
    filename: str
    source: str
    plan: dict[str, Any]
    revisions: list[dict[str, Any]]


class Edited(View):
    """What an edit of a recipe does: the `revision` it makes, what changes, what cannot and why, the tasks by state.

    `changed` is false where the recipe says what it said before. `difference` is between the two texts.
    """

    dataset: int
    revision: int
    digest: str
    changed: bool
    changes: list[dict[str, Any]]
    refusals: list[dict[str, Any]]
    notes: list[str]
    tasks: dict[str, int]
    difference: list[str]


class Finding(View):
    """What there is to say about a configuration that was imported."""

    kind: str
    path: str
    message: str
    hint: str


class ImportedRecipe(View):
    """A recipe made of another system's configuration; `sources` are files beside it that the recipe needs as well."""

    text: str
    mode: str
    jobs: int
    files: dict[str, str]
    sources: list[str]
    findings: list[Finding]


class Missing(View):
    """Checksums of files that are not there."""

    missing: list[str]


class Blob(View):
    """A file that is now kept."""

    sha256: str
    size: int
