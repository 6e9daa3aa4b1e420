"""Fit the probe of internal questions: those that only the asker's own documents can answer.

    python lab/benchmarks/fit_internal.py --out FOLDER --json FILE

"Who is our data protection officer?" and "Why do we dream?" differ in whether "we" is the company.
A logistic regression on the hidden states of the closed-book prompt tells them apart. It is fitted
on the train half of ``internal_questions.jsonl`` and measured on its test half, on everyday
requests, on questions of open sets (``openqa`` and the general questions of ``mixed``), and on the
questions of two invented companies that their documents do not answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import office_questions
import results_file
from eval_answers import MODELS
from mixed_store import MATERIAL as MIXED
from reader_figures import HEADER, Figure, area, mean

from expertrag.answer.assemble import open_generator
from expertrag.api.types import Sampling
from expertrag.cli.progress import progress
from expertrag.config import NO_PROBE, ModelConfig
from expertrag.llm import prompt
from expertrag.llm.base import Generator
from expertrag.llm.load.loading import quiet
from expertrag.llm.probe import INTERNAL_FROM, STATES, Owner, Probe
from expertrag_index.types import FloatArray, Progress
from expertrag_lab.data.resume import appending, read_results
from expertrag_lab.json_lines import read_lines
from expertrag_lab.probe_files import save_probe
from expertrag_lab.train.probe.fit import fit

HERE = Path(__file__).parent
FIRST_PERSON = "first-person"
OPEN_QUESTIONS = 300
CODE = ("expertrag/llm", "lab/expertrag_lab/train/probe", "lab/benchmarks/fit_internal.py")


@dataclass(frozen=True, slots=True)
class Message:
    """A message, whether it is internal, and the set that it is from."""

    text: str
    internal: bool
    kind: str
    train: bool = False


def main() -> None:
    """Fit, print the figures, and optionally write the probe and JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--model", default=MODELS[-1])
    parser.add_argument("--out", type=Path, help="folder of the probe to write")
    given = parser.parse_args()
    messages = list(_messages(given.data))
    generator = open_generator(ModelConfig(generator=given.model, probe=NO_PROBE))
    cache = given.work / "internal" / f"{generator.fingerprint}.jsonl"
    with progress() as report, quiet():
        states = states_of([each.text for each in messages], generator, cache, report)
    train = np.array([each.train for each in messages])
    texts = [each.text for each in messages if each.train]
    target = [each.internal for each in messages if each.train]
    fitted = fit(states[train], target, texts, ["internal"] * len(texts))
    odds = states @ fitted.weights + fitted.bias
    unseen = [
        (each, float(odd)) for each, odd in zip(messages, odds, strict=True) if not each.train
    ]
    result = list(figures(unseen))
    print("\n".join((HEADER, *(figure.row for figure in result))))
    body = {"penalty": fitted.penalty, "figures": list(map(asdict, result))}
    if given.out:
        given.out.mkdir(parents=True)
        owner = Owner(generator.name, generator.fingerprint, prompt.fingerprint_closed_book())
        probe = Probe(fitted.weights, fitted.bias, owner)
        save_probe(probe, {**body, "questions": len(texts)}, card(generator, result), given.out)
    results_file.write(given.json, body, CODE)


def states_of(
    texts: Sequence[str], generator: Generator, path: Path, report: Progress
) -> FloatArray:
    """Return the hidden states of closed-book prompts, [N, 2 D], kept on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with appending(path) as file:
        known = read_results(path, lambda item: (item["text"], item["state"]))
        for done, text in enumerate(texts, start=1):
            if text in known:
                continue
            with closing(
                generator.begin(prompt.write_closed_book(text), Sampling(max_tokens=1))
            ) as one:
                signals = one.peek(1)
            assert signals is not None, "the model runs in this process"
            state = np.concatenate([signals.vectors[name] for name in STATES])
            known[text] = [float(f"{value:.4g}") for value in state.tolist()]
            file.write(json.dumps({"text": text, "state": known[text]}) + "\n")
            file.flush()
            report("states", done, len(texts))
    return np.array([known[text] for text in texts], np.float32)


def figures(unseen: Sequence[tuple[Message, float]]) -> Iterator[Figure]:
    """Yield the AUROC on the test half, and the share that is read as internal by set."""
    written = [item for item in unseen if item[0].kind in KINDS]
    yield Figure(
        "AUROC, test half", area([odd for _, odd in written], [m.internal for m, _ in written])
    )
    groups: dict[str, list[float]] = {}
    for message, odd in unseen:
        name = f"{'internal' if message.internal else 'other'}, {message.kind}"
        groups.setdefault(name, []).append(float(1 / (1 + np.exp(-odd)) >= INTERNAL_FROM))
    for name, values in groups.items():
        figure = mean(f"read as internal: {name}", values)
        yield figure.at_least(0.95) if name.startswith("internal") else figure.at_most(0.05)


KINDS = (FIRST_PERSON, "definite", "other-language", "task", "knowledge", "smalltalk")


def _messages(data: Path) -> Iterator[Message]:
    for _, item in read_lines(HERE / "internal_questions.jsonl")[0]:
        yield Message(item["text"], item["internal"], item["kind"], item["half"] == "train")
    for line in (HERE / "everyday_requests.txt").read_text("utf-8").splitlines():
        yield Message(line, internal=False, kind="everyday requests")
    for _, item in read_lines(MIXED / "general.jsonl")[0]:
        yield Message(item["text"], internal=False, kind="general questions of the mixed store")
    for item in _test(read_lines(data / "openqa" / "queries.jsonl.gz")[0]):
        yield Message(item["text"], internal=False, kind="openqa")
    for question in office_questions.questions():
        if question.kind in ("us_missing", "general"):
            internal = question.kind == "us_missing"
            yield Message(question.question, internal, "office")


def _test(lines: Sequence[tuple[int, Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    items = [item for _, item in lines if item["metadata"]["split"] == "test"]
    return sorted(items, key=lambda item: hashlib.sha256(item["text"].encode()).digest())[
        :OPEN_QUESTIONS
    ]


def card(generator: Generator, result: Sequence[Figure]) -> str:
    """Return the card of the probe."""
    table = "\n".join((HEADER, *(figure.row for figure in result)))
    return f"""---
license: apache-2.0
base_model: {generator.name}
tags: [retrieval-augmented-generation, linear-probe]
---
# A probe of internal questions for {generator.name}

Logistic regression on the hidden states of a closed-book prompt's last token, half and three
quarters of the way up: the probability that only the asker's own documents can answer.

{table}

Trained on the train half of `lab/benchmarks/internal_questions.jsonl` by `make lab-internal-probe`.
Files of the model: `{generator.fingerprint}`.
"""


if __name__ == "__main__":
    main()
