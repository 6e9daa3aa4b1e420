"""Print the metrics and labels of PromQL queries; run by the Python of `make .deploy/.installed`.

Reads a JSON list of queries from stdin and prints, for each, ``metrics`` (its selectors: a name and
the labels that they match) and ``labels`` (those that it groups by); or ``error``.
"""

# ruff: noqa: T201
from __future__ import annotations

import json
import sys
from typing import Any

import promql_parser as promql


def described(query: str) -> dict[str, Any]:
    """Describe one query."""
    try:
        tree = promql.parse(query)
    except ValueError as error:
        return {"error": str(error)}
    found: dict[str, Any] = {"metrics": [], "labels": []}
    walk(tree, found)
    return found


def walk(node: Any, found: dict[str, Any]) -> None:
    """Add what a node of the syntax tree and those below it name."""
    if isinstance(node, promql.VectorSelector):
        labels = sorted({matcher.name for matcher in node.matchers.matchers} - {"__name__"})
        found["metrics"].append([node.name, labels])
    elif isinstance(node, promql.MatrixSelector):
        walk(node.vector_selector, found)
    elif isinstance(node, promql.BinaryExpr):
        walk(node.lhs, found)
        walk(node.rhs, found)
    elif isinstance(node, promql.Call):
        for argument in node.args:
            walk(argument, found)
    elif hasattr(node, "expr"):
        if getattr(node, "modifier", None) is not None:
            found["labels"] += node.modifier.labels
        walk(node.expr, found)


if __name__ == "__main__":
    print(json.dumps([described(query) for query in json.load(sys.stdin)]))
