"""The `data` of a task to inputs and outputs of a recipe, and which of them only a client of the node can move."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nunatak.core.schemes import FEATURES
from nunatak.iceprod.deferred import UNKNOWN, Deferred, Mixed, depends, template
from nunatak.iceprod.findings import Findings, Path
from nunatak.iceprod.scope import Scope

OURS = ("file", "http", "https")
"""Schemes that the worker moves itself."""
WITH_TOKEN = {"http": "dav", "https": "davs"}
"""Where a token is needed, which the worker has none of, a client of the node moves the same file by this scheme."""
TYPES = ("permanent", "job_temp", "dataset_temp", "site_temp", "resource")

_YES, _NO, _MAYBE = ("y", "yes", "t", "true", "1"), ("n", "no", "not", "f", "false", "0"), ("maybe", "exists")
_TEMP = {"job_temp": "temp", "dataset_temp": "dataset_temp", "site_temp": "site_temp"}


@dataclass(frozen=True, slots=True)
class Move:
    """One file: `name` in the sandbox; `url` where it is, or goes to ("" for a temporary file that Nunatak keeps)."""

    path: Path
    name: Any
    url: Any
    kind: str
    optional: bool
    seen: str = ""  # the URL in the first job
    token: str = ""  # where a token is needed: the URL in the first job as it is written


@dataclass(slots=True)
class Files:
    """What a task reads and makes. Names that were seen, so that nothing is named twice."""

    inputs: dict[str, Move] = field(default_factory=dict)
    outputs: dict[str, Move] = field(default_factory=dict)
    tokens: tuple[str, ...] = ()  # what URLs begin with that need a token

    def take(self, data: Sequence[Mapping[str, Any]], scope: Scope) -> Files:
        """Add the `data` of one level; return what it has."""
        own = Files()
        for entry in data:
            movement = entry["movement"]
            if movement not in ("input", "output", "both"):
                scope.whole.findings.wrong(
                    (*entry["path"], "movement"), f'"{movement}" is no movement', "input, output or both"
                )
                continue
            move = _move(entry, scope, self.tokens)
            if move is None:
                continue
            if movement in ("input", "both"):
                self._keep(self.inputs, move, scope.whole.findings)
                own.inputs.setdefault(template(move.name), move)
            if movement in ("output", "both"):
                self._keep(self.outputs, move, scope.whole.findings)
                own.outputs.setdefault(template(move.name), move)
        return own

    def together(self, inner: Files) -> Files:
        """Return what is known inside a level that adds `inner`."""
        return Files({**self.inputs, **inner.inputs}, {**self.outputs, **inner.outputs})

    @staticmethod
    def _keep(known: dict[str, Move], move: Move, findings: Findings) -> None:
        name = template(move.name)
        before = known.get(name)
        if before is not None and (template(before.url), before.kind) != (template(move.url), move.kind):
            findings.wrong(
                move.path, f'the file "{name}" is named twice, for different places', "give one of them another `local`"
            )
        known.setdefault(name, move)

    def names(self, which: str) -> str | Mixed:
        """Return the names of all inputs or outputs as `$(input)` and `$(output)` have them."""
        moves = (self.inputs if which == "input" else self.outputs).values()
        parts: list[Any] = []
        for number, move in enumerate(moves):
            parts += [" "] if number else []
            parts += (
                move.name.parts
                if isinstance(move.name, Mixed)
                else [(move.name, "")]
                if depends(move.name)
                else [str(move.name)]
            )
        return Mixed(tuple(parts)) if any(not isinstance(part, str) for part in parts) else "".join(parts)


def _move(entry: Mapping[str, Any], scope: Scope, tokens: tuple[str, ...]) -> Move | None:
    path, findings = entry["path"], scope.whole.findings
    kind = str(_settled(scope.text(entry["type"], (*path, "type")), (*path, "type"), findings)).lower()
    if kind not in TYPES:
        findings.wrong((*path, "type"), f'"{kind}" is no type of data', f"known: {', '.join(TYPES[:4])}")
        return None
    asked = _settled(scope.text(entry["transfer"], (*path, "transfer")), (*path, "transfer"), findings)
    wanted = _transfer(asked, (*path, "transfer"), findings)
    if wanted == "no":
        findings.add("dropped", path, "transfer is false: the file is not moved, and has to be there")
        return None
    remote = _whole(scope.text(entry["remote"], (*path, "remote")))
    local = _whole(scope.text(entry["local"], (*path, "local")))
    if remote == "" and local == "":
        findings.wrong(path, "neither remote nor local is given")
        return None
    name = local if local != "" else _last(remote)
    if _escapes(name):
        findings.wrong(
            (*path, "local"),
            f'"{template(name)}" leads out of the directory the task runs in',
            "give a name in `local`",
        )
        return None
    url, seen = _url(entry, kind, remote, name, scope)
    token = seen if tokens and seen.startswith(tokens) else ""
    if token:
        url, seen = _with_token(url, seen, path, findings)
    return Move(path, name, url, kind, wanted == "maybe", seen, token)


def _settled(value: Any, path: Path, findings: Findings) -> Any:
    """Return a value that is one for all jobs: of a parameter, what it is now."""
    if isinstance(value, Deferred) and value.known is not UNKNOWN:
        findings.add("translated", path, f"it is {value.known} once and for all: --set does not change it")
        return value.known
    return template(value) if isinstance(value, Deferred | Mixed) else value


def _whole(value: Any) -> Any:
    return value if isinstance(value, str | Deferred | Mixed) else "" if value is None else str(value)


def _transfer(value: Any, path: Path, findings: Findings) -> str:
    text = str(value).lower()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "no" if value == 0 else "yes"
    for answer, words in (("yes", _YES), ("no", _NO), ("maybe", _MAYBE)):
        if text in words:
            return answer
    findings.wrong(path, f'"{text}" is not known', "true, false or maybe")
    return "no"


def _last(remote: Any) -> Any:
    """Return the last part of a path or URL."""
    if not isinstance(remote, Mixed):
        return remote if isinstance(remote, Deferred) else posixpath.basename(remote)
    parts: list[Any] = []
    for part in reversed(remote.parts):
        if isinstance(part, str) and "/" in part:
            parts.append(part.rpartition("/")[2])
            break
        parts.append(part)
    kept = tuple(part for part in reversed(parts) if part != "")
    return kept[0] if len(kept) == 1 and isinstance(kept[0], str) else Mixed(kept)


def _escapes(name: Any) -> bool:
    text = template(name)
    return text.startswith("/") or text == "" or ".." in text.split("/") or text.endswith("/")


def _url(entry: Mapping[str, Any], kind: str, remote: Any, name: Any, scope: Scope) -> tuple[Any, str]:
    """Return the URL of a file, and what it is in the first job: `remote` if it is one, else below the place of its type.

    Both are "" for a temporary file that Nunatak keeps.
    """
    seen = scope.first(entry["remote"])
    if "://" in seen:
        return remote, seen
    usual = {"permanent": "data_url", "resource": "resource_url"}.get(kind, kind)
    option = kind if kind in scope.options else usual
    raw = scope.options.get(option, "")
    base = _whole(scope.text(raw, ("options", option))) if raw else ""
    if base == "":
        if kind not in _TEMP:
            hint = f"--option {option}=URL"
            scope.whole.findings.wrong(
                entry["path"], f"options.{option} is not given, below which this file would be", hint
            )
        return "", ""
    whole = _below(base, remote if remote != "" else name)
    return whole, str(_below(scope.first(raw), seen or scope.first(entry["local"])))


def _below(base: Any, rest: Any) -> Any:
    """Join a base and a path as `os.path.join` does."""
    if template(rest).startswith("/"):
        base_text = template(base)
        root = base_text[: base_text.find("/", base_text.find("://") + 3)] if "://" in base_text else ""
        return put_together(root or base, rest)
    return put_together(base, "" if template(base).endswith("/") else "/", rest)


def put_together(*values: Any) -> Any:
    """Return several texts as one."""
    parts: list[Any] = []
    for value in values:
        parts += value.parts if isinstance(value, Mixed) else [(value, "")] if isinstance(value, Deferred) else [value]
    joined: list[Any] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return Mixed(tuple(joined)) if any(not isinstance(part, str) for part in joined) else "".join(joined)


def scheme(move: Move) -> str:
    """Return the scheme of a file's URL, "" if it has none."""
    head, separator, _ = move.seen.partition("://")
    return head.lower() if separator else ""


