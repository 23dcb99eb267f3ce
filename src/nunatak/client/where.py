"""What stands for an address where the client is asked for something."""

from __future__ import annotations

from nunatak.client.results import Submitted
from nunatak.client.statuses import Status
from nunatak.core.address import Address, parse

Where = str | int | Address | Submitted | Status
"""What may stand for an address: 42, "42/17/propagate", or something the client gave back."""


def address_of(where: Where) -> Address:
    """Read an address. Raises `Invalid`."""
    if isinstance(where, Address):
        return where
    if isinstance(where, Submitted):
        return Address(where.dataset)
    return parse(where.address if isinstance(where, Status) else str(where))
