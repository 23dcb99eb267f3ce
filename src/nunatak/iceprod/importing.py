"""An IceProd configuration to a recipe that does the same work, with all there is to say about the way there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from nunatak.core.errors import Invalid
from nunatak.core.units import count_text
from nunatak.iceprod.bounds import TooMuch, bounded_work
from nunatak.iceprod.configuration import complete, decoded, load, no_numbers
from nunatak.iceprod.expansion import MODES, STRICT
from nunatak.iceprod.findings import Finding, Findings
from nunatak.iceprod.linking import Makers
from nunatak.iceprod.recipe import Draft, draft, parameters
from nunatak.iceprod.scope import Whole
from nunatak.iceprod.taskfiles import TaskFiles, read_task_files

TASK_FILES = "the list of files"
"""What problems call the list of files attached to tasks."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A recipe made of a configuration.

    `files` are to lie beside the recipe, by name; `sources` are names of files beside the configuration that it needs as well.
    """

    text: str
    mode: str
    jobs: int
    files: Mapping[str, bytes]
    sources: tuple[str, ...]
    findings: tuple[Finding, ...]


def import_config(
    text: str | bytes, *, filename: str = "config.json", jobs: int | None = None, mode: str = STRICT,
    options: Mapping[str, Any] | None = None, task_files: str | bytes | None = None,
    datasets: Mapping[str, int] | None = None,
) -> Imported:  # fmt: skip
    """Return the recipe of a configuration.

    `jobs` is how many (1 if neither it nor `task_files` says); `options` are added to those of the configuration; `task_files`
    is the JSON list of files attached to tasks; `datasets` are the numbers here of datasets that `depends` names, 0 for one
    that need not be waited for. Raises `Invalid` (code `bad-configuration`) with everything that is wrong.
    """
    if mode not in MODES:
        raise Invalid(f'"{mode}" is no mode of expansion', code="bad-mode", hint=f"known: {', '.join(MODES)}")
    plain = load(text, filename)
    findings = Findings(decoded(text))
    for path in no_numbers(plain):
        findings.wrong(path, "this is no number that can be counted with", "put it in quotes if text is meant")
    config = complete(plain, findings)
    config["options"].update(options or {})
    attached = read_task_files(task_files, TASK_FILES)
    count = _count(config, jobs, attached)
    samples = attached.rows[0] if attached.rows else {}
    with bounded_work() as work:
        whole = Whole(config, mode, count, findings, samples=samples, datasets=datasets or {}, work=work)
        made = _draft(whole, attached)
    findings.raise_if_wrong(filename)
    helpers = {name: resources.files("nunatak.iceprod").joinpath(name).read_bytes() for name in sorted(made.helpers)}
    written = {name: content.encode() for name, content in made.written.items()}
    recipe = _document(config, count, made, attached)
    head = f"# From the IceProd configuration {re.sub(r'[^ -~]', '?', filename)}, read in {mode} mode.\n"
    return Imported(
        head + dump(recipe), mode, count, {**written, **helpers}, tuple(made.sources),
        tuple(sorted(findings.found, key=lambda item: (item.kind, item.line, item.column))),
    )  # fmt: skip


def _draft(whole: Whole, attached: TaskFiles) -> Draft:
    """Return all tasks; what is wrong is noted, and so is the place where it became too much work."""
    try:
        return draft(whole, attached)
    except TooMuch:
        hint = "do values refer to each other in lists? Use fewer parameters, or several configurations"
        whole.findings.wrong(
            whole.at, "up to here the configuration takes more work than any that does something", hint
        )
    except RecursionError:
        whole.findings.wrong(whole.at, "phrases and the values they refer to stand too deep in each other")
    return Draft(whole, attached, Makers(whole.findings, whole.jobs))


def _count(config: Mapping[str, Any], jobs: int | None, attached: TaskFiles) -> int:
    if attached.jobs and jobs not in (None, attached.jobs):
        raise Invalid(
            f"the list of files is for {count_text(attached.jobs, 'job')}, not {jobs}",
            code="bad-jobs",
            hint="leave --jobs out",
        )
    given = config["options"].get("jobs_submitted")
    return jobs or attached.jobs or (given if type(given) is int and given > 0 else 1)


def _document(config: Mapping[str, Any], jobs: int, made: Draft, attached: TaskFiles) -> dict[str, Any]:
    lines = str(config["description"]).strip().splitlines() or ["IceProd dataset"]
    recipe: dict[str, Any] = {"name": re.sub(r"[\x00-\x1f]", " ", lines[0])[:200] or "IceProd dataset"}
    more = lines if len(lines) > 1 or len(lines[0]) > 200 else []
    named = [str(item) for item in config["categories"]]
    if named:
        more = [*more, f"Categories: {', '.join(named)[:1000]}"]
    if more:
        recipe["description"] = "\n".join(more)
    if attached.rows:
        recipe["foreach"] = [
            {key: value.replace("{", "{{").replace("}", "}}") for key, value in row.items()} for row in attached.rows
        ]
    else:
        recipe["jobs"] = jobs
    listed = parameters(made)
    if listed:
        recipe["parameters"] = listed
    recipe["tasks"] = {name: task.entry for name, task in made.tasks.items()}
    return recipe


_BASE: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_BASE):  # type: ignore[misc]
    """Writes texts so that YAML 1.2 reads them as texts, and short lists and tables on one line."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the name PyYAML gives it
        return True


_PLAIN = re.compile(
    r"(?!(?:true|false|null|yes|no|on|off|nan|inf|y|n)\Z)[A-Za-z/][A-Za-z0-9_./ =+%@-]*\Z", re.IGNORECASE
)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _PLAIN.match(text) and text == text.strip()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


def _short_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    plain = all(not isinstance(item, list | dict) for item in items) and len(str(items)) < 90
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=plain)


def _short_table(dumper: yaml.SafeDumper, table: dict[str, Any]) -> yaml.MappingNode:
    plain = all(not isinstance(item, dict) for item in table.values()) and len(str(table)) < 100 and "run" not in table
    return dumper.represent_mapping("tag:yaml.org,2002:map", table, flow_style=plain)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _short_list)
_Dumper.add_representer(dict, _short_table)


def dump(recipe: Mapping[str, Any]) -> str:
    """Return a recipe as YAML."""
    return yaml.dump(dict(recipe), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