def feature(move: Move, findings: Findings) -> str:
    """Return the feature a node must have to move a file, "" if the worker does by itself; note schemes that nothing moves."""
    kind = scheme(move)
    if kind in OURS or not kind:
        return ""
    if kind not in FEATURES:
        findings.wrong(move.path, f'nothing here moves files by "{kind}://"', f"known: {', '.join((*OURS, *FEATURES))}")
        return ""
    needed = FEATURES[kind]
    if move.token and kind in WITH_TOKEN.values():
        hint = "the worker moves by itself what needs no token"
        findings.add(
            "asks", move.path, f"a client for {kind}:// with a token on the machine: the feature {needed}", hint
        )
    else:
        findings.add("asks", move.path, f"a client for {kind}:// on the machine: the feature {needed}")
    return needed


def _with_token(url: Any, seen: str, path: Path, findings: Findings) -> tuple[Any, str]:
    """Return an address of the web by the scheme under which a client that finds tokens moves it."""
    kind, separator, rest = seen.partition("://")
    if not separator or kind not in WITH_TOKEN:
        return url, seen
    head = f"{kind}://"
    parts = url.parts if isinstance(url, Mixed) else (url,)
    if not isinstance(parts[0], str) or not parts[0].startswith(head):
        hint = f"write {head} in `remote` itself"
        findings.wrong(
            path, "a token is needed, and whether it is an address of the web is known in the job alone", hint
        )
        return url, seen
    first = f"{WITH_TOKEN[kind]}://{parts[0][len(head) :]}"
    return (Mixed((first, *parts[1:])) if isinstance(url, Mixed) else first), f"{WITH_TOKEN[kind]}://{rest}"
