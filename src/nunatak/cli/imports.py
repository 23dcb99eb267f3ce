"""The verb import: what other systems run, as a recipe."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nunatak.cli.look import client
from nunatak.cli.talk import AsJson, out, out_json, plain, say
from nunatak.core.errors import Conflict, NotFound

if TYPE_CHECKING:
    from nunatak.iceprod.importing import Imported

app = typer.Typer(rich_markup_mode=None)
group = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Make a recipe of what another system runs.")
app.add_typer(group, name="import")

SAYINGS: Mapping[str, str] = {
    "differs": "exact and strict differ",
    "dropped": "dropped",
    "translated": "translated",
    "asks": "asks for",
    "shell": "needs a shell",
}
"""What is said before a finding of each kind."""


@group.callback()
def importing() -> None:
    """Make a recipe of what another system runs."""


@group.command()
def iceprod(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.json", help="The dataset configuration.")],
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="How many jobs; 1 if nothing says it.")] = None,
    mode: Annotated[
        str,
        typer.Option(
            help="strict: as it is meant, unknown names are errors. exact: as IceProd expands, quirks included."
        ),
    ] = "strict",
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="Set one of the options, such as data_url; repeatable."),
    ] = None,
    task_files: Annotated[
        Path | None, typer.Option(help="The files attached to tasks: a JSON list as IceProd's API takes them.")
    ] = None,
    datasets: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset",
            metavar="ID=NUMBER",
            help="The number here of a dataset that depends names; ID= if it is done already. Repeatable.",
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Write the recipe here, and the files it needs beside it.")] = None,
    submit: Annotated[bool, typer.Option("--submit", help="Make it a dataset at once.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a recipe of an IceProd dataset configuration, and say what was translated, dropped, or comes out otherwise.

    Without --to and --submit the recipe is printed.
    """
    from nunatak.iceprod.importing import import_config
    from nunatak.iceprod.options import read_datasets, read_options

    made = import_config(
        _read(config), filename=config.name, jobs=jobs, mode=mode, options=read_options(options or ()),
        task_files=_read(task_files) if task_files else None, datasets=read_datasets(datasets or ()),
    )  # fmt: skip
    if not as_json:
        for finding in made.findings:
            say(plain(f"{SAYINGS[finding.kind]}: {finding}"))
    done: dict[str, Any] = {}
    if to:
        place(made, config.parent, to)
        done["recipe"] = str(to)
    if submit:
        with tempfile.TemporaryDirectory(prefix="nunatak-import-") as directory:
            recipe = Path(directory) / f"{config.stem}.yaml"
            place(made, config.parent, recipe)
            sent = client().submit(recipe)
            done |= {"dataset": sent.dataset, "url": sent.url}
    _tell(made, done, as_json)


def _tell(made: Imported, done: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        findings = [asdict(item) for item in made.findings]
        body = {} if done else {"text": made.text, "files": sorted(made.files), "sources": list(made.sources)}
        out_json({**done, **body, "mode": made.mode, "jobs": made.jobs, "findings": findings})
        return
    if "recipe" in done:
        say(f"wrote {done['recipe']}; next: nunatak check {done['recipe']}, nunatak try {done['recipe']}")
    if "dataset" in done:
        out(f"dataset {done['dataset']}")
        say(f"`nunatak status {done['dataset']}` or {done['url']}")
    if not done:
        out(made.text.rstrip("\n"))
        if made.files or made.sources:
            say(f"it needs files beside it: {', '.join([*made.files, *made.sources])}; --to FILE writes them")


def place(made: Imported, beside: Path, recipe: Path) -> None:
    """Write a recipe and what it needs beside it; `beside` has the files that its configuration names.

    Raises `NotFound` for one that is not there, `Conflict` for one that is there already with another content.
    """
    contents: dict[str, bytes] = {}
    for name in made.sources:
        source = beside / name
        if not source.is_file() or ".." in Path(name).parts:
            raise NotFound(
                f"there is no file {name} beside the configuration, which a module runs",
                code="no-source", hint="put it there, or name it in the task's data",
            )  # fmt: skip
        contents[name] = source.read_bytes()
    contents |= made.files
    contents[recipe.name] = made.text.encode()
    for name, content in contents.items():
        target = recipe.parent / name
        if target.exists() and target.read_bytes() != content and target != recipe:
            raise Conflict(
                f"{target} is there already, with another content", code="exists", hint="write to an empty directory"
            )
    for name, content in contents.items():
        target = recipe.parent / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        if name in made.sources:
            target.chmod((beside / name).stat().st_mode & 0o777)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}", code="no-file") from None
