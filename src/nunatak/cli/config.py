"""Verbs on the settings of an installation, before anything of it runs: config check, config show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nunatak.cli.group import importing
from nunatak.cli.talk import AsJson, out, out_json, say, table
from nunatak.core.errors import Problem

if TYPE_CHECKING:
    from nunatak.core.settings import Loaded

app = typer.Typer(rich_markup_mode=None)
config = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Check and show the settings of an installation."
)
app.add_typer(config, name="config")

Config = Annotated[
    Path | None,
    typer.Option("--config", dir_okay=False, help="The settings file; else NUNATAK_CONFIG, else the usual one."),
]
SECRET = re.compile(r"(?i)(password|secret|token|credential)s?\Z")


@config.command()
def check(file: Config = None, as_json: AsJson = False) -> None:
    """Say what is wrong in the settings file, with lines; the options of its engines, too. Nothing is started."""
    loaded = _loaded(file)
    from nunatak.core.settings_file import invalid

    problems = list(_engine_problems(loaded))
    if problems:
        raise invalid(problems)
    where, notes = str(loaded.written.path or ""), list(_notes(loaded))
    if as_json:
        out_json({"file": where or None, "engines": sorted(loaded.engines), "notes": notes})
        return
    for note in notes:
        say(f"note: {note}")
    engines = ", ".join(f"{name} ({item.kind})" for name, item in loaded.engines.items()) or "none"
    out(f"{where or 'no settings file'}: sound; engines: {engines}")


@config.command()
def show(file: Config = None, as_json: AsJson = False) -> None:
    """Show every setting and where it comes from, and the engines of the file. Secrets are not shown."""
    loaded = _loaded(file)
    rows = [(name, getattr(loaded.settings, name), origin) for name, origin in loaded.origins.items()]
    engines = {name: _without_secrets(item.model_dump(mode="json")) for name, item in loaded.engines.items()}
    if as_json:
        settings = {name: {"value": _masked(value), "from": origin} for name, value, origin in rows}
        out_json({"file": loaded.written.path, "settings": settings, "engines": engines})
        return
    of_engines = [
        (f"engines.{name}.{key}", _shown(value), f"{loaded.written.path}:{_line(loaded, name, key)}")
        for name, item in engines.items()
        for key, value in item.items()
        if value not in (None, "", {})
    ]
    table(("setting", "value", "from"), [*((name, _shown(value), origin) for name, value, origin in rows), *of_engines])


def _loaded(file: Path | None) -> Loaded:
    with importing():
        from nunatak.core.settings import load_all

    return load_all(file)


def _engine_problems(loaded: Loaded) -> Iterator[Problem]:
    """Yield what is wrong with engines that the file describes: kinds that are not installed, options."""
    from nunatak.core.settings_file import ENGINES, nearest
    from nunatak.engines.options import faults
    from nunatak.engines.plugins import GROUP

    installed = sorted(entry_points(group=GROUP).names)
    for name, item in loaded.engines.items():
        if item.kind not in installed:
            hint = nearest(item.kind, installed) or f"installed: {', '.join(installed)}"
            yield loaded.written.problem(f"there is no engine of kind {item.kind!r}", ENGINES, name, "kind", hint=hint)
            continue
        for found in faults(item.kind, item.options):
            key = (ENGINES, name, "options", *found.path.split("."))
            yield loaded.written.problem(found.message, *key, hint=found.hint)


def _notes(loaded: Loaded) -> Iterator[str]:
    """Yield what is allowed, yet rarely wanted."""
    if _shown(loaded.settings.database) != loaded.settings.database:
        yield f"the password of the database is in {loaded.origins['database']}: a password file keeps it from being shown"
    for name, item in loaded.engines.items():
        if item.token_file is None:
            continue
        try:
            if item.token_file.stat().st_mode & 0o077:
                yield f"{item.token_file}, the token of the engine {name}, can be read by others: chmod 600"
        except OSError as error:
            yield f"{item.token_file}, the token of the engine {name}: {error.strerror}"


def _line(loaded: Loaded, name: str, key: str) -> int:
    from nunatak.core.settings_file import ENGINES

    return loaded.written.problem("", ENGINES, name, key).line


def _without_secrets(value: Any) -> Any:
    """Return what is written of an engine, with what is named like a secret left out; files of secrets are none."""
    if isinstance(value, dict):
        return {key: "***" if SECRET.search(key) and item else _without_secrets(item) for key, item in value.items()}
    return value


def _masked(value: Any) -> Any:
    from nunatak.core.settings import without_secrets

    return without_secrets(value) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    from nunatak.core.settings_page import plain

    return "" if value is None else plain(_masked(value))
