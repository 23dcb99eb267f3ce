"""A module to the command that runs it, as argument words; what only a shell can do is marked."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nunatak.iceprod.deferred import Deferred, Mixed, depends, template
from nunatak.iceprod.expansion import EXACT
from nunatak.iceprod.findings import Findings, Path
from nunatak.iceprod.scope import Scope
from nunatak.iceprod.words import VARIABLE, by_shell, literal_of, one_word, perhaps, quoted, split_words

CLEAN = {"PYTHONNOUSERSITE": "1", "SHELL": "/bin/sh"}
"""What IceProd sets with `env_clear`; the worker gives every command a clean environment."""
MOST_WORDS = 5000
"""Arguments of one command: a recipe's has no room for more."""
RUNNER = "iceprod_class.py"
"""The file that calls a class of IceProd's first version."""
WRITER = "iceprod_write.py"
"""The file that writes one of the `configs` where it differs from job to job."""
OS_ARCH = "/cvmfs/icecube.opensciencegrid.org/py3-v4.3.0/os_arch.sh"
"""What says the operating system and architecture by IceCube's names."""


@dataclass(slots=True)
class Run:
    """What a task runs, and what that needs: files beside the recipe, files written from the configuration, inputs by URL."""

    commands: list[dict[str, Any]] = field(default_factory=list)
    sources: dict[str, None] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    fetched: dict[str, str] = field(default_factory=dict)
    rewritten: set[str] = field(default_factory=set)  # those of `configs` that commands write
    helpers: set[str] = field(default_factory=set)


def add_module(run: Run, module: Mapping[str, Any], path: Path, scope: Scope) -> None:
    """Add a module's command to what a task runs."""
    findings = scope.whole.findings
    surroundings = _env_shell(run, module, path, scope)
    if module["src"]:
        src = scope.text(module["src"], (*path, "src"))
        words = [*_program(run, src, (*path, "src"), findings), *arguments(module["args"], (*path, "args"), scope)]
        if module["running_class"]:
            findings.add(
                "dropped", (*path, "running_class"), "the module has src as well, which is run", "use two modules"
            )
    elif module["running_class"]:
        words = _class(run, module, path, scope)
    else:
        findings.wrong(path, "there is nothing to run in this module", "give it src, or running_class")
        return
    for name, content in module["configs"].items():
        _config(run, name, content, (*path, "configs", name), scope)
    run.commands.append(command(surroundings, words, module["env_clear"], path, findings))


def _env_shell(run: Run, module: Mapping[str, Any], path: Path, scope: Scope) -> list[Any]:
    if not module["env_shell"]:
        return []
    given = scope.text(module["env_shell"], (*path, "env_shell"))
    words = split_words(given, (*path, "env_shell"), scope.whole.findings)
    if words and isinstance(words[0], str) and "://" in words[0]:
        name = file_name(words[0])
        run.fetched[name] = words[0]
        words[0] = f"./{name}"
    return words


def _program(run: Run, src: Any, path: Path, findings: Findings) -> list[Any]:
    written = template(src) if not isinstance(src, str) else src
    if not isinstance(written, str) or not written.strip():
        findings.wrong(path, "src is no name of a program")
        return []
    if "://" in written:
        name = file_name(written)
        if "?" in written or "#" in written:
            findings.add("translated", path, f"the file is called {name}, without its query")
        run.fetched[name] = written
        src = written = name
    elif not written.startswith("/") and not VARIABLE.match(written):
        run.sources[written] = None
    ending = posixpath.splitext(written)[1]
    if ending == ".py":
        return ["python", src]
    if ending == ".sh":
        return ["/bin/sh", src]
    return [src if written.startswith(("/", "$")) else f"./{written}"]


def file_name(url: str) -> str:
    """Return the name of the file a URL is about, without query and fragment."""
    return posixpath.basename(url.split("?", 1)[0].split("#", 1)[0])


