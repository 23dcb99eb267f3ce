"""Strict expansion as far as it goes before a job is known: what depends on the job becomes an expression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nunatak.iceprod.bounds import Meter, refuse
from nunatak.iceprod.deferred import UNKNOWN, Deferred, Mixed, code, depends, mixed, pieces_of
from nunatak.iceprod.later import calculated, printed
from nunatak.iceprod.names import Names
from nunatak.iceprod.printing import NotPrintable
from nunatak.iceprod.reading import Literal, LookUp, Phrase, Text, inner, split
from nunatak.iceprod.strict import Strict, number, structure, whole


class Partial(Strict):
    """Works out what can be worked out before a job is known; `later` says which names cannot be, or should not.

    `later(table, key)` is a `Deferred` for a name that stays a name, or None. All else is as in `Strict`.
    """

    def __init__(self, names: Names, meter: Meter, later: Callable[[str, str], Deferred | None]) -> None:
        """Begin with nothing worked out."""
        super().__init__(names, meter)
        self.later = later
        self.drawn = 0

    def referred(self, table: str, key: str) -> Any:
        """Return the deferred value of a name, or what it stands for."""
        found = self.later(table, key)
        return super().referred(table, key) if found is None else found

    def _joined(self, text: Text) -> Any:
        parts: list[str | tuple[Deferred, str]] = []
        for part in text.parts:
            value = part.text if isinstance(part, Literal) else self.part(part)
            pieces = pieces_of(value)
            for piece in pieces:
                if isinstance(piece, str):
                    self.meter.weigh(piece)
            parts += pieces
        return mixed(parts)

    @staticmethod
    def _shown(value: Any) -> str:
        known = value.known if isinstance(value, Deferred) else UNKNOWN
        if known is not UNKNOWN and not (isinstance(known, list | dict) and depends(known)):
            return Strict._shown(known)
        if depends(value):
            raise refuse("a name or a calculation is put together from what depends on the job")
        return Strict._shown(value)

    def _look_up(self, look: LookUp) -> Any:
        owner, index = self.part(look.owner), self.text(look.index)
        if not depends(owner) and not depends(index):
            return super()._look_up(look)
        if isinstance(owner, str):
            owner = structure(owner)
        if isinstance(owner, Deferred) and isinstance(owner.known, dict):
            owner = owner.known
        if isinstance(owner, dict) and isinstance(index, Deferred) and index.known is not UNKNOWN:
            return Strict._entry(owner, index.known, look)
        if isinstance(owner, dict):
            raise refuse("which entry of a table is meant depends on the job", at=look.at)
        place = (
            index.numeric
            if isinstance(index, Deferred)
            else code(number(index) if number(index) is not None else index)
        )
        items = owner.known if isinstance(owner, Deferred) else owner
        kinds = {type(item) for item in items} if isinstance(items, list) else {None}
        kind = "int" if kinds == {int} else "number" if kinds <= {int, float} else ""
        known = UNKNOWN
        if isinstance(items, list) and not depends(index) and whole(index) is not None:
            at = whole(index) or 0
            if not -len(items) <= at < len(items):
                raise refuse(
                    f"there is no number {at} in {look.owner.text} of {len(items)}", "the first is 0", at=look.at
                )
            known = items[at]
        return Deferred(f"{code(owner)}[{place}]", known, kind)

    def _eval(self, phrase: Phrase) -> Any:
        values = [part if isinstance(part, Literal) else self.part(part) for part in phrase.value.parts]
        if not any(isinstance(value, Deferred | Mixed) for value in values):
            return super()._eval(phrase)
        source, known, ints = "", dict[str, str](), True
        for value in values:
            if isinstance(value, Literal):
                source += value.text
            elif isinstance(value, Deferred):
                name = f"later_{len(known)}"
                known[name] = value.numeric
                source += name
                ints = ints and (value.whole or value.numeric.startswith("int("))
            else:
                source += f"({self._shown(value).strip()})"
        found, exact = calculated(source.strip(), known)
        return Deferred(found, kind="int" if ints and exact else "number")

    def _sprintf(self, phrase: Phrase) -> Any:
        pieces = [self._word(piece) for piece in phrase.value.pieces]
        if not any(map(depends, pieces)):
            return super()._sprintf(phrase)
        if depends(pieces[0]):
            raise refuse("the format of $sprintf depends on the job")
        try:
            return printed(str(pieces[0]), pieces[1:])
        except NotPrintable as error:
            raise refuse(str(error)) from None

    def _choice(self, phrase: Phrase) -> Any:
        choices = list(self._values(phrase))
        if not choices or choices == [""]:
            raise refuse("there is nothing to choose from")
        self.drawn += 1
        salt = f", {self.drawn}" if self.drawn > 1 else ""
        return Deferred(f"choice({code(choices)}{salt})")

    def _len(self, phrase: Phrase) -> Any:
        value = self.text(phrase.value)
        return Deferred(f"len({code(value)})", kind="int") if depends(value) else super()._len(phrase)

    def _values(self, phrase: Phrase) -> Sequence[Any]:
        value = self.text(phrase.value)
        if isinstance(value, Deferred) and isinstance(value.known, list):
            return [Deferred(f"{value.code}[{index}]", item) for index, item in enumerate(value.known)]
        if depends(value):
            return [self.text(piece) for piece in split(inner(phrase.value), quotes=False)]
        return super()._values(phrase)

    def _reduced(self, function: Callable[[Any], Any]) -> Callable[[Phrase], Any]:
        plainly = super()._reduced(function)

        def reduced(phrase: Phrase) -> Any:
            value = self.text(phrase.value)
            if not depends(value):
                return plainly(phrase)
            if isinstance(value, Deferred) and value.known is not UNKNOWN and not depends(value.known):
                numbers = Strict._numbers(phrase, value.known)
                if isinstance(value.known, list) and all(map(_is_number, value.known)):
                    return Deferred(f"{function.__name__}({value.code})", kind="number")
                return function(numbers)  # texts that are numbers, or names in a table: no list that a recipe sums
            items = [
                item.numeric if isinstance(item, Deferred) else code(number(item)) for item in self._values(phrase)
            ]
            return Deferred(f"{function.__name__}([{', '.join(items)}])", kind="number")

        return reduced


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
