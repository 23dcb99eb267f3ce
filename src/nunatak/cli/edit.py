"""The verb edit: a dataset's recipe in an editor or from a file; shown, asked about, then the new revision."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nunatak.cli.completing import addresses
from nunatak.cli.group import INTERRUPTED
from nunatak.cli.look import client
from nunatak.cli.recipes import Sets, parameters_of
from nunatak.cli.talk import AsJson, agreed, coloured, out, out_json, plain, say
from nunatak.core.errors import Conflict, Invalid, NotFound
from nunatak.core.units import count_text
from nunatak.datasets.changes import Change, gathered
from nunatak.datasets.reach import reach

if TYPE_CHECKING:
    from nunatak.client import Client
    from nunatak.client.results import Revised

app = typer.Typer(rich_markup_mode=None)

Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="The number of the dataset.", autocompletion=addresses)]
Recipe = Annotated[
    Path | None,
    typer.Argument(metavar="[RECIPE]", help="The edited recipe file; else an editor opens the present one."),
]
Files = Annotated[
    list[Path] | None,
    typer.Option("--file", metavar="PATH", help="Send this file in place of the one of that name; repeatable."),
]


@app.command()
def edit(
    dataset: Dataset,
    recipe: Recipe = None,
    files: Files = None,
    sets: Sets = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Then try all failed tasks again.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only tell what would change.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Edit the recipe of a dataset: a new revision, for all that is tried from now on.

    What is done stays as it is, what runs goes on. Files beside RECIPE are sent; those that are not there stay as they
    are. Without RECIPE, --file and --set, the editor of $VISUAL or $EDITOR opens the present recipe.
    """
    to, parameters = client(), parameters_of(sets)
    now = to.recipe(dataset)
    with tempfile.TemporaryDirectory() as directory:
        path = recipe or Path(directory) / _name(str(now["filename"]))
        if recipe is None:
            _lay_out(now, path, files or ())
        elif files:
            raise Invalid("--file is for an edit without RECIPE", code="bad-use", hint="files beside RECIPE are sent")
        asks = recipe is None and not files and not sets
        told = (_edited if asks else _told)(to, dataset, path, now, parameters)
        _show(told)
        _end_if_useless(told, check, as_json)
        if not yes and not agreed(f"make this revision {told.revision + 1} of the recipe of dataset {told.dataset}?"):
            say("nothing was changed; --yes does not ask")
            raise typer.Exit(INTERRUPTED)
        made = to.edit(dataset, path, parameters=parameters, since=now["tag"])
    retried = to.retry(dataset) if retry_failed and made.tasks.get("failed") else 0
    _conclude(made, retried, retry_failed, as_json)


def _name(filename: str) -> str:
    """Return a name for the file in the editor: what the recipe was called, without any directory."""
    return Path(filename.replace("\\", "/")).name or "recipe.yaml"


def _lay_out(now: Mapping[str, Any], path: Path, files: Sequence[Path]) -> None:
    """Write the present recipe, and beside it the files that are to take the place of those that it has."""
    path.write_text(str(now["source"]), encoding="utf-8")
    known = now["plan"]["files"]
    for file in files:
        if not file.is_file():
            raise NotFound(f"there is no file {file}", code="no-file")
        given = file.as_posix().removeprefix("./")
        found = [name for name in known if name == given] or [name for name in known if Path(name).name == file.name]
        if len(found) != 1:
            hint = f"it has {', '.join(known)}" if known else "it brings no files"
            raise NotFound(f"the recipe has no one file {file.name}", code="no-file", hint=hint)
        target = path.parent / found[0]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
        target.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)


def _told(to: Client, dataset: str, path: Path, now: Mapping[str, Any], parameters: Mapping[str, str]) -> Revised:
    return to.edit(dataset, path, parameters=parameters, since=now["tag"], check=True)


def _edited(to: Client, dataset: str, path: Path, now: Mapping[str, Any], parameters: Mapping[str, str]) -> Revised:
    """Let a person edit until the recipe is sound, or they give up; what they wrote is printed then, not lost."""
    from click import edit as in_editor  # not loaded where nobody edits

    while True:
        text = in_editor(path.read_text(encoding="utf-8"), extension=".yaml")
        if text is None:
            say("nothing was changed")
            raise typer.Exit(INTERRUPTED)
        path.write_text(text, encoding="utf-8")
        try:
            return _told(to, dataset, path, now, parameters)
        except Invalid as error:
            say(error.message)
            for problem in error.problems:
                say(f"  {problem}")
            if not agreed("edit it again?"):
                out(plain(text.rstrip("\n")))
                raise


def _show(told: Revised) -> None:
    """Say what would change, and for which tasks."""
    for line in told.difference:
        say(coloured(plain(line), {"+": "done", "-": "failed"}.get(line[:1], "waiting")))
    for change in gathered(Change(**one) for one in told.changes):
        say(plain(change.text))
    for note in told.notes:
        say(plain(f"note: {note}"))
    for refusal in told.refusals:
        say(plain(f"cannot be changed: {refusal['path']}: {refusal['message']} ({refusal['hint']})"))
    if told.changed:
        say("; ".join(reach(told.tasks)))


def _end_if_useless(told: Revised, check: bool, as_json: bool) -> None:
    """End where nothing is to be written: it was a check, or nothing changes, or something cannot."""
    if as_json and (check or not told.changed):
        out_json(told.plain)
    if told.refusals:
        raise Conflict(
            f"dataset {told.dataset} cannot have this recipe: {told.refusals[0]['message']}",
            code="cannot-change", hint=told.refusals[0]["hint"],
        )  # fmt: skip
    if not told.changed:
        say("the recipe says what it said before: nothing was changed")
    if check or not told.changed:
        raise typer.Exit


def _conclude(made: Revised, retried: int, asked: bool, as_json: bool) -> None:
    if as_json:
        out_json({**made.plain, "retried": retried})
        return
    out(f"dataset {made.dataset} revision {made.revision}")
    failed = made.tasks.get("failed", 0)
    if asked:
        say(f"{count_text(retried, 'task')} to be tried again")
    elif failed:
        say(f"`nunatak retry {made.dataset}` tries the {count_text(failed, 'failed task')} again, by this revision")
