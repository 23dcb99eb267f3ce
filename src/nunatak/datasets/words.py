"""A command line to argument words, before any expression is expanded, so that no value can add a word or a quote."""

from __future__ import annotations

import re

from nunatak.datasets.functions import refuse
from nunatak.datasets.template import hole_end

_VARIABLE = re.compile(r"\$[A-Za-z_{(]")
_LITERAL = "put it in quotes if it is meant as it stands, or say shell: true"


def split_commands(text: str) -> list[tuple[str, ...]]:
    """Return the commands of a text, one a line, each as words that are templates.

    Quotes and backslashes work as in a shell; a backslash at the end of a line continues it; a line that begins with #
    is a remark. Raises `Invalid` for what only a shell would do.
    """
    splitter = _Splitter(text)
    splitter.run()
    return [tuple(words) for words in splitter.commands if words]


class _Splitter:
    """Walks the text once; `word` is None between words."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.commands: list[list[str]] = [[]]
        self.word: str | None = None

    def run(self) -> None:
        while self.at < len(self.text):
            letter = self.text[self.at]
            if letter in " \t\n\r":
                self._space(letter)
            elif letter == "#" and self.word is None and not self.commands[-1]:
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif letter == "{":
                self._braces()
            elif letter in "'\"":
                self._quoted(letter)
            elif letter == "\\":
                self._escaped()
            else:
                self._bare(letter)
        self._end_word()

    def _add(self, text: str) -> None:
        self.word = (self.word or "") + text

    def _end_word(self) -> None:
        if self.word is not None:
            self.commands[-1].append(self.word)
            self.word = None

    def _space(self, letter: str) -> None:
        self._end_word()
        if letter == "\n" and self.commands[-1]:
            self.commands.append([])
        self.at += 1

    def _braces(self) -> None:
        if self.text[self.at : self.at + 2] == "{{":
            self._add("{{")
            self.at += 2
            return
        _, end = hole_end(self.text, self.at + 1)
        self._add(self.text[self.at : end + 1])
        self.at = end + 1

    def _quoted(self, quote: str) -> None:
        start = self.at
        self._add("")
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != quote:
            letter = self.text[self.at]
            if letter == "{":
                self._braces()
            elif (
                letter == "\\" and quote == '"' and self.text[self.at + 1 : self.at + 2] in ('"', "\\", "$", "`", "\n")
            ):
                self._add(self.text[self.at + 1].replace("\n", ""))
                self.at += 2
            else:
                self._add(letter)
                self.at += 1
        if self.at >= len(self.text):
            raise refuse(f"a quote is never closed: {self.text[start : start + 40]}")
        self.at += 1

    def _escaped(self) -> None:
        following = self.text[self.at + 1 : self.at + 2]
        if following == "\n":
            self._end_word()
        else:
            self._add(following or "\\")
        self.at += 2

    def _bare(self, letter: str) -> None:
        if letter in "|&;<>`*":
            raise refuse(f'"{letter}" means something to a shell, but no shell runs this', _LITERAL)
        if letter == "$" and _VARIABLE.match(self.text, self.at):
            raise refuse("a shell variable is not expanded here", _LITERAL)
        if letter == "~" and self.word is None:
            raise refuse('"~" is not expanded here', _LITERAL)
        self._add(letter)
        self.at += 1


def quoting(text: str, inside: str = "") -> str:
    """Return what a place in a shell's text is inside of, from the outermost in, after `text`.

    Each letter is one of ' and " (quotes), ( (a command in brackets) and # (a remark).
    """
    before = ""
    for letter in text:
        within = inside[-1:]
        if before == "\\" and within not in ("'", "#"):
            before = ""
            continue
        if _ends(letter, within):
            inside = inside[:-1]
        elif _begins(letter, within, before):
            inside += letter
        before = letter
    return inside


def _ends(letter: str, within: str) -> bool:
    return letter == {"'": "'", '"': '"', "(": ")", "#": "\n"}.get(within)


def _begins(letter: str, within: str, before: str) -> bool:
    if within in ("'", "#"):
        return False
    if within == '"':
        return letter == "(" and before == "$"
    return letter in "'\"(" or (letter == "#" and before in (" ", "\t", "\n"))