def as_json(args: Any, path: Path, findings: Findings) -> Any:
    """Return `args`, read as JSON where they are a text that looks like a table or a list."""
    if isinstance(args, str) and args[:1] in ("{", "["):
        try:
            return json.loads(args)
        except (ValueError, RecursionError):
            findings.add("translated", path, "it looks like JSON and is none: taken as text")
    return args


def arguments(args: Any, path: Path, scope: Scope) -> list[Any]:
    """Return `args` in any of its forms as words: text, list, table, or a table of `args` and `kwargs`."""
    args = as_json(args, path, scope.whole.findings)
    if args in ("", None, [], {}):
        return []
    if isinstance(args, list | dict) and len(args) > MOST_WORDS:
        scope.whole.findings.wrong(path, f"over {MOST_WORDS} arguments", "write them into a file, with `configs`")
        return []
    if isinstance(args, str):
        return split_words(scope.text(args, path), path, scope.whole.findings)
    if isinstance(args, list):
        return [word for number, item in enumerate(args) for word in _items(item, (*path, number), scope)]
    if not isinstance(args, dict):
        return [str(args)]
    if set(args) == {"args", "kwargs"}:
        given, named = args["args"], args["kwargs"]
        if given is not None and not isinstance(given, list | str):
            scope.whole.findings.wrong((*path, "args"), "it is no list of arguments", "write [ ... ]")
        if named is not None and not isinstance(named, dict):
            scope.whole.findings.wrong((*path, "kwargs"), "it is no table of arguments", "write { ... }")
        listed = arguments(given, (*path, "args"), scope) if isinstance(given, list | str) else []
        return listed + _named(named if isinstance(named, dict) else {}, (*path, "kwargs"), scope)
    return _named(args, path, scope)


def _named(table: Mapping[str, Any], path: Path, scope: Scope) -> list[Any]:
    words: list[Any] = []
    for key, raw in table.items():
        flag = f"-{key}" if len(key) <= 1 else f"--{key}"
        if raw is None:
            words.append(flag)
            continue
        value, *more = _items(raw, (*path, key), scope, begun=True) or [""]
        words += [Mixed((f"{flag}=", *_parts(value))) if depends(value) else f"{flag}={value}", *more]
    return words


def _parts(value: Any) -> tuple[Any, ...]:
    if isinstance(value, Mixed):
        return value.parts
    return (value,) if isinstance(value, str) else ((value, ""),)


def _items(raw: Any, path: Path, scope: Scope, *, begun: bool = False) -> list[Any]:
    """Return an item of a list or table as words: one, but as many as IceProd's shell makes of it in exact mode.

    What stands for files alone is a word for each of them. `begun` says that something stands before it in its word.
    """
    value, findings = scope.text(raw, path), scope.whole.findings
    listed = isinstance(raw, str) and raw.strip() in ("$(input)", "$(output)", "$options(input)", "$options(output)")
    whole = begun and isinstance(value, Deferred) and value.code.startswith("iceprod(")
    cut = scope.whole.mode == EXACT and not (isinstance(value, list | dict) or whole)
    return split_words(value, path, findings) if listed or cut else [one_word(value, path, findings)]


def _class(run: Run, module: Mapping[str, Any], path: Path, scope: Scope) -> list[Any]:
    name = scope.text(module["running_class"], (*path, "running_class"))
    if not isinstance(name, str) or not re.match(r"[A-Za-z_][\w.]*\.[A-Za-z_]\w*\Z", name):
        scope.whole.findings.wrong(
            (*path, "running_class"), f'"{name}" is no class in a Python module', "package.module.Class"
        )
        return []
    scope.whole.findings.add("translated", (*path, "running_class"), f"{name} is called by {RUNNER}")
    args = as_json(module["args"], (*path, "args"), scope.whole.findings)
    if not isinstance(args, dict) and args not in ("", None, []):
        scope.whole.findings.wrong(
            (*path, "args"), "a class is called with a table of parameters", 'write {"Name": value}'
        )
        return []
    run.helpers.add(RUNNER)
    words: list[Any] = ["python", RUNNER, name]
    for key, raw in (args or {}).items():
        value = scope.text(raw, (*path, "args", key))
        typed = isinstance(value, Deferred) and (value.kind or isinstance(value.known, int | float))
        if typed or (isinstance(value, list | dict) and depends(value)):
            words.append(Mixed((f"{key}:=", *_as_json(value).parts)))
        elif depends(value):
            words.append(Mixed((f"{key}=", *_parts(value))))
        else:
            words.append(f"{key}={value}" if isinstance(value, str) else f"{key}:={json.dumps(value)}")
    return words


