"""The forms of answers, for the OpenAPI document and its tests; routes answer without another look at what they send."""

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


class TaskCounts(View):
    """How many tasks are in each state."""

    total: int
    waiting: int
    ready: int
    queued: int
    running: int
    done: int
    failed: int
    held: int


class JobCounts(View):
    """How many jobs are in each state."""

    total: int
    open: int
    done: int
    failed: int
    held: int


class DatasetHead(View):
    """A dataset in a list."""

    dataset: int
    address: str
    name: str
    state: str
    owner: str
    team: str
    priority: float
    revision: int
    held: bool
    closed: bool
    reason: str | None
    created: str
    ended: str | None
    url: str
    jobs: JobCounts
    tasks: TaskCounts


class DatasetStatus(DatasetHead):
    """A dataset, with counts for each task of its recipe."""

    per_task: dict[str, TaskCounts]


class DatasetPage(View):
    """Datasets, newest first."""

    items: list[DatasetHead]
    next: str | None


class Page(View):
    """Part of a list; ask again with `after` = `next`, unless it is null."""

    items: list[dict[str, Any]]
    next: str | None


class Items(View):
    """A whole list."""

    items: list[dict[str, Any]]


class ErrorsAcross(View):
    """Failures of several datasets by what they have in common; `at` of an item counts attempts at each of `sites`.

    `left_out`: the oldest were not looked at.
    """

    items: list[dict[str, Any]]
    sites: list[str]
    more_sites: bool
    signatures: int
    attempts: int
    tasks: int
    left_out: bool


class NodeView(View):
    """How a node, or a feature at a site, stands; `attempts` and `faults` of late."""

    kind: str
    name: str
    site: str
    health: str
    since: str | None
    until: str | None
    by: str
    reason: str
    sentence: str
    move: str
    attempts: int
    faults: int
    seen: str


class NodePage(View):
    """Nodes, and a sentence on those that stand out and still get work ("" if there are none)."""

    items: list[NodeView]
    next: str | None
    spared: str


class Status(View):
    """The status of a dataset, job, task or attempt."""

    address: str
    state: str


class Why(View):
    """Why something is as it is, in words."""

    address: str
    state: str
    sentence: str
    reasons: list[str]


class Snapshot(View):
    """What a simulation of a dataset starts from; seconds and bytes. `jobs` are those not settled."""

    dataset: int
    name: str
    recipe: str
    state: str
    owner: str
    team: str
    priority: float
    jobs: int
    tasks: list[dict[str, Any]]
    engines: list[dict[str, Any]]
    half_lives: dict[str, float]
    others: list[dict[str, Any]]
    others_left_out: int
    shares: list[dict[str, Any]]


class LogText(View):
    """Part of a log: `text` from position `offset` of `total`; ask on from `next`."""

    address: str
    stream: str
    offset: int
    next: int
    total: int
    complete: bool
    text: str


class Submitted(View):
    """The number of a new dataset; `warnings` are tasks that are too long for every place there is."""

    dataset: int
    url: str
    warnings: list[str]


class Finding(View):
    """What there is to say about a configuration that was imported."""

    kind: str
    path: str
    message: str
    hint: str


class ImportedRecipe(View):
    """A recipe made of another system's configuration; `sources` are files beside it that the recipe needs as well."""

    text: str
    mode: str
    jobs: int
    files: dict[str, str]
    sources: list[str]
    findings: list[Finding]


class JobsNow(View):
    """How many jobs a dataset has now."""

    dataset: int
    jobs: int


class Divided(View):
    """What became of a split: `moved` jobs of `dataset` are `jobs` jobs of `made` now, `pieces` each (`made` 0: a preview)."""

    dataset: int
    made: int
    moved: int
    jobs: int
    pieces: int
    parameter: str
    whole: int
    low: int
    high: int
    notes: list[str]
    url: str


class Changed(View):
    """How many tasks changed (a hold of a dataset counts as one)."""

    changed: int


class Missing(View):
    """Checksums of files that are not there."""

    missing: list[str]


class Blob(View):
    """A file that is now kept."""

    sha256: str
    size: int


class Checked(View):
    """What a recipe says; `dry_run` has every task of the job asked for."""

    name: str
    jobs: int
    tasks: list[str]
    dry_run: list[dict[str, Any]] | None = None


class PlanView(View):
    """A checked recipe; never changes."""

    digest: str
    plan: dict[str, Any]


class RecipeView(View):
    """A dataset's recipe as written and as checked, and its revisions."""

    digest: str
    revision: int
    filename: str
    source: str
    plan: dict[str, Any]
    revisions: list[dict[str, Any]]


class WhoAmI(View):
    """Whom the token speaks for."""

    name: str
    scopes: list[str]
    expires: str | None


class TokenView(View):
    """What is known of a token."""

    id: int
    name: str
    principal: str
    scopes: list[str]
    created: str
    expires: str | None
    revoked: str | None
    used: str | None


class TokenPage(View):
    """Tokens in order of their numbers."""

    items: list[TokenView]
    next: str | None


class TokenMade(View):
    """A new token; its text is told only here."""

    id: int
    token: str


class CodeMade(View):
    """A code that signs a browser in, once; `path` is where."""

    code: str
    path: str
    expires: str


class Revoked(View):
    """The number of a token that opens nothing any more."""

    id: int


class ShareOf(View):
    """Of what a weight or caps were set or forgotten."""

    kind: str
    name: str


class LeaseView(View):
    """An attempt and its lease key."""

    address: str
    lease: str


class Registered(View):
    """What an engine host has to know."""

    engine: int
    lease_until: str
    store: str
    blobs: str
    log_limit: int
    heartbeat: float


class NodesView(View):
    """Nodes of the engine's site that get nothing new, and those that get one attempt at a time."""

    drained: list[str]
    probed: list[str]


class Beat(View):
    """Until when the engine's leases hold, and which attempts it has to end; `nodes` where some are not fine."""

    lease_until: str
    stops: list[LeaseView]
    nodes: NodesView = NodesView(drained=[], probed=[])


class ClaimedTask(LeaseView):
    """A task leased to the engine; `jobs` is how many jobs its dataset has by now, `avoid` names nodes not to try it on."""

    recipe: str
    shape: dict[str, Any]
    jobs: int
    inputs: list[dict[str, Any]]
    avoid: list[str] = []
    checkpoint: dict[str, Any] | None = None  # what an earlier attempt kept: url, size, sha256
    series: int | None = None


class SeriesView(View):
    """Tasks that run one after the other in one place, and the shape of that place."""

    shape: dict[str, Any]


class Claims(View):
    """Tasks leased to the engine; `nodes` where some are not fine."""

    tasks: list[ClaimedTask]
    series: list[SeriesView] = []
    nodes: NodesView = NodesView(drained=[], probed=[])


class Receipt(View):
    """How many reports were taken, and which came with a key that is not open."""

    taken: int
    stale: list[LeaseView]


class Taken(View):
    """How many were taken."""

    taken: int


class Left(View):
    """Whether the name of the engine is free for another process at once."""

    free: bool


class HeldLease(LeaseView):
    """An attempt that the server believes the engine has."""

    state: str


class Leases(View):
    """What the server believes the engine holds."""

    leases: list[HeldLease]
    next: str | None
