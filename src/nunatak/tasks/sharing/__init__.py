"""Choosing: whose task is next, on which engine it can run, and why it does not run yet. Pure."""
