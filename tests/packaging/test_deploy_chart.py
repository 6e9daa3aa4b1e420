"""The Helm chart, rendered by Helm's own code: valid for Kubernetes, and its parts fit together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy_files import CHART, pods, releases, rendered, with_binaries

pytestmark = with_binaries

VALUES = sorted(path.name for path in (CHART / "ci").glob("*.yaml"))
LEAST: dict[str, Any] = yaml.safe_load((CHART / "ci" / "default-values.yaml").read_text("utf-8"))


def documents(values: str, kind: str) -> list[Any]:
    return [found for found in releases()[values]["documents"] if found["kind"] == kind]


@pytest.mark.parametrize("values", VALUES)
def test_the_release_is_valid(values: str) -> None:
    assert releases()[values]["problems"] == []
    assert len(documents(values, "StatefulSet")) == len(documents(values, "Deployment")) == 1


@pytest.mark.parametrize("values", VALUES)
def test_selectors_and_names_fit_together(values: str) -> None:
    of_role: dict[str, Any] = {}
    for kind in ("StatefulSet", "Deployment"):
        (found,) = documents(values, kind)
        labels = found["spec"]["template"]["metadata"]["labels"]
        assert found["spec"]["selector"]["matchLabels"].items() <= labels.items()
        of_role[labels["app.kubernetes.io/component"]] = found
    for service in documents(values, "Service"):
        role = service["spec"]["selector"]["app.kubernetes.io/component"]
        target = of_role[role]["spec"]["template"]
        assert service["spec"]["selector"].items() <= target["metadata"]["labels"].items()
        ports = {port["name"] for port in target["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
        assert service["spec"]["clusterIP"] == "None"
    services = {service["metadata"]["name"] for service in documents(values, "Service")}
    assert of_role["writer"]["spec"]["serviceName"] in services
    for scaler in documents(values, "HorizontalPodAutoscaler"):
        name = scaler["spec"]["scaleTargetRef"]["name"]
        assert name == of_role["reader"]["metadata"]["name"]
        assert "replicas" not in of_role["reader"]["spec"]  # or an upgrade would undo the scaler
    for policy in documents(values, "NetworkPolicy"):
        for found in of_role.values():
            labels = found["spec"]["template"]["metadata"]["labels"]
            assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("values", VALUES)
def test_pods_may_do_little(values: str) -> None:
    for pod in pods(releases()[values]["documents"]).values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        claims = {volume["name"] for volume in pod["volumes"]} | {"data"}
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] is True
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounts.keys() <= claims
            assert mounts["tmp"] == "/tmp"


@pytest.mark.parametrize("values", VALUES)
def test_a_stop_leaves_time_to_drain(values: str) -> None:
    for pod in pods(releases()[values]["documents"]).values():
        given = {item["name"]: item["value"] for item in pod["containers"][0]["env"]}
        drain = sum(float(given[f"EXPERTRAG_SERVICE_{name}_S"]) for name in ("LAME_DUCK", "DRAIN"))
        assert pod["terminationGracePeriodSeconds"] > drain


def test_the_writer_is_one_and_readers_are_never_fewer() -> None:
    (writer,) = documents("default-values.yaml", "StatefulSet")
    assert writer["spec"]["replicas"] == 1
    assert "--push" in pods([writer])["StatefulSet"]["containers"][0]["args"]
    (reader,) = documents("default-values.yaml", "Deployment")
    assert reader["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    container = pods([reader])["Deployment"]["containers"][0]
    assert "--follow" in container["args"] and "--allow-writes" not in container["args"]


def test_the_token_file_is_a_secret() -> None:
    assert documents("default-values.yaml", "Secret") == []
    (secret,) = documents("all-values.yaml", "Secret")
    assert secret["stringData"] == {"tokens.json": '{"tokens": []}'}
    for pod in pods(releases()["all-values.yaml"]["documents"]).values():
        volume = next(volume for volume in pod["volumes"] if volume["name"] == "tokens")
        assert volume["secret"]["secretName"] == secret["metadata"]["name"]


def test_probes_speak_tls_where_the_server_does() -> None:
    plain = pods(releases()["open-values.yaml"]["documents"])["Deployment"]["containers"][0]
    assert plain["readinessProbe"]["grpc"] == {"port": 50051}
    assert plain["livenessProbe"]["grpc"]["service"] == "expertrag.v1.InfoService"
    secured = pods(releases()["default-values.yaml"]["documents"])["Deployment"]["containers"][0]
    assert secured["readinessProbe"]["exec"]["command"][0] == "expertrag"
    assert "tcpSocket" in secured["livenessProbe"]


WRONG: dict[str, dict[str, Any]] = {
    "replicas.url is required": {"replicas": {"url": ""}},
    "set tokens.existingSecret": {"tokens": {}},
    "set tls.existingSecret": {"tls": {}},
    "set tls.serverName": {"tls": {"existingSecret": "x"}},
    "replicas/url": {"replicas": {"url": "bucket"}},
    "additional properties 'replica'": {"readers": {"replica": 3}},
    "lower": {"environment": {"lower": "x"}},
    "podSelectors": {"networkPolicy": {"callers": [{"podSelectors": {}}]}},
}
"""Values by what is said against them: by the templates, by the schema, by that of Kubernetes."""


def test_wrong_values_are_refused(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.yaml" for number in range(len(WRONG))]
    for file, change in zip(files, WRONG.values(), strict=True):
        file.write_text(yaml.safe_dump({**LEAST, **change}), encoding="utf-8")
    found = rendered(*files)
    said = [str(found[file.name].get("error") or found[file.name]["problems"]) for file in files]
    assert [text for text, message in zip(said, WRONG, strict=True) if message not in text] == []


def test_the_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    version = re.search(
        r'^version = "(.+)"', (CHART.parents[2] / "pyproject.toml").read_text(), re.M
    )
    assert version is not None and chart["appVersion"] == version.group(1)
