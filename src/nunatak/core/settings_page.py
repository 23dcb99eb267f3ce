"""The reference page of the settings, written from what they say of themselves."""

from __future__ import annotations

from typing import NamedTuple

from nunatak.core.settings import FILE_VARIABLE, PREFIX, Settings
from nunatak.core.settings_file import EngineTable

HEAD = f"""\
# Settings

A setting is taken from the command line, else from the environment, else from one TOML file; else it has its default.
The file is the one that `--config` or `{FILE_VARIABLE}` names, or `nunatak.toml` in the user's configuration directory
(`~/.config/nunatak` on Linux). Its keys are the names below; an unknown one is an error. Bytes may be written as
`"8 MB"` and seconds as `"5 min"`. One file describes a whole installation: [an example](../../deploy/nunatak.toml).
`nunatak config check` says what is wrong in it, each with its line; `nunatak config show` what holds, and where it comes
from.

| name | environment | default | unit | meaning |
|---|---|---|---|---|
"""
ENGINES = """
## Engines

Engines are tables of the file: `nunatak serve engine cluster` starts the one that `[engines.cluster]` describes.
`NUNATAK_URL`, `NUNATAK_TOKEN` and `--option` go over what stands there.

| key | meaning | default |
|---|---|---|
"""
SECRETS = """
## Secrets

None has to be in the file. Tokens are in files of their own (`token_file`). The database's password is in a password
file of PostgreSQL, with lines `HOST:PORT:DATABASE:USER:PASSWORD` and mode 0600, which `PGPASSFILE` or the address names:
`postgresql://nunatak@db/nunatak?passfile=/etc/nunatak/pgpass`.

What changes while an installation runs is not in the file but in the database: tokens, and
[shares](../how-to/share-a-pool.md).
"""


class Described(NamedTuple):
    """One setting, as the documentation shows it."""

    name: str
    env: str
    default: str
    unit: str
    description: str


def describe() -> list[Described]:
    """Return every setting with its environment variable, default, unit and description, in their order there."""
    rows = []
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra
        assert isinstance(extra, dict)
        default = str(extra["shown"]) or f"`{plain(field.default)}`"
        rows.append(Described(name, PREFIX + name.upper(), default, str(extra["unit"]), field.description or ""))
    return rows


def page() -> str:
    """Return the reference page of the settings, in Markdown."""
    rows = [f"| `{row.name}` | `{row.env}` | {row.default} | {row.unit} | {row.description} |" for row in describe()]
    of_engines = [
        f"| `{name}` | {field.description} | {f'`{field.default}`' if isinstance(field.default, str) and field.default else ''} |"
        for name, field in EngineTable.model_fields.items()
        if not field.is_required()
    ]
    return HEAD + "\n".join(rows) + "\n" + ENGINES + "\n".join(of_engines) + "\n" + SECRETS


def plain(value: object) -> str:
    """Return a value as people write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if value < 1e6 else str(value).removesuffix(".0")
    return str(value)
