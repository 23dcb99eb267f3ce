"""The log of an attempt: by pages, searched where it is kept, opened at the first real error, followed while it grows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Query, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from nunatak.api.requests import Have
from nunatak.core.address import Address, parse
from nunatak.core.errors import NotFound
from nunatak.tasks.logs import lines as log_lines
from nunatak.tasks.logs.lines import Hits, Line, LinePage, Log, LogLines
from nunatak.tasks.looking import task_look
from nunatak.web.pages.task import FAILED, PLACES, address_in
from nunatak.web.render import View
from nunatak.web.routing import Pages
from nunatak.web.terminal import Piece, lines, plain
from nunatak.web.words import link

pages = Pages()

STREAMS = ("stdout", "stderr", "script")
STREAM_WORDS = {"stdout": "output", "stderr": "errors", "script": "batch script"}
HIT_WIDTH = 300
BAD = "stderr"

Stream = Annotated[str, Query(pattern="^(stdout|stderr|script|)$")]
Place = Annotated[int | None, Query(ge=0, le=2**53)]
Sought = Annotated[str, Query(max_length=200)]


def log(
    request: Request,
    services: Have,
    stream: Stream = "",
    at: Place = None,
    before: Place = None,
    line: Place = None,
    q: Sought = "",
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
) -> View:
    """Show a page of a log: from a position, before one, around a line, or where it went wrong."""
    address, now = address_in(request), services.clock()
    with services.database.read() as tx:
        attempt = task_look.attempt(tx, services.contexts, address, now)
    known: LogLines = request.app.state.log_lines
    extents = {name: known.extent((address, name)) for name in STREAMS}
    sizes = {name: total for name, (total, _) in extents.items()}
    stream = stream or _usual_stream(attempt, sizes, known, address)
    of: Log = (address, stream)
    data: dict[str, Any] = {
        "address": str(address),
        "task": str(address).partition("#")[0],
        "state": attempt["verdict"] or attempt["state"],
        "ended": attempt["state"] == "ended",
        "entry": attempt["entry"],
        "streams": sizes,
        "stream": stream,
        "total": sizes[stream],
        "complete": extents[stream][1],
        "lines": [],
        "told": [],
        "q": q,
        "search": None,
    }
    if not request.scope["path"].endswith(".live"):  # there only the size counts: lines are asked for from where one is
        data["told"] = known.evidence(of, attempt["lines"]) if attempt["entry"] and stream != "script" else []
        data["search"], line = _search(known, of, q, after, line)
        data |= _shown(_page(known, of, attempt, data["told"], at, before, line))
    follow = "" if attempt["state"] == "ended" else " -f"
    errors = " --stderr" if stream == "stderr" else ""
    title = f"{data['state']} \u00b7 {stream} of {address}"
    return View(title, data, cli=f"nunatak logs '{address}'{errors}{follow}", alarm=_alarm(attempt))


def _alarm(attempt: Mapping[str, Any]) -> str:
    return "failed" if attempt["entry"] else "" if attempt["state"] == "ended" else "busy"


def _usual_stream(attempt: Mapping[str, Any], sizes: Mapping[str, int], known: LogLines, address: Any) -> str:
    """Return the stream that has the lines a verdict went by; else one that has anything."""
    order = ("stderr", "stdout") if attempt["entry"] else ("stdout", "stderr")
    for name in order if attempt["entry"] else ():
        if known.evidence((address, name), attempt["lines"]):
            return name
    return next((name for name in order if sizes[name]), order[0])


def _page(
    known: LogLines, of: Log, attempt: Mapping[str, Any], told: Sequence[int],
    at: int | None, before: int | None, line: int | None,
) -> LinePage:  # fmt: skip
    if line is not None:
        return known.page_of(of, line)
    if before is not None:
        return known.page_before(of, before)
    if at is not None:
        return known.page(of, at)
    if told:
        return known.page_of(of, told[0])
    return (
        known.last(of) if of[1] != "script" and (attempt["state"] != "ended" or attempt["entry"]) else known.page(of, 0)
    )


def _search(known: LogLines, of: Log, q: str, after: int, line: int | None) -> tuple[dict[str, Any] | None, int | None]:
    """Return what was found, and the line to show: the first that was found, unless another was asked for."""
    if not q.strip():
        return None, line
    hits: Hits = known.search(of, q, after)
    found: list[dict[str, Any]] = [{"line": hit.number, "text": plain(_text(hit))[:HIT_WIDTH]} for hit in hits.lines]
    if line is None and found:
        line = hits.lines[0].number
    return {"hits": found, "next": hits.next, "seen": hits.seen, "after": after}, line


def _shown(page: LinePage) -> dict[str, Any]:
    """Return a page as data: each line as it was written, and in pieces with classes of colours."""
    pieces = lines(_text(line) for line in page.lines)
    found = [
        {**log_lines.plain(line), "pieces": [{"text": piece.text, "kind": piece.kind} for piece in of]}
        for line, of in zip(page.lines, pieces, strict=True)
    ]
    return {"lines": found, "start": page.start, "next": page.next, "total": page.total, "complete": page.complete}


def _text(line: Line) -> str:
    return line.data.decode("utf-8", "replace")


def marks(line: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Return the classes of a line: one that a verdict went by, one that was looked for."""
    q = data["q"].strip() and data["q"].lower()
    hit = bool(q) and q in "".join(Piece(**piece).text for piece in line["pieces"]).lower()
    return " ".join(["told"] * (line["line"] in data["told"]) + ["hit"] * hit)


