"""Who gets most of the next places, and why: the datasets that want some, in order, each with its sentence."""

from __future__ import annotations

from typing import Any

from nunatak.tasks.sharing.model import Positions
from nunatak.tasks.sharing.standing import standing
from nunatak.tasks.sharing.words import cap_text, standing_text

MOST = 20


def ranking(positions: Positions, most: int = MOST) -> dict[str, Any]:
    """Return the first of the datasets that want places: rank, part, what was used of their shares, the reason in words."""
    lines = sorted((line for _, _, line in positions.paths.values()), key=lambda line: (-line.part, line.key))
    found = (standing(positions, line.key) for line in lines[:most])
    items = [
        {
            "dataset": item.dataset,
            "address": str(item.dataset),
            "owner": item.user,
            "team": item.group,
            "rank": item.rank,
            "of": item.of,
            "part": item.part,
            "sentence": standing_text(item),
            "stopped": [cap_text(bound) for bound in item.stopped],
        }
        for item in found
        if item is not None
    ]
    return {"items": items, "wanting": len(lines)}
