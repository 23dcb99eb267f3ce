"""How fast one core of this node is: products of long integers and logarithms of the gamma function, against reference rates.

Both are loops of the interpreter's C code, so that the version of Python says little, and each node does the same work.
"""

import math
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

PRODUCTS, GAMMAS = 150000.0, 7000000.0
"""What a core of speed 1 does a second: products of two integers of 2,048 bits; `math.lgamma` of numbers from 0.5 to 370."""
AGE = 86400.0
"""Seconds for which a node is not measured again, where the cache of its workers is kept."""
SWITCH = "NUNATAK_SPEED"
"""The variable in the worker's surroundings that turns it off: 0."""
_ONE, _OTHER = (1 << 2048) - 12345, (1 << 2047) + 98765
_TIMES, _PRODUCTS, _GAMMAS = 3, 2500, 120


def found(cache: str) -> "Optional[float]":
    """Return the speed of this node, None if it was measured of late, or is not to be."""
    if os.environ.get(SWITCH) == "0" or not _due(os.path.join(cache, "speed-" + os.uname().nodename)):
        return None
    return measured()


def measured(now: "Callable[[], float]" = time.process_time) -> float:
    """Return the geometric mean of both rates against those of the reference, the best of three runs of 15 to 40 ms each.

    Of processor time, so that others who want the core count only as far as they share it by its threads and caches.
    """
    numbers = [0.5 + 0.37 * step for step in range(1000)]
    products = gammas = 0.0
    for _ in range(_TIMES):
        start = now()
        for _ in range(_PRODUCTS):
            _ONE * _OTHER
        middle = now()
        for _ in range(_GAMMAS):
            max(map(math.lgamma, numbers))
        end = now()
        products = max(products, _PRODUCTS / max(1e-6, middle - start))
        gammas = max(gammas, 1000.0 * _GAMMAS / max(1e-6, end - middle))
    return round(math.sqrt(products / PRODUCTS * gammas / GAMMAS), 3)


def _due(mark: str) -> bool:
    """Tell whether the mark is not there or old, and make it anew; where nothing is kept there is never one."""
    try:
        if 0 <= time.time() - os.stat(mark).st_mtime < AGE:
            return False
    except OSError:
        pass
    try:
        with open(mark, "wb"):
            pass
    except OSError:
        pass
    return True
