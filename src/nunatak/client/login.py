"""Where the server is and with which token: given, from the environment, saved by `nunatak login`, or the local one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nunatak.core.errors import Refused, Unavailable

LOGIN = "login.json"
LOCAL_URL = "http://127.0.0.1:8642"
"""Where `nunatak up` listens unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Login:
    """A server and the token to show it; never printed whole."""

    url: str
    token: str

    def __repr__(self) -> str:
        """Show the server only."""
        return f"Login({self.url!r}, token={'***' if self.token else ''!r})"


def _home(environ: Mapping[str, str], variable: str, usual: str) -> Path:
    given = environ.get(variable, "")
    base = Path(given) if given.startswith("/") else Path.home() / usual  # as the XDG specification has it
    return base / "nunatak"


def login_file(environ: Mapping[str, str]) -> Path:
    """Return where a login is saved."""
    return _home(environ, "XDG_CONFIG_HOME", ".config") / LOGIN


def data_directory(environ: Mapping[str, str]) -> Path:
    """Return where `nunatak up` keeps everything unless told otherwise."""
    given = environ.get("NUNATAK_DATA", "")
    return Path(given).absolute() if given else _home(environ, "XDG_DATA_HOME", ".local/share")


def save(login: Login, environ: Mapping[str, str]) -> Path:
    """Save a login for this user alone and return the file. Raises `Unavailable` if it cannot be written."""
    return write_private(LOGIN, json.dumps({"url": login.url, "token": login.token}), environ)


def write_private(name: str, text: str, environ: Mapping[str, str]) -> Path:
    """Write a file of the configuration that only its owner can read, at once. Raises `Unavailable`."""
    file = login_file(environ).with_name(name)
    draft = file.with_name(f".{name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(text)
        draft.replace(file)
    except OSError as error:
        raise Unavailable(f"{file} cannot be written: {error.strerror}", code="no-login-file") from None
    return file


def saved(environ: Mapping[str, str]) -> Login | None:
    """Return the saved login, if there is one that can be read."""
    return _read(login_file(environ))


def local(environ: Mapping[str, str]) -> Login | None:
    """Return the login of the installation that `nunatak up` made on this machine, if this user may read it."""
    data = data_directory(environ)
    try:
        token = (data / "token").read_text().strip()
    except OSError:
        return None
    running = _read(data / "up.json")
    return Login(running.url if running else LOCAL_URL, token)


def given_token(environ: Mapping[str, str]) -> str:
    """Return the token that the environment gives, itself or in a file; "" for none. Raises `Refused` for an unreadable file."""
    file = environ.get("NUNATAK_TOKEN_FILE", "")
    return environ.get("NUNATAK_TOKEN", "") or (kept(Path(file)) if file else "")


def kept(file: Path) -> str:
    """Return the token in a file. Raises `Refused` if it cannot be read."""
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it holds no token"
        raise Refused(f"there is no token in {file}: {said}", code="no-token", hint="put one there") from None


def find(url: str | None, token: str | None, environ: Mapping[str, str]) -> Login:
    """Choose a server and its token. Raises `Refused` if there is no token for it.

    A saved token goes to the server it was saved for and to no other.
    """
    url, token = url or environ.get("NUNATAK_URL"), token or given_token(environ)
    if url and token:
        return Login(url, token)
    for known in (saved(environ), local(environ)):
        if known and (url is None or url.rstrip("/") == known.url.rstrip("/")):
            return Login(known.url, token or known.token)
    if token:
        return Login(LOCAL_URL, token)
    raise Refused(
        f"there is no token for {url}" if url else "no server is known here",
        code="no-login",
        hint=f"`nunatak login {url or 'URL'}`, or set NUNATAK_URL and NUNATAK_TOKEN or NUNATAK_TOKEN_FILE"
        + ("" if url else "; `nunatak up` starts a server on this machine"),
    )


def _read(file: Path) -> Login | None:
    try:
        plain = json.loads(file.read_text())
        return Login(str(plain["url"]), str(plain.get("token", "")))
    except (OSError, ValueError, KeyError, TypeError):
        return None
