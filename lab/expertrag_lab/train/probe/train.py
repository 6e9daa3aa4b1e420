"""Train a probe on data sets and write its folder."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from expertrag.api.errors import InvalidArgument
from expertrag.llm import prompt
from expertrag.llm.probe import Owner, Probe
from expertrag_lab.metrics.calibration import auc
from expertrag_lab.probe_files import save_probe
from expertrag_lab.train.probe.fit import UNANSWERED, FittedProbe, fit, platt
from expertrag_lab.train.probe.states import states_of
from expertrag_lab.work_folder import work_folder
from expertrag_retriever.publish import publish

if TYPE_CHECKING:
    from expertrag.llm.base import WhiteBox
    from expertrag_index.types import FloatArray, Progress
    from expertrag_lab.train.probe.prompts import ProbeSet, Prompt

_DOUBTFUL_FROM = 0.25  # doubt threshold of the card's last column
_LEAST = 1e-9  # smallest probability, so that log odds stay finite
FEWEST = 40
"""Fewest prompts with, and without, the answer that a fit needs."""


@dataclass(frozen=True, slots=True)
class ProbeSetReport:
    """Figures of one data set.

    ``abstains``, ``left_out`` and ``dev`` are AUROCs for prompts without the answer; None if all
    prompts are of one kind. ``abstains``: by the probability that the reply begins with
    ``prompt.NOT_FOUND``, which needs no training. ``left_out``: train prompts, by a probe that has
    not seen the data set. ``dev``: dev prompts, by the final probe. ``withheld`` and ``lost``: the
    shares of dev prompts without and with the answer whose doubt is at least ``_DOUBTFUL_FROM``.
    """

    name: str
    licence: str
    sha256: str
    prompts: int
    lacking: int
    abstains: float | None
    left_out: float | None
    dev: float | None
    dev_prompts: int
    withheld: float | None
    lost: float | None


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """Result of a training. ``words``: scaling of the probability of a verbal abstention."""

    owner: Owner
    command: str
    penalty: float
    words: prompt.Doubt
    sets: tuple[ProbeSetReport, ...]
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """Prompts, their states [N, 2 D], and the probability of a verbal abstention [N]."""

    prompts: Sequence[Prompt]
    states: FloatArray
    abstains: Sequence[float]

    @property
    def lacking(self) -> list[bool]:
        return [item.lacking for item in self.prompts]


def train_probe(
    sets: Sequence[ProbeSet],
    generator: WhiteBox,
    out: Path,
    progress: Progress,
    *,
    command: str,
    licence: str,
) -> ProbeReport:
    """Train a probe for a language model and write the folder ``out`` atomically.

    Intermediate results are in ``OUT.partial``; an interrupted training resumes from there.

    :param command: command that reproduces the training, for the card.
    :param licence: licence of the probe, for the card.
    :raises InvalidArgument: too few prompts of a kind, or the model is not a reader.
    :raises OutputTakenError: another run for ``out`` is under way.
    """
    started = time.monotonic()
    _check(sets, generator)
    owner = Owner(
        generator.name, generator.fingerprint, prompt.fingerprint(prompt.FAMILIES[generator.family])
    )
    with work_folder(out) as work:
        path = work / f"states-{owner.fingerprint[:12]}-{owner.prompts[:8]}.jsonl"
        train, dev = [], []
        for part in sets:
            train.append(_read(part.train, generator, path, f"probe: {part.name}", progress))
            dev.append(_read(part.dev, generator, path, f"probe: {part.name}, dev", progress))
        progress("probe: fitting", 0, None)
        fit = _fit(sets, train)
        probe = Probe(fit.weights, fit.bias, owner)
        report = ProbeReport(
            owner=owner,
            command=command,
            penalty=fit.penalty,
            words=_words(train),
            sets=tuple(_set_reports(sets, train, dev, fit)),
            seconds=time.monotonic() - started,
        )
        with publish(out) as scratch:
            save_probe(probe, asdict(report), card(report, licence), scratch)
    return report


def _check(sets: Sequence[ProbeSet], generator: WhiteBox) -> None:
    """Check that the model is a reader, and that there are enough prompts of both kinds.

    :raises InvalidArgument: if not.
    """
    if not generator.reader:
        raise InvalidArgument(
            f"generator: {generator.name} is not a reader, so a probe of it would not be used; "
            "name a chat model of a billion parameters or more, or train a reader on it first"
        )
    every = [item for part in sets for item in part.train]
    lacking = sum(item.lacking for item in every)
    if min(lacking, len(every) - lacking) < FEWEST:
        raise InvalidArgument(
            f"data: {FEWEST} prompts with and {FEWEST} without the answer are needed; these data "
            f"sets give {len(every) - lacking} and {lacking}; add data sets, or raise --searches"
        )


def _read(
    prompts: Sequence[Prompt], generator: WhiteBox, path: Path, stage: str, progress: Progress
) -> _Read:
    if not prompts:
        return _Read((), np.zeros((0, 0), np.float32), ())
    return _Read(prompts, *states_of(prompts, generator, path, stage, progress))


def _fit(sets: Sequence[ProbeSet], train: Sequence[_Read]) -> FittedProbe:
    read = [(item.name, part) for item, part in zip(sets, train, strict=True) if part.prompts]
    return fit(
        np.concatenate([part.states for _, part in read]),
        [lacking for _, part in read for lacking in part.lacking],
        [item.group for _, part in read for item in part.prompts],
        [name for name, part in read for _ in part.prompts],
    )


def _words(train: Sequence[_Read]) -> prompt.Doubt:
    """Scale the probability of a verbal abstention, for models of the family without a probe."""
    said = np.clip([value for part in train for value in part.abstains], _LEAST, 1 - _LEAST)
    lacking = np.array([lacks for part in train for lacks in part.lacking], bool)
    slope, intercept = platt(np.log(said / (1 - said)), lacking)
    return prompt.Doubt(round(slope, 3), round(intercept, 3))


def _set_reports(
    sets: Sequence[ProbeSet], train: Sequence[_Read], dev: Sequence[_Read], fit: FittedProbe
) -> list[ProbeSetReport]:
    reports, start = [], 0
    doubtful = math.log(_DOUBTFUL_FROM / (1 - _DOUBTFUL_FROM))
    for item, learned, asked in zip(sets, train, dev, strict=True):
        unseen = fit.unseen[start : start + len(learned.prompts)].tolist()
        start += len(learned.prompts)
        odds = (asked.states @ fit.weights + fit.bias).tolist() if asked.prompts else []
        reports.append(
            ProbeSetReport(
                name=item.name,
                licence=item.licence,
                sha256=item.sha256,
                prompts=len(learned.prompts),
                lacking=sum(learned.lacking),
                abstains=auc(learned.abstains, learned.lacking),
                left_out=auc(unseen, learned.lacking),
                dev=auc(odds, asked.lacking),
                dev_prompts=len(odds),
                withheld=_share(odds, asked.lacking, doubtful, of=True),
                lost=_share(odds, asked.lacking, doubtful, of=False),
            )
        )
    return reports


def _share(
    odds: Sequence[float], lacking: Sequence[bool], least: float, *, of: bool
) -> float | None:
    """Share of the prompts without (``of``) or with the answer whose odds reach ``least``."""
    some = [value >= least for value, lacks in zip(odds, lacking, strict=True) if lacks is of]
    return sum(some) / len(some) if some else None


def card(report: ProbeReport, licence: str) -> str:
    """Return the card as Markdown."""
    rows = [
        "| data set (hash) | licence | prompts (without the answer) | AUROC: words | left out "
        f"| dev (prompts) | doubt of {_DOUBTFUL_FROM:g} or more: without, with the answer |",
        "|---|---|---|---|---|---|---|",
        *map(_row, report.sets),
    ]
    table = "\n".join(rows)
    return f"""---
