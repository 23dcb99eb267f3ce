"""The command `nunatak`: every verb, listed once; the module of a verb is imported when it is asked for."""

from __future__ import annotations

import gc

import typer

from nunatak import __version__
from nunatak.cli.group import LazyGroup, Verb, talking

VERBS = (
    Verb("up", "operate", "Start everything on this machine: server, loops, local engine."),
    Verb("serve", "operate", "Start one part of an installation: api, loops or an engine."),
    Verb("migrate", "operate", "Bring the database to the form this version needs."),
    Verb("config", "config", "Check and show the settings of an installation."),
    Verb("doctor", "operate", "Check an installation: books, directories, disks, clocks."),
    Verb("check", "recipes", "Check a recipe file, without a server."),
    Verb("try", "recipes", "Run one job of a recipe, or of what was submitted, here in the foreground."),
    Verb("simulate", "simulate", "Say when a recipe would be done on given engines, without a server."),
    Verb("submit", "recipes", "Send a recipe and make it a dataset."),
    Verb("import", "imports", "Make a recipe of what another system runs."),
    Verb("run", "analyse", "Run a script once for each file of a pattern."),
    Verb("get", "analyse", "Bring the outputs of a dataset, job or task."),
    Verb("ls", "look", "List datasets, the newest first."),
    Verb("tasks", "lists", "List the tasks of a dataset."),
    Verb("files", "lists", "List the outputs of a dataset, job or task."),
    Verb("recipe", "lists", "Print the recipe of a dataset."),
    Verb("status", "look", "Show where a dataset, job, task or attempt is."),
    Verb("watch", "look", "Follow a dataset, job or task until it is settled."),
    Verb("logs", "look", "Print what a task wrote."),
    Verb("history", "look", "Show what happened: actions and attempts."),
    Verb("usage", "usage", "Show who used how much, and what was lost of it."),
    Verb("why", "look", "Say in words why something is where it is."),
    Verb("errors", "errors", "Show failures, equal ones grouped, of an address or of all datasets."),
    Verb("what-if", "simulate", "Say what more slots, a priority or a weight would change for a dataset."),
    Verb("hold", "act", "Stop datasets, jobs or tasks until they are released."),
    Verb("release", "act", "Let go on what was held."),
    Verb("retry", "act", "Try failed tasks again."),
    Verb("cancel", "act", "End datasets, jobs or tasks for good."),
    Verb("close", "act", "Let datasets get no new jobs."),
    Verb("edit", "edit", "Edit the recipe of a dataset: a new revision, for all that is tried from now on."),
    Verb("more", "act", "Add jobs to a dataset."),
    Verb("split", "act", "Divide jobs that have not begun into smaller ones."),
    Verb("shares", "shares", "Show who gets how much, or change it."),
    Verb("node", "nodes", "Show how nodes stand; drain them."),
    Verb("open", "access", "Open the pages in a browser, signed in."),
    Verb("login", "access", "Save which server to use, and the token for it."),
    Verb("token", "access", "Make, list and revoke tokens."),
)
"""Every verb with its module below `nunatak.cli` and what it does."""

EPILOG = (
    "Addresses: 42 (dataset), 42/17 (job), 42/17/propagate (task), 42/17/propagate#2 (attempt), 42/analyze (a task "
    "done once a dataset). Exit codes: 0 done, 1 internal, 2 wrong use or input, 3 not found, 4 not in this state, "
    "5 refused, 6 unavailable, 7 the work failed, 130 interrupted."
)


class Nunatak(LazyGroup):
    """The verbs of the command line."""

    verbs = VERBS


app = typer.Typer(
    cls=Nunatak,
    name="nunatak",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"nunatak {__version__}")
        raise typer.Exit


@app.callback()
def nunatak(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Nunatak: datasets become jobs and tasks, run anywhere, every try recorded."""


def main() -> None:
    """Run one command and end the process with its exit code."""
    with talking():
        try:
            app(prog_name="nunatak")
        finally:
            gc.freeze()  # all goes with the process; to search it for garbage takes a tenth of a short command
