"""The verb errors: failures below an address, or of all datasets, equal ones grouped, with what to do about them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any

import typer

from nunatak.cli.completing import addresses
from nunatak.cli.look import client
from nunatak.cli.talk import AsJson, clock_time, out, out_json, plain, say
from nunatak.core.errors import Invalid

app = typer.Typer(rich_markup_mode=None)

SHOWN_LINES = 8
"""Lines of a log that are shown for a group of failures."""
SHOWN_PLACES = 3

Address = Annotated[
    str | None,
    typer.Argument(
        metavar="[ADDRESS]", help="42, 42/17 or 42/17/propagate; without one: all datasets.", autocompletion=addresses
    ),
]


@app.command()
def errors(
    address: Address = None,
    owner: Annotated[str, typer.Option(help="Without an address: only of this owner.")] = "",
    group: Annotated[str, typer.Option(help="Without an address: only of this group.")] = "",
    site: Annotated[str, typer.Option(help="Without an address: only at this site.")] = "",
    kind: Annotated[str, typer.Option(help="Without an address: only of this kind, as user-error.")] = "",
    signature: Annotated[str, typer.Option(help="Without an address: only this group of failures.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many groups at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show failures, equal ones grouped, with what to do about them; without an address those of all datasets."""
    wanted = {"owner": owner, "group": group, "site": site, "kind": kind, "signature": signature}
    if address is None:
        _everywhere(wanted, limit, as_json)
        return
    if any(wanted.values()):
        raise Invalid(
            "an address has all its failures shown", code="bad-use", hint="leave out the address, or the filters"
        )
    rows = [item.plain for item in islice(client().errors(address), limit)]
    if as_json:
        out_json(rows)
        return
    for row in rows:
        out(plain(f"{row['count']} x {row['kind']}: {row['message']}"))
        for line in [line for line in row["lines"] if line not in row["message"]][-SHOWN_LINES:]:
            out(plain(f"      {line}"))
        out(f"    {row['id']}, {_places(row)}last {clock_time(row['last'])} UTC, for example {row['example']}")
        if row.get("advice"):
            out(f"    {row['whose'] or 'nobody is to blame'}: {row['advice']}")
        if row["tasks"] and address.isdigit():
            out(f"    these alone again: nunatak retry {address} --signature {row['signature']}")
    if not rows:
        number = address.partition("/")[0]
        say(f"no failures; what people held or cancelled: nunatak history {number}")


def _places(row: Mapping[str, Any]) -> str:
    """Say in how many tasks and where failures of a group were."""
    tasks = row["tasks"]
    nodes = row["nodes"]["counts"]
    named = [f"{name} ({n})" if len(nodes) > 1 else name for name, n in list(nodes.items())[:SHOWN_PLACES]]
    rest = len(nodes) - len(named)
    more = [f"{rest} more"] if rest else ["others"] if row["nodes"]["more"] else []
    where = f" on {', '.join([*named, *more])}" if named else ""
    return f"{tasks} task{'' if tasks == 1 else 's'}{where}, " if tasks else f"before the last retry{where}, "


def _everywhere(wanted: Mapping[str, str], limit: int, as_json: bool) -> None:
    """Show the failures of all datasets, as the page of errors does."""
    found = client().all_errors(**wanted)
    if as_json:
        out_json({**found.plain, "items": list(found.items[:limit])})
        return
    for row in found.items[:limit]:
        out(plain(f"{row['attempts']} x {row['kind']}: {row['pattern']}"))
        out(plain(f"    {row['id']}, {_spread(row)}last {clock_time(row['last'])} UTC, for example {row['example']}"))
        out(plain(f"    {row['whose']} {row['advice']}"))
        out(plain(f"    group {row['signature']}"))
    if found.left_out:
        say("older failures were not looked at; --owner, --group and --kind narrow it down")
    if not found.items:
        say("no failures")


def _spread(row: Mapping[str, Any]) -> str:
    """Say in how many tasks of which datasets, and at which sites, equal failures were."""
    of, tasks = row["datasets"], row["tasks"]
    numbers = [item["address"] for item in of[:SHOWN_PLACES]]
    rest = len(of) + row["more_datasets"] - len(numbers)
    datasets = f"dataset{'' if len(numbers) + rest == 1 else 's'} {', '.join(numbers)}" + (
        f" and {rest} more" if rest else ""
    )
    places = [f"{name} ({n})" for name, n in row["at"].items()] + (
        [f"elsewhere ({row['elsewhere']})"] if row["elsewhere"] else []
    )
    where = f" at {', '.join(places)}" if places else ""
    spread = (
        f"{tasks} task{'' if tasks == 1 else 's'} of {datasets}" if tasks else f"before the last retry of {datasets}"
    )
    return f"{spread}{where}, "
