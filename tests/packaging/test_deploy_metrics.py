"""Every query of the dashboard, alerts and autoscaler is about metrics that a server exports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml
from deploy_files import COMPOSE, DEPLOY, SCRIPTS, ran, releases, with_binaries
from prometheus_client.metrics import MetricWrapperBase

from expertrag.serving.core.metrics import Metrics

DASHBOARD = COMPOSE / "grafana" / "dashboards" / "expertrag.json"
ALERTS = COMPOSE / "prometheus" / "alerts.yml"
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
OF_PROMETHEUS = {"up": set[str]()}
OF_SCRAPES = {"instance", "job", "role", "le"}
"""Labels that Prometheus adds: `role` by our prometheus.yml, `le` of histograms."""


def exported() -> dict[str, set[str]]:
    """Return the labels of every time series of a server, by its name."""
    metrics = Metrics()
    metrics.watch_engine(lambda: {"steps": 1})
    metrics.watch_replica(lambda: None)
    labels = {
        metric._name: set(metric._labelnames)
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
    }
    found: dict[str, set[str]] = {}
    for family in metrics.registry.collect():
        of_samples = {name for sample in family.samples for name in sample.labels}
        for suffix in SUFFIXES[family.type]:
            found[family.name + suffix] = labels.get(family.name, of_samples)
    return found


def queries() -> Iterator[str]:
    """Yield the queries of the dashboard and of the alerts, with Grafana's variables filled in."""
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m")
    for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def problems(asked: Sequence[str]) -> list[str]:
    """Return what is wrong with queries."""
    done = ran("python", SCRIPTS / "queries.py", input=json.dumps(asked))
    assert done.returncode == 0, done.stderr
    known, found = {**exported(), **OF_PROMETHEUS}, []
    for query, described in zip(asked, json.loads(done.stdout), strict=True):
        found += [f"{query}: {text}" for text in _wrong(described, known)]
    return found


def _wrong(described: dict[str, Any], known: dict[str, set[str]]) -> Iterator[str]:
    if "error" in described:
        yield described["error"]
        return
    allowed = set(OF_SCRAPES)
    for name, labels in described["metrics"]:
        if name not in known:
            yield f"no metric {name}"
            continue
        allowed |= known[name]
        yield from (
            f"{name} has no label {label}" for label in {*labels} - known[name] - OF_SCRAPES
        )
    yield from (f"no label {label}" for label in {*described["labels"]} - allowed)


def test_every_query_names_what_a_server_exports() -> None:
    asked = list(queries())
    assert len(asked) > 15
    assert problems(asked) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("rate(expertrag_calls[5m])", "no metric expertrag_calls"),
        ("sum by (reason) (rate(expertrag_calls_total[5m]))", "no label reason"),
        ('expertrag_shed_total{code="OK"}', "expertrag_shed_total has no label code"),
        ("sum(expertrag_waiting", "unclosed"),
    ],
)
def test_a_wrong_query_is_found(query: str, message: str) -> None:
    assert [text for text in problems([query]) if message in text]


@with_binaries
def test_readers_scale_by_a_gauge_that_the_adapter_serves() -> None:
    documents = releases()["all-values.yaml"]["documents"]
    (scaler,) = [item for item in documents if item["kind"] == "HorizontalPodAutoscaler"]
    (metric,) = scaler["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert name in exported()
    adapter = yaml.safe_load((DEPLOY / "helm" / "prometheus-adapter.yaml").read_text("utf-8"))
    assert adapter["rules"]["custom"][0]["seriesQuery"].startswith(f"{name}{{")


def test_panels_have_ids_of_their_own_and_a_place() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
