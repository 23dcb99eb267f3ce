"""Parameters of task, tray and module around a text: each level is worked out before those inside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.iceprod.expansion import EXACT, STRICT, expand

ENVIRONMENT = {name: f"${name}" for name in ("OS_ARCH", "SROOT", "I3_BUILD", "I3_SRC")}
"""What `$environ(...)` knows: variables of the machine, which a shell there puts in."""


def worked_out(job: Mapping[str, Any], levels: Sequence[Mapping[str, Any]], raw: Any, mode: str) -> Any:
    """Return what a value stands for, the parameters of each level worked out before those inside it."""
    parameters: dict[str, Any] = {}
    for own in levels:
        outside = dict(parameters)
        parameters.update(own)
        for key, value in own.items():
            around = parameters
            if mode == STRICT:
                around = {name: item for name, item in parameters.items() if name != key}
                if key in outside:
                    around[key] = outside[key]
            try:
                parameters[key] = expand(
                    value, job=job, env={"parameters": around, "environment": ENVIRONMENT}, mode=mode
                )
            except Invalid:
                if mode == EXACT:
                    raise
    return expand(raw, job=job, env={"parameters": parameters, "environment": ENVIRONMENT}, mode=mode)


def expand_levels(text: str, names: Mapping[str, Any], options: Mapping[str, Any], task: str) -> Any:
    """Return a text worked out for one job. `names` has `mode`, `options`, `steering` and `levels`; `options` win over its own.

    Raises `Invalid` as `expand` does.
    """
    address = "-".join(str(part) for part in (options["dataset"], options.get("job", ""), task) if part != "")
    known = {"task_id": address, **names["options"], **options}
    job = {"options": known, "steering": {"parameters": names["steering"]}}
    return worked_out(job, names["levels"], text, names["mode"])
