"""Expansion as it is meant: innermost first, each value with its type, and an error with its place for what stands for nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.core.spelling import nearest
from nunatak.iceprod.arithmetic import NotArithmetic, calculate
from nunatak.iceprod.bounds import MOST_DEPTH, Meter, refuse
from nunatak.iceprod.names import TABLES, GivenUp, Names, Unresolved, look_up
from nunatak.iceprod.printing import NotPrintable, print_strict
from nunatak.iceprod.reading import Literal, LookUp, Phrase, Text, read, split

MOST_NEAR = 200
"""Names among which the nearest to one that is wrong is looked for."""
FUNCTIONS = ("eval", "sum", "min", "max", "len", "choice", "sprintf")
"""The phrases that work something out."""


def expand_strict(value: Any, names: Names, meter: Meter) -> Any:
    """Return what a value stands for. Raises `Invalid` (code `bad-expansion`) with the character it is about in `data`."""
    return Strict(names, meter).value(value)


class Strict:
    """Works out texts; `chain` are the names being worked out, so that a circle is seen."""

    def __init__(self, names: Names, meter: Meter) -> None:
        """Begin with nothing worked out."""
        self.names, self.meter = names, meter
        self.chain: list[str] = []
        self.functions: Mapping[str, Callable[[Phrase], Any]] = {
            "eval": self._eval, "sprintf": self._sprintf, "choice": self._choice, "len": self._len,
            "sum": self._reduced(sum), "min": self._reduced(min), "max": self._reduced(max),
        }  # fmt: skip

    def value(self, value: Any, depth: int = 0) -> Any:
        """Return any value with all its texts worked out."""
        if depth > MOST_DEPTH:
            raise refuse(f"lists and tables stand over {MOST_DEPTH} deep in each other")
        if isinstance(value, str):
            return self.text(read(value)) if "$" in value or "\\" in value else self.meter.weigh(value)
        self.meter.step()
        if isinstance(value, list | tuple):
            return [self.value(item, depth + 1) for item in value]
        if isinstance(value, Mapping):
            return {self._shown(self.value(key)): self.value(item, depth + 1) for key, item in value.items()}
        return value

    def text(self, text: Text) -> Any:
        """Return a text: the value itself if it is one phrase, else all of it put together."""
        if text.sole is not None:
            return self.part(text.sole)
        return self._joined(text)

    def _joined(self, text: Text) -> str:
        return self.meter.weigh("".join([
            part.text if isinstance(part, Literal) else self._shown(self.part(part)) for part in text.parts
        ]))  # fmt: skip

    @staticmethod
    def _shown(value: Any) -> str:
        return json.dumps(value) if isinstance(value, list | dict) else str(value)

    def part(self, part: Phrase | LookUp) -> Any:
        """Return what a phrase or a look-up stands for."""
        self.meter.step()
        try:
            return self._phrase(part) if isinstance(part, Phrase) else self._look_up(part)
        except Invalid as error:
            if "phrase" in error.data:
                raise
            data = {"at": part.at, **error.data}
            raise Invalid(error.message, code=error.code, hint=error.hint, phrase=part.text, **data) from None

    def _phrase(self, phrase: Phrase) -> Any:
        if phrase.name in self.functions:
            return self.functions[phrase.name](phrase)
        if phrase.name and phrase.name not in TABLES:
            raise refuse(f'"${phrase.name}(...)" is no phrase', nearest(phrase.name, (*TABLES, *FUNCTIONS)))
        return self.referred(phrase.name, self._shown(self.text(phrase.value)))

    def referred(self, table: str, key: str) -> Any:
        """Return what `$table(key)` stands for, with all that it refers to itself."""
        label = f"${table}({key})"
        if label in self.chain:
            circle = " > ".join([*self.chain[self.chain.index(label) :], label])
            raise refuse(f"values refer to each other in a circle: {circle}")
        if len(self.chain) >= MOST_DEPTH:
            raise refuse(f"over {MOST_DEPTH} values refer to each other in a row")
        try:
            found = look_up(self.names, table, key) if table else self.names.general(key)
        except (Unresolved, GivenUp):
            if self.meter.work is not None:
                self.meter.work.spend(MOST_NEAR // 10)
            near = nearest(key, islice(self._known(table), MOST_NEAR))
            raise refuse(f'"{label}" stands for nothing', near) from None
        self.chain.append(label)
        try:
            return self.value(found)
        finally:
            self.chain.pop()

    def _known(self, table: str) -> Iterable[str]:
        job, env = self.names.job, self.names.env
        options, steering = self.names.part("options"), self.names.part("steering")
        if not table:
            return chain(env.get("parameters", ()), options, self.names.parameters())
        if table in ("options", "args"):
            return list(options)
        if table == "environ":
            return list(env.get("environment", ()))
        if table == "metadata":
            return [key for part in job.get("difplus", {}).values() if isinstance(part, Mapping) for key in part]
        return list((steering.get("system") or ()) if table == "system" else self.names.parameters())

    def _look_up(self, look: LookUp) -> Any:
        owner, index = self.part(look.owner), self.text(look.index)
        if isinstance(owner, str):
            owner = structure(owner)
        if isinstance(owner, dict):
            return self._entry(owner, self._key(index), look)
        if not isinstance(owner, list | str):
            raise refuse(
                f"{look.owner.text} is {owner}, and has no parts", 'write "\\[" for the sign itself', at=look.at
            )
        place = whole(index)
        if place is None:
            raise refuse(f'"{index}" is no place in a list', at=look.at)
        if not -len(owner) <= place < len(owner):
            raise refuse(
                f"there is no number {place} in {look.owner.text} of {len(owner)}", "the first is 0", at=look.at
            )
        return owner[place]

    @staticmethod
    def _entry(owner: Mapping[str, Any], key: Any, look: LookUp) -> Any:
        if str(key) not in owner:
            raise refuse(f'there is no "{key}" in {look.owner.text}', nearest(str(key), map(str, owner)), at=look.at)
        return owner[str(key)]

    def _key(self, index: Any) -> str:
        try:
            return self._shown(self.names.general(index)) if isinstance(index, str) else self._shown(index)
        except Unresolved:
            return self._shown(index)

    def _eval(self, phrase: Phrase) -> Any:
        source = "".join([
            part.text if isinstance(part, Literal) else f"({self._shown(self.part(part)).strip()})"
            for part in phrase.value.parts
        ])  # fmt: skip
        try:
            return calculate(source.strip())
        except NotArithmetic:
            raise refuse(
                f'"{source[:100]}" cannot be calculated', "numbers, ( ) and + - * / // % ** ^ ~ only"
            ) from None

    def _sprintf(self, phrase: Phrase) -> str:
        pieces = [self._word(piece) for piece in phrase.value.pieces]
        try:
            return print_strict(str(pieces[0]), pieces[1:])
        except NotPrintable as error:
            raise refuse(f"{error}", 'write it like $sprintf("%06d", $(job))') from None

    def _word(self, piece: Text) -> Any:
        """Return one value of `$sprintf`: what is in quotes, if it is in quotes."""
        value = self.text(piece)
        first, last = (piece.parts[0], piece.parts[-1]) if piece.parts else (None, None)
        written = isinstance(first, Literal) and isinstance(last, Literal)
        if (
            (written or piece.sole)
            and isinstance(value, str)
            and len(value) > 1
            and value[0] in "'\""
            and value[0] == value[-1]
        ):
            return value[1:-1]
        return value

    def _choice(self, phrase: Phrase) -> Any:
        choices = self._values(phrase)
        if not choices or choices == [""]:
            raise refuse("there is nothing to choose from")
        return choices[self.names.draw(len(choices), ",".join(map(self._shown, choices)))]

    def _values(self, phrase: Phrase) -> Sequence[Any]:
        """Return what a reduction is over: a list (or table) by itself, or values with commas between."""
        whole_value = self.text(phrase.value)
        plain = structure(whole_value) if isinstance(whole_value, str) else whole_value
        if isinstance(plain, list | dict):
            return list(plain)
        return [self.text(piece) for piece in split(phrase.value, quotes=False)]

    def _len(self, phrase: Phrase) -> int:
        value = self.text(phrase.value)
        plain = structure(value) if isinstance(value, str) else value
        if not isinstance(plain, list | dict | str):
            raise refuse(f"{plain} has no length")
        return len(plain)

    def _reduced(self, function: Callable[[Any], Any]) -> Callable[[Phrase], Any]:
        def reduced(phrase: Phrase) -> Any:
            return function(self._numbers(phrase, self._values(phrase)))

        return reduced

    @staticmethod
    def _numbers(phrase: Phrase, values: Any) -> list[int | float]:
        """Return the numbers of a reduction. Raises `Invalid`."""
        numbers = [number(value) for value in (values if isinstance(values, list | tuple | dict) else [values])]
        found = [value for value in numbers if value is not None]
        if not found or len(found) < len(numbers):
            raise refuse(f"{phrase.text} needs numbers", "a list of numbers, or numbers with commas between")
        return found


def structure(text: str) -> Any:
    """Return the list or table that a text is when read as JSON (single quotes allowed); else the text."""
    if text[:1] in ("[", "{"):
        try:
            found = json.loads(text.replace("'", '"'))
        except (ValueError, RecursionError):
            return text
        return found if isinstance(found, list | dict) else text
    return text


def number(value: Any) -> int | float | None:
    """Return a number, or the number a text is; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
        return None
    return value


def whole(value: Any) -> int | None:
    """Return a whole number, or the one a text is; None for anything else."""
    found = number(value)
    return found if isinstance(found, int) else None
