"""A typed client of the HTTP API: what the command line, notebooks and engine hosts use."""

from nunatak.client.client import Client

__all__ = ["Client"]
