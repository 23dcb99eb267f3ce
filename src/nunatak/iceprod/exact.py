"""Expansion as IceProd does it, quirks included: phrases are pasted as text, innermost first, until nothing changes.

A text becomes steps (`steps`), which a stack machine follows (`_Machine`); what comes out is read as JSON, a truth value or
a number if it looks like one (`coerce`). Nothing that IceProd leaves alone is an error here; what never ends there is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from nunatak.iceprod.arithmetic import NotArithmetic, calculate
from nunatak.iceprod.bounds import MOST_KEPT, Meter, refuse
from nunatak.iceprod.names import TABLES, GivenUp, Names, Unresolved, look_up
from nunatak.iceprod.printing import NotPrintable, print_exact

DEPTH = 20
"""How deep IceProd goes into lists, tables and look-ups."""
MOST_PASSES = 200
"""How often a text is read again."""

_PIECES = re.compile(r"\\(.?)|([$()\[\]])|([^\\$()\[\]]+)", re.DOTALL)
LIKE_A_VALUE = re.compile(r"\s*[+-]?(?:[\[{\"'0-9.]|true|false|null|nan|inf|[^\x00-\x7f])", re.IGNORECASE)
"""How JSON, truth values and numbers begin; most texts begin otherwise, and need not be tried."""
_TOP = ""
_REDUCTIONS: Mapping[str, Callable[[Any], Any]] = {"sum": sum, "min": min, "max": max, "len": len}


def coerce(value: Any) -> Any:
    """Return a text as the JSON, truth value or number it looks like; anything else as it is."""
    if not isinstance(value, str) or not LIKE_A_VALUE.match(value) or (value.startswith('"') and value.endswith('"')):
        return value
    try:
        return json.loads(value.replace("'", '"'))
    except (ValueError, RecursionError):
        pass
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        return int(value) if value.isdigit() else float(value)
    except ValueError:
        return value


def expand_exact(value: Any, names: Names, meter: Meter, depth: int = DEPTH) -> Any:
    """Return what IceProd makes of a value. Raises `Invalid` where IceProd would not end."""
    if depth < 1:
        return value
    if isinstance(value, list):
        return [expand_exact(item, names, meter, depth - 1) for item in value]
    if isinstance(value, dict):
        return {_key(key, names, meter, depth): expand_exact(value[key], names, meter, depth - 1) for key in value}
    if not isinstance(value, str) or not value:
        return value
    found = _until_still(value, names, meter, depth)
    return expand_exact(found, names, meter, depth - 1) if isinstance(found, list | dict) else found


def _key(key: Any, names: Names, meter: Meter, depth: int) -> Any:
    found = expand_exact(key, names, meter, depth - 1)
    if isinstance(found, list | dict):
        raise refuse(f'the key "{key}" becomes a list or a table')
    return found


def _until_still(text: str, names: Names, meter: Meter, depth: int) -> Any:
    seen: set[str] = set()
    while True:
        meter.weigh(text)
        if text in seen or len(seen) > MOST_PASSES:
            raise refuse("the text never ends to change", "values refer to each other in a circle")
        seen.add(text)
        after = _once(text, names, meter, depth)
        if not isinstance(after, str) or after == text:
            return after
        text = after


def _once(text: str, names: Names, meter: Meter, depth: int) -> Any:
    if (
        "$" not in text
        and "\\" not in text
        and "(" not in text
        and "[" not in text
        and ")" not in text
        and "]" not in text
    ):
        return coerce(text)
    plan = steps(text)
    if plan is None:
        return coerce(text)
    try:
        return coerce(_Machine(names, meter, depth).run(plan))
    except (GivenUp, IndexError, TypeError):
        return coerce(text)


def steps(text: str) -> tuple[tuple[str, str | None], ...] | None:
    """Return the steps of a text, or None if IceProd cannot read it.

    Kinds: `word` (put a text), `$` (begin a phrase), `name` (of the phrase), `(` (begin its value), `)` (work it out), `[`
    (begin an index), `]` (look it up).
    """
    return _kept_steps(text) if len(text) <= MOST_KEPT else _steps(text)


def _steps(text: str) -> tuple[tuple[str, str | None], ...] | None:
    reader = _Reader()
    plain = ""
    for escaped, symbol, run in _PIECES.findall(text):
        if not symbol:
            plain += escaped or run
            continue
        if plain:
            reader.word(plain)
            plain = ""
        if not reader.symbol(symbol):
            return None
    if plain:
        reader.word(plain)
    return reader.finish()


_kept_steps = lru_cache(maxsize=4096)(_steps)


class _Reader:
    """Follows brackets: those that belong to phrases are steps, all others are part of words, and have to be closed too."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str | None]] = []
        self.last = _TOP
        self.pending = ""  # the word being put together
        self.open = 0  # brackets in it that are open
        self.outer: list[int] = []  # the same of the words around the present phrase

    def word(self, text: str) -> None:
        if self.last == "$":
            self._step("name", text)
            return
        self.pending = self.pending + text if self.last == "word" else text
        self.last = "word"

    def symbol(self, symbol: str) -> bool:
        """Take a symbol; False if nothing can be made of it."""
        if symbol == "$":
            return self._begin()
        if symbol == "(" and self.last in ("$", "name"):
            if self.last == "$":
                self._step("name", None)
            self._step("(", "(")
            self.pending = ""
            return True
        if symbol == "(":
            self.pending = self.pending + symbol if self.last == "word" else symbol
            self.last = "word"
            self.open += 1
            return True
        return self._index() if symbol == "[" else self._end(symbol, "(" if symbol == ")" else "[")

    def _step(self, kind: str, text: str | None) -> None:
        self.found.append((kind, text))
        self.last = kind

    def _begin(self) -> bool:
        if self.last == "word":
            self.found.append(("word", self.pending))
        if self.last != _TOP:
            self.outer.append(self.open)
            self.open = 0
            self.pending = ""
        self._step("$", "$")
        return True

    def _index(self) -> bool:
        if self.last != "word":
            return False
        if self.pending:
            self.pending += "["
            self.open += 1
        else:
            self._step("[", "[")
        return True

    def _end(self, symbol: str, begun: str) -> bool:
        if self.last == begun:
            self.found += [("word", ""), (symbol, symbol)]
            self.last, self.pending = "word", ""
            return True
        if self.last != "word":
            return False
        if self.open:
            self.pending += symbol
            self.open -= 1
        else:
            self.found += [("word", self.pending), (symbol, symbol)]
            self.open = self.outer.pop() if self.outer else 0
            self.pending = ""
        return True

    def finish(self) -> tuple[tuple[str, str | None], ...] | None:
        if self.pending:
            self.found.append(("word", self.pending))
        return None if self.open or self.outer else tuple(self.found)


