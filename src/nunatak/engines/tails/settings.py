"""Options of engines whose attempts may tell their logs while they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict

from nunatak.core.errors import Invalid
from nunatak.engines.settings import Seconds


def _address(value: str) -> str:
    """Check that a URL says where to tell. Raises `ValueError`."""
    if not value:
        return value
    parts = urlsplit(value)
    try:
        port = parts.port
    except ValueError:
        port = None
    if not value.startswith(("http://", "https://")) or not parts.hostname or not port:
        raise ValueError("write it with a port, like https://submit.example.org:9620")
    if parts.username or parts.query or parts.fragment:
        raise ValueError("it can have nothing but a host, a port and a path")
    return value


def _socket(value: str) -> str:
    """Check that a text is HOST:PORT. Raises `ValueError`."""
    host, _, port = value.rpartition(":")
    if value and not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("write it as 127.0.0.1:9620")
    return value


def _file(value: Path | None) -> Path | None:
    if value is not None and not value.is_file():
        raise ValueError(f"there is no file {value}")
    return value


File = Annotated[Path, AfterValidator(_file)]
"""A file that is there."""


class LiveSettings(BaseModel):
    """How workers tell the engine what attempts print while they run."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    live: Annotated[str, AfterValidator(_address)] = ""
    """URL by which workers reach this engine, to show logs and use while attempts run, as `https://submit.example.org:9620`;
    without it, workers open no connection, and logs are seen at the end."""
    live_listen: Annotated[str, AfterValidator(_socket)] = ""
    """Where the engine listens for that, as `127.0.0.1:9620` behind a proxy; without it, the host and port of `live`."""
    live_certificate: File | None = None
    """File with the certificate for `https`, and those above it; with `live_listen` a proxy may have it instead."""
    live_private_key: File | None = None
    """File with its key, if that is not in the same file."""
    live_authority: File | None = None
    """File with the certificate of the authority that workers believe; without it, those that their nodes believe."""
    live_after: Seconds = 5.0
    """How long, about, an attempt runs before its worker tells for the first time: shorter ones never do."""
    live_every: Seconds = 5.0
    """Pause between two tellings of one attempt; it grows with the number of those that run."""

    @property
    def listens(self) -> tuple[str, int]:
        """Return host and port to listen at."""
        parts = urlsplit(self.live)
        if not self.live_listen:
            return parts.hostname or "", parts.port or 0
        host, _, port = self.live_listen.rpartition(":")
        return host.strip("[]"), int(port)


def check(settings: LiveSettings) -> None:
    """See that the options agree with each other. Raises `Invalid`."""
    secure = settings.live.startswith("https:")
    if secure and not (settings.live_certificate or settings.live_listen):
        raise Invalid(
            "the option `live` is https, and nobody has a certificate",
            code="bad-setting",
            hint="give `live_certificate`, or `live_listen` where a proxy that has one finds the engine",
        )
    if settings.live_certificate and not secure:
        raise Invalid("the option `live_certificate` is for a `live` that begins with https", code="bad-setting")
