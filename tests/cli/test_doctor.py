"""The doctor: findings, and the commands that fix faults."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from model_server import ModelServer

from expertrag.cli.installation import Finding, diagnose
from expertrag_common.extras import install_command
from expertrag_kernels.cpu_experts import ENCODER_ISAS, ISAS

# Packages not in the base install: their imports fail as if they were not installed.
BASE = """
import sys
from importlib import metadata
absent = ("torch", "numpy", "faiss", "transformers", "platformdirs", "structlog", "tqdm")
for name in absent:
    sys.modules[name] = None
version = metadata.version
def without(name):
    if name not in ("click", "grpcio", "grpcio-status", "protobuf", "googleapis-common-protos"):
        raise metadata.PackageNotFoundError(name)
    return version(name)
metadata.version = without
sys.argv = ["expertrag", "doctor", "--json"]
from expertrag.cli.main import main
from expertrag_common.extras import install_command
main()
"""


def by_name(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_a_complete_installation_is_healthy(minilm_path: Path, reader_path: Path) -> None:
    diagnosis = diagnose()
    found = by_name(diagnosis.findings)
    assert diagnosis.healthy, [f for f in diagnosis.findings if f.status == "missing"]
    assert found["python"].detail.startswith(sys.version.split()[0])
    detail = found["experts kernel"].detail
    assert detail == f"cpu, compiled for {ISAS[0]}" if ISAS else "C++ compiler" in detail
    encoders = found["encoder kernel"].detail
    assert encoders == f"compiled for {ENCODER_ISAS[0]}" if ENCODER_ISAS else "torch" in encoders
    assert found["all-minilm-l6-v2"].status == "ok"
    assert found["smollm2-135m-instruct-moe"].status == found["smollm2-135m-reader"].status == "ok"
    assert all(finding.cure for finding in diagnosis.findings if finding.status != "ok")


def test_the_multilingual_embedder_is_optional(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERTRAG_CACHE", str(tmp_path))
    found = by_name(diagnose().findings)
    assert found["multilingual-e5-small"].status == "absent"
    assert found["all-minilm-l6-v2"].status == "missing"


def test_model_servers_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERTRAG_CACHE", str(tmp_path))  # no models, whose checksums take long
    good, other, dead = (ModelServer() for _ in range(3))
    try:
        good.behave(told={"max_model_len": 900})
        other.behave(model="other")
        dead.kill()
        urls = ",".join(server.url for server in (good, other, dead))
        monkeypatch.setenv("EXPERTRAG_MODEL_GENERATOR", f"openai:{urls}#tiny")
        found = by_name(diagnose().findings)
    finally:
        for server in (good, other, dead):
            server.kill()
    assert found[good.where].status == "ok"
    assert found[good.where].detail == "serves tiny, context of 900 tokens"
    assert found[other.where].detail == "serves other, not tiny"
    assert found[dead.where].detail.startswith("no model server at")
    assert found[dead.where].status == found[other.where].status == "missing"
    assert found[dead.where].cure and found[other.where].cure
    monkeypatch.setenv("EXPERTRAG_MODEL_GENERATOR", "openai:tiny")
    assert "openai:URL#MODEL" in by_name(diagnose().findings)["name"].detail


def test_missing_and_damaged_models_and_wrong_settings_show_their_fix_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERTRAG_CACHE", str(tmp_path))
    monkeypatch.setenv("EXPERTRAG_SEARCH_K", "0")
    card = tmp_path / "models" / "smollm2-135m-reader" / "card.json"
    card.parent.mkdir(parents=True)
    card.write_text("{")
    diagnosis = diagnose()
    found = by_name(diagnosis.findings)
    assert not diagnosis.healthy
    assert found["settings"].status == "missing" and "search.k" in found["settings"].detail
    for name, status in (("all-minilm-l6-v2", "missing"), ("smollm2-135m-reader", "damaged")):
        assert (found[name].status, found[name].cure) == (status, f"expertrag models pull {name}")
        assert found[name].cure not in found[name].detail


def test_the_base_install_is_enough() -> None:
    done = subprocess.run([sys.executable, "-c", BASE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    found = {item["name"]: item for item in report["findings"]}
    assert report["healthy"] is True
    assert found["torch"]["status"] == "absent"
    cures = [item["cure"] for item in report["findings"] if item["area"] == "packages: server"]
    assert cures == [install_command("server")]
