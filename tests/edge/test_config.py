"""The settings file on the command line: what is wrong in it, what holds, and that every part of an installation goes by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nunatak.core.settings import Settings

FILE = """\
data = "{home}/data"
database = "postgresql://nunatak:s3cret@db.example.org/nunatak"
port = 8700

[engines.cluster]
kind = "slurm"
token_file = "{home}/cluster.token"
[engines.cluster.options]
partitions = ["cpu"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "nunatak.toml"
    found.write_text(FILE.format(home=tmp_path))
    return found


def nunatak(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("NUNATAK_", "XDG_"))}
    command = (sys.executable, "-m", "nunatak.cli", *map(str, words))
    return subprocess.run(
        command, env={**environ, **variables}, capture_output=True, text=True, check=False, timeout=120
    )


def test_a_sound_file_is_said_to_be_sound_with_what_deserves_a_note(file: Path, tmp_path: Path) -> None:
    done = nunatak("config", "check", "--config", file)
    assert (done.returncode, done.stdout) == (0, f"{file}: sound; engines: cluster (slurm)\n")
    assert "cluster.token, the token of the engine cluster: No such file" in done.stderr
    assert f"the password of the database is in {file}:2" in done.stderr
    (tmp_path / "cluster.token").write_text("x")
    assert "can be read by others" in nunatak("config", "check", "--config", file).stderr
    (tmp_path / "cluster.token").chmod(0o600)
    assert "token" not in nunatak("config", "check", NUNATAK_CONFIG=str(file)).stderr


def test_options_of_engines_are_checked_before_anything_starts(file: Path) -> None:
    file.write_text(file.read_text() + 'intervall = "10 s"\n\n[engines.other]\nkind = "slrm"\n')
    done = nunatak("config", "check", "--config", file)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"{file}:10 engines.cluster.options.intervall: there is no such option (did you mean 'interval'?)",
        f"{file}:13 engines.other.kind: there is no engine of kind 'slrm' (did you mean \"slurm\"?)",
    ]


def test_show_tells_each_value_and_its_origin_and_no_secret(file: Path, tmp_path: Path) -> None:
    done = nunatak("config", "show", "--config", file, "--json", NUNATAK_HOST="0.0.0.0")
    found = json.loads(done.stdout)
    assert list(found["settings"]) == list(Settings.model_fields)
    assert found["settings"]["port"] == {"value": 8700, "from": f"{file}:3"}
    assert found["settings"]["host"] == {"value": "0.0.0.0", "from": "NUNATAK_HOST"}
    assert found["settings"]["lease"] == {"value": 300, "from": "default"}
    assert found["settings"]["database"]["value"] == "postgresql://nunatak:***@db.example.org/nunatak"
    assert found["engines"]["cluster"]["token_file"] == str(tmp_path / "cluster.token")
    file.write_text(file.read_text() + 'api_token = "s3cret"\n')
    table = nunatak("config", "show", "--config", file).stdout
    assert "s3cret" not in done.stdout + table
    assert f"{file}:8" in table


@pytest.mark.parametrize(
    "words", [("serve", "api"), ("serve", "loops"), ("migrate",), ("doctor",), ("serve", "engine", "cluster")]
)
def test_every_part_reads_the_file_and_starts_nothing_if_it_is_wrong(words: tuple[str, ...], file: Path) -> None:
    file.write_text("prot = 1\n" + file.read_text())
    done = nunatak(*words, "--config", file)
    assert done.returncode == 2
    assert f'{file}:1 prot: there is no such setting (did you mean "port"?)' in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("clustr",), 3, "describes no engine 'clustr'\nhint: did you mean \"cluster\"?"),
        (("cluster",), 5, "cluster.token: No such file"),
        (("cluster", "--option", "qs=1"), 2, "there is no such option"),
    ],
)
def test_an_engine_is_what_the_file_says(
    words: tuple[str, ...], code: int, said: str, file: Path, tmp_path: Path
) -> None:
    if code == 2:
        (tmp_path / "cluster.token").write_text("nun_x")
    done = nunatak("serve", "engine", *words, "--config", file)
    assert done.returncode == code
    assert said in done.stderr
