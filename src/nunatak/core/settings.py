"""Everything an installation can configure, listed once: arguments over environment over one TOML file over defaults.

Read where servers start. The file is read by `settings_file`, and `settings_page` writes the reference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import quote

from platformdirs import user_config_path, user_data_path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from nunatak.core import settings_file, units
from nunatak.core.complaints import complaint
from nunatak.core.errors import Invalid, NotFound, NunatakError, Problem
from nunatak.core.settings_file import EngineTable, Written, invalid, nearest

PREFIX = "NUNATAK_"
FILE_VARIABLE = "NUNATAK_CONFIG"


def _bytes(value: Any) -> Any:
    """Read `8 MB`; a number is bytes."""
    return _read(units.memory, value)


def _seconds(value: Any) -> Any:
    """Read `5 min`; a number is seconds and may have a fraction."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return _read(units.duration, value)


def _read(unit: Any, value: Any) -> Any:
    try:
        return unit(value) if isinstance(value, str) else value
    except NunatakError as error:
        raise ValueError(f"{error.message} ({error.hint})" if error.hint else error.message) from error


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _setting(text: str, unit: str = "", *, shown: str = "", **constraints: Any) -> Any:
    """Return a field with its description and unit; `shown` is the default in words, where it is found at start."""
    return Field(description=text, json_schema_extra={"unit": unit, "shown": shown}, **constraints)


def _networks(value: Any) -> Any:
    """Write addresses and networks in one way. Raises `ValueError` for what is none."""
    words = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    found = [str(word).strip() for word in words if str(word).strip()]
    if found:
        from ipaddress import ip_network  # here, since it is seldom wanted, and costs each command its time
    for word in found:
        try:
            ip_network(word)
        except ValueError as error:
            raise ValueError(f"{error}: write it as 127.0.0.1 or 10.1.0.0/16") from None
    return ",".join(found)


Bytes = Annotated[int, BeforeValidator(_bytes)]
Seconds = Annotated[float, BeforeValidator(_seconds)]
Networks = Annotated[str, BeforeValidator(_networks)]


