"""Settings: where each comes from, what is said when one is wrong, and that all are documented."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nunatak.core.errors import Invalid, NotFound
from nunatak.core.settings import Settings, load, load_all, without_secrets
from nunatak.core.settings_page import describe, page

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith("NUNATAK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "some.toml"
    path.write_text(text)
    return path


def complaint(tmp_path: Path, text: str = "", **arguments: object) -> str:
    with pytest.raises(Invalid) as caught:
        load(written(tmp_path, text), **arguments)
    assert caught.value.code == "bad-settings"
    return caught.value.message


def test_every_setting_is_documented_as_it_is() -> None:
    assert DOCUMENT.read_text("utf-8") == page(), "python tools/docs.py writes it anew"
    assert "Undefined" not in page()


def test_every_setting_says_what_it_is_and_every_number_has_a_unit() -> None:
    rows = describe()
    assert [row.name for row in rows] == list(Settings.model_fields)
    for row in rows:
        assert row.description.endswith(".")
        assert row.default.strip("`")
        assert row.env == "NUNATAK_" + row.name.upper()
        number = Settings.model_fields[row.name].annotation in (int, float) and row.name != "port"
        assert bool(row.unit) == number, row.name


def test_without_anything_all_is_below_the_users_data_directory(tmp_path: Path) -> None:
    found = load()
    data = tmp_path / "share" / "nunatak"
    assert (found.data, found.blobs, found.logs) == (data, data / "blobs", data / "logs")
    assert found.database == f"sqlite:///{data}/nunatak.db"
    assert found.store == f"file://{data}/store"
    assert (found.host, found.port, found.lease) == ("127.0.0.1", 8642, 300)
    assert found.cores >= 1
    assert found.memory > 10**8


def test_what_is_not_placed_follows_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = load(data=Path("my data"), logs=tmp_path / "elsewhere")
    assert found.data == tmp_path / "my data"
    assert found.store == f"file://{tmp_path}/my%20data/store"
    assert found.database == f"sqlite:///{tmp_path}/my data/nunatak.db"
    assert found.logs == tmp_path / "elsewhere"


def test_arguments_go_over_environment_over_file_over_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, "port = 1\nclaim_limit = 2\nreport_limit = 3\n")
    monkeypatch.setenv("NUNATAK_PORT", "10")
    monkeypatch.setenv("NUNATAK_CLAIM_LIMIT", "20")
    found = load(file, port=100, host=None)
    assert (found.port, found.claim_limit, found.report_limit, found.host) == (100, 20, 3, "127.0.0.1")


def test_the_file_is_the_one_named_or_the_usual_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = tmp_path / "config" / "nunatak" / "nunatak.toml"
    usual.parent.mkdir(parents=True)
    usual.write_text("port = 7")
    assert load().port == 7
    monkeypatch.setenv("NUNATAK_CONFIG", str(written(tmp_path, "port = 8")))
    assert load().port == 8
    monkeypatch.setenv("NUNATAK_CONFIG", str(tmp_path / "never"))
    with pytest.raises(NotFound):
        load()


def test_amounts_may_be_written_with_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUNATAK_LOG_RETENTION", "2 w")
    monkeypatch.setenv("NUNATAK_LOOP_INTERVAL", "0.25")
    monkeypatch.setenv("NUNATAK_IDLE_INTERVAL", "1.5 s")
    found = load(written(tmp_path, 'body_limit = "8 MB"\nlease = "5 min"\nmemory = 2000000000\nheartbeat = 0.5'))
    assert (found.body_limit, found.lease, found.memory, found.heartbeat) == (8_000_000, 300, 2_000_000_000, 0.5)
    assert (found.log_retention, found.loop_interval, found.idle_interval) == (14 * 86400, 0.25, 1.5)


def test_proxies_are_addresses_and_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().proxies == ""
    assert load(written(tmp_path, 'proxies = ["127.0.0.1", "10.1.0.0/16"]')).proxies == "127.0.0.1,10.1.0.0/16"
    monkeypatch.setenv("NUNATAK_PROXIES", "::1, fd00::/8")
    assert load().proxies == "::1,fd00::/8"
    monkeypatch.delenv("NUNATAK_PROXIES")
    for wrong in ('"proxy.example.org"', '"*"', '"10.1.0.1/16"', "3"):
        assert "write it as 127.0.0.1" in complaint(tmp_path, f"proxies = {wrong}")


def test_an_unknown_key_is_an_error_with_the_nearest_spelling(tmp_path: Path) -> None:
    said = complaint(tmp_path, "prot = 1\nlog-limit = 2\nqqqqqq = 3")
    assert 'prot: there is no such setting (did you mean "port"?)' in said
    assert 'log-limit: there is no such setting (did you mean "log_limit"?)' in said
    assert "qqqqqq: there is no such setting" in said
    assert "some.toml" in said


def test_an_unknown_argument_is_an_error() -> None:
    with pytest.raises(Invalid, match="prot"):
        load(prot=1)


def test_variables_of_the_client_are_not_mistaken_for_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUNATAK_URL", "http://localhost:1")
    monkeypatch.setenv("NUNATAK_TOKEN", "x")
    assert load().port == 8642


def test_every_wrong_value_is_told_at_once_with_where_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUNATAK_CLAIM_LIMIT", "many")
    said = complaint(tmp_path, 'body_limit = "8 GX"\nmetrics = "perhaps"', port=70_000)
    assert "NUNATAK_CLAIM_LIMIT: " in said
    assert "some.toml:1 body_limit: '8 GX' is not an amount of memory" in said
    assert "did you mean" in said
    assert "some.toml:2 metrics: " in said
    assert "port: must be at most 65535" in said


@pytest.mark.parametrize(
    "text", ["lease = -1", "lease = nan", "log_limit = 3", 'lease = "soon"', "cores = 0", "claim_limit = 0", "port = "]
)
def test_impossible_values_are_refused(tmp_path: Path, text: str) -> None:
    complaint(tmp_path, text)


def test_a_heartbeat_longer_than_half_a_lease_is_refused(tmp_path: Path) -> None:
    assert "at most half of lease" in complaint(tmp_path, "lease = 10\nheartbeat = 6")


def test_an_empty_variable_counts_as_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUNATAK_PORT", "")
    assert load(written(tmp_path, "port = 5")).port == 5


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(Invalid):
        load(path)


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1  # type: ignore[misc]


ENGINES = """\
port = 9000
lease = "10 min"

