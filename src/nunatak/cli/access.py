"""Verbs of access: login, token. A token is read from the terminal or stdin, never from the arguments."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from nunatak.cli.completing import one_of
from nunatak.cli.look import client
from nunatak.cli.talk import AsJson, clock_time, out, out_json, say, table
from nunatak.core.errors import Invalid

app = typer.Typer(rich_markup_mode=None)
token = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Make, list and revoke tokens.")
app.add_typer(token, name="token")


@app.command()
def login(
    url: Annotated[str, typer.Argument(metavar="URL", help="The server, as https://nunatak.example.org")],
    as_json: AsJson = False,
) -> None:
    """Save which server to use, and the token for it, which is asked for or read from stdin."""
    from nunatak.client import Client
    from nunatak.client.connection import addresses
    from nunatak.client.login import Login, save

    addresses(url)  # before a secret is asked for
    secret = (typer.prompt("token", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()).strip()
    if not secret:
        raise Invalid("no token was given", code="no-token", hint=f"nunatak login {url} < FILE, or type it when asked")
    with Client(url, secret) as asked:
        who = asked.whoami()
    file = save(Login(url.rstrip("/"), secret), os.environ)
    if as_json:
        out_json(who.plain)
    else:
        out(f"{url}: you are {who.name}, with the scopes {', '.join(who.scopes)}")
        say(f"saved in {file}")


@app.command("open")
def open_pages(
    show: Annotated[bool, typer.Option("--print", help="Print the address, and open nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Open the pages in a browser, signed in.

    The address has a code in it that works once and within ten minutes; it is printed where no browser can be opened.
    """
    import webbrowser

    url = client().sign_in_url()
    if as_json:
        out_json({"url": url})
    elif show or not _has_display(os.environ) or not webbrowser.open(_forward(url)):
        out(url)


def _forward(url: str) -> str:
    """Return a file of this user alone that leads there: arguments of processes can be seen by everybody on a machine."""
    from nunatak.client.login import write_private

    page = f'<!doctype html><meta http-equiv="refresh" content="0; url={url}"><title>Nunatak</title>'
    return write_private("open.html", page, os.environ).as_uri()


def _has_display(environ: Mapping[str, str]) -> bool:
    """Tell whether a browser can show anything; without a screen one would take over the terminal."""
    return sys.platform == "darwin" or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


@token.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called, as laptop.")],
    scopes: Annotated[
        list[str],
        typer.Option(
            "--scope",
            "-s",
            help="read, submit, engine or admin; repeatable.",
            autocompletion=one_of("read", "submit", "engine", "admin"),
        ),
    ],
    days: Annotated[float | None, typer.Option(min=0.001, help="How long it is valid.")] = None,
    principal: Annotated[str | None, typer.Option("--for", metavar="WHO", help="Whom it speaks for; else you.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it; it is never shown again."""
    made = client().create_token(name, scopes, days=days, principal=principal)
    if as_json:
        out_json(made.plain)
        return
    out(made.token)
    say(f"this is token {made.id}; it is not shown again")


@token.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """List tokens, without their secrets."""
    rows = [item.plain for item in client().tokens()]
    if as_json:
        out_json(rows)
        return
    table(
        ("id", "name", "for", "scopes", "expires (UTC)", ""),
        [
            (
                str(row["id"]),
                str(row.get("name", "")),
                str(row.get("principal", "")),
                " ".join(row.get("scopes", ())),
                clock_time(row.get("expires")),
                "revoked" if row.get("revoked") else "",
            )
            for row in rows
        ],
    )


@token.command("revoke")
def revoke(
    number: Annotated[int, typer.Argument(metavar="ID", min=1, help="As `token list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Make a token worthless."""
    client().revoke_token(number)
    if as_json:
        out_json({"revoked": number})
    else:
        out(f"token {number} is revoked")
