"""Every file of deploy/ against what it is for: commands and options exist, settings hold, each tool accepts its files."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import kubernetes_validate
import promql_parser
import pytest
import yaml
from typer.main import get_command

from nunatak.api.app import bare_app
from nunatak.api.metrics import Metrics
from nunatak.cli.main import app
from nunatak.core.errors import Invalid
from nunatak.core.settings import PREFIX, Settings, load_all
from nunatak.core.units import seconds
from nunatak.datasets.store import STATES
from nunatak.engines.options import faults

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
SERVICES = [path for path in UNITS if path.suffix == ".service"]
MANIFESTS = [path for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")) if path.stem != "kustomization"]
VERSIONS = ("1.29", kubernetes_validate.latest_version())
CLIENT = {"NUNATAK_URL", "NUNATAK_TOKEN", "NUNATAK_TOKEN_FILE", "NUNATAK_CONFIG"}


def test_everything_in_deploy_is_looked_at_here() -> None:
    looked_at = {
        DEPLOY / "README.md",
        DEPLOY / "nunatak.toml",
        *UNITS,
        *MANIFESTS,
        DEPLOY / "kubernetes" / "kustomization.yaml",
        DEPLOY / "container" / "Containerfile",
        DEPLOY / "proxy" / "nginx.conf",
        DEPLOY / "proxy" / "Caddyfile",
        DEPLOY / "prometheus" / "nunatak-rules.yml",
        DEPLOY / "prometheus" / "scrape.yml",
    }
    assert {path for path in DEPLOY.rglob("*") if path.is_file()} == looked_at


# ---- commands


def check_command(words: Iterable[str]) -> None:
    """Look whether `nunatak WORDS` names a verb and options that exist, each with a value where it takes one."""
    command: Any = get_command(app)
    rest = list(words)
    while hasattr(command, "get_command") and rest and not rest[0].startswith("-"):
        inner = command.get_command(None, rest[0])
        if inner is None:
            break
        command = inner
        rest.pop(0)
    assert not hasattr(command, "list_commands"), f"there is no verb {' '.join(words)}"
    known = {name: param for param in command.params for name in param.opts}
    free = [param for param in command.params if param.param_type_name == "argument"]
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            assert free, f"{word}: one word too many in {words}"
            free.pop(0)
            continue
        assert word in known, f"there is no option {word}: {words}"
        if not known[word].is_flag:
            assert rest, f"{word} has no value"
            assert not rest.pop(0).startswith("--")
    assert not [param for param in free if param.required], f"a word is missing: {words}"


@pytest.mark.parametrize(
    "words", [["serve", "ape"], ["serve", "api", "--prot", "1"], ["serve", "engine"], ["migrate", "x"], ["serve"]]
)
def test_a_command_that_does_not_exist_is_noticed(words: list[str]) -> None:
    with pytest.raises(AssertionError):
        check_command(words)


# ---- the settings file


def check_settings(path: Path) -> None:
    """Look whether a file holds, the options of its engines with it."""
    loaded = load_all(path)
    assert [problem for engine in loaded.engines.values() for problem in faults(engine.kind, engine.options)] == []


def test_the_example_of_a_settings_file_holds() -> None:
    check_settings(DEPLOY / "nunatak.toml")
    loaded = load_all(DEPLOY / "nunatak.toml")
    assert set(loaded.engines) == {"here", "pool", "cluster"}
    assert all(engine.token_file for engine in loaded.engines.values())
    places = {"data", "database", "store", "blobs", "logs", "grace", "public_url", "proxies"}
    for name in loaded.written.values.keys() - places - {"engines"}:
        assert getattr(loaded.settings, name) == Settings.model_fields[name].default, (
            f"{name} is said to be the default"
        )


def test_a_settings_file_that_does_not_hold_is_noticed(tmp_path: Path) -> None:
    text = (DEPLOY / "nunatak.toml").read_text()
    (tmp_path / "x.toml").write_text(text.replace("half_life", "halflife"))
    with pytest.raises(Invalid, match="did you mean"):
        check_settings(tmp_path / "x.toml")
    (tmp_path / "x.toml").write_text(text.replace("partitions", "partition"))
    with pytest.raises(AssertionError):
        check_settings(tmp_path / "x.toml")


# ---- systemd


def read_unit(path: Path) -> ConfigParser:
    unit = ConfigParser(interpolation=None, strict=False, delimiters="=", comment_prefixes="#")
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(path)
    return unit


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_units_start_commands_that_exist(path: Path) -> None:
    program, *words = shlex.split(read_unit(path)["Service"]["ExecStart"])
    assert program == "/opt/nunatak/bin/nunatak"
    check_command([word.replace("%i", "8642") for word in words])


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    program = Path(sysconfig.get_path("scripts")) / "nunatak"
    for path in UNITS:
        (tmp_path / path.name).write_text(path.read_text().replace("/opt/nunatak/bin/nunatak", str(program)))
    names = [path.name.replace("@.", "@8642.") for path in UNITS]
    verify = ["systemd-analyze", "verify", "--man=no", *names]
    said = subprocess.run(
        verify,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stderr) == (0, "")
    unit = tmp_path / "nunatak-migrate.service"
    unit.write_text(unit.read_text().replace("Type=oneshot", "Type=oneshit"))
    said = subprocess.run(
        verify,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "oneshit" in said.stderr, "systemd-analyze finds nothing at all"


@pytest.mark.parametrize(("name", "most"), [("api@", 2.0), ("loops@", 2.0), ("migrate", 2.0), ("engine@", 6.0)])
def test_units_are_shut_off_from_what_they_do_not_need(name: str, most: float) -> None:
    path = DEPLOY / "systemd" / f"nunatak-{name}.service"
    words = ["systemd-analyze", "security", "--offline=true", f"--threshold={round(10 * most)}", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_units_give_more_time_to_end_than_servers_take() -> None:
    grace = load_all(DEPLOY / "nunatak.toml").settings.grace
    unit = read_unit(DEPLOY / "systemd" / "nunatak-api@.service")["Service"]
    assert seconds(unit["TimeoutStopSec"]) > grace + 5
    assert read_unit(DEPLOY / "systemd" / "nunatak-engine@.service")["Service"]["KillMode"] == "process"


def test_units_that_wait_for_a_word_are_those_of_programs_that_give_it() -> None:
    kinds = {path.name: read_unit(path)["Service"]["Type"] for path in SERVICES}
    assert kinds.pop("nunatak-migrate.service") == "oneshot"
    assert set(kinds.values()) == {"notify"}
    assert all("WatchdogSec" in read_unit(path)["Service"] for path in SERVICES if "migrate" not in path.name)


# ---- the container


def test_the_container_file_is_sound_and_starts_commands_that_exist() -> None:
    file = DEPLOY / "container" / "Containerfile"
    linter = shutil.which("hadolint", path=sysconfig.get_path("scripts"))
    assert linter
    done = subprocess.run([linter, "--no-color", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    text = file.read_text()
    assert 'ENTRYPOINT ["nunatak"]' in text
    check_command(yaml.safe_load(text.split("\nCMD ")[1]))
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] == "10001:10001"
    assert "HEALTHCHECK" in text


def test_the_container_sets_settings_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DEPLOY / "container" / "Containerfile").read_text()
    given = dict(re.findall(r"\b(NUNATAK_\w+)=(\S+)", text))
    assert given.keys() <= {PREFIX + name.upper() for name in Settings.model_fields}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load_all().settings
    assert (settings.grace, settings.store) == (30, "file:///srv/nunatak/store")
    assert str(settings.alive) in text.split("HEALTHCHECK")[1]


def test_the_container_is_built_from_files_that_are_there_and_not_ignored() -> None:
    text = (DEPLOY / "container" / "Containerfile").read_text()
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for word in line.split()}
    ignored = (ROOT / ".containerignore").read_text().splitlines()
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)


# ---- kubernetes


def documents() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in MANIFESTS:
        for document in yaml.safe_load_all(path.read_text()):
            yield path, document


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for _, document in documents():
        if document["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(version: str) -> None:
    for _, document in documents():
        kubernetes_validate.validate(document, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_noticed() -> None:
    document = next(document for _, document in documents() if document["kind"] == "Deployment")
    document["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, VERSIONS[0], strict=True)


def test_manifests_are_all_in_the_list_that_is_applied() -> None:
    listed = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    assert sorted(listed["resources"]) == [path.name for path in MANIFESTS]
    images = {container["image"] for _, pod in pods() for container in pod["containers"]}
    assert images == {image["name"] for image in listed["images"]}


def test_pods_start_commands_that_exist_with_variables_that_mean_something() -> None:
    names = {name for name, _ in pods()}
    assert names == {"nunatak-migrate", "nunatak-api", "nunatak-loops", "nunatak-engine"}
    known = {PREFIX + name.upper() for name in Settings.model_fields} | CLIENT | {"PGPASSWORD", "POD_NAME"}
    for _, pod in pods():
        for container in pod["containers"]:
            check_command(container["args"])
            assert {item["name"] for item in container["env"]} <= known


def test_pods_may_do_no_more_than_they_need() -> None:
    for name, pod in pods():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert not pod["automountServiceAccountToken"], name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True), name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"], name


def test_probes_ask_what_is_answered() -> None:
    paths = {getattr(route, "path", "") for route in bare_app().router.routes}
    alive = settings_of_pods()["alive"]
    for name, pod in pods():
        for container in pod["containers"]:
            probes = [value for key, value in container.items() if key.endswith("Probe")]
            assert probes or name == "nunatak-migrate"
            for probe in probes:
                if "httpGet" in probe:
                    assert probe["httpGet"]["path"] in paths
                else:
                    assert str(alive) in probe["exec"]["command"][-1]
            assert all(claim["name"] in volumes_of(pod, name) for claim in container["volumeMounts"]), name


def volumes_of(pod: Mapping[str, Any], name: str) -> set[str]:
    claims = [
        document["spec"].get("volumeClaimTemplates", [])
        for _, document in documents()
        if document["metadata"]["name"] == name
    ]
    return {item["name"] for item in pod["volumes"]} | {item["metadata"]["name"] for claim in claims for item in claim}


def settings_of_pods() -> dict[str, Any]:
    text = next(document for _, document in documents() if document["kind"] == "ConfigMap")["data"]["nunatak.toml"]
    return tomllib.loads(text)


def test_the_settings_of_pods_hold(tmp_path: Path) -> None:
    text = next(document for _, document in documents() if document["kind"] == "ConfigMap")["data"]["nunatak.toml"]
    (tmp_path / "nunatak.toml").write_text(text)
    check_settings(tmp_path / "nunatak.toml")
    settings = load_all(tmp_path / "nunatak.toml").settings
    grace = {name: pod["terminationGracePeriodSeconds"] for name, pod in pods() if name == "nunatak-api"}
    assert grace["nunatak-api"] > settings.grace + 10
    ports = [
        port["containerPort"] for name, pod in pods() if name == "nunatak-api" for port in pod["containers"][0]["ports"]
    ]
    assert ports == [settings.port]


def test_selectors_find_the_pods_they_mean() -> None:
    labels = [
        document["spec"]["template"]["metadata"]["labels"]
        for _, document in documents()
        if "template" in document.get("spec", {})
    ]
    for path, document in documents():
        spec = document.get("spec", {})
        chosen = spec.get("selector") or spec.get("podSelector")
        if chosen:
            wanted = chosen.get("matchLabels", chosen)
            assert any(wanted.items() <= have.items() for have in labels), (path.name, document["kind"])


# ---- prometheus

RULES = yaml.safe_load((DEPLOY / "prometheus" / "nunatak-rules.yml").read_text())["groups"]


def selectors(expression: Any) -> Iterator[Any]:
    """Yield every metric that an expression reads, with its matchers."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
        return
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        inner = getattr(expression, name, None)
        if inner is not None:
            yield from selectors(inner)
    for inner in getattr(expression, "args", None) or ():
        yield from selectors(inner)


