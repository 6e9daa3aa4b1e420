"""Render the chart with values files and check it; run by the Python of `make .deploy/.installed`.

    rendered.py CHART KUBERNETES_VERSION VALUES...

Prints JSON, for each values file: ``error`` if the chart refuses the values, else its ``documents``
and the ``problems`` that Helm's linter and Kubernetes' schemas find.
"""

# ruff: noqa: T201
from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate as kubernetes
import yaml

NO_SCHEMA = {"ServiceMonitor"}
"""Kinds that are not Kubernetes' own."""
WARNING = 2


def rendered(folder: str, version: str, values: Path) -> dict[str, Any]:
    """Render one release."""
    given = yaml.safe_load(values.read_text("utf-8")) or {}
    try:
        with helm.Chart.load(folder) as chart:
            templates = chart.render(given, name="rag", namespace="apps")
    except helm.HelmError as error:
        return {"error": str(error)}
    documents = [
        document
        for name, text in sorted(templates.items())
        if name.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    ]
    problems = [
        message["error"]
        for message in helm.lint(folder, given, strict=True)["messages"]
        if message["severity"] >= WARNING
    ]
    problems += [found for document in documents for found in invalid(document, version)]
    return {"documents": documents, "problems": problems}


def invalid(document: dict[str, Any], version: str) -> Iterator[str]:
    """Yield what Kubernetes' schema of a document's kind says against it."""
    if document["kind"] in NO_SCHEMA:
        return
    try:
        kubernetes.validate(document, version, strict=True)
    except kubernetes.ValidationError as error:
        where = ".".join(str(part) for part in error.path)
        yield f"{document['kind']} {document['metadata']['name']}: {where}: {error.message}"


if __name__ == "__main__":
    _, chart_folder, kubernetes_version, *files = sys.argv
    found = {
        Path(file).name: rendered(chart_folder, kubernetes_version, Path(file)) for file in files
    }
    print(json.dumps(found))
