"""What a listener is given by its engine, as the first line of its input."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListenerOrder:
    """Where to listen, where the boxes are and in which file the secret is, and how often attempts are to tell."""

    host: str
    port: int
    root: str
    secret: str
    every: float
    certificate: str | None
    private_key: str | None
