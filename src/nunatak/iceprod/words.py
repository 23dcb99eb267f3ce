"""Texts of a configuration as argument words: cut and unquoted as the shell would that IceProd pastes them into."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from nunatak.iceprod.deferred import PERHAPS, UNKNOWN, Deferred, Mixed, depends
from nunatak.iceprod.findings import Findings, Path

VARIABLE = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})")
"""A variable of the machine, as a shell writes it."""
_SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./-]+\Z")
_SPECIAL = re.compile(r"[|<>;&*?`~]")


def words_of(text: str) -> list[str]:
    """Cut a text that is known at white space that is in no quotes."""
    return [str(word) for word in _cut([text], spaces=True)[0]]


def word_of(text: str) -> str:
    """Return a text that is known without the quotes that a shell takes away."""
    return "".join(map(str, _cut([text], spaces=False)[0]))


def split_words(value: Any, path: Path, findings: Findings) -> list[Any]:
    """Cut a text at white space that is in no quotes; deferred values in it stay in their words."""
    if isinstance(value, Deferred) and value.code.startswith("iceprod("):
        return [Deferred(f"{value.code[:-1]}, true)")]
    words, quotes = _cut([_spaced(piece) for piece in _pieces(value)], spaces=True)
    _say(words, quotes, path, findings)
    return words


def one_word(value: Any, path: Path, findings: Findings) -> Any:
    """Return an item of a list or table as one word, without the quotes that keep a shell from cutting it."""
    if isinstance(value, list | dict) and depends(value):
        findings.wrong(path, "a list or a table that depends on the job is no word of a command", "write it as a text")
        return ""
    if isinstance(value, Deferred) and value.code.startswith("iceprod("):
        return Deferred(f'{value.code[:-1]}, "word")')
    words, quotes = _cut(_pieces(value), spaces=False)
    found = words[0] if words else ""
    _say(words, quotes, path, findings)
    if not quotes and isinstance(value, str | Mixed) and re.search(r"\s", literal_of(found).strip()):
        text = literal_of(found)[:60]
        cut = " and ".join(f'"{piece}"' for piece in text.split()[:5])
        findings.add(
            "differs", path, f'exact: the words {cut}, as a shell cuts it; strict: the one word "{text}"',
            "import with --mode exact to have it as IceProd has",
        )  # fmt: skip
    return found


def _say(words: Sequence[Any], quotes: bool, path: Path, findings: Findings) -> None:
    if quotes:
        findings.add("translated", path, "what is in quotes is one word, as in the shell that IceProd gives it to")
    special = sorted({sign for word in words for sign in _SPECIAL.findall(literal_of(word))})
    if special and not quotes:
        findings.add(
            "translated", path, f"no shell reads {' '.join(special)} here: the program gets it as it is",
            "if a shell is to read it, put the command into a script, and name that in src",
        )  # fmt: skip


def _pieces(value: Any) -> list[Any]:
    """Return literal texts, and pairs of a deferred value and its format. What is known in full is as IceProd writes it."""
    if isinstance(value, Mixed):
        return list(value.parts)
    if isinstance(value, Deferred):
        known = value.known
        plain = known is True or known is False or known is None or isinstance(known, list | dict)
        return [str(known)] if plain else [(value, "")]
    return [value if isinstance(value, str) else str(value)]


def _spaced(piece: Any) -> Any:
    """Return what a name stands for where there is white space in it, so that it is cut; all else as it is."""
    known = UNKNOWN if isinstance(piece, str) or piece[1] else piece[0].known
    return known if isinstance(known, str) and re.search(r"\s", known) else piece


def _cut(pieces: Sequence[Any], *, spaces: bool) -> tuple[list[Any], bool]:
    """Return words, and whether there were quotes; quotes that do not end are signs like others."""
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    quotes = bool(re.search("['\"]", text)) and _ends(pieces)
    words: list[list[Any]] = [[]]
    quote, open_word = "", False
    for piece in pieces:
        if not isinstance(piece, str):
            words[-1].append(piece)
            open_word = True
            continue
        for sign in piece:
            if quotes and sign in "'\"" and quote in ("", sign):
                quote, open_word = "" if quote else sign, True
            elif spaces and not quote and sign.isspace():
                words += [[]] if open_word else []
                open_word = False
            else:
                _append(words[-1], sign)
                open_word = True
    if not open_word and spaces:
        words.pop()
    return [_joined(word) for word in words], quotes


def _ends(pieces: Sequence[Any]) -> bool:
    quote = ""
    for sign in "".join(piece for piece in pieces if isinstance(piece, str)):
        if sign in "'\"" and quote in ("", sign):
            quote = "" if quote else sign
    return not quote


def _append(word: list[Any], sign: str) -> None:
    if word and isinstance(word[-1], str):
        word[-1] += sign
    else:
        word.append(sign)


def _joined(word: list[Any]) -> Any:
    if all(isinstance(piece, str) for piece in word):
        return "".join(word)
    return Mixed(tuple(word))


def by_shell(words: Sequence[Any], arch: str) -> list[Any]:
    """Return the words that have a shell run others: variables in its script, every other piece an argument of it."""
    given: list[Any] = []
    script = f"OS_ARCH=$({arch}); exec" if arch else "exec"
    for word in words:
        script += " "
        for part in word.parts if isinstance(word, Mixed) else (word,):
            script += _shell_piece(part, given)
    return ["/bin/sh", "-c", script, "sh", *given]


def _shell_piece(part: Any, given: list[Any]) -> str:
    def argument(value: Any) -> str:
        if isinstance(value, str) and _SAFE.match(value):
            return value
        given.append(value)
        return f'"${{{len(given)}}}"'

    if not isinstance(part, str):
        return argument(Mixed((part,)) if isinstance(part, tuple) else part)
    text, at = "", 0
    for found in VARIABLE.finditer(part):
        text += argument(part[at : found.start()]) if at < found.start() else ""
        text += f'"${{{found.group().strip("${}")}}}"'
        at = found.end()
    return text + (argument(part[at:]) if at < len(part) or not part else "")


def literal_of(word: Any) -> str:
    """Return what of a word is written out."""
    if isinstance(word, Mixed):
        return "".join(part for part in word.parts if isinstance(part, str))
    return word if isinstance(word, str) else ""


def perhaps(word: Any) -> bool:
    """Tell whether a word has a name in it that is empty in some jobs."""
    parts = word.parts if isinstance(word, Mixed) else ((word, ""),)
    return any(not isinstance(part, str) and getattr(part[0], "kind", "") == PERHAPS for part in parts)


def quoted(word: Any) -> str:
    """Return a word as a recipe's command line has it."""
    parts = word.parts if isinstance(word, Mixed) else (word,) if isinstance(word, str) else ((word, ""),)
    if len(parts) == 1 and not isinstance(parts[0], str) and perhaps(word):
        name = parts[0][0].code
        return f"{{[{name}] if {name} else []}}"
    return "".join(_piece(part) for part in parts) or "''"


def _piece(part: Any) -> str:
    if not isinstance(part, str):
        return Mixed((part,)).template
    if not part or _SAFE.match(part):
        return part
    text = part.replace("{", "{{").replace("}", "}}")
    return "'" + text.replace("'", "'\\''") + "'"
