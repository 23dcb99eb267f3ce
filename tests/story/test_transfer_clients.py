"""Files by WebDAV, GridFTP and S3, with real servers and the clients that nodes have: read, stored, refused; and by an engine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nunatak.cli.imports import place
from nunatak.iceprod.importing import import_config
from nunatak.worker import clients, transfer
from tests.services.gridftp import Gridftp
from tests.services.swift import BUCKET, Swift
from tests.services.xrootd import PYTHON, Xrootd
from tests.story.installation import installation, until

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Storage:
    """What lies at `url` is in `files`; `variables` let clients speak to it."""

    url: str
    files: Path
    variables: dict[str, str]


@pytest.fixture(scope="module")
def storages() -> Iterator[dict[str, Storage]]:
    gridftp = Gridftp.make()
    xrootd = Xrootd.make(gridftp.authority)
    variables = {**gridftp.variables, "GFAL_PYTHONBIN": PYTHON}
    yield {
        "gsiftp": Storage(gridftp.url, gridftp.files, variables),
        "davs": Storage(f"davs://localhost:{xrootd.web}", xrootd.files, variables),
        "dav": Storage(f"dav://localhost:{xrootd.web}", xrootd.files, variables),
    }
    gridftp.stop()
    xrootd.stop()


@pytest.mark.parametrize(
    ("scheme", "client"),
    [("gsiftp", "gfal-copy"), ("gsiftp", "globus-url-copy"), ("davs", "gfal-copy"), ("dav", "gfal-copy")],
)
def test_each_client_brings_stores_and_says_what_is_not_there(
    scheme: str, client: str, tmp_path: Path, storages: dict[str, Storage], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = storages[scheme]
    (tmp_path / "bin").mkdir()
    for name in (client, "sh", "env", *(("gfal-cat",) if client == "gfal-copy" else ())):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name, value in storage.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(transfer, "PAUSES", (0.1, 0.1, 0.1))  # gfal's programs crash now and then
    content = os.urandom(300_000)
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "out.i3").write_bytes(content)
    url = f"{storage.url}/{client}-{scheme}/deep/a.i3"
    assert clients.put(url, str(tmp_path / "out.i3")) == (len(content), digest, True)
    assert (storage.files / f"{client}-{scheme}" / "deep" / "a.i3").read_bytes() == content
    assert clients.fetch(url, str(tmp_path / "in.i3"), 0o640, len(content), digest) == (len(content), digest)
    assert (tmp_path / "in.i3").stat().st_mode & 0o777 == 0o640
    with pytest.raises(transfer.Gone):
        clients.fetch(url + "x", str(tmp_path / "no"), 0o644, -1, "")
    monkeypatch.setattr(transfer, "PAUSES", ())
    (storage.files / f"{client}-{scheme}").chmod(0o500)
    with pytest.raises(transfer.Wrong):
        clients.put(f"{storage.url}/{client}-{scheme}/new/b.i3", str(tmp_path / "out.i3"))
    (storage.files / f"{client}-{scheme}").chmod(0o700)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "in.i3", "out.i3"]


@pytest.mark.long
def test_s3cmd_brings_stores_and_says_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Swift.make()
    try:
        (tmp_path / "bin").mkdir()
        for name in ("s3cmd", "sh", "env"):
            (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "")
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        monkeypatch.setenv("HOME", storage.home("writer"))
        monkeypatch.setattr(transfer, "PAUSES", ())
        content = os.urandom(300_000)
        digest = hashlib.sha256(content).hexdigest()
        (tmp_path / "out.i3").write_bytes(content)
        url = f"s3://{BUCKET}/deep/a b.i3"
        assert clients.put(url, str(tmp_path / "out.i3")) == (len(content), digest, True)
        assert "300000" in storage.s3cmd("ls", url)
        assert clients.fetch(url, str(tmp_path / "in.i3"), 0o640, len(content), digest) == (len(content), digest)
        with pytest.raises(transfer.Gone):
            clients.fetch(url + "x", str(tmp_path / "no"), 0o644, -1, "")
        monkeypatch.setenv("HOME", storage.home("reader"))
        with pytest.raises(transfer.Wrong, match="403"):
            clients.put(f"s3://{BUCKET}/b.i3", str(tmp_path / "out.i3"))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "in.i3", "out.i3"]
    finally:
        storage.stop()


@pytest.mark.timeout(180)
def test_a_configuration_runs_with_files_of_grid_storage(tmp_path: Path, storages: dict[str, Storage]) -> None:
    grid, web = storages["gsiftp"], storages["davs"]
    (grid.files / "in").mkdir(mode=0o755)
    (grid.files / "in/gcd.txt").write_text("gcd\n")
    made = "l2/$sprintf('%06d',$(job)).txt"
    https = web.url.replace("davs://", "https://")
    config = {
        "version": 3.2, "description": "by IceProd", "options": {"data_url": f"{grid.url}/"}, "steering": {},
        "tasks": [
            {
                "name": "filter",
                "data": [
                    {"remote": "in/gcd.txt"}, {"remote": "in/not_there.txt", "transfer": "maybe"},
                    {"remote": made, "local": "out.txt", "movement": "output"},
                ],
                "trays": [{"modules": [{"src": "/bin/cp", "args": "gcd.txt out.txt"}]}],
            },
            {
                "name": "keep", "depends": ["filter"], "token_scopes": {https: "storage.create:/"},
                "data": [
                    {"remote": made, "local": "in.txt"},
                    {"remote": f"{https}/{made}", "local": "kept.txt", "movement": "output"},
                ],
                "trays": [{"modules": [{"src": "/bin/cp", "args": "in.txt kept.txt"}]}],
            },
        ],
    }  # fmt: skip
    place(import_config(json.dumps(config), jobs=1), tmp_path, tmp_path / "recipe.yaml")
    with installation(tmp_path / "data", start=False) as house:
        house.start_server()
        with house.client() as client:
            token = client.create_token("node", ["engine"], days=1).token or ""
        (house.data / "node").mkdir()
        variables = {"NUNATAK_URL": house.url, "NUNATAK_TOKEN": token, **grid.variables}
        words = (
            "serve",
            "engine",
            "node",
            "--cores",
            "8",
            "--memory",
            "64 GB",
            "--option",
            "features=gsiftp,davs,token",
        )
        house.spawn(*words, log="node.log", data=house.data / "node", variables=variables)
        with house.client() as client:
            number = client.submit(tmp_path / "recipe.yaml").dataset
            until(lambda: client.dataset(number).state != "open", "the configuration")
            assert client.dataset(number).state == "done", [item.message for item in client.errors(number)]
            digests = {file.sha256 for file in client.files(str(number))}
        assert digests == {hashlib.sha256(b"gcd\n").hexdigest()}
        for storage in (grid, web):
            assert (storage.files / "l2/000000.txt").read_text() == "gcd\n"
        house.until_no_work()
        assert house.doctor().faults == []
