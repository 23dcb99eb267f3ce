"""Runs one attempt on a node; standard library only, Python 3.6 and later."""
