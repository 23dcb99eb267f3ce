"""A recipe's text to a plan, or to everything that is wrong with it, each thing with its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nunatak.core.errors import Invalid
from nunatak.core.spelling import nearest
from nunatak.datasets.check import Builder
from nunatak.datasets.manifest import Manifest
from nunatak.datasets.plan import Plan
from nunatak.datasets.report import GONE, Report, quoted
from nunatak.datasets.schema import MOST_JOBS, RECIPE
from nunatak.datasets.yaml_source import Source, parse

__all__ = ["Manifest", "compile_recipe"]


def compile_recipe(
    text: str | bytes,
    *,
    filename: str,
    manifest: Manifest,
    jobs: int | None = None,
    parameters: Mapping[str, str] = {},
) -> Plan:
    """Check a recipe and return its plan.

    `manifest` has the submitter's files; `jobs` replaces the recipe's number of jobs; `parameters` replace parameters
    of the dataset, each text read as YAML. Raises `Invalid` (code `bad-recipe`) with every problem of the file.
    """
    source = parse(text, filename)
    report = Report(filename, source)
    source = _override(source, report, jobs, parameters)
    report.source = source
    document = RECIPE.check(source.value, (), report)
    if document is GONE:
        report.raise_if_any()
    plan = Builder(document, report, manifest).build()
    report.raise_if_any()
    return plan


def _override(source: Source, report: Report, jobs: int | None, parameters: Mapping[str, str]) -> Source:
    """Return the source with what the command line says in place of what the file says."""
    if not isinstance(source.value, dict):
        return source
    value = dict(source.value)
    if jobs is not None:
        if not 1 <= jobs <= MOST_JOBS:
            report.add(("jobs",), f"{jobs} is not from 1 to {MOST_JOBS}", file="--jobs")
        else:
            value["jobs"] = jobs
    own = value.get("parameters")
    known = dict(own) if isinstance(own, dict) else {}
    for name, text in parameters.items():
        if name not in known:
            report.add(
                ("parameters", name),
                f"{quoted(name)} is not a parameter",
                nearest(name, known) if known else "the recipe has none",
                file="--set",
            )
            continue
        try:
            known[name] = parse(text).value if text.strip() else ""
        except Invalid as error:
            wrong = error.problems[0]
            report.add(("parameters", name), wrong.message, wrong.hint, file="--set")
    if parameters and known:
        value["parameters"] = known
    return replace(source, value=value)
