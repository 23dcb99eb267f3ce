"""Runs the command line as `python -m nunatak.cli`."""

from nunatak.cli.main import main

if __name__ == "__main__":
    main()
