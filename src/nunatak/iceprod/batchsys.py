"""What a configuration tells HTCondor by hand (`batchsys`): to what a recipe tells engines for HTCondor, and features."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from nunatak.core import classad
from nunatak.iceprod.deferred import UNKNOWN, Deferred, depends
from nunatak.iceprod.findings import Path
from nunatak.iceprod.scope import Scope
from nunatak.iceprod.strict import number

_CLAUSE = re.compile(r"(?:TARGET\.)?(\w+)\s*(?:(=\?=|==|>=)\s*(\"[^\"]*\"|[\w.]+))?\Z", re.IGNORECASE)
_CVMFS = re.compile(r"has_?cvmfs", re.IGNORECASE)
_OTHERS = "engines for HTCondor alone heed it"


@dataclass(slots=True)
class BatchSystem:
    """Features that all engines understand, and what those for HTCondor are told."""

    features: list[str] = field(default_factory=list)
    requirements: list[str] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def engines(self) -> dict[str, Any]:
        """The `engines` of a recipe."""
        told = {"requirements": " && ".join(self.requirements), "attributes": self.attributes}
        said = {key: value for key, value in told.items() if value}
        return {"htcondor": said} if said else {}


def batch_system(table: Any, path: Path, scope: Scope) -> BatchSystem:
    """Return what is told to HTCondor. As in IceProd `requirements` are added to those there are, all else is an attribute."""
    found = BatchSystem()
    for name, attributes in table.items() if isinstance(table, dict) else ():
        if not attributes:
            continue
        for key, value in attributes.items() if isinstance(attributes, dict) else [("", attributes)]:
            place = (*path, name, key) if key else (*path, name)
            if name != "condor" or not key:
                scope.whole.findings.add("dropped", place, f"{name} is not known to IceProd either")
                continue
            text = _expression(value, place, scope)
            if text and key.lower() == "requirements":
                _requirements(text, place, scope, found)
            elif text:
                _attribute(key.lstrip("+").strip(), text, place, scope, found)
    return found


def _expression(value: Any, place: Path, scope: Scope) -> str:
    """Return an expression as text; "" after noting what is wrong with it."""
    worked_out = scope.text(value, place)
    if isinstance(worked_out, Deferred) and worked_out.known is not UNKNOWN:
        worked_out = worked_out.known
    if depends(worked_out):
        hint = "jobs of one task are one submission: what differs from job to job has no place there"
        scope.whole.findings.add("dropped", place, "it depends on the job", hint)
        return ""
    text = str(worked_out).strip()
    flaw = classad.flaw(text) if text or value else ""
    if flaw:
        scope.whole.findings.wrong(
            place, f'"{text[:60]}" is no expression of HTCondor: {flaw}', 'texts stand in quotes: "..."'
        )
    return "" if flaw else text


def _attribute(name: str, text: str, place: Path, scope: Scope, found: BatchSystem) -> None:
    if not re.match(classad.NAME, name):
        scope.whole.findings.wrong(place, f'"{name}" is no name of an attribute', "letters, digits and _")
        return
    found.attributes[name] = text
    hint = "one that does not let recipes set it says so: its option `settable`"
    scope.whole.findings.add("translated", place, f"the attribute {name} of HTCondor's jobs: {_OTHERS}", hint)


def _requirements(text: str, place: Path, scope: Scope, found: BatchSystem) -> None:
    """Note requirements, cut at `&&`: what all engines understand becomes a feature, so that no machine without it is taken."""
    for clause in classad.clauses(text):
        feature, understood = _feature(clause)
        if feature:
            found.features.append(feature)
            scope.whole.findings.add("asks", place, f"{clause}: the feature {feature}")
        if not understood:
            found.requirements.append(f"({clause})")
        if not feature:
            hint = "to keep it off machines of other engines, name a feature for it in `needs`"
            scope.whole.findings.add("translated", place, f"{clause}: {_OTHERS}", hint)


def _feature(clause: str) -> tuple[str, bool]:
    """Return the feature that stands for a condition on a machine, "" if none does, and whether it says all of it."""
    bare = clause[1:-1].strip() if clause.startswith("(") and clause.endswith(")") else clause
    condition = _CLAUSE.match(bare)
    if not condition:
        return "", False
    name, sign, value = condition[1].lower(), condition[2] or "", (condition[3] or "true").strip('"')
    amount = number(value) if sign == ">=" else None
    if name in ("gpus_capability", "cudacapability") and amount is not None:
        return f"gpu_capability={value}", True
    if name in ("gpus_globalmemorymb", "cudaglobalmemorymb") and amount is not None:
        return f"gpu_memory={value}MB", True
    if _CVMFS.match(name) and sign != ">=" and value.lower() in ("true", "1"):
        return "cvmfs", False  # which of its repositories a machine has, its attribute says
    return "", False
