"""A recipe file and what it names in its directory, ready to be sent; only bytes the server does not have travel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nunatak.client.connection import API, Connection
from nunatak.core.errors import Invalid, NotFound, Problem
from nunatak.core.spelling import nearest

if TYPE_CHECKING:
    from nunatak.datasets.manifest import Manifest
    from nunatak.datasets.plan import Plan

ASKED = 1000
"""Checksums asked for in one request."""


@dataclass(frozen=True, slots=True)
class Order:
    """A recipe with the files around it."""

    text: str
    filename: str
    directory: Path
    manifest: Manifest
    jobs: int | None = None
    parameters: Mapping[str, str] | None = None

    def body(self) -> dict[str, Any]:
        """Return what the server is told."""
        files = {name: asdict(file) for name, file in self.manifest.files.items()}
        matches = {pattern: list(names) for pattern, names in self.manifest.matches.items()}
        plain: dict[str, Any] = {
            "text": self.text,
            "filename": self.filename,
            "manifest": {"files": files, "matches": matches},
        }
        if self.jobs is not None:
            plain["jobs"] = self.jobs
        if self.parameters:
            plain["parameters"] = dict(self.parameters)
        return plain

    def plan(self) -> Plan:
        """Compile the recipe here, without a server."""
        from nunatak.datasets.recipe import compile_recipe

        return compile_recipe(
            self.text,
            filename=self.filename,
            manifest=self.manifest,
            jobs=self.jobs,
            parameters=self.parameters or {},
        )


def read(
    recipe: Path,
    jobs: int | None = None,
    parameters: Mapping[str, str] | None = None,
    kept: Mapping[str, Any] | None = None,
) -> Order:
    """Read and check a recipe file. Raises `NotFound`, or `Invalid` with every problem and its place.

    Files that are `kept` with a dataset already, as its plan lists them, need not be beside it.
    """
    return _gathered(_text(recipe), recipe.name, recipe.absolute().parent, jobs, parameters, kept)


def script(path: Path, inputs: str, outputs: Sequence[str], needs: Mapping[str, Any], python: str, name: str) -> Order:
    """Make the recipe "this script for each file", relative to the present directory. Raises `NotFound`, `Invalid`."""
    from nunatak.datasets.run_recipe import recipe_for_run

    here = Path.cwd()
    if not path.is_file():
        raise NotFound(f"there is no script {path}", code="no-script", hint=f"looked in {here}")
    if not path.absolute().is_relative_to(here):
        raise Invalid(f"{path} is not below {here}", code="bad-path", hint="go to the directory of the script first")
    relative = path.absolute().relative_to(here).as_posix()
    text = recipe_for_run(relative, inputs.removeprefix("./"), outputs, python=python, needs=needs, name=name)
    try:
        return _gathered(text, f"{path.stem}.yaml", here, None, None)
    except Invalid as error:
        raise _as_asked(error, here) from None


def _as_asked(error: Invalid, here: Path) -> Invalid:
    """Return an error in a recipe that nobody wrote in the words of what it was made of."""
    found: dict[str, Problem] = {}
    for problem in error.problems:
        of = problem.path.split(".")
        if of[0] == "foreach":
            what = "--input"
        else:
            what = "--output" if of[-1].startswith("outputs") else f"--{of[-1]}" if "needs" in of else ""
        hint = f"patterns are read in {here}" if of[0] == "foreach" else problem.hint
        found[problem.message] = Problem(problem.message, what, hint)
    return Invalid(error.message, code=error.code, problems=list(found.values()))


def _gathered(
    text: str,
    filename: str,
    directory: Path,
    jobs: int | None,
    parameters: Mapping[str, str] | None,
    kept: Mapping[str, Any] | None = None,
) -> Order:
    from nunatak.datasets.gather import gather
    from nunatak.datasets.plan import StoredFile

    known = {name: StoredFile(**entry) for name, entry in (kept or {}).items()}
    manifest = gather(text, directory, filename, jobs=jobs, parameters=parameters or {}, kept=known)
    return Order(text, filename, directory, manifest, jobs, parameters)


def _text(recipe: Path) -> str:
    try:
        return recipe.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise NotFound(f"there is no recipe {recipe}", code="no-recipe", hint=_meant(recipe.absolute())) from None
    except UnicodeDecodeError as error:
        raise Invalid(
            f"{recipe} is not UTF-8 text: byte {error.start}", code="not-utf8", hint="save it as UTF-8"
        ) from None
    except OSError as error:
        raise Invalid(f"{recipe} cannot be read: {error.strerror}", code="unreadable") from None


def _meant(recipe: Path) -> str:
    """Return where a recipe was looked for, and what may have been meant."""
    directory = recipe.parent
    if not directory.is_dir():
        return f"there is no directory {directory}"
    there = sorted(path.name for path in directory.iterdir() if path.suffix in (".yaml", ".yml"))
    near = nearest(recipe.name, there)
    return f"looked in {directory}" + (f"; {near}" if near else "")


def upload(connection: Connection, order: Order) -> None:
    """Send the files that the server does not have. Raises `Conflict` if one changed since it was read."""
    from nunatak.datasets.gather import read_shipped

    shipped = {file.sha256: (name, file) for name, file in order.manifest.files.items() if not file.url}
    hashes = sorted(shipped)
    for start in range(0, len(hashes), ASKED):
        asked = hashes[start : start + ASKED]
        for sha256 in connection.post(f"{API}/blobs/missing", {"sha256": asked})["missing"]:
            name, file = shipped[sha256]
            data = read_shipped(order.directory, name, file)
            headers = {"Content-Type": "application/octet-stream"}
            connection.request("PUT", f"{API}/blobs/{sha256}", content=data, headers=headers)
