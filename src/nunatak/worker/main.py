"""The command `nunatak-worker SANDBOX`: two processes, of which the outer one outlives whatever happens to the inner.

The inner process does the work. The outer one passes signals on, and, if the inner one is killed, ends what is left of
the payload and still writes an outcome. If the outer one is killed, the inner one ends the payload at once. With
`--series`, one outer process has an inner one for each attempt in turn.
"""

import os
import sys

from . import outer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

USAGE = "usage: nunatak-worker SANDBOX | --series FILE [--cache DIR] [--keep] [--live] [--grace SECONDS]"


class Options:
    """What the command line asks for."""

    def __init__(self, words: "List[str]") -> None:
        """Read it. Raises `ValueError` with a sentence."""
        places = []
        self.keep, self.live, self.cache, self.series, self.grace = False, False, "", "", 10.0
        words = list(words)
        while words:
            word = words.pop(0)
            name, equals, value = word.partition("=")
            if word == "--keep":
                self.keep = True
            elif word == "--live":
                self.live = True
            elif name in ("--cache", "--grace", "--series"):
                if not equals and not words:
                    raise ValueError(name + " needs a value")
                self._set(name, value if equals else words.pop(0))
            elif word.startswith("-"):
                raise ValueError("no option " + word)
            else:
                places.append(word)
        if len(places) != (0 if self.series else 1):
            raise ValueError("expected one SANDBOX, or --series FILE")
        self.sandbox = os.path.abspath(places[0]) if places else ""
        home = os.path.dirname(self.series) if self.series else self.sandbox
        self.lasting = bool(self.cache)
        self.cache = os.path.abspath(self.cache or os.path.join(home, "cache"))

    def _set(self, name: str, value: str) -> None:
        if name == "--cache":
            self.cache = value
        elif name == "--series":
            self.series = os.path.abspath(value)
        else:
            self.grace = float(value)


def main(words: "Optional[List[str]]" = None) -> "None":
    """Run one attempt or a series; ends the process with 0 when all that began have an outcome."""
    words = sys.argv[1:] if words is None else words
    if words in (["-h"], ["--help"]):
        sys.stdout.write(USAGE + "\n")
        return
    try:
        options = Options(words)
        if options.series:
            from . import series

            members = series.read(options.series)
        elif not os.path.isdir(options.sandbox):
            raise ValueError("there is no directory " + options.sandbox)
    except ValueError as error:
        sys.stderr.write("nunatak-worker: {}\n{}\n".format(error, USAGE))
        sys.exit(2)
    if options.lasting:
        try:
            os.makedirs(options.cache, exist_ok=True)
        except OSError:  # whoever needs it says so
            pass
    relay = outer.prepare()
    if options.series:
        code = _run_series(options, members, relay)
    else:
        code = outer.run(options.sandbox, options.cache, options.keep, options.grace, relay, options.live)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # there is nothing to tidy, and the interpreter takes milliseconds to


def _run_series(options: Options, members: "List[str]", relay: "outer.Relay") -> int:
    from . import series

    try:
        return series.run(members, options.cache, options.keep, options.grace, relay, options.live)
    except OSError as error:
        sys.stderr.write("nunatak-worker: the series cannot go on: {}\n".format(error))
        return 1
