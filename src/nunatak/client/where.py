"""What stands for an address where the client is asked for something."""

from __future__ import annotations

from nunatak.client.results import Submitted
from nunatak.client.statuses import Status
from nunatak.core.address import Address, parse
from nunatak.core.errors import Invalid

Where = str | int | Address | Submitted | Status
"""What may stand for an address: 42, "42/17/propagate", or something the client gave back."""


def address_of(where: Where) -> Address:
    """Read an address. Raises `Invalid`."""
    if isinstance(where, Address):
        return where
    if isinstance(where, Submitted):
        return Address(where.dataset)
    return parse(where.address if isinstance(where, Status) else str(where))


def dataset_of(where: Where) -> int:
    """Read the address of a dataset as a whole. Raises `Invalid` for a part of one."""
    address = address_of(where)
    if address.level != "dataset":
        raise Invalid(f"{address} is a {address.level}", code="bad-level", hint=f"give the dataset: {address.dataset}")
    return address.dataset
