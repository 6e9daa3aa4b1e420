"""Losses of changed mixtures on the traffic of every domain, kept in a file once measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from surgery_texts import PromptLosses, Traffic, losses_of

from expertrag_index.types import Progress
from expertrag_lab.data.resume import appending, read_results, work_through
from expertrag_lab.surgery.mixture import Mixture

Losses = dict[str, PromptLosses]
"""By domain."""


def measured_losses(
    made: Mapping[str, Callable[[], Mixture]],
    held: Mapping[str, Traffic],
    kept: Path,
    report: Progress,
) -> dict[str, Losses]:
    """Measure mixtures by their names; those in the file ``kept`` are known.

    :param made: how each is made, in turn.
    """
    with appending(kept) as file:
        known = read_results(kept, _parsed)
        work_through(
            {name: name for name in made},
            known,
            file,
            lambda name: (name, losses_of(made[name]().model, held)),
            lambda result: json.dumps(dict(_dumped(*result))),
            "held-out losses",
            report,
        )
    return {name: known[name][1] for name in made}


def _dumped(name: str, found: Losses) -> Iterator[tuple[str, Any]]:
    yield "name", name
    for kind in ("tokens", "replies"):
        yield kind, {domain: getattr(item, kind).tolist() for domain, item in found.items()}


def _parsed(item: Mapping[str, Any]) -> tuple[str, tuple[str, Losses]]:
    found = {
        domain: PromptLosses(np.array(tokens), np.array(item["replies"][domain]))
        for domain, tokens in item["tokens"].items()
    }
    return item["name"], (item["name"], found)
