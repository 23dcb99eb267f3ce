"""A recipe that was edited to a plan: with the files that are kept already, and with what was said beside it at submission."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.datasets.manifest import Among, Manifest
from nunatak.datasets.plan import Plan
from nunatak.datasets.recipe import compile_recipe


@dataclass(frozen=True, slots=True)
class Written:
    """A recipe as it is written, and the submitter's files beside it."""

    text: str
    filename: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The plan of an edited recipe; `jobs` are the numbers of jobs that its text may say without changing any.

    `notes` are what a person should know of how text and plan go together.
    """

    plan: Plan
    jobs: frozenset[int]
    notes: tuple[str, ...] = ()


def rewrite(present: Plan, written: Written, edited: Written, parameters: Mapping[str, str]) -> Rewritten:
    """Check an edited recipe. Raises `Invalid` with every problem of it.

    Files that are not sent again are those that were. Parameters that were set at submission, in place of what the
    recipe said, stay so unless the edit changes what it says of them; `parameters` sets them anew.
    """
    return rewrite_from(present, as_written(present, written), edited, parameters)


def rewrite_from(present: Plan, before: Plan | None, edited: Written, parameters: Mapping[str, str]) -> Rewritten:
    """Check an edited recipe as `rewrite` does, where it is known what the present text says (None: it cannot be read)."""
    manifest = _with_kept(edited.manifest, present)
    plan = compile_recipe(edited.text, filename=edited.filename, manifest=manifest, parameters=parameters)
    told = _told(present.parameters, before.parameters, plan.parameters) if before else {}
    told = {name: value for name, value in told.items() if name not in parameters}
    if told:
        plan = compile_recipe(
            edited.text, filename=edited.filename, manifest=manifest, parameters={**told, **parameters}
        )
    return Rewritten(plan, frozenset({present.jobs, *([before.jobs] if before else [])}))


def _with_kept(manifest: Manifest, present: Plan) -> Manifest:
    files = {**present.files, **manifest.files}
    return Manifest(files, _Matches(manifest.matches, Among(files)))


class _Matches(dict[str, tuple[str, ...]]):
    """What patterns matched where the recipe lies; other patterns are looked up among all files there are."""

    def __init__(self, given: Mapping[str, tuple[str, ...]], among: Among) -> None:
        super().__init__(given)
        self._among = among

    def __missing__(self, pattern: str) -> tuple[str, ...]:
        return self._among[pattern]

    def get(self, pattern: str, default: Any = None) -> Any:
        try:
            return self[pattern]
        except KeyError:
            return default


def as_written(present: Plan, written: Written) -> Plan | None:
    """Return what a recipe says without what was said beside it; None if it cannot be read any more."""
    try:
        return compile_recipe(
            written.text, filename=written.filename, manifest=Manifest(present.files, Among(present.files))
        )
    except Invalid:
        return None


def _told(present: Mapping[str, Any], written: Mapping[str, Any], edited: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters that were set at submission and of which the edit says nothing new, as YAML."""
    return {
        name: json.dumps(value)
        for name, value in present.items()
        if name in written and value != written[name] and edited.get(name) == written[name]
    }
