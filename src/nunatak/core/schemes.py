"""Schemes of files that no worker moves by itself: a client of the node does, and a feature says which nodes have one."""

from __future__ import annotations

from collections.abc import Mapping

FEATURES: Mapping[str, str] = {
    "gsiftp": "gsiftp",
    "osdf": "pelican",
    "pelican": "pelican",
    "stash": "pelican",
    "s3": "s3",
    "root": "xrootd",
    "davs": "davs",
    "dav": "davs",
    "srm": "srm",
}
"""The feature that says that a node has a client, by scheme."""
