"""IceProd's dataset configurations: their expansion language, and what they mean as a recipe."""

from nunatak.iceprod.expansion import EXACT, MODES, STRICT, expand

__all__ = ["EXACT", "MODES", "STRICT", "expand"]
