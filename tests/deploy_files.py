"""The files of deploy/: what they run, with which environment, and the tools that check them."""

from __future__ import annotations

import functools
import json
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
COMPOSE = DEPLOY / "compose"
CHART = DEPLOY / "helm" / "expertrag"
UNIT = DEPLOY / "systemd" / "expertrag.service"
GUIDE = ROOT / "docs" / "guide" / "deploying.md"
TOOLS = ROOT / ".deploy"
SCRIPTS = ROOT / "tests" / "packaging" / "deploy"
KUBERNETES = "1.31"

with_binaries = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="the tools' packages carry binaries for Linux on x86-64",
)


@dataclass(frozen=True, slots=True)
class Launch:
    """A command line of expertrag in a file, without the program's name, and its environment."""

    place: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def way(self) -> str:
        """The way to deploy: compose, systemd, or the values of a release."""
        return self.place.partition(" ")[0]


def tool(name: str) -> Path:
    """Return a program of the environment of `make .deploy/.installed`."""
    if not (TOOLS / ".installed").exists():
        pytest.fail(f"the tools are not installed in {TOOLS}; run `make .deploy/.installed`")
    return TOOLS / "bin" / name


def ran(name: str, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run one of the tools."""
    command = [str(tool(name)), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, **options
    )


def compose() -> dict[str, Any]:
    """Return compose.yaml, its anchors resolved."""
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text("utf-8"))
    return found


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text("utf-8").splitlines() if line[:1] != "#"]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    split = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(name, rest.strip()) for name, _, rest in split]


@functools.cache
def rendered(*values: Path) -> dict[str, Any]:
    """Render the chart with each values file; see ``deploy/rendered.py``."""
    done = ran("python", SCRIPTS / "rendered.py", CHART, KUBERNETES, *values)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def releases() -> dict[str, Any]:
    """Render the chart with the values files that it carries."""
    return rendered(*sorted((CHART / "ci").glob("*.yaml")))


def pods(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the pods of a release by the kind of what starts them."""
    kinds = ("StatefulSet", "Deployment")
    return {
        item["kind"]: item["spec"]["template"]["spec"]
        for item in documents
        if item["kind"] in kinds
    }


def launches() -> Iterator[Launch]:
    """Yield every command line of expertrag in deploy/ and in the guide."""
    yield from _of_image()
    yield from _of_compose()
    yield from _of_chart()
    yield from _of_unit()
    for line in GUIDE.read_text("utf-8").splitlines():
        if line.startswith("expertrag "):
            yield Launch("guide", tuple(shlex.split(line, comments=True)[1:]), {})


def image_environment() -> dict[str, str]:
    """Return the variables of the image's last stage."""
    found: dict[str, str] = {}
    for name, rest in instructions():
        if name == "FROM":
            found.clear()
        elif name == "ENV":
            found |= dict(item.partition("=")[::2] for item in shlex.split(rest))
    return found


def _of_image() -> Iterator[Launch]:
    given = dict(instructions())
    entry = json.loads(given["ENTRYPOINT"])
    check = json.loads(given["HEALTHCHECK"].partition("CMD ")[2])
    for command in (entry + json.loads(given["CMD"]), check):
        assert command[0] == "expertrag"
        yield Launch("Dockerfile", tuple(command[1:]), image_environment())


def _of_compose() -> Iterator[Launch]:
    for name, service in compose()["services"].items():
        if service["image"].startswith("expertrag:"):
            entry = service.get("entrypoint", ["expertrag"])
            command = [*entry, *service.get("command", [])]
            assert command[0] == "expertrag"
            if name == "tokens":  # what to do with tokens is left to the caller
                command += ["list"]
            environment = {**image_environment(), **service.get("environment", {})}
            yield Launch(f"compose {name}", tuple(command[1:]), environment)


def _of_chart() -> Iterator[Launch]:
    for values, release in releases().items():
        for kind, pod in pods(release["documents"]).items():
            for container in (*pod.get("initContainers", ()), *pod["containers"]):
                environment = {item["name"]: item["value"] for item in container.get("env", ())}
                environment = {**image_environment(), **environment}
                place = f"{values} {kind} {container['name']}"
                yield Launch(place, tuple(container["args"]), environment)
                for probe in ("readinessProbe", "livenessProbe"):
                    command = container.get(probe, {}).get("exec", {}).get("command")
                    if command:
                        assert command[0] == "expertrag"
                        yield Launch(f"{place} {probe}", tuple(command[1:]), environment)


def unit_settings() -> list[tuple[str, str]]:
    """Return the settings of the systemd unit, in order."""
    lines = UNIT.read_text("utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line[:1] not in ("", "#", "["))
    return [(key, value) for key, _, value in pairs]


def _of_unit() -> Iterator[Launch]:
    settings = unit_settings()
    values = [value.partition("=")[::2] for key, value in settings if key == "Environment"]
    environment = dict(values)
    for key, value in settings:
        if key in ("ExecStartPre", "ExecStart"):
            command = shlex.split(value)
            if command[0] == "/usr/bin/env":
                environment = environment | dict([command[1].split("=")])
                command = command[2:]
            assert Path(command[0]).name == "expertrag"
            place = "systemd" if key == "ExecStart" else f"systemd {' '.join(command[1:3])}"
            yield Launch(place, tuple(command[1:]), environment)
            environment = dict(values)
