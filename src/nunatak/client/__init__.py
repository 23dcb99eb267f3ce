"""A typed client of the HTTP API: what the command line, notebooks and engine hosts use."""

from typing import TYPE_CHECKING

__all__ = ["Client"]

if TYPE_CHECKING:
    from nunatak.client.client import Client


def __getattr__(name: str) -> object:
    """Import the client on first use: engine hosts and logins need parts of this package only."""
    if name == "Client":
        from nunatak.client.client import Client

        return Client
    raise AttributeError(name)