license: {licence.lower()}
base_model: {report.owner.generator}
tags: [retrieval-augmented-generation, abstention, linear-probe]
---
# A sufficiency probe of {report.owner.generator}

Logistic regression on the hidden states of a prompt's last token, at half and three quarters of
the layers. It predicts the probability that no passage of the prompt holds the answer (Slobodkin
et al. 2023).

{table}

AUROC: prompts without the answer against prompts with it. Words: by the probability that the reply
begins with "{prompt.NOT_FOUND}", without training. Left out: by a probe trained without the data
set. Dev: questions of the train split, none about a document that the probe is trained on. Inverse
penalty {report.penalty:g}, chosen leave-one-set-out; calibrated for a share of {UNANSWERED:g} of
unanswerable questions. The folder contains no text of the data sets. Trained with

    {report.command}

Files of the model: `{report.owner.fingerprint}`; prompts: `{report.owner.prompts}`.
"""


def _row(item: ProbeSetReport) -> str:
    cells: Mapping[str, str] = {
        "set": f"{item.name} (`{item.sha256[:12]}`)",
        "licence": item.licence,
        "prompts": f"{item.prompts:,} ({item.lacking:,})",
        "words": format_figure(item.abstains),
        "left out": format_figure(item.left_out),
        "dev": f"{format_figure(item.dev)} ({item.dev_prompts})",
        "strict": f"{format_figure(item.withheld)}, {format_figure(item.lost)}",
    }
    return f"| {' | '.join(cells.values())} |"


def format_figure(value: float | None) -> str:
    """Format a figure; "none" if there was nothing to measure."""
    return "none" if value is None else f"{value:.2f}"