class Settings(BaseModel):
    """The settings of one installation. Use `load`, which says what is wrong in the words of Nunatak."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = _setting(
        "Directory that holds everything not placed elsewhere: database, files, logs, the local token.",
        shown="the user's data directory (XDG), `~/.local/share/nunatak` on Linux",
        default_factory=lambda: user_data_path("nunatak"),
    )
    database: str = _setting(
        "Database: `sqlite:///PATH` or `postgresql://USER@HOST/NAME`.",
        shown="`sqlite:///<data>/nunatak.db`",
        default="",
    )
    database_pool: int = _setting(
        "Connections a server process keeps open in each of its three pools (to write, to read, to look): PostgreSQL's"
        " `max_connections` has to be above three times this for all processes together.", "connections",
        default=8, ge=1, le=1000,
    )  # fmt: skip
    database_overflow: int = _setting(
        "Connections more in each pool while many requests come at once.", "connections", default=0, ge=0, le=1000
    )
    database_wait: Seconds = _setting(
        "How long a request waits for a free connection before it is told to come again.", "seconds", default=10.0, gt=0
    )
    statement_timeout: Seconds = _setting(
        "Longest statement of a request or of a loop, on PostgreSQL.", "seconds", default=30.0, gt=0
    )
    lock_timeout: Seconds = _setting(
        "How long a statement waits for a lock, on PostgreSQL; then the transaction is tried again.", "seconds",
        default=5.0, gt=0,
    )  # fmt: skip
    idle_timeout: Seconds = _setting(
        "How long a transaction may be open with nothing asked in it, on PostgreSQL.", "seconds", default=60.0, gt=0
    )
    long_statement_timeout: Seconds = _setting(
        "Longest statement of `nunatak doctor` and of `nunatak migrate`, on PostgreSQL.", "seconds", default=6 * 3600.0,
        gt=0,
    )  # fmt: skip
    migrate_patience: Seconds = _setting(
        "For how long `nunatak migrate` tries again to get the locks that it needs, on PostgreSQL.", "seconds",
        default=600.0, gt=0,
    )  # fmt: skip
    store: str = _setting("URL that `{store}` stands for in recipes.", shown="`file://<data>/store`", default="")
    blobs: Path = _setting("Directory of the files sent along with datasets.", shown="`<data>/blobs`", default=Path())
    logs: Path = _setting("Directory of the logs of attempts.", shown="`<data>/logs`", default=Path())

    host: str = _setting(
        "Address the server listens on; others than loopback are reachable from outside.", default="127.0.0.1"
    )
    port: int = _setting("Port the server listens on; 0 takes a free one.", default=8642, ge=0, le=65535)
    body_limit: Bytes = _setting("Largest body of a request.", "bytes", default=8_000_000, ge=100_000)
    upload_limit: Bytes = _setting("Largest file sent along with a dataset.", "bytes", default=1_000_000_000, gt=0)
    recipe_limit: Bytes = _setting("Largest recipe.", "bytes", default=1_000_000, gt=0)
    token_lifetime: Seconds = _setting("How long a new token is valid.", "seconds", default=90 * 86400.0, ge=60)
    session_lifetime: Seconds = _setting(
        "How long a browser stays signed in, at most as long as the token holds that signed it in.", "seconds",
        default=7 * 86400.0, ge=60,
    )  # fmt: skip
    public_url: str = _setting(
        "How people reach the server, where a proxy stands before it: `https://nunatak.example.org`.",
        shown="as each request names it", default="", pattern=r"^(https?://[^/\s]+)?$",
    )  # fmt: skip
    proxies: Networks = _setting(
        "Proxies before the server, addresses or networks with commas between: they are believed when they say in"
        " `X-Forwarded-For` and `X-Forwarded-Proto` who asks, and whether over TLS.", default="", shown="none",
    )  # fmt: skip
    metrics: bool = _setting("Whether `/metrics` is served.", default=True)
    grace: Seconds = _setting(
        "How long a server that was told to stop lets requests go on.", "seconds", default=5.0, ge=0
    )
    alive: Path | None = _setting(
        "File that a server, loops or an engine touches every few seconds while it is well.", shown="none", default=None
    )

    log_limit: Bytes = _setting(
        "What is kept of stdout and of stderr of an attempt, half from its head and half from its tail.",
        "bytes", default=10_000_000, ge=1024, le=10**9,
    )  # fmt: skip
    log_retention: Seconds = _setting(
        "How long logs are kept after an attempt ended.", "seconds", default=90 * 86400.0, gt=0
    )

    lease: Seconds = _setting(
        "How long an engine may be silent before its attempts are given to others.", "seconds", default=300.0, gt=0
    )
    heartbeat: Seconds = _setting(
        "How often an engine renews its leases; at most half a lease.", "seconds", default=60.0, gt=0
    )
    claim_limit: int = _setting("Most tasks given to an engine in one request.", "tasks", default=500, ge=1, le=10_000)
    report_limit: int = _setting("Most outcomes taken in one request.", "outcomes", default=500, ge=1, le=10_000)
    engine_interval: Seconds = _setting(
        "Pause between two looks of an engine at its attempts.", "seconds", default=0.2, gt=0
    )
    idle_interval: Seconds = _setting("Longest pause of an engine that finds no work.", "seconds", default=2.0, gt=0)
    loop_interval: Seconds = _setting(
        "Pause between two rounds of the loops that make rows, reap leases and delete what is over.", "seconds",
        default=0.5, gt=0,
    )  # fmt: skip
    half_life: Seconds = _setting(
        "After what time what was used counts half, in fair share.", "seconds", default=7 * 86400.0, ge=60
    )
    aging: Seconds = _setting(
        "After what time of waiting, with nothing under way, the share of a group, a user or a dataset doubles.", "seconds",
        default=6 * 3600.0, ge=60,
    )  # fmt: skip
    gpu_worth: float = _setting(
        "How many core-hours one GPU-hour counts as, in fair share.", "core-hours", default=20.0, ge=0, le=1e6
    )
    probe: Seconds = _setting(
        "How long the first attempt of a task is waited for before others are tried: then 20 at once, and any number after"
        " six times as long.", "seconds", default=600.0, ge=0,
    )  # fmt: skip

    cores: int = _setting(
        "Cores the local engine may use.", "cores", shown="those of the machine", default_factory=_cores, ge=1
    )
    memory: Bytes = _setting(
        "Memory the local engine may use.", "bytes", shown="that of the machine", default_factory=_machine_memory, gt=0
    )
    series_target: Seconds = _setting(
        "How long the local engine lets one worker go on with short tasks, one after the other; 0: each task has its own.",
        "seconds", default=1800.0, ge=0,
    )  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _below_data(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Place what was not placed elsewhere below the data directory."""
        data = Path(values.get("data") or user_data_path("nunatak")).expanduser().absolute()
        below = {
            "database": f"sqlite:///{data}/nunatak.db",
            "store": f"file://{quote(str(data), safe='/')}/store",
            "blobs": data / "blobs",
            "logs": data / "logs",
        }
        return {**below, **{key: value for key, value in values.items() if value not in ("", None)}, "data": data}

    @model_validator(mode="after")
    def _heartbeat_within_lease(self) -> Self:
        if self.heartbeat > self.lease / 2:
            raise ValueError(f"heartbeat ({self.heartbeat:g} s) must be at most half of lease ({self.lease:g} s)")
        return self


