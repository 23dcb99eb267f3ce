"""A module to the command that runs it, as argument words; what only a shell can do is marked."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nunatak.iceprod.deferred import Deferred, Mixed, depends, template
from nunatak.iceprod.findings import Findings, Path
from nunatak.iceprod.reading import Literal, read
from nunatak.iceprod.scope import Scope

CLEAN = {"PYTHONNOUSERSITE": "1", "SHELL": "/bin/sh"}
"""What IceProd sets with `env_clear`; the worker gives every command a clean environment."""
RUNNER = "iceprod_class.py"
"""The file that calls a class of IceProd's first version."""
WRITER = "iceprod_write.py"
"""The file that writes one of the `configs` where it differs from job to job."""
OS_ARCH = "/cvmfs/icecube.opensciencegrid.org/py3-v4.3.0/os_arch.sh"
"""What says the operating system and architecture by IceCube's names."""

_VARIABLE = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})")
_SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./-]+\Z")


@dataclass(slots=True)
class Run:
    """What a task runs, and what that needs: files beside the recipe, files written from the configuration, inputs by URL."""

    commands: list[dict[str, Any]] = field(default_factory=list)
    sources: dict[str, None] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    fetched: dict[str, str] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)


def add_module(run: Run, module: Mapping[str, Any], path: Path, scope: Scope) -> None:
    """Add a module's command to what a task runs."""
    findings = scope.whole.findings
    surroundings = _env_shell(run, module, path, scope)
    if module["src"]:
        src = scope.text(module["src"], (*path, "src"))
        words = [*_program(run, src, (*path, "src"), findings), *arguments(module["args"], (*path, "args"), scope)]
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
    words = split_words(given)
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
    elif not written.startswith("/") and not _VARIABLE.match(written):
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


def arguments(args: Any, path: Path, scope: Scope) -> list[Any]:
    """Return `args` in any of its forms as words: text, list, table, or a table of `args` and `kwargs`."""
    if isinstance(args, str) and args[:1] in ("{", "["):
        try:
            args = json.loads(args)
        except ValueError:
            scope.whole.findings.add("translated", path, "it looks like JSON and is none: taken as text")
    if args in ("", None, [], {}):
        return []
    if isinstance(args, str):
        return [
            word
            for text in scope.whole.findings.guarded(path, lambda: spaced(args), [])
            for word in split_words(scope.text(text, path))
        ]
    if isinstance(args, list):
        return [_word(scope.text(item, (*path, number))) for number, item in enumerate(args)]
    if not isinstance(args, dict):
        return [str(args)]
    if set(args) == {"args", "kwargs"}:
        given, named = args["args"], args["kwargs"]
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
        value = _word(scope.text(raw, (*path, key)))
        words.append(Mixed((f"{flag}=", *_parts(value))) if depends(value) else f"{flag}={value}")
    return words


def _parts(value: Any) -> tuple[Any, ...]:
    if isinstance(value, Mixed):
        return value.parts
    return (value,) if isinstance(value, str) else ((value, ""),)


def _word(value: Any) -> Any:
    """Return a value as one word: what is known in full as IceProd writes it, all else as it is."""
    if isinstance(value, Deferred):
        plain = (
            value.known is True or value.known is False or value.known is None or isinstance(value.known, list | dict)
        )
        return str(value.known) if plain else value
    return value if isinstance(value, str | Mixed) else str(value)


def split_words(value: Any) -> list[Any]:
    """Cut a text at white space, also where that is in what a name stands for; deferred values stay in their words."""
    words: list[list[Any]] = [[]]
    for part in value.parts if isinstance(value, Mixed) else _parts(_word(value)):
        written = _written(part)
        if written is None:
            words[-1].append(part)
            continue
        pieces = re.split(r"\s+", written)
        words[-1].append(pieces[0])
        words += [[piece] for piece in pieces[1:]]
    kept = [tuple(piece for piece in word if piece != "") for word in words]
    return [_joined_word(word) for word in kept if word]


def _written(part: Any) -> str | None:
    """Return what to cut: a text, or what a name stands for if there is white space in it."""
    if isinstance(part, str):
        return part
    known = part[0].known
    return known if isinstance(known, str) and re.search(r"\s", known) and not part[1] else None