def exported() -> dict[str, set[str]]:
    """Return every metric of the product with its labels, as Prometheus names them."""
    found = {"up": {"job", "instance"}}
    metrics = Metrics()
    for metric in (metrics.requests, metrics.seconds, metrics.tasks, metrics.engines, metrics.leased):
        names = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(metric._type, [""])
        for suffix in names:
            found[metric._name + suffix] = {*metric._labelnames, *(("le",) if suffix == "_bucket" else ())}
    return found


def check_expression(text: str) -> None:
    metrics, routes = exported(), {route.name for route in bare_app().router.routes}  # type: ignore[attr-defined]
    read = list(selectors(promql_parser.parse(text)))
    assert read, text
    for selector in read:
        assert selector.name in metrics, f"there is no metric {selector.name}"
        for matcher in selector.matchers.matchers:
            assert matcher.name in metrics[selector.name], f"{selector.name} has no label {matcher.name}"
            if matcher.name == "route":
                assert set(matcher.value.split("|")) <= routes
            if matcher.name == "state":
                assert matcher.value in STATES


@pytest.mark.parametrize("rule", [rule for group in RULES for rule in group["rules"]], ids=lambda rule: rule["alert"])
def test_rules_read_metrics_that_exist_and_say_what_to_do(rule: dict[str, Any]) -> None:
    check_expression(rule["expr"])
    assert rule["labels"]["severity"] in ("page", "warning")
    assert {"summary", "action"} == rule["annotations"].keys()


@pytest.mark.parametrize(
    "text",
    [
        "nunatak_task > 0",
        'nunatak_tasks{stat="x"}',
        'rate(nunatak_requests_total{route="x"}[5m])',
        "up ==",
        'sum(nunatak_tasks{state="gone"})',
    ],
)
def test_a_rule_that_reads_nothing_is_noticed(text: str) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check_expression(text)


def test_prometheus_asks_the_servers_that_the_proxy_has() -> None:
    scrape = yaml.safe_load((DEPLOY / "prometheus" / "scrape.yml").read_text())
    assert scrape["rule_files"] == ["nunatak-rules.yml"]
    (job,) = scrape["scrape_configs"]
    servers = re.findall(r"server (127\.0\.0\.1:\d+)", (DEPLOY / "proxy" / "nginx.conf").read_text())
    assert job["static_configs"] == [{"targets": servers}]
    caddy = (DEPLOY / "proxy" / "Caddyfile").read_text()
    assert f"reverse_proxy {' '.join(servers)} " in caddy
