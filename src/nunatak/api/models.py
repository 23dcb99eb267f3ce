"""What requests carry, with bounds on every list and text. The bodies of hot routes are in `batches`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

NO_NUL = r"^[^\x00]*$"
BATCH = 10_000
"""Items in one list of a request."""
FILES = 100_000
"""Files that may come with one recipe."""

Text = Annotated[str, StringConstraints(max_length=255, pattern=NO_NUL)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f]+$")]
LongText = Annotated[str, StringConstraints(max_length=4000, pattern=NO_NUL)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
AScope = Literal["read", "submit", "engine", "admin"]
AnAddress = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Request(BaseModel):
    """A body; what it does not name is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SentFile(Request):
    """A file of the submitter; `url` is given for one that stays where it is, else its bytes were sent as a blob."""

    sha256: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
    size: Annotated[int, Field(ge=0, le=2**60)]
    mode: Annotated[int, Field(ge=0, le=0o7777)] = 0o644
    url: LongText = ""


class SentManifest(Request):
    """The submitter's files by name relative to the recipe, and what each pattern matched."""

    files: Annotated[dict[LongText, SentFile], Field(max_length=FILES)] = {}
    matches: Annotated[dict[LongText, Annotated[list[LongText], Field(max_length=FILES)]], Field(max_length=BATCH)] = {}


RECIPE = "name: hello\njobs: 3\ntasks:\n  greet:\n    run: echo hello {job}\n"


class RecipeText(Request):
    """A recipe as written, and what else decides what it means."""

    text: Annotated[str, StringConstraints(max_length=2_000_000)] = Field(examples=[RECIPE])
    filename: Text = "recipe.yaml"
    manifest: SentManifest = SentManifest()
    jobs: Annotated[int, Field(ge=1, le=999_999_999)] | None = None
    parameters: Annotated[
        dict[Text, Annotated[str, StringConstraints(max_length=100_000)]], Field(max_length=1000)
    ] = {}


class RecipeToCheck(RecipeText):
    """A recipe to check; `job` asks for what that job would do, exactly."""

    job: Annotated[int, Field(ge=0, le=999_999_999)] | None = None


class IceProdConfiguration(Request):
    """A dataset configuration of IceProd (JSON), and what else decides what it means."""

    text: Annotated[str, StringConstraints(max_length=4_000_000)]
    filename: Text = "config.json"
    jobs: Annotated[int, Field(ge=1, le=999_999_999)] | None = None
    mode: Annotated[str, StringConstraints(pattern="^(strict|exact)$")] = "strict"
    options: Annotated[dict[Text, Text], Field(max_length=1000)] = {}
    task_files: Annotated[str, StringConstraints(max_length=4_000_000)] | None = None
    datasets: Annotated[
        dict[Text, Annotated[int, Field(ge=0, le=999_999_999)]], Field(max_length=1000)
    ] = {}  # their numbers here


class Submission(RecipeText):
    """A recipe to become a dataset."""

    name: Name | None = None
    team: Text = ""
    priority: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = 1.0
    first: Annotated[int, Field(ge=1, le=999_999_999)] | None = None  # begin with so many jobs; `more` adds the others


class DatasetEdit(Request):
    """What may be changed of a dataset; what is left out stays."""

    name: Name | None = None
    priority: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None


class RecipeEdit(RecipeText):
    """An edited recipe; files that are not in its manifest are those that are kept already. `check`: only tell."""

    check: bool = False


class MoreJobs(Request):
    """How many jobs to add."""

    jobs: Annotated[int, Field(ge=1, le=999_999_999, examples=[100])]


class SplitJobs(Request):
    """Into how many pieces to divide each job (as many as its sites advise, if not given); `preview`: only tell."""

    into: Annotated[int, Field(ge=2, le=999_999_999, examples=[4])] | None = None
    preview: bool = False


class Action(Request):
    """Something to be done to datasets, jobs and tasks, all of it or nothing."""

    verb: Literal["hold", "release", "retry", "cancel", "close"] = Field(examples=["hold"])
    addresses: Annotated[list[AnAddress], Field(min_length=1, max_length=BATCH, examples=[["1/0"]])]
    reason: LongText = ""
    signature: Annotated[str, StringConstraints(max_length=64, pattern=NO_NUL)] = (
        ""  # retry this group of failures alone
    )


ANode = Annotated[str, StringConstraints(min_length=2, max_length=320, pattern=r"^[^\x00-\x1f]*/[^/\x00-\x1f]+$")]


class NodeToUndrain(Request):
    """A node, as SITE/NODE."""

    node: ANode = Field(examples=["here/node7"])


class NodeToDrain(NodeToUndrain):
    """A node to be given no new work, why, and for how many seconds (for good, if not given)."""

    reason: LongText = ""
    seconds: Annotated[float, Field(gt=0, le=3.2e9, allow_inf_nan=False)] | None = None


class Hashes(Request):
    """Checksums of files."""

    sha256: Annotated[list[Sha256], Field(max_length=BATCH, examples=[["0" * 64]])]


class NewToken(Request):
    """A token to be made: what for, good for what, for how many days; `principal` is who it speaks for (you)."""

    name: Name = Field(examples=["laptop"])
    scopes: Annotated[list[AScope], Field(min_length=1, max_length=4, examples=[["read", "submit"]])]
    days: Annotated[float, Field(gt=0, le=3660, allow_inf_nan=False)] | None = 365.0
    principal: Name | None = None


class NewShare(Request):
    """A weight and caps; without a value it is as if nothing was said of it."""

    kind: Literal["group", "user", "dataset", "site"]
    name: Name = Field(examples=["icecube"], description="`*`: all without a rule of their own")
    weight: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None
    running: Annotated[int, Field(ge=0, le=10**9)] | None = None
    queued: Annotated[int, Field(ge=0, le=10**9)] | None = None
