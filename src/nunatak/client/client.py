"""The client: the verbs of the command line as typed methods. `from nunatak import Client`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from nunatak.client import login
from nunatak.client.connection import API, Connection, fresh_key, path_of
from nunatak.client.results import (
    Checked,
    DatasetStatus,
    Divided,
    Event,
    Failure,
    FailuresAcross,
    NodeList,
    OutputFile,
    Status,
    Submitted,
    TaskStatus,
    Token,
    Who,
    Why,
    status_of,
)
from nunatak.core.address import Address, parse
from nunatak.core.errors import Invalid, NotFound, Unavailable

if TYPE_CHECKING:
    import httpx2

    from nunatak.client.download import Fetched
    from nunatak.client.sending import Order

Where = str | int | Address | Submitted | Status
"""What may stand for an address: 42, "42/17/propagate", or something the client gave back."""


def address_of(where: Where) -> Address:
    """Read an address. Raises `Invalid`."""
    if isinstance(where, Address):
        return where
    if isinstance(where, Submitted):
        return Address(where.dataset)
    return parse(where.address if isinstance(where, Status) else str(where))


class Client:
    """A server and its verbs. Every method raises the errors of `nunatak.core.errors` and nothing else.

    Without arguments: NUNATAK_URL and NUNATAK_TOKEN, then what `nunatak login` saved, then the installation that
    `nunatak up` runs on this machine.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        patience: float = 5.0,
        environ: Mapping[str, str] | None = None,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Choose the server; nothing is sent yet. `patience`: for how many seconds an absent server is tried again."""
        environ = os.environ if environ is None else environ
        found = login.find(url, token, environ)
        self.url = found.url.rstrip("/")
        self._sleep = sleep
        self._to = Connection(
            found.url, found.token, patience=patience, transport=transport, sleep=sleep,
            renew=None if token else lambda: login.find(found.url, None, environ).token,
        )  # fmt: skip

    def __repr__(self) -> str:
        """Say which server."""
        return f"Client({self.url!r})"

    def __enter__(self) -> Self:
        """Use it in a `with` statement."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the connections."""
        self._to.close()

    # ---- recipes and datasets

    def whoami(self) -> Who:
        """Return whom the server takes us for."""
        return Who.of(self._to.get(f"{API}/whoami"))

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
        path = f"{API}/datasets/{address_of(where).dataset}/more"
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

    def datasets(
        self, *, state: str | None = None, owner: str | None = None, name: str | None = None, limit: int | None = None
    ) -> Iterator[DatasetStatus]:
        """Yield datasets, the newest first, without the counts of each task."""
        rows = self._to.pages(f"{API}/datasets", limit=limit, state=state, owner=owner, name=name)
        return (DatasetStatus.of(row) for row in rows)

    # ---- looking

    def status(self, where: Where) -> Status:
        """Return where a dataset, job, task or attempt is."""
        return status_of(self._to.get(path_of("status", address_of(where))))

    def dataset(self, where: Where) -> DatasetStatus:
        """Return where a dataset is, as a whole."""
        return DatasetStatus.of(self._to.get(f"{API}/datasets/{address_of(where).dataset}"))

    def tasks(
        self, where: Where, *, state: str | None = None, task: str | None = None, limit: int | None = None
    ) -> Iterator[TaskStatus]:
        """Yield the tasks of a dataset that were touched, if asked only those in a state or of a name."""
        dataset = address_of(where).dataset
        rows = self._to.pages(f"{API}/datasets/{dataset}/tasks", limit=limit, state=state, task=task)
        return (TaskStatus.of({"dataset": dataset, **row}) for row in rows)

    def watch(self, where: Where) -> Iterator[Status]:
        """Yield the status at each change, until nothing more happens by itself. A broken connection is made anew."""
        address = address_of(where)
        return self._watch_dataset(address) if address.level == "dataset" else self._watch_part(address)

    def _watch_dataset(self, address: Address) -> Iterator[DatasetStatus]:
        silent = 0
        while True:
            try:
                for event, plain in self._to.events(f"{API}/datasets/{address.dataset}/events"):
                    silent = 0
                    if event != "status":
                        continue
                    status = DatasetStatus.of(plain)
                    yield status
                    if status.settled:
                        return
            except Unavailable:
                silent += 1
                if silent > 30:
                    raise
            last = self.dataset(address)  # also where the stream ended before it said everything
            if last.settled:
                yield last
                return
            self._sleep(min(0.2 * 2**silent, 5.0))

    def _watch_part(self, address: Address) -> Iterator[Status]:
        before: Status | None = None
        while before is None or not before.settled:
            status = self.status(address)
            if before is None or status.plain != before.plain:
                yield status
            before = status
            if not status.settled:
                self._sleep(0.5)

    def logs(
        self, where: Where, *, stream: str = "stdout", follow: bool = False, tail: int | None = None
    ) -> Iterator[str]:
        """Yield the text of a log piece by piece: of an attempt, or of the last attempt of a task.

        `follow` goes on until the attempt ended; `tail` begins that many bytes before the end.
        """
        path, query = path_of("logs", address_of(where)), {"stream": stream}
        part = self._to.get(path, **query, **({"tail": tail} if tail else {"offset": 0}))
        idle = 0
        while True:
            if part["text"]:
                idle = 0
                yield part["text"]
            if part["next"] >= part["total"]:
                if part["complete"] or not follow:
                    return
                self._sleep(min(0.1 * 1.5**idle, 1.0))
                idle += 1
            part = self._to.get(path, **query, offset=part["next"])

    def history(self, where: Where, *, limit: int | None = None) -> Iterator[Event]:
        """Yield what happened, the oldest first: actions and attempts."""
        return (Event.of(row) for row in self._to.pages(path_of("history", address_of(where)), limit=limit))

    def why(self, where: Where) -> Why:
        """Return in words why something is where it is."""
        return Why.of(self._to.get(path_of("why", address_of(where))))

    def script(self, where: Where) -> str:
        """Return what its engine submitted for an attempt, or for the last one of a task. Raises `NotFound`."""
        text = "".join(self.logs(where, stream="script"))
        if not text:
            raise NotFound(
                f"nothing is known of what was submitted for {where}",
                code="no-script",
                hint="engines of batch systems show it once they have submitted; others have nothing to show",
            )
        return text

    def errors(self, where: Where, *, limit: int | None = None) -> Iterator[Failure]:
        """Yield failures, equal ones grouped."""
        return (Failure.of(row) for row in self._to.pages(path_of("errors", address_of(where)), limit=limit))

    def all_errors(
        self, *, owner: str = "", group: str = "", site: str = "", kind: str = "", signature: str = ""
    ) -> FailuresAcross:
        """Return failures of all datasets by what they have in common, those with most tasks first."""
        asked = {"owner": owner, "group": group, "site": site, "kind": kind, "signature": signature}
        given = {name: value for name, value in asked.items() if value}
        return FailuresAcross.of(self._to.get(f"{API}/errors", **given))

    def snapshot(self, where: Where) -> Mapping[str, Any]:
        """Return what a simulation of a dataset starts from: what is left of it, what it used, engines, other work."""
        plain: Mapping[str, Any] = self._to.get(f"{API}/snapshot/{address_of(where).dataset}")
        return plain

    def plan(self, digest: str) -> Mapping[str, Any]:
        """Return a checked recipe by its digest, as `datasets.plan.Plan` reads it."""
        plain: Mapping[str, Any] = self._to.get(f"{API}/recipes/{digest}")["plan"]
        return plain

    def recipe(self, where: Where) -> Mapping[str, Any]:
        """Return a dataset's recipe: `source` as written, `plan` as checked, its `revisions`."""
        found: Mapping[str, Any] = self._to.get(f"{API}/datasets/{address_of(where).dataset}/recipe")
        return found

    def files(self, where: Where) -> Iterator[OutputFile]:
        """Yield the recorded outputs of a dataset, job or task."""
        return (OutputFile.of(row) for row in self._to.pages(path_of("files", address_of(where))))

    def get(
        self,
        where: Where,
        to: Path | str,
        *,
        parallel: int = 4,
        progress: Callable[[Fetched], None] | None = None,
    ) -> list[Fetched]:
        """Bring the recorded outputs into the directory `to`, checksums verified; files already right are left alone.

        `progress` is called as each file is there, with its number and the number of all.
        """
        return self.fetch(list(self.files(where)), Path(to), parallel=parallel, progress=progress)

    def fetch(
        self,
        files: Sequence[OutputFile],
        to: Path,
        *,
        parallel: int = 4,
        progress: Callable[[Fetched], None] | None = None,
    ) -> list[Fetched]:
        """Bring some of the recorded outputs, as `get` does."""
        from nunatak.client import download  # late, as what is sent: a status needs neither

        return download.fetch(self._to, files, to, parallel=parallel, progress=progress)

    # ---- acting

    def hold(self, *where: Where, reason: str = "") -> int:
        """Stop datasets, jobs or tasks, running ones too, until released; return how many tasks changed."""
        return self._act("hold", where, reason)

    def release(self, *where: Where, reason: str = "") -> int:
        """Let what was held go on; return how many tasks changed."""
        return self._act("release", where, reason)

    def retry(self, *where: Where, reason: str = "", signature: str = "") -> int:
        """Try failed tasks again, or those of datasets alone that failed like one group of `errors`; return how many."""
        return self._act("retry", where, reason, signature)

    def cancel(self, *where: Where, reason: str = "") -> int:
        """End datasets, jobs or tasks for good; return how many tasks changed."""
        return self._act("cancel", where, reason)

    def close(self, *where: Where, reason: str = "") -> int:
        """Let datasets get no new jobs; return how many changed."""
        return self._act("close", where, reason)

    def _act(self, verb: str, where: Sequence[Where], reason: str, signature: str = "") -> int:
        body = {"verb": verb, "addresses": [str(address_of(item)) for item in where]}
        body |= {name: text for name, text in (("reason", reason), ("signature", signature)) if text}
        return int(self._to.post(f"{API}/actions", body, key=fresh_key())["changed"])

    # ---- tokens and engines

    def tokens(self) -> Iterator[Token]:
        """Yield the tokens one may see, without their secrets."""
        return (Token.of(row) for row in self._to.pages(f"{API}/tokens"))

    def create_token(
        self, name: str, scopes: Sequence[str], *, days: float | None = None, principal: str | None = None
    ) -> Token:
        """Make a token called `name` that speaks for `principal` (oneself, if not given).

        Its secret is in the answer and can never be read again. Without `days` it lives as long as the server says.
        """
        more = {"days": days, "principal": principal}
        body = {
            "name": name,
            "scopes": list(scopes),
            **{key: value for key, value in more.items() if value is not None},
        }
        plain = self._to.post(f"{API}/tokens", body, key=fresh_key())
        return Token.of({"name": name, "scopes": list(scopes), **plain})

    def sign_in_url(self) -> str:
        """Return an address that signs a browser in as oneself, once and within ten minutes."""
        return f"{self.url}{self._to.post(f'{API}/sign-in-codes', {})['path']}"

    def revoke_token(self, token: int | str) -> None:
        """Make a token worthless."""
        self._to.request("DELETE", f"{API}/tokens/{token}")

    def shares(self) -> Iterator[Mapping[str, Any]]:
        """Yield the rules of fair share, and every group and user with what it used and its part of the next places."""
        return self._to.pages(f"{API}/shares")

    def set_share(
        self,
        kind: str,
        name: str,
        *,
        weight: float | None = None,
        running: int | None = None,
        queued: int | None = None,
    ) -> None:
        """Set weight and caps of a group, user, dataset or site (`*`: of all without their own)."""
        more = {"weight": weight, "running": running, "queued": queued}
        body = {"kind": kind, "name": name, **{key: value for key, value in more.items() if value is not None}}
        self._to.request("PUT", f"{API}/shares", json=body)

    def unset_share(self, kind: str, name: str) -> None:
        """Treat an owner like all others again."""
        self._to.request("DELETE", f"{API}/shares", query={"kind": kind, "name": name})

    def nodes(self, *, every: bool = False) -> NodeList:
        """Return nodes, and features at sites, that are not fine; with `every` all nodes that were heard of."""
        first = self._to.get(f"{API}/nodes", **({"all": "true", "limit": 1} if every else {}))
        rows = self._to.pages(f"{API}/nodes", all="true") if every else iter(first["items"])
        return NodeList(rows, first["spared"])

    def drain_node(self, node: str, *, reason: str = "", seconds: float | None = None) -> Mapping[str, Any]:
        """Give a node (`SITE/NODE`) no new work, for good or for some seconds; returns how it stands."""
        body = {"node": node, "reason": reason, "seconds": seconds}
        return dict(self._to.post(f"{API}/nodes/drain", body, key=fresh_key()))

    def undrain_node(self, node: str) -> Mapping[str, Any]:
        """Give a node work again; returns how it stands."""
        return dict(self._to.post(f"{API}/nodes/undrain", {"node": node}, key=fresh_key()))

    def usage(self, by: str = "user", *, limit: int = 100) -> Iterator[Mapping[str, Any]]:
        """Yield who or what used most: hours occupied and lost, by user, group, dataset, site or cause."""
        return iter(self._to.get(f"{API}/usage", by=by, limit=limit)["items"])

    def engines(self) -> Iterator[Mapping[str, Any]]:
        """Yield the engines: name, kind, site, capacity, when last heard of, and what they have."""
        return self._to.pages(f"{API}/engines")
