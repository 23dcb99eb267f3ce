"""Benchmarks: the budgets, measured; `python -m bench`."""
