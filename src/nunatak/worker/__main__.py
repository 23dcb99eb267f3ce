"""Runs the worker as `python -m nunatak.worker SANDBOX`."""

from .main import main

if __name__ == "__main__":
    main()
