"""What all answers share: more may be added to each, problems, and lists."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class View(BaseModel):
    """An answer. More may be added to it in later versions."""

    model_config = ConfigDict(extra="allow")


class ProblemItem(View):
    """One thing wrong, with its place."""

    message: str
    path: str
    hint: str
    file: str
    line: int
    column: int


class Problem(View):
    """An error (RFC 9457); `code` is stable, `hint` says what to do."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str = ""
    problems: list[ProblemItem] = []
    data: dict[str, Any] = {}


class Health(View):
    """Whether the server is fine."""

    status: str


class Page(View):
    """Part of a list; ask again with `after` = `next`, unless it is null."""

    items: list[dict[str, Any]]
    next: str | None


class Items(View):
    """A whole list."""

    items: list[dict[str, Any]]
