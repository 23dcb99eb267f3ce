"""Looks at a pool now and then: what slots there are, which have a feature, how busy the schedd is."""

from __future__ import annotations

from nunatak.core.clock import Clock
from nunatak.core.errors import Unavailable
from nunatak.core.work import Shape
from nunatak.engines.htcondor import expressions, places
from nunatak.engines.htcondor.bindings import Condor
from nunatak.engines.htcondor.options import HTCondorSettings

SOON = 2.0
"""Seconds between two looks at a pool that has never answered."""


class Watch:
    """What was seen of a pool last; while it does not answer, that counts."""

    def __init__(self, condor: Condor, options: HTCondorSettings, monotonic: Clock) -> None:
        """Begin with nothing seen."""
        self._condor, self._options, self._monotonic = condor, options, monotonic
        self._next = float("-inf")
        self.places, self.duty, self.known = places.NONE, 0.0, False
        self.sites: dict[str, str] = {}

    def look(self) -> None:
        """Look, if it is time."""
        now, options = self._monotonic(), self._options
        if now < self._next:
            return
        self._next = now + (options.look if self.known else min(options.look, SOON))
        try:
            ads = self._condor.machines(places.WHOLE, [*places.ASKED, *([options.site] if options.site else [])])
            features = {name: self._having(name) for name in options.features}
            self.duty = self._condor.duty()
        except Unavailable:
            return
        self.sites = places.sites(ads, options.site)
        self.places = places.survey(ads, features, options.platform, options.time, options.overhead)
        self.known, self._next = True, now + options.look

    def never(self, shape: Shape) -> str:
        """Say why no slot can ever run a shape; "" if one can, or if that is not known."""
        return self.places.room(shape) if self.known else ""

    def _having(self, feature: str) -> list[str]:
        expression = expressions.of_feature(feature, self._options.features)
        return [str(ad["Name"]) for ad in self._condor.machines(f"{places.WHOLE} && ({expression})", ["Name"])]
