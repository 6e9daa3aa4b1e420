"""deploy/: linters accept its files, and the command line every command and variable in them."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest
import yaml
from deploy_files import (
    CHART,
    COMPOSE,
    DOCKERFILE,
    ROOT,
    UNIT,
    Launch,
    compose,
    image_environment,
    instructions,
    launches,
    pods,
    ran,
    releases,
    unit_settings,
    with_binaries,
)

from expertrag.cli.main import cli
from expertrag.client.connection import CERT_ENV, KEY_ENV, TOKEN_ENV
from expertrag.config import Config, load, settings
from expertrag.models import choice

OTHER_VARIABLES = {"EXPERTRAG_CACHE", "EXPERTRAG_CONFIG", "EXPERTRAG_DEBUG", TOKEN_ENV}
OTHER_VARIABLES |= {"EXPERTRAG_OPENAI_API_KEY", CERT_ENV, KEY_ENV}
OF_OTHERS = {"Dockerfile", "all-values.yaml", "open-values.yaml"}
"""Where the models are of whoever starts it: a volume, a claim, or nothing to pull."""
ADDRESSES = ("ADDRESS", "HTTP_ADDRESS")
COMPOSE_VARIABLES = {"EXPERTRAG_TAG", "EXPERTRAG_VARIANT"}


def subcommand(parent: click.Command, name: str) -> click.Command | None:
    assert isinstance(parent, click.Group)
    return parent.commands.get(name)


def parsed(arguments: Sequence[str]) -> str:
    """Let click parse a command line, as the program would, and return the command's path."""
    command: click.Command = cli
    context = cli.make_context("expertrag", list(arguments))
    while isinstance(command, click.Group):
        name, below, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert name is not None and below is not None
        command, context = below, below.make_context(name, rest, parent=context)
    return context.command_path


def variables() -> Iterator[str]:
    """Yield every variable that a command reads."""
    below: list[click.Command] = [cli]
    while below:
        command = below.pop()
        for parameter in command.params:
            named = parameter.envvar
            yield from [named] if isinstance(named, str) else named or ()
        if isinstance(command, click.Group):
            below += command.commands.values()
    yield from OTHER_VARIABLES
    yield from (setting.env for setting in settings())


@with_binaries
def test_every_command_is_one_of_ours() -> None:
    paths = {launch.place: parsed(launch.arguments) for launch in launches()}
    assert paths["compose writer"] == paths["systemd"] == "expertrag serve"
    assert paths["default-values.yaml Deployment server readinessProbe"] == "expertrag health"
    assert paths["compose store"] == "expertrag index create"
    assert len(paths) > 15


def test_a_wrong_flag_is_found() -> None:
    with pytest.raises(click.NoSuchOption):
        parsed(("serve", "--indexes", "/data/store"))
    with pytest.raises(click.UsageError):
        parsed(("indexes",))


@with_binaries
def test_every_variable_is_a_setting_with_a_valid_value() -> None:
    known, wrong = set(variables()), []
    for launch in launches():
        ours = {name for name in launch.environment if name.startswith("EXPERTRAG_")}
        wrong += [(launch.place, name) for name in ours - known]
        load(environ=_plain(launch))  # raises for a value that the setting refuses
    assert not wrong


def _plain(launch: Launch) -> dict[str, str]:
    """Return an environment as a server sees it: `${NAME:-default}` of compose is its default."""
    return {
        name: value.partition(":-")[2].rstrip("}") if value.startswith("${") else value
        for name, value in launch.environment.items()
    }


@with_binaries
def test_models_are_pulled_and_stores_created_before_a_server_starts() -> None:
    """On every way to deploy: a first start from nothing ends in a server that serves."""
    servers = [launch for launch in launches() if launch.arguments[0] == "serve"]
    pulled, created = defaultdict[str, set[str]](set), set()
    for launch in launches():
        match launch.arguments:
            case ("models", "pull", *names):
                pulled[launch.way].update(names)
            case ("index", "create", _, "--if-missing"):
                created.add(launch.way)
    for server in servers:
        config = load(environ=_plain(server)).config
        assert config.service.http_address, server.place
        if server.way not in OF_OTHERS:
            chosen = {config.model.generator} - {"auto"} or {choice.LARGE, choice.SMALL}
            assert {"all-minilm-l6-v2", *chosen} <= pulled[server.way], server.place
            assert server.way in created or "--follow" in server.arguments, server.place
    ways = {server.way for server in servers}
    assert {"Dockerfile", "compose", "systemd", "default-values.yaml"} <= ways