@dataclass(frozen=True)
class Loaded:
    """An installation as it is described: its settings, its engines by name, and where each setting comes from."""

    settings: Settings
    engines: Mapping[str, EngineTable]
    origins: Mapping[str, str]  # by name: `argument`, `NUNATAK_PORT`, `FILE:LINE` or `default`
    written: Written


def load(file: Path | None = None, **arguments: Any) -> Settings:
    """Return the settings alone; see `load_all`."""
    return load_all(file, **arguments).settings


def load_all(file: Path | None = None, **arguments: Any) -> Loaded:
    """Return all that an installation is described by; arguments that are None count as not given.

    The file is `file`, or what NUNATAK_CONFIG names, or `nunatak.toml` in the user's configuration directory if it
    exists. Raises `NotFound` for a named file that is missing, and `Invalid` with every problem at once.
    """
    given = {key: value for key, value in arguments.items() if value is not None}
    path = _file(file)
    written = settings_file.read(path) if path else Written()
    problems = [*_unknown(written.values, written), *_unknown(given, Written())]
    try:
        engines = settings_file.engines(written)
    except Invalid as error:
        problems += error.problems
    environment = _environment()
    below = {key: value for key, value in written.values.items() if key in Settings.model_fields.keys() - environment}
    try:
        settings = Settings(**{**below, **environment, **given})
    except ValidationError as error:
        problems += [_problem(item, given, below, written) for item in error.errors()]
    if problems:
        raise invalid(problems)
    origins = dict.fromkeys(Settings.model_fields, "default")
    origins |= {name: f"{path}:{written.lines.get((name,), 0)}" for name in below}
    origins |= {name: PREFIX + name.upper() for name in environment} | dict.fromkeys(given, "argument")
    return Loaded(settings, engines, origins, written)


def without_secrets(text: str) -> str:
    """Return an address without the password in it."""
    return re.sub(r"(://[^:/?#@\s]*):[^@/\s]*@", r"\1:***@", re.sub(r"(?i)(password=)[^&\s]*", r"\1***", text))


def _file(file: Path | None) -> Path | None:
    named = file or (Path(os.environ[FILE_VARIABLE]) if os.environ.get(FILE_VARIABLE) else None)
    if named is None:
        usual = user_config_path("nunatak") / "nunatak.toml"
        return usual if usual.is_file() else None
    if not named.is_file():
        raise NotFound(f"there is no settings file {named}", code="no-settings-file", hint=f"see {FILE_VARIABLE}")
    return named


def _environment() -> dict[str, Any]:
    """Return the settings that the environment gives; an empty variable counts as not set."""
    variables = {key.upper(): value for key, value in os.environ.items() if value}
    return {
        name: variables[PREFIX + name.upper()] for name in Settings.model_fields if PREFIX + name.upper() in variables
    }


def _unknown(values: Mapping[str, Any], written: Written) -> list[Problem]:
    known = [*Settings.model_fields, *([settings_file.ENGINES] if written.path else ())]
    return [
        written.problem(
            "there is no such setting", key, hint=nearest(key, known) or "docs/reference/settings.md lists all of them"
        )
        for key in sorted(values.keys() - set(known))
    ]


def _problem(item: Any, given: dict[str, Any], below: dict[str, Any], written: Written) -> Problem:
    """Return one complaint of pydantic, with the place the value came from."""
    name = str(item["loc"][0]) if item["loc"] else ""
    message = complaint(item)
    hint = "" if item["type"] == "value_error" else _expected(name)
    if not name or name in given:
        return Problem(message, path=name, hint=hint)
    if name in below:
        return written.problem(message, name, hint=hint)
    return Problem(message, path=PREFIX + name.upper(), hint=hint)


def _expected(name: str) -> str:
    """Return what a setting is made of, for somebody who wrote something else."""
    field = Settings.model_fields.get(name)
    extra = field.json_schema_extra if field else None
    unit = extra.get("unit") if isinstance(extra, dict) else ""
    example = {"bytes": ', as 8000000 or "8 MB"', "seconds": ', as 300 or "5 min"'}.get(str(unit), "")
    return f"a number of {unit}{example}" if unit else ""
