"""What a server says, and from what is no success back to the one error tree: problem documents (RFC 9457) too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from nunatak.core.errors import Conflict, Invalid, NotFound, NunatakError, Problem, Refused, Unavailable

_CLASSES: Mapping[int, type[NunatakError]] = {
    401: Refused, 403: Refused, 404: NotFound, 409: Conflict, 410: NotFound, 412: Conflict, 428: Conflict,
    429: Unavailable, 502: Unavailable, 503: Unavailable, 504: Unavailable,
}  # fmt: skip
TOKEN_CODES = frozenset({"no-token", "bad-token", "revoked-token", "expired-token"})
"""Codes of a refusal that another token may overcome."""
_PLACES = frozenset(item.name for item in fields(Problem))


class Answer(NamedTuple):
    """What a server said, whole."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Read the body."""
        return json.loads(self.body)


def succeeded(answer: Answer) -> Answer:
    """Return an answer that is a success. Raises the error that any other stands for."""
    if 200 <= answer.status < 300 or answer.status == 304:
        return answer
    raise error_of(answer.status, answer.body)


def unreached(url: str, error: Exception) -> Unavailable:
    """Return what to say when there is no answer."""
    said = str(error) or type(error).__name__
    return Unavailable(f"no answer from {url}: {said}", code="no-connection", hint=_reach(url, said))


def _reach(url: str, said: str) -> str:
    """Return what may be wrong, by what the system said."""
    if any(words in said for words in ("Name or service not known", "name resolution", "nodename nor servname")):
        return "is the name of the server right? `nunatak login URL` chooses another"
    if "WRONG_VERSION_NUMBER" in said:
        return f"does it speak plain HTTP? `nunatak login {url.replace('https:', 'http:', 1)}` chooses that"
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return "is its certificate from an authority of your own? SSL_CERT_FILE names the file of that authority"
    return "is the server running? `nunatak up` starts one on this machine, `nunatak login URL` chooses another"


def unusable(url: str, error: Exception) -> Invalid:
    """Return what to say of a URL that is none."""
    return Invalid(f"{url!r} is not the address of a server: {error}", code="bad-url")


def error_of(status: int, body: bytes) -> NunatakError:
    """Return the error that an answer stands for; its sentence, code, hint, problems and data are kept."""
    kind = _CLASSES.get(status, Invalid if 400 <= status < 500 else NunatakError)
    plain = _document(body)
    if plain is None:
        return kind(f"the server answered with HTTP status {status}", code=f"http-{status}", hint=_hint(status))
    data = plain.get("data")
    return kind(
        str(plain.get("detail") or plain.get("title") or f"the server answered with HTTP status {status}"),
        code=str(plain.get("code") or ""),
        hint=str(plain.get("hint") or ""),
        problems=[_problem(item) for item in plain.get("problems") or () if isinstance(item, Mapping)],
        **{key: value for key, value in data.items() if key not in ("code", "hint", "problems", "message")}
        if isinstance(data, dict)
        else {},
    )


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        plain = json.loads(body)
    except ValueError:
        return None
    return plain if isinstance(plain, dict) else None


def _problem(plain: Mapping[str, Any]) -> Problem:
    return Problem(**{"message": "", **{key: value for key, value in plain.items() if key in _PLACES}})


def _hint(status: int) -> str:
    return "is this the address of a Nunatak server?" if status in (404, 405) else ""
