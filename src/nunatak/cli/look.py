"""Verbs that look: ls, status, watch, logs, history, why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from nunatak.cli.completing import addresses, dataset_states
from nunatak.cli.group import INTERRUPTED, OPEN, WORK_FAILED, importing
from nunatak.cli.show import show_status
from nunatak.cli.talk import AsJson, Where, age, clock_time, out, out_json, plain, say, table
from nunatak.core.states import NEVER_BEGAN, shown_state

if TYPE_CHECKING:
    from nunatak.client import Client

app = typer.Typer(rich_markup_mode=None)


def client() -> Client:
    """Return the client of the server in use; imported late, since that is most of a short command's time."""
    with importing():
        from nunatak.client import Client

    return OPEN.enter_context(Client())


@app.command("ls")
def list_datasets(
    state: Annotated[
        str | None,
        typer.Option(help="Only in this state: open, done, failed or held.", autocompletion=dataset_states),
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Only of this owner.")] = None,
    name: Annotated[str | None, typer.Option(help="Only of this name.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List datasets, the newest first."""
    rows = [item.plain for item in client().datasets(state=state, owner=owner, name=name, limit=limit)]
    if as_json:
        out_json(rows)
        return
    table(("dataset", "name", "state", "jobs done", "tasks failed", "owner", "age"), [_line(row) for row in rows], 2)
    if not rows:
        filters = [value for value in (owner, name) if value]
        said = (
            f"no {state} datasets"
            if state and not filters
            else "no such datasets"
            if state or filters
            else "no datasets"
        )
        say(f"{said}; `nunatak ls` shows all" if state or filters else said)


def _line(row: Any) -> tuple[str, ...]:
    jobs, tasks = row["jobs"], row["tasks"]
    done = f"{jobs['done']}/{jobs['total']}" if jobs["total"] else "none begun"
    state = shown_state(row["state"], closed=bool(row.get("closed")), jobs=jobs["total"])
    return str(row["dataset"]), row["name"], state, done, str(tasks["failed"]), row["owner"], age(row["created"])


@app.command()
def status(
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="[ADDRESS]",
            help="42, 42/17, 42/17/propagate, 42/17/propagate#2, 42/analyze; without one: the open datasets.",
            autocompletion=addresses,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show where a dataset, job, task or attempt is."""
    if address is None:
        list_datasets(state="open", as_json=as_json)
        return
    found = client().status(address).plain
    if as_json:
        out_json(found)
    else:
        show_status(found)


@app.command()
def watch(address: Where, as_json: AsJson = False) -> None:
    """Follow a dataset, job or task until it is settled; exit 7 if it failed or was held. Ctrl-C only stops looking."""
    settle(address, as_json)


def settle(address: str, as_json: bool) -> None:
    """Show each change until nothing more happens by itself. Raises `typer.Exit` unless all is done."""
    from nunatak.cli.live import follow

    try:
        last = follow(client().watch(address), as_json)
    except KeyboardInterrupt:
        no_longer_looking(address)
    none = "jobs" in last and not last["jobs"]["total"]
    if none or last.get("state") != "done":
        how = NEVER_BEGAN if none else f"is {last.get('state')}"
        say(f"{address} {how}")
        for line in first_failure(client(), address):
            say(line)
        say(f"`nunatak errors {address}` and `nunatak why {address}` say more")
        raise typer.Exit(WORK_FAILED)


def no_longer_looking(address: str) -> NoReturn:
    """Say that what was watched goes on. Raises `typer.Exit`."""
    say(f"\nno longer looking; it goes on. `nunatak watch {address}` looks again, `nunatak cancel {address}` ends it")
    raise typer.Exit(INTERRUPTED) from None


def first_failure(of: Client, address: str) -> list[str]:
    """Say what went wrong most, and what to do about it; nothing where nothing failed."""
    return [
        line
        for found in of.errors(address, limit=1)
        for line in (
            f"  {found.count} x {found.kind}: {plain(found.message)}",
            *([f"  {found.whose or 'nobody is to blame'}: {plain(found.advice)}"] if found.advice else []),
        )
    ]


@app.command()
def logs(
    address: Where,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the task ended.")] = False,
    stderr: Annotated[bool, typer.Option("--stderr", help="What it wrote to stderr, in place of stdout.")] = False,
    tail: Annotated[int | None, typer.Option(min=1, metavar="BYTES", help="Only the last so many bytes.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a task wrote, of its last attempt or of the one named."""
    stream = "stderr" if stderr else "stdout"
    for text in client().logs(address, stream=stream, follow=follow, tail=tail):
        if as_json:
            out_json({"address": address, "stream": stream, "text": text})
        else:
            sys.stdout.write(text)
        sys.stdout.flush()


@app.command()
def history(
    address: Where,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Show what happened, the oldest first: actions of people, and attempts."""
    rows = [event.plain for event in client().history(address, limit=limit)]
    if as_json:
        out_json(rows)
        return
    table(("time (UTC)", "what", "address", "by", "more"), [_event(row) for row in rows])


def _event(row: Any) -> tuple[str, ...]:
    names = ("what", "address", "actor")
    return clock_time(row.get("at")), *(str(row.get(name) or "") for name in names), _more(row)


def _more(row: Any) -> str:
    """Return what else an event says, for people."""
    known = ("at", "what", "address", "actor", "event")
    parts = []
    for key, value in row.items():
        if key in known or value in (None, "", [], {}) or isinstance(value, dict | list):
            continue
        parts.append(f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}")
    return " ".join(parts)


@app.command()
def why(
    address: Where,
    script: Annotated[bool, typer.Option("--script", help="Show what was submitted to the batch system.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say in words why something is where it is."""
    if script:
        text = client().script(address)
        out_json({"address": address, "script": text}) if as_json else sys.stdout.write(text)
        return
    found = client().why(address).plain
    if as_json:
        out_json(found)
        return
    out(plain(found["sentence"]))
    for reason in found.get("reasons", ()):
        if reason != found["sentence"]:
            out(plain(f"  {reason}"))
