"""The most frequent of many names in bounded memory, as the sites and nodes of a group of failures.

The Space-Saving summary of Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data
streams" (ICDT 2005), merged as in Agarwal et al., "Mergeable summaries" (PODS 2012): with k counters and n names, every
one that came more than n/k times is there, and a count is too high by at most its `error`, which is at most n/k.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_PLACES = 8
"""Names that are counted, unless another number is given."""


@dataclass(slots=True)
class Top:
    """The most frequent names; a count is too high by at most `error[name]`."""

    most: int = MOST_PLACES
    counts: dict[str, int] = field(default_factory=dict)
    error: dict[str, int] = field(default_factory=dict)
    more: bool = False  # there were others

    def add(self, name: str, count: int = 1, error: int = 0) -> None:
        """Count a name; "" is not known and not counted."""
        if not name:
            return
        if name not in self.counts and len(self.counts) >= self.most:
            least = min(self.counts, key=lambda other: (self.counts[other], other))
            floor = self.counts.pop(least)
            self.error.pop(least, None)
            self.more = True
            count, error = count + floor, error + floor
        self.counts[name] = self.counts.get(name, 0) + count
        if error:
            self.error[name] = self.error.get(name, 0) + error

    def merge(self, other: Top) -> None:
        """Take the names of another in."""
        for name in sorted(other.counts, key=lambda name: (-other.counts[name], name)):
            self.add(name, other.counts[name], other.error.get(name, 0))
        self.more = self.more or other.more

    def names(self) -> list[tuple[str, int]]:
        """Return names with counts, most first."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
