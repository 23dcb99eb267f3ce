"""Verbs whose modules are imported when asked for, and the one place where errors become exit codes."""

from __future__ import annotations

import errno
import gc
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command_name, get_group
from typer.models import CommandInfo

from nunatak.cli.misuse import Misused, hint_of, misuse
from nunatak.cli.placeholders import readable
from nunatak.cli.talk import plain
from nunatak.core.errors import NunatakError, Unavailable

WORK_FAILED = 7
"""Exit code of a command that did its part, while the work it waited for failed or was held."""
INTERRUPTED = 130
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
AS_JSON = "nunatak.json"
"""Where a command notes that JSON was asked for."""
OPEN = ExitStack()
"""What a verb opened and has to be closed after it."""


class Verb(NamedTuple):
    """A verb, the module of `nunatak.cli` that has it as `app`, and what it does."""

    name: str
    module: str
    help: str


class LazyGroup(TyperGroup):
    """Shows its verbs without importing them."""

    verbs: ClassVar[tuple[Verb, ...]] = ()

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names of all verbs, in order."""
        return [verb.name for verb in self.verbs]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import a verb; None if there is none of that name."""
        verb = next((verb for verb in self.verbs if verb.name == cmd_name), None)
        if verb is None:
            return None
        if cmd_name not in self.commands:
            with importing():
                self.commands[cmd_name] = _built(import_module(f"nunatak.cli.{verb.module}").app, cmd_name)
        return self.commands[cmd_name]

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the words before the verb; what cannot be read is said as any error is."""
        try:
            made = super().make_context(info_name, args, parent, **extra)
        except Misused as error:
            raise _ended(error, "--json" in args) from None
        return made

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note whether JSON is asked for, since an error is then said in JSON as well."""
        ctx.meta[AS_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the verbs for `--help`."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb.name, verb.help) for verb in self.verbs])

    def invoke(self, ctx: Any) -> Any:
        """Run a verb; an error of ours is printed, and becomes its exit code."""
        try:
            return super().invoke(ctx)
        except NunatakError as error:
            if os.environ.get("NUNATAK_DEBUG"):
                raise
            complain(error, as_json=ctx.meta[AS_JSON])
            raise typer.Exit(error.exit_code) from None
        except Misused as error:
            raise _ended(error, ctx.meta[AS_JSON]) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        finally:
            OPEN.close()


def _built(app: typer.Typer, name: str) -> Any:
    """Return one command or group of commands; to build its neighbours takes as long again for each."""
    alone = typer.Typer(rich_markup_mode=None)
    alone.registered_groups = [item for item in app.registered_groups if item.name == name]
    alone.registered_commands = [item for item in app.registered_commands if _name(item) == name]
    return readable(get_group(alone).commands[name])


def _name(command: CommandInfo) -> str:
    return command.name or get_command_name(getattr(command.callback, "__name__", ""))


@contextmanager
def importing() -> Iterator[None]:
    """Look for no garbage meanwhile: what is imported stays, and to search through it takes a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _ended(error: Exception, as_json: bool) -> Exception:
    """Say what cannot be read, and return what ends the command; help that was asked for by saying nothing goes on."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return error
    said = misuse(error)
    complain(said, as_json=as_json)
    return typer.Exit(said.exit_code)


def complain(error: NunatakError, *, as_json: bool = False) -> None:
    """Print an error to stderr: what is wrong, each problem on a line of its own, what to do next; or JSON on one line."""
    hint = hint_of(error, os.environ)
    if as_json:
        said = {**error.to_plain(), **({"hint": hint} if hint else {}), "exit_code": error.exit_code}
        print(json.dumps({"error": said}, ensure_ascii=False, default=str), file=sys.stderr)
        return
    lines = [str(problem) for problem in error.problems] or [f"nunatak: {error.message}"]
    if hint:
        lines.append(f"hint: {hint}")
    print(plain("\n".join(lines)), file=sys.stderr)


@contextmanager
def talking() -> Iterator[None]:
    """Keep internal errors and closed pipes from printing a stack trace; NUNATAK_DEBUG=1 shows it."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if os.environ.get("NUNATAK_DEBUG"):
            raise
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            said = Unavailable(
                f"{error.filename or 'a file'} cannot be written: {error.strerror}",
                code="no-room",
                hint="make room (df -h), then type it again; nunatak doctor names disks of an installation that are full",
            )
            complain(said, as_json="--json" in sys.argv)
            sys.exit(said.exit_code)
        print(f"nunatak: internal error: {type(error).__name__}: {error}", file=sys.stderr)
        print("hint: set NUNATAK_DEBUG=1 to see where", file=sys.stderr)
        sys.exit(1)