def _joined_word(word: tuple[Any, ...]) -> Any:
    if all(isinstance(piece, str) for piece in word):
        return "".join(word)
    if len(word) == 1 and not word[0][1]:
        return word[0][0]
    return Mixed(word)


def spaced(text: str) -> list[str]:
    """Cut a text at the white space that is not in its phrases."""
    words: list[str] = [""]
    for part in read(text).parts:
        if isinstance(part, Literal):
            raw = "".join(f"\\{letter}" if at in part.escaped else letter for at, letter in enumerate(part.text))
            pieces = re.split(r"\s+", raw)
            words[-1] += pieces[0]
            words += pieces[1:]
        else:
            words[-1] += part.text
    return [word for word in words if word]


def _class(run: Run, module: Mapping[str, Any], path: Path, scope: Scope) -> list[Any]:
    name = scope.text(module["running_class"], (*path, "running_class"))
    if not isinstance(name, str) or not re.match(r"[A-Za-z_][\w.]*\.[A-Za-z_]\w*\Z", name):
        scope.whole.findings.wrong(
            (*path, "running_class"), f'"{name}" is no class in a Python module', "package.module.Class"
        )
        return []
    scope.whole.findings.add("translated", (*path, "running_class"), f"{name} is called by {RUNNER}")
    args = module["args"]
    if isinstance(args, str) and args:
        args = json.loads(args) if args[:1] == "{" else args
    if not isinstance(args, dict) and args not in ("", None, []):
        scope.whole.findings.wrong(
            (*path, "args"), "a class is called with a table of parameters", 'write {"Name": value}'
        )
        return []
    run.helpers.add(RUNNER)
    words: list[Any] = ["python", RUNNER, name]
    for key, raw in (args or {}).items():
        value = scope.text(raw, (*path, "args", key))
        if depends(value):
            words.append(Mixed((f"{key}=", *_parts(value))))
        else:
            words.append(f"{key}={value}" if isinstance(value, str) else f"{key}:={json.dumps(value)}")
    return words


def _config(run: Run, name: str, content: Any, path: Path, scope: Scope) -> None:
    """Have a file written: sent along if it is the same for all jobs, else written by a command before the module's."""
    value = _each(content, path, scope)
    if depends(value):
        run.helpers.add(WRITER)
        writing = {"run": " ".join(map(quoted, ["python", WRITER, name, _as_json(value)]))}
        if writing not in run.commands:
            run.commands.append(writing)
        return
    text = json.dumps(value, indent=1) + "\n"
    if run.written.get(name, text) != text:
        scope.whole.findings.wrong(
            path, f"{name} is written twice with different content", "give one of them another name"
        )
    run.written[name] = text


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
    names = sorted({found.strip("${}") for word in words for found in _VARIABLE.findall(_literal(word))})
    if names:
        findings.add("shell", path, f"uses {', '.join(names)} of the machine it runs on: put together by a shell there")
        words = _by_shell(words, "OS_ARCH" in names)
    found: dict[str, Any] = {"run": " ".join(map(quoted, [*surroundings, *words]))}
    if clean not in (False, 0, "false"):
        found["variables"] = dict(CLEAN)
    return found


def _by_shell(words: Sequence[Any], arch: bool) -> list[Any]:
    """Return the words that have a shell run others: variables in its script, every other piece an argument of it."""
    given: list[Any] = []
    script = f"OS_ARCH=$({OS_ARCH}); exec" if arch else "exec"
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
    for found in _VARIABLE.finditer(part):
        text += argument(part[at : found.start()]) if at < found.start() else ""
        text += f'"${{{found.group().strip("${}")}}}"'
        at = found.end()
    return text + (argument(part[at:]) if at < len(part) or not part else "")


def _literal(word: Any) -> str:
    if isinstance(word, Mixed):
        return "".join(part for part in word.parts if isinstance(part, str))
    return word if isinstance(word, str) else ""


def quoted(word: Any) -> str:
    """Return a word as a recipe's command line has it."""
    parts = word.parts if isinstance(word, Mixed) else (word,) if isinstance(word, str) else ((word, ""),)
    return "".join(_piece(part) for part in parts) or "''"


def _piece(part: Any) -> str:
    if not isinstance(part, str):
        return Mixed((part,)).template
    if not part or _SAFE.match(part):
        return part
    text = part.replace("{", "{{").replace("}", "}}")
    return "'" + text.replace("'", "'\\''") + "'"
