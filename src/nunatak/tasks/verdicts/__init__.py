"""From the outcome of an attempt to what we conclude and do; grouping, and the catalogue of kinds. Pure."""