def test_a_stop_leaves_time_to_drain() -> None:
    service = Config().service
    drain = service.lame_duck_s + service.drain_s
    assert int(dict(unit_settings())["TimeoutStopSec"]) > drain
    for name, found in compose()["services"].items():
        if found["image"].startswith("expertrag:"):
            assert int(found["stop_grace_period"].rstrip("s")) > drain, name


@with_binaries
def test_ports_and_the_user_are_the_same_everywhere() -> None:
    given = instructions()
    addresses = (image_environment()[f"EXPERTRAG_SERVICE_{name}"] for name in ADDRESSES)
    exposed = [address.rpartition(":")[2] for address in addresses]
    user = dict(given)["USER"]
    assert dict(given)["EXPOSE"].split() == exposed
    scraped = (COMPOSE / "prometheus" / "prometheus.yml").read_text("utf-8")
    jobs = yaml.safe_load(scraped)["scrape_configs"][0]["static_configs"]
    targets = {target for job in jobs for target in job["targets"]}
    services = {n: s for n, s in compose()["services"].items() if s["image"][:10] == "expertrag:"}
    servers = {name: s for name, s in services.items() if s.get("command", [""])[0] == "serve"}
    metrics = {s["environment"]["EXPERTRAG_SERVICE_METRICS_PORT"] for s in servers.values()}
    assert {port for s in servers.values() for port in s["expose"]} == {*exposed, *metrics}
    assert compose()["services"]["balancer"]["ports"] == [f"127.0.0.1:{p}:{p}" for p in exposed]
    assert targets == {f"{name}:{metrics_port}" for name in servers for metrics_port in metrics}
    assert {service["user"] for service in services.values()} == {user}
    for release in releases().values():
        for pod in pods(release["documents"]).values():
            own = pod["securityContext"]
            assert f"{own['runAsUser']}:{own['runAsGroup']}" == user
            ports = {item["containerPort"] for item in pod["containers"][0]["ports"]}
            assert ports == {int(port) for port in (*exposed, *metrics)}


def test_containers_run_with_little() -> None:
    for name, service in compose()["services"].items():
        if not service["image"].startswith(("docker.io/grafana", "docker.io/pgvector")):
            assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        for published in service.get("ports", ()):
            assert published.startswith("127.0.0.1:"), name
        for variable in service.get("environment", {}):
            assert "PASSWORD" not in variable or variable.endswith("_FILE"), name
    dockerfile = [rest for name, rest in instructions() if name in ("ARG", "ENV")]
    assert not [text for text in dockerfile if any(s in text for s in ("PASSWORD", "SECRET"))]


def test_the_context_of_the_image_is_what_the_wheel_is_built_from() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert kept == {
        "LICENSE", "README.md", "constraints.txt", "pyproject.toml",
        "common", "expertrag", "index", "kernels", "retriever",
    }  # fmt: skip


@with_binaries
def test_hadolint_accepts_the_dockerfile(tmp_path: Path) -> None:
    done = ran("hadolint", "--failure-threshold", "style", DOCKERFILE)
    assert (done.returncode, done.stdout) == (0, "")
    bad = tmp_path / "Dockerfile"
    bad.write_text(DOCKERFILE.read_text("utf-8") + "RUN cd /tmp\n", encoding="utf-8")
    assert "DL3003" in ran("hadolint", bad).stdout


def test_yamllint_accepts_what_is_not_a_template() -> None:
    done = ran("yamllint", "--strict", "deploy", cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "")


def test_compose_yaml_follows_its_specification(tmp_path: Path) -> None:
    check = ("check-jsonschema", "--builtin-schema", "vendor.compose-spec")
    done = ran(*check, COMPOSE / "compose.yaml")
    assert done.returncode == 0, done.stdout
    bad = tmp_path / "compose.yaml"
    text = (COMPOSE / "compose.yaml").read_text("utf-8")
    bad.write_text(text.replace("read_only: true", "readonly: true", 1), encoding="utf-8")
    assert ran(*check, bad).returncode == 1


def test_values_of_the_chart_have_a_valid_schema() -> None:
    done = ran("check-jsonschema", "--check-metaschema", CHART / "values.schema.json")
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    text = UNIT.read_text("utf-8").replace(
        "/opt/expertrag/bin/expertrag", shutil.which("true") or ""
    )
    unit.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    strict = ["systemd-analyze", "security", "--offline=yes", "--threshold=15", str(unit)]
    done = subprocess.run(strict, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_settings_in_files_are_documented_ones() -> None:
    text = (COMPOSE / ".env.example").read_text("utf-8")
    names = {line.partition("=")[0] for line in text.splitlines() if line[:1] not in ("", "#")}
    ours = {name for name in names if name.startswith("EXPERTRAG_")} - COMPOSE_VARIABLES
    assert ours <= {setting.env for setting in settings()}
