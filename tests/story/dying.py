"""A command of nunatak that kills itself -9 at an exact point of the program.

`python -m tests.story.dying MODULE:CLASS.METHOD N serve engine ...`: at the Nth call, or with a + when that returned.
"""

from __future__ import annotations

import sys

from tests.services.engine_process import die_in


def main() -> None:
    """Arm the point and run the command."""
    point, call = sys.argv[1:3]
    del sys.argv[1:3]
    die_in(point, int(call))
    from nunatak.cli.__main__ import main

    main()


if __name__ == "__main__":
    main()