class _Machine:
    """Follows steps on a stack. Raises `TypeError`, `IndexError` or `GivenUp` where IceProd gives up on the text."""

    def __init__(self, names: Names, meter: Meter, depth: int) -> None:
        self.names, self.meter, self.depth = names, meter, depth
        self.stack: list[tuple[str, Any]] = []

    def run(self, plan: tuple[tuple[str, str | None], ...]) -> str:
        for kind, text in plan:
            if kind == ")":
                self._phrase()
            elif kind == "]":
                self._look_up()
            else:
                self.stack.append((kind, text))
        return "".join([text for _, text in self.stack])

    def _down_to(self, kind: str) -> str:
        word = ""
        while self.stack[-1][0] != kind:
            word = self.stack.pop()[1] + word
        self.stack.pop()
        return word

    def _phrase(self) -> None:
        self.meter.step()
        value = self._down_to("(")
        name = self.stack.pop()[1] or ""
        self.stack.pop()
        try:
            self.stack.append(("word", self.meter.gather(_pasted(self._worked_out(name, value)))))
        except (Unresolved, NotArithmetic, NotPrintable):
            self.stack.append(("word", f"${name}({value})"))

    def _worked_out(self, name: str, value: str) -> Any:
        if not name:
            return self.names.general(value)
        if name in TABLES:
            return look_up(self.names, name, value)
        if name == "eval":
            return calculate(value)
        if name == "sprintf":
            return print_exact(value)
        if name == "choice" and value:
            choices = value.split(",")
            return choices[self.names.draw(len(choices), value)]
        if name in _REDUCTIONS:
            try:
                return _REDUCTIONS[name](coerce(value))
            except (TypeError, ValueError):
                raise Unresolved from None
        raise Unresolved

    def _look_up(self) -> None:
        self.meter.step()
        index: Any = self._down_to("[")
        if index.endswith("]"):
            index = expand_exact(index, self.names, self.meter, self.depth - 1)
        try:
            found = self.names.general(index)
            index = found if isinstance(found, list | dict) else str(found)
        except Unresolved:
            pass
        word = ""
        while self.stack and self.stack[-1][0] == "word" and not word.startswith(("[", "{")):
            word = self.stack.pop()[1] + word
        try:
            self.stack.append(("word", str(coerce(word)[coerce(index)])))
        except (LookupError, TypeError, ValueError):
            self.stack.append(("word", word + "[" + index + "]"))


def _pasted(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | dict) else str(value)