[engines.cluster]
kind = "slurm"
token_file = "/etc/nunatak/cluster.token"
[engines.cluster.options]
partitions = [
  "cpu",
]
"""


def test_engines_are_tables_of_the_file(tmp_path: Path) -> None:
    found = load_all(written(tmp_path, ENGINES))
    assert list(found.engines) == ["cluster"]
    engine = found.engines["cluster"]
    assert (engine.kind, engine.token_file) == ("slurm", Path("/etc/nunatak/cluster.token"))
    assert engine.options == {"partitions": ["cpu"]}


def test_where_each_setting_comes_from_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUNATAK_HOST", "::1")
    file = written(tmp_path, ENGINES)
    found = load_all(file, cores=3).origins
    assert (found["port"], found["lease"]) == (f"{file}:1", f"{file}:2")
    assert (found["host"], found["cores"], found["metrics"]) == ("NUNATAK_HOST", "argument", "default")
    assert list(found) == list(Settings.model_fields)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = 1\n\nprot = 2", 'some.toml:3 prot: there is no such setting (did you mean "port"?)'),
        ("lease = [1]", 'some.toml:1 lease: must be a number (a number of seconds, as 300 or "5 min")'),
        ("[engines.a]\nkind = 3", "some.toml:2 engines.a.kind: must be text"),
        ("[engines.a]\n\ntoken-file = 3", 'some.toml:3 engines.a.token-file: there is no such key of an engine (did you'),
        ('[engines.a]\nqos = "x"', "some.toml:2 engines.a.qos: there is no such key of an engine (options of the engine"),
        ('[engines.a]\nurl = "ftp://x"', "some.toml:2 engines.a.url: "),
        ('[engines."a b"]', "some.toml:1 engines.a b: this cannot be the name of an engine"),
        ("engines = 3", "some.toml:1 engines: it has to be tables"),
        ("engine = 3", 'did you mean "engines"?'),
        ("port = 1\nport = 2\nhost = 'x'", "some.toml:2:9: not valid TOML: Cannot overwrite a value"),
        ("[engines.a\n", "some.toml:1:11: not valid TOML"),
        ("port = 1\nport = ", "some.toml:2: not valid TOML: Invalid value"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_its_line_and_what_was_expected(tmp_path: Path, text: str, said: str) -> None:
    assert said in complaint(tmp_path, text)


def test_mistakes_of_settings_and_of_engines_are_told_together(tmp_path: Path) -> None:
    said = complaint(tmp_path, "prot = 1\nlease = -1\n[engines.a]\nkin = 'x'")
    assert all(f"some.toml:{line} " in said for line in (1, 2, 4))


@pytest.mark.parametrize(
    "header", ["[engines.a]", '[ engines . "a" ]', "engines.a.kind = 'local' # x\n[engines.a.options]"]
)
def test_lines_are_found_however_toml_is_written(tmp_path: Path, header: str) -> None:
    text = f'data = """\\\nx\nport = 1\n"""\n\n{header}\nnone = [\n 1,\n 2]\n'
    found = load_all(written(tmp_path, text)) if "options" in header else None
    line = text[: text.index("none")].count("\n") + 1
    if found:
        assert found.written.lines["engines", "a", "options", "none"] == line
        assert "port" not in {key[0] for key in found.written.lines}
    else:
        assert f"some.toml:{line} engines.a.none" in complaint(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s3cret@db/x", "postgresql://me:***@db/x"),
        ("postgresql://me@db/x?password=s3cret&sslmode=require", "postgresql://me@db/x?password=***&sslmode=require"),
        ("postgresql://me@db/x?passfile=/etc/pgpass", "postgresql://me@db/x?passfile=/etc/pgpass"),
        ("sqlite:////srv/a:b@c.db", "sqlite:////srv/a:b@c.db"),
    ],
)
def test_passwords_are_not_shown(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
