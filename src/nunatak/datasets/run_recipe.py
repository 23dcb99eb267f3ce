"""One script and a pattern of files to a recipe, for people who have no recipe yet."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from nunatak.core.errors import Invalid


def recipe_for_run(
    script: str,
    inputs: str,
    outputs: Sequence[str] = (),
    *,
    python: str = "python",
    needs: Mapping[str, Any] | None = None,
    name: str = "",
    files: Sequence[str] = (),
) -> str:
    """Return the text of a recipe with one job for each file that `inputs` matches.

    Each job runs `python script INPUT OUTPUT...`; an output `out/{stem}.json` is called `{stem}.json` by the job and
    kept at `out/{stem}.json` below the dataset. A script that does not end in .py is run by itself. Raises `Invalid` if an
    output does not differ between files.
    """
    for output in outputs:
        if "{" not in output:
            hint = f"put {{stem}} into it: {posixpath.splitext(output)[0]}.{{stem}}{posixpath.splitext(output)[1]}"
            raise Invalid(f'every job would write "{output}"', code="same-output", hint=hint)
    start = [*shlex.split(python), script] if script.endswith(".py") else [f"./{script}"]
    base = [posixpath.basename(output) for output in outputs]
    task: dict[str, Any] = {
        "run": " ".join([*(_word(_literal(word)) for word in start), "{input}", *map(_word, base)]),
        "files": [script, *files],
    }
    if outputs:
        task["outputs"] = [
            local if local == output else f"{local} -> {output}" for local, output in zip(base, outputs, strict=True)
        ]
    if needs:
        task["needs"] = dict(needs)
    task["retry"] = {"tries": 2, "delay": "1 s"}  # whoever runs a script waits for it: tell of a mistake soon
    stem = posixpath.splitext(posixpath.basename(script))[0]
    pattern = f"file://{inputs}" if inputs.startswith("/") else inputs
    recipe = {"name": name or stem, "foreach": pattern, "tasks": {_task_name(stem): task}}
    return yaml.safe_dump(json.loads(json.dumps(recipe)), sort_keys=False, allow_unicode=True, width=1000)


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _word(text: str) -> str:
    return text if re.fullmatch(r"[\w{}.:/+@%=,-]+", text) else shlex.quote(text)


def _task_name(stem: str) -> str:
    cleaned = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_.-") else "_" for letter in stem)[
        :60
    ]
    return cleaned if cleaned[:1].isalpha() else f"run_{cleaned}"
