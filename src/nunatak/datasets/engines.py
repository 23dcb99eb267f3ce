"""What a task tells engines of one kind alone: checked as far as that can be without them, and carried as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nunatak.core import classad
from nunatak.datasets.kinds import Schema
from nunatak.datasets.records import Field, Record, Table
from nunatak.datasets.report import GONE, Report, quoted, wrong_type
from nunatak.datasets.yaml_source import Path


@dataclass(frozen=True)
class Expression:
    """An expression of HTCondor: the same for all jobs, so that they stay one submission."""

    says: str = "a ClassAd expression"

    def accepts(self, value: Any) -> bool:
        """Accept text, numbers, true and false."""
        return isinstance(value, str | int | float)

    def check(self, value: Any, path: Path, report: Report) -> Any:
        """Return it as text."""
        if not self.accepts(value):
            return wrong_type(value, self.says, path, report)
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        flaw = classad.flaw(text)
        if flaw:
            hint = "write a text as '\"text\"'; what {...} stands for is not put in here"
            report.add(path, f"{quoted(text)} is not {self.says}: {flaw}", hint)
            return GONE
        return text

    def schema(self, shared: dict[str, Schema]) -> Schema:  # noqa: ARG002
        """A text, number, true or false."""
        text = {"type": "string", "minLength": 1, "maxLength": classad.MOST}
        return {"anyOf": [text, {"type": ["number", "boolean"]}]}


HTCONDOR = Record(
    "htcondor",
    "What goes into the jobs of engines for HTCondor.",
    {
        "requirements": Field(
            Expression(), "What else a machine must have, as a ClassAd expression.", ("TARGET.HasAVX2 =?= true",)
        ),
        "attributes": Field(
            Table(Expression(), classad.NAME, "the name of an attribute"),
            "Attributes of the jobs, those that the engine lets recipes set.", ({"is_resumable": True},),
        ),
    },
)  # fmt: skip
ENGINES = Record(
    "engines",
    "What a task tells engines of one kind; all others leave it alone.",
    {"htcondor": Field(HTCONDOR, "Engines for HTCondor.")},
)


def told(below: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return what engines of a kind are told: what the task says before what the recipe says, tables entry by entry."""
    tables = {key: {**below[key], **own[key]} for key in own if isinstance(own[key], Mapping) and key in below}
    return {**below, **own, **tables}
