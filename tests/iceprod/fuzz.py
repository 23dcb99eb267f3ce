"""Changes configurations of the corpus at random: whatever comes of it is a sound recipe, or says what is wrong.

`python -m tests.iceprod.fuzz MINUTES [SEED]` goes on for some minutes; a short run is part of the tests.
"""

from __future__ import annotations

import copy
import json
import signal
import sys
import time
from collections import Counter
from random import Random
from typing import Any, NoReturn

from nunatak.core.errors import Invalid
from nunatak.iceprod.importing import import_config
from tests.iceprod.cases import NAMES, case, compiled

SECONDS = 30
"""What one configuration may take, at most, of processor time."""
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 7, 2.5, 1e300, 10**40, "", " ", "x", "007", "a b", "a'b", '"', "$", "$(", "$(job)", "$(zz)",
    "$(dataset)",
    "$steering(n)", "$eval($(job)*2)", "$eval(9**9**9)", "$sprintf('%06d',$(job))", "$choice(a,b)", "$(input)", "$(iter)",
    "$environ(SROOT)", "{", "}}", "{job}", "../x", "/abs", "a/../b", "file:///x", "gsiftp://h/p", "http://h/p?q#f",
    "weird://x",
    "maybe", "input", "output", "both", "job_temp", "permanent", "\u00e9", "\x00", "\u2028", "\ud800", "\n",
    [], {}, [1], ["$(job)"],
    {"a": "$(job)"}, {"args": ["x"], "kwargs": {"k": None}}, [[[[]]]], "$sum([$(job),1])", "$steering(l)[$(job)]", "x" * 500,
    "${HOME}", "$HOME", "`id`", "\\", "\\$(x)", "%", "$sprintf('%s')",
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


def changed(config: Any, random: Random) -> Any:
    """Return a configuration with some values replaced, taken away, doubled, or put elsewhere."""
    made = copy.deepcopy(config)
    for _ in range(random.choice((1, 1, 2, 3, 6))):
        *around, last = random.choice([path for path in places(made) if path] or [("tasks",)])
        owner = made
        for key in around:
            owner = owner[key]
        action = random.random()
        if action < 0.6:
            owner[last] = copy.deepcopy(random.choice(VALUES))
        elif action < 0.7:
            del owner[last]
        elif action < 0.8 and isinstance(owner, list):
            owner.insert(0, copy.deepcopy(owner[last]))
        elif action < 0.9 and isinstance(owner, dict):
            owner[random.choice(("name", "src", "n", "depends", "data", "x$(job)", "a b", ""))] = owner[last]
        elif isinstance(owner[last], str):
            at = random.randint(0, len(owner[last]))
            owner[last] = owner[last][:at] + str(random.choice(VALUES)) + owner[last][at:]
    return made


def once(random: Random) -> str:
    """Import one; return what became of it. Raises what should not be, with the configuration."""
    given = case(random.choice(NAMES))
    text = json.dumps(changed(json.loads(given.config), random))
    if random.random() < 0.02:
        at = random.randint(0, len(text))
        text = text[:at] + random.choice(("}", "{", '"', ",", "\\")) + text[at:]
    mode = random.choice(("strict", "exact"))
    files = given.expected.get("task_files")
    signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        made = import_config(
            text, jobs=None if files else random.choice((None, 1, 3, 50)), mode=mode,
            options=given.expected.get("options"), task_files=json.dumps(files) if files else None,
        )  # fmt: skip
        compiled(made)
        made.text.encode()
        found = "imported"
    except Invalid as error:
        found = "refused when imported" if error.code != "bad-recipe" else "refused when checked"
    except Exception as error:
        error.add_note(f"mode {mode}, configuration {text}")
        raise
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return found


def _too_long(*_: object) -> NoReturn:
    raise TimeoutError(f"it took over {SECONDS} s of processor")


def main() -> None:
    """Go on until the time is over; a configuration that hangs ends it, also where Python is never asked."""
    end, seed = time.monotonic() + 60 * float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    counts: Counter[str] = Counter()
    while time.monotonic() < end:
        signal.alarm(300)
        counts[once(Random(seed))] += 1
        seed += 1
    print(json.dumps({"next seed": seed, **counts}))


if __name__ == "__main__":
    main()
