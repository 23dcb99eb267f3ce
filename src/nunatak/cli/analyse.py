"""The analyser's path: run a script for each file, get what came out."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nunatak.cli.group import WORK_FAILED
from nunatak.cli.look import client, first_failure, no_longer_looking
from nunatak.cli.talk import AsJson, Where, out, out_json, say
from nunatak.core.units import count_text, memory_text

if TYPE_CHECKING:
    from nunatak.client import Client
    from nunatak.client.statuses import Status

app = typer.Typer(rich_markup_mode=None)


@app.command()
def run(
    script: Annotated[
        Path, typer.Argument(metavar="SCRIPT", help="Called as SCRIPT INPUT OUTPUT..., once for each input.")
    ],
    inputs: Annotated[str, typer.Option("--input", metavar="PATTERN", help="The files, as 'data/*.npz'.")],
    outputs: Annotated[
        list[str] | None, typer.Option("--output", metavar="TEMPLATE", help="What comes out, as 'out/{stem}.json'.")
    ] = None,
    cpu: Annotated[int | None, typer.Option(min=1, help="Cores a job needs.")] = None,
    gpu: Annotated[int | None, typer.Option(min=0, help="GPUs a job needs.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory a job needs, as '2 GB'.")] = None,
    disk: Annotated[str | None, typer.Option(help="Scratch disk a job needs.")] = None,
    time: Annotated[str | None, typer.Option(help="Time a job needs, as '1 h'.")] = None,
    python: Annotated[str, typer.Option(help="What runs a script that ends in .py.")] = "python",
    name: Annotated[str, typer.Option(help="Call the dataset this.")] = "",
    detach: Annotated[bool, typer.Option("--detach", help="Start all jobs, and do not wait.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a script once for each file: first for one, and if that went well for the rest.

    Ctrl-C stops looking, not the work: jobs that were not begun are then begun.
    """
    given = {"cpu": cpu, "gpu": gpu, "memory": memory, "disk": disk, "time": time}
    needs = {key: value for key, value in given.items() if value is not None}
    to = client()
    first = None if detach else 1
    made = to.run(script, inputs=inputs, outputs=outputs or (), needs=needs, python=python, name=name, first=first)
    number = made.dataset
    say(f"dataset {number}: {count_text(made.planned, 'job')}, see {made.url}")
    try:
        state = "open" if detach else _attached(to, number, made.planned)
    except KeyboardInterrupt:
        no_longer_looking(str(number))
    if as_json:
        out_json({"dataset": number, "url": made.url, "state": state})
    else:
        out(f"dataset {number}: {state}")
    _next_step(to, number, state)


def _attached(to: Client, number: int, jobs: int) -> str:
    """Wait for the first job, add the others, wait for all; return the state in the end."""
    from nunatak.cli.live import progress

    _hung_up_is_interrupted()
    try:
        with progress("trying one job", jobs) as show:
            state = _settled(to, number, show)
    except KeyboardInterrupt:
        if jobs > 1:  # nobody would be there to add them
            to.more(number, jobs - 1)
            say(f"\nstarting the other {count_text(jobs - 1, 'job')}, though the first is not done")
        raise
    if state != "done" or jobs == 1:
        return state
    say("the first job is done; starting the rest")
    to.more(number, jobs - 1)
    with progress("running all jobs", jobs) as show:
        return _settled(to, number, show)


def _hung_up_is_interrupted() -> None:
    """See to it that a terminal which is closed ends a command as Ctrl-C does."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def _settled(to: Client, number: int, show: Any) -> str:
    last: Status | None = None
    for last in to.watch(number):
        show(last.plain["jobs"]["done"])
    return last.state if last else ""


def _next_step(to: Client, number: int, state: str) -> None:
    if state == "done":
        say(f"`nunatak get {number} --to DIR` brings the outputs")
    elif state == "open":
        say(f"`nunatak watch {number}` follows it")
    else:
        for line in first_failure(to, str(number)):
            say(line)
        say(f"`nunatak errors {number}` says more; `nunatak retry {number}` tries again")
        raise typer.Exit(WORK_FAILED)


@app.command()
def get(
    address: Where,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", file_okay=False, help="Where to put them.")],
    parallel: Annotated[int, typer.Option(min=1, max=64, help="How many files at once.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Bring the outputs of a dataset, job or task, checksums verified; files that are there and right stay."""
    from nunatak.cli.live import progress

    source = client()
    files = list(source.files(address))
    with progress("getting files", len(files)) as show:
        found = source.fetch(files, to, parallel=parallel, progress=lambda item: show(item.number))
    if as_json:
        out_json([{"path": str(item.path), "sha256": item.file.sha256, "had": item.had} for item in found])
        return
    for item in found:
        out(str(item.path))
    new = [item for item in found if not item.had]
    size, had = memory_text(sum(item.file.size for item in new)), len(found) - len(new)
    before = f"; {had} {'was' if had == 1 else 'were'} there already" if had else ""
    say(f"{count_text(len(new), 'file')} ({size}){before}")
