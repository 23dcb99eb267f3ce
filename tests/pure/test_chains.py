"""Long chains of tasks: what follows from the names of inputs is worked out once for each, not once for each way to it."""

from __future__ import annotations

from typing import Any

import pytest

from nunatak.datasets.expand import dry_run, expand
from nunatak.datasets.manifest import Manifest
from nunatak.datasets.plan import Plan
from nunatak.datasets.program import TaskProgram
from nunatak.datasets.recipe import compile_recipe

LENGTH = 60


def chain(name: str) -> Plan:
    """Return tasks in a row, each with two files called `name` that the next reads; `#` in it is the number of the task."""
    lines = ["name: a chain", "jobs: 3", "parameters: {tag: t, own: '{stem(inputs[0])}'}", "tasks:"]
    lines.append("  t0: {run: echo, outputs: [x.1.i3, x.2.i3]}")
    made = ("x.1.i3", "x.2.i3")
    for number in range(1, LENGTH):
        inputs = ", ".join(f"'t{number - 1}/{file}'" for file in made)
        made = tuple(f"{name}.{end}.i3".replace("#", str(number)) for end in (1, 2))
        outputs = ", ".join(f"'{file}'" for file in made)
        lines.append(f"  t{number}: {{run: echo, inputs: [{inputs}], outputs: [{outputs}]}}")
    return compile_recipe("\n".join(lines), filename="r.yaml", manifest=Manifest())


@pytest.mark.parametrize("name", ["{tag}_#_{job}", "{stem(inputs[0])}", "{own}"])
def test_a_chain_costs_what_it_is_long(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, asked, plainly = chain(name), [0], TaskProgram.name_inputs

    def counted(*words: Any) -> Any:
        asked[0] += 1
        return plainly(*words)

    monkeypatch.setattr(TaskProgram, "name_inputs", counted)
    spec = expand(plan, dataset=1, job=2, task=LENGTH - 1, attempt=1, lease="1", store="file:///s", blobs="file:///b")
    assert asked[0] == (1 if "tag" in name else LENGTH - 1)
    assert spec.outputs[0].name.startswith("t_59_2.1" if "tag" in name else "x.1")
    asked[0] = 0
    assert len(dry_run(plan, 0)) == LENGTH
    assert asked[0] <= LENGTH * (LENGTH + 1)
