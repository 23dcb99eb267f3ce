"""Recipes go out and become datasets; what they say comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nunatak.client.connected import Connected
from nunatak.client.connection import API, fresh_key
from nunatak.client.results import Checked, Divided, Revised, Submitted
from nunatak.client.where import Where, address_of, dataset_of
from nunatak.core.errors import Invalid

if TYPE_CHECKING:
    from nunatak.client.sending import Order


class Recipes(Connected):
    """Verbs of recipes and of the datasets they become."""

    def check(
        self, recipe: Path | str, *, jobs: int | None = None, parameters: Mapping[str, str] | None = None, job: int = 0
    ) -> Checked:
        """Let the server check a recipe file and expand one job. Raises `Invalid` with every problem and its place."""
        from nunatak.client import sending

        body = sending.read(Path(recipe), jobs, parameters).body()
        return Checked.of(self._to.post(f"{API}/recipes/check", {**body, "job": job}))

    def submit(
        self,
        recipe: Path | str,
        *,
        jobs: int | None = None,
        parameters: Mapping[str, str] | None = None,
        name: str | None = None,
        team: str | None = None,
        priority: float | None = None,
    ) -> Submitted:
        """Send a recipe file and the files it names; return the new dataset.

        `parameters` replace those of the recipe. Raises `Invalid` with every problem and its place.
        """
        from nunatak.client import sending

        order = sending.read(Path(recipe), jobs, parameters)
        more = {"name": name, "team": team, "priority": priority}
        return self._submit(order, {key: value for key, value in more.items() if value is not None})

    def run(
        self,
        script: Path | str,
        *,
        inputs: str,
        outputs: Sequence[str] = (),
        needs: Mapping[str, Any] | None = None,
        python: str = "python",
        name: str = "",
        first: int | None = None,
    ) -> Submitted:
        """Make and send the recipe "this script for each file": one job for each file that matches `inputs`.

        `outputs` name the results, as `out/{stem}.json`. With `first`, begin with so many jobs; `more` adds the others.
        """
        from nunatak.client import sending

        order = sending.script(Path(script), inputs, outputs, needs or {}, python, name)
        return self._submit(order, {} if first is None else {"first": first})

    def _submit(self, order: Order, more: Mapping[str, Any]) -> Submitted:
        from nunatak.client.sending import upload

        upload(self._to, order)
        body = {**order.body(), **more}
        plain = self._to.post(f"{API}/datasets", body, key=fresh_key())
        return Submitted.of({**plain, "planned": order.plan().jobs})

    def more(self, where: Where, jobs: int) -> int:
        """Add jobs at the end of a dataset; return how many it has now."""
        path = f"{API}/datasets/{dataset_of(where)}/more"
        return int(self._to.post(path, {"jobs": jobs}, key=fresh_key())["jobs"])

    def split(self, where: Where, into: int | None = None, *, preview: bool = False) -> Divided:
        """Divide each job of a dataset that has not begun into `into` jobs of a new dataset; with `preview`, only tell.

        Without `into`, as many as the sites advise. Raises `Conflict` if the dataset cannot be split.
        """
        address = address_of(where)
        if address.level != "dataset":
            raise Invalid(f"{address} is a {address.level}", code="bad-level", hint="only a dataset can be split")
        body = {"preview": preview, **({} if into is None else {"into": into})}
        return Divided.of(self._to.post(f"{API}/datasets/{address.dataset}/split", body, key=fresh_key()))

    def recipe(self, where: Where, revision: int | None = None) -> Mapping[str, Any]:
        """Return a dataset's recipe: `source` as written, `plan` as checked, its `revisions`; perhaps an earlier one."""
        path = f"{API}/datasets/{address_of(where).dataset}/recipe"
        found: Mapping[str, Any] = self._to.get(path, revision=revision)
        return found

    def edit(
        self,
        where: Where,
        recipe: Path | str,
        *,
        parameters: Mapping[str, str] | None = None,
        since: str = "",
        check: bool = False,
    ) -> Revised:
        """Make an edited recipe file a new revision of a dataset's recipe; with `check`, only tell what that would do.

        Files that it names and that are not beside it are those that the dataset has. `since` is the `tag` of the recipe
        that was edited (the present one, if not given). Raises `Conflict` where somebody else was faster, or where
        something cannot be changed; `Invalid` with every problem of the recipe.
        """
        from nunatak.client import sending

        now = self.recipe(dataset_of(where))
        order = sending.read(Path(recipe), parameters=parameters, kept=now["plan"]["files"])
        if not check:
            sending.upload(self._to, order)
        path, headers = f"{API}/datasets/{address_of(where).dataset}/recipe", {"If-Match": since or now["tag"]}
        body = {**order.body(), "check": check}
        return Revised.of(self._to.request("PUT", path, json=body, headers=headers).json())

    def recipe_file(self, where: Where, name: str, to: Path | str, revision: int | None = None) -> Path:
        """Bring a file that came with a dataset's recipe to the path `to`, its checksum verified. Raises `NotFound`.

        It is as the recipe is now, or was at a `revision`.
        """
        from nunatak.client import download

        return download.recipe_file(self._to, address_of(where).dataset, name, Path(to), revision)

    def plan(self, digest: str) -> Mapping[str, Any]:
        """Return a checked recipe by its digest, as `datasets.plan.Plan` reads it."""
        plain: Mapping[str, Any] = self._to.get(f"{API}/recipes/{digest}")["plan"]
        return plain

    def snapshot(self, where: Where) -> Mapping[str, Any]:
        """Return what a simulation of a dataset starts from: what is left of it, what it used, engines, other work."""
        plain: Mapping[str, Any] = self._to.get(f"{API}/snapshot/{dataset_of(where)}")
        return plain
