"""Nunatak: datasets become jobs and tasks, run anywhere, every try recorded."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Client", "__version__"]

if TYPE_CHECKING:
    from nunatak.client import Client


def __getattr__(name: str) -> object:
    """Import the client on first use, so that the command line starts fast."""
    if name == "Client":
        from nunatak.client import Client

        return Client
    raise AttributeError(name)