def query(data: Mapping[str, Any], **changes: Any) -> str:
    """Return the query of another part of the same log."""
    kept = {"stream": data["stream"], "q": data["q"], **changes}
    return "?" + urlencode({name: value for name, value in kept.items() if value not in ("", None)})


def crumbs(address: str) -> list[tuple[str, str]]:
    """Return where a log is: a link to the dataset, to the job, the task and the attempt."""
    found = parse(address)
    dataset, job = Address(found.dataset), found.job
    places = [(link(dataset), f"dataset {found.dataset}")]
    if job is not None:
        places.append((link(Address(found.dataset, job)), f"job {job}"))
    task = Address(found.dataset, job, found.task)
    return [*places, (link(task), str(found.task)), (link(found), f"attempt {found.attempt}")]


TOOLS: dict[str, Any] = {
    "crumbs": crumbs,
    "stream_words": STREAM_WORDS,
    "marks": marks,
    "log_query": query,
    "failed": FAILED,
}

for _place in PLACES:
    pages.page(
        f"{_place}/{{attempt:int}}/log", name="page_log", template="log.html", live=True, shared=True, tools=TOOLS
    )(log)


def download(request: Request, services: Have, stream: Stream = "stdout") -> Response:
    """Return all that is kept of a log, as it was written, to be saved."""
    address = address_in(request)
    with services.database.read() as tx:
        task_look.attempt(tx, services.contexts, address, services.clock())
    name = f"{address}.{stream or 'stdout'}.txt".replace("/", "-").replace("#", "-")
    blocks: Iterable[tuple[int, bytes]] = services.logs.blocks(address, stream or "stdout")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "Cache-Control": "private, no-cache",
    }
    return StreamingResponse(_bytes(blocks), headers=headers, media_type="application/octet-stream")


def _bytes(blocks: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    for _, data in blocks:
        yield data


def last(request: Request, services: Have) -> Response:
    """Lead to the log of the last attempt of a task."""
    address = address_in(request)
    with services.database.read() as tx:
        number = task_look.last(tx, services.contexts, address)
    if not number:
        raise NotFound(f"{address} has not run yet", code="no-attempt", hint=f"nunatak why {address}")
    return RedirectResponse(f"/datasets/{address}/{number}/log", 303)


for _place in PLACES:
    pages.get(f"{_place}/{{attempt:int}}/log/raw", name="download_log")(download)
    pages.get(f"{_place}/log", name="go_to_log")(last)
