"""Expressions of HTCondor in recipes: whether a text is sound enough to be put between others. Pure, without its package."""

from __future__ import annotations

import re

NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,99}$"
"""How attributes may be called."""
MOST = 2000
"""Characters of one expression."""
_PIECE = re.compile(
    r"""("(?:[^"\\]|\\.)*")|('(?:[^'\\]|\\.)*')|(//|/\*)|([()\[\]{}])|(["';$\\])|[^"'()\[\]{};$\\/]+|/"""
)
_SIGN = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|=\?=|=!=|&&|\|\||.""", re.DOTALL)
_OPENING = {")": "(", "]": "[", "}": "{"}


def flaw(text: str) -> str:
    """Say why a text cannot stand in brackets as one expression; "" if nothing is seen.

    What closes more than it opens, comments and macros would reach what stands around it. HTCondor itself finds the rest.
    """
    if len(text) > MOST:
        return f"it is over {MOST} characters"
    if not text.strip():
        return "there is nothing in it"
    if not text.isprintable():
        return "it is not one line of text"
    opened: list[str] = []
    for found in _PIECE.finditer(text):
        comment, bracket, sign = found[3], found[4], found[5]
        if comment:
            return f"it has a comment, {comment}"
        if sign:
            return (
                f"there is no end to what {sign} begins" if sign in "\"'" else f"{sign} has no place in an expression"
            )
        if bracket in _OPENING:
            if not opened or opened.pop() != _OPENING[bracket]:
                return f"{bracket} closes what it did not open"
        elif bracket:
            opened.append(bracket)
    return f"{opened[-1]} is not closed" if opened else ""


def clauses(text: str) -> list[str]:
    """Cut a sound expression at each `&&` that is in no brackets and no quotes; one that has `||` or `?` there stays whole."""
    pieces, depth, either = [""], 0, False
    for found in _SIGN.finditer(text):
        sign = found[0]
        depth += (sign in "([{") - (sign in ")]}") if len(sign) == 1 else 0
        either = either or (depth == 0 and sign in ("||", "?"))
        if sign == "&&" and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += sign
    return [text.strip()] if either else [piece.strip() for piece in pieces]
