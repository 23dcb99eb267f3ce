"""Whether so many tasks failed the same way that the rest of the dataset should wait for a person."""

from __future__ import annotations

from collections.abc import Mapping

from nunatak.core.units import count_text
from nunatak.tasks.verdicts.model import DEFAULT, Policy


def hold_dataset(finished: int, failed: Mapping[str, int], policy: Policy = DEFAULT) -> str | None:
    """Return why a dataset should be held, or None.

    `finished` counts tasks that are done, `failed` those that need a person now, by what they have in common (a readable
    pattern). Held when at least `policy.hold_least` failed the same way, and they are at least `policy.hold_share` of all
    that ended. What a person has retried no longer counts, so that a dataset that was mended is not held again for its past.
    """
    if not failed:
        return None
    pattern, worst = min(failed.items(), key=lambda item: (-item[1], item[0]))
    ended = finished + sum(failed.values())
    if worst < max(policy.hold_least, 1) or worst < policy.hold_share * ended:
        return None
    share = 100 * worst / ended
    return f"{worst} of {count_text(ended, 'task')} that ended failed the same way ({share:.0f} %): {pattern}"
