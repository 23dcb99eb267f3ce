"""Parameters of a dataset and of a task, joined: what a task says wins, and may build on what the dataset says."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from nunatak.datasets.template import Mentioned, compile_value


def parameters_of(dataset: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Mentioned]:
    """Compile the parameters seen in a task. Raises `Invalid` for a malformed template."""
    outer = {name: compile_value(value) for name, value in dataset.items()}
    return joined(outer, {name: compile_value(value) for name, value in task.items()})


def joined(outer: Mapping[str, Mentioned], inner: Mapping[str, Mentioned]) -> dict[str, Mentioned]:
    """Lay a task's parameters over the dataset's; one that mentions its own name means the dataset's."""
    found = dict(outer)
    for name, value in inner.items():
        found[name] = _building_on(name, value, outer[name]) if name in value.names and name in outer else value
    return found


def _building_on(name: str, value: Mentioned, below: Mentioned) -> Mentioned:
    def evaluate(scope: Mapping[str, Any]) -> Any:
        return value.evaluate(ChainMap({name: below.evaluate(scope)}, scope))  # type: ignore[arg-type]

    return Mentioned(evaluate, (value.names - {name}) | below.names, value.functions | below.functions)
