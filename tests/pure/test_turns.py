"""A server's threads take short turns."""

import sys

from nunatak.loops.turns import TURN, take_short_turns


def test_turns_are_short() -> None:
    before = sys.getswitchinterval()
    try:
        take_short_turns()
        assert sys.getswitchinterval() == TURN < 0.005
    finally:
        sys.setswitchinterval(before)