def _config(run: Run, name: str, content: Any, path: Path, scope: Scope) -> None:
    """Have a file written: sent along if it is the same for all jobs, else written by a command before the module's.

    So is one of which an earlier module of the task had another content.
    """
    if name.startswith("/") or not all(part not in ("", ".", "..") for part in name.split("/")):
        scope.whole.findings.wrong(path, f'"{name}" leads out of the directory the task runs in', "give a plain name")
        return
    value = _each(content, path, scope)
    text = "" if depends(value) else json.dumps(value, indent=1) + "\n"
    if text and run.written.get(name, text) == text and name not in run.rewritten:
        run.written[name] = text
        return
    run.rewritten.add(name)
    run.helpers.add(WRITER)
    writing = {"run": " ".join(map(quoted, ["python", WRITER, name, _as_json(value)]))}
    if writing not in run.commands[-1:]:
        run.commands.append(writing)


def _as_json(value: Any) -> Mixed:
    """Return a value with deferred parts as JSON."""
    parts: list[Any] = []
    if isinstance(value, Deferred | Mixed):
        parts = [(Deferred(f"json({value.code})"), "")]
    elif isinstance(value, dict):
        for key, item in value.items():
            parts += [", " if parts else "", f"{json.dumps(key)}: ", *_as_json(item).parts]
        parts = ["{", *parts, "}"]
    elif isinstance(value, list):
        for item in value:
            parts += [", " if parts else "", *_as_json(item).parts]
        parts = ["[", *parts, "]"]
    else:
        parts = [json.dumps(value)]
    return Mixed(tuple(part for part in parts if part != ""))


def _each(content: Any, path: Path, scope: Scope) -> Any:
    if isinstance(content, dict):
        return {key: _each(item, (*path, key), scope) for key, item in content.items()}
    if isinstance(content, list):
        return [_each(item, (*path, number), scope) for number, item in enumerate(content)]
    return scope.text(content, path) if isinstance(content, str) else content


def command(
    surroundings: Sequence[Any], words: Sequence[Any], clean: Any, path: Path, findings: Findings
) -> dict[str, Any]:
    """Return a command of the recipe: `surroundings` are the words that set up what runs `words`.

    Words with variables of the machine are put together by a shell that runs inside; all else reaches it as its arguments.
    """
    apart = [word for word in words if perhaps(word) and isinstance(word, Mixed) and len(word.parts) > 1]
    names = sorted({found.strip("${}") for word in words for found in VARIABLE.findall(literal_of(word))})
    if apart or (names and any(map(perhaps, words))):
        findings.wrong(
            path, "not all jobs have the same number of files, and their names are a part of an argument",
            "write $(input) as an argument of its own, in a module that uses no variables of the machine",
        )  # fmt: skip
    if names:
        findings.add("shell", path, f"uses {', '.join(names)} of the machine it runs on: put together by a shell there")
        words = by_shell(words, OS_ARCH if "OS_ARCH" in names else "")
    found: dict[str, Any] = {"run": " ".join(map(quoted, [*surroundings, *words]))}
    if clean not in (False, 0, "false"):
        found["variables"] = dict(CLEAN)
    else:
        findings.add(
            "translated", (*path, "env_clear"), "the environment is a clean one all the same, but for PYTHONNOUSERSITE and SHELL",
            "what a program needs of it, its env_shell sets",
        )  # fmt: skip
    return found
