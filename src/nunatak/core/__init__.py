"""Words, values and rules every other package shares; no input or output."""
