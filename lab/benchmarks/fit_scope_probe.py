"""Fit the probe of scopes: what a question asks, read from the model's hidden states.

    python lab/benchmarks/fit_scope_probe.py --data DATA --out FOLDER --json FILE

A multinomial logistic regression on the hidden states of a question's closed-book prompt. It is
fitted on questions worded one by one, in six languages, on questions from templates, and on the
train halves of public sets of questions. The shipped regression over words counts as well. It is
measured on questions about other organisations and on the test halves. The bounds limit the share
of real lookups of the half ``choose`` that are taken for another scope. A second regression, of two
classes, reads whether the answer is calculated. The states of 12,000 questions take 25 minutes and
are kept; ``--small`` takes every eighth question.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import results_file
from eval_answers import MODELS
from fit_internal import states_of
from fit_scope import most_taken
from reader_figures import HEADER, Figure, mean
from scope_figures import figures_of_asked, figures_of_real
from scope_questions import (
    MATERIAL,
    asked_questions,
    calculated_questions,
    copied_questions,
    real_questions,
)

from expertrag.answer.assemble import open_generator
from expertrag.answer.scope import SCOPES, load_shipped_weights
from expertrag.answer.scope_probe import ScopeProbe
from expertrag.cli.progress import progress
from expertrag.config import NO_PROBE, ModelConfig
from expertrag.llm import prompt
from expertrag.llm.base import Generator
from expertrag.llm.load.loading import quiet
from expertrag.llm.probe import Owner, Probe
from expertrag_index.types import FloatArray
from expertrag_lab.probe_files import save_scope_probe
from expertrag_lab.train.scope import fit
from expertrag_lab.train.scope.generate import ScopedQuestion, generate, read_language, with_errors
from expertrag_lab.train.scope.probe import fit_calculation, fit_probe
from expertrag_lab.train.scope.templates import HALVES
from expertrag_retriever.types import QuestionScope

OF_EACH_SET = {"train": 100, "choose": 60, "test": 60}
"""Questions of each public set, by half."""
FROM_TEMPLATES = {"en": 80, "de": 50, "fr": 20, "es": 20}
"""Questions of each scope from templates, by language."""
MISTYPED = 0.2
EVERY_SMALL = 8
COPIED = (
    QuestionScope.LOOKUP,
    QuestionScope.LATEST,
    QuestionScope.TWO_HOPS,
    QuestionScope.DOCUMENT,
)
"""Scopes of questions whose answer stands in a document."""
CODE = (
    "expertrag/answer/scope_probe.py",
    "expertrag/llm",
    "lab/expertrag_lab/train/scope",
    "lab/benchmarks/scope_questions.py",
    "lab/benchmarks/scope_figures.py",
    "lab/benchmarks/fit_scope_probe.py",
)


def main() -> None:
    """Fit, print the figures, and optionally write the probe and JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--model", default=MODELS[-1])
    parser.add_argument("--out", type=Path, help="folder of the probe to write")
    parser.add_argument("--small", action="store_true", help="fit on every eighth question")
    given = parser.parse_args()
    real = {
        half: sample(each, OF_EACH_SET[half]) for half, each in real_questions(given.data).items()
    }
    train = [*asked_questions("train"), *from_templates(), *real["train"]]
    train = train[:: EVERY_SMALL if given.small else 1]
    bounding = [each for each in real["choose"] if each.scope is QuestionScope.LOOKUP]
    every = [*train, *bounding, *asked_questions("test"), *real["test"]]
    calculated = {half: calculated_questions(given.data, half) for half in ("train", "test")}
    copied = {half: copied_questions(given.data, half) for half in ("train", "test")}
    generator = open_generator(ModelConfig(generator=given.model, probe=NO_PROBE))
    cache = given.work / "scope" / f"{generator.fingerprint}.jsonl"
    with progress() as report, quiet():
        more = [
            text for halves in (calculated, copied) for each in halves.values() for text in each
        ]
        texts = list(dict.fromkeys([*(each.text for each in every), *more]))
        states = dict(zip(texts, states_of(texts, generator, cache, report), strict=True))
    owner = Owner(generator.name, generator.fingerprint, prompt.fingerprint_closed_book())
    others = [*copied["train"], *(each.text for each in train if each.scope in COPIED)]
    calculation = fitted_calculation(calculated["train"], others, states, owner)
    probe = fitted(train, bounding, states, calculation)

    def accept(asked: Sequence[ScopedQuestion]) -> list[QuestionScope]:
        return fit.accept(predict(probe, asked, states), probe.bounds)

    lookups = [each.text for each in real["test"] if each.scope is QuestionScope.LOOKUP]
    tests = {
        "calculated, TAT-QA and worded: recognised": calculated["test"],
        "copied, TAT-QA: taken for calculated": copied["test"],
        "real lookups: taken for calculated": lookups,
    }
    result = [
        *figures_of_asked(accept),
        *figures_of_real(accept, real["test"]),
        *(taken_for_calculated(name, calculation, states, tests[name]) for name in tests),
    ]
    print("\n".join((HEADER, *(figure.row for figure in result))))
    body = {"questions": len(train), "figures": list(map(asdict, result))}
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        save_scope_probe(probe, body, card(generator, result), given.out)
    results_file.write(given.json, body, CODE)


def from_templates() -> list[ScopedQuestion]:
    """Return questions from the templates of every language, some with typing errors."""
    result: list[ScopedQuestion] = []
    for name, many in FROM_TEMPLATES.items():
        language = read_language(MATERIAL, name)
        questions = generate(language, HALVES, dict.fromkeys(SCOPES, many), seed=11)
        result += with_errors(list(questions), MISTYPED, seed=4)
    return result


def sample(questions: Sequence[ScopedQuestion], many: int) -> list[ScopedQuestion]:
    """Return some questions of each set, the same ones in every run."""
    sets: dict[str, list[ScopedQuestion]] = defaultdict(list)
    for question in questions:
        sets[question.kind].append(question)
    for each in sets.values():
        random.Random(1).shuffle(each)
    return [question for each in sets.values() for question in each[:many]]


def fitted(
    train: Sequence[ScopedQuestion],
    bounding: Sequence[ScopedQuestion],
    states: Mapping[str, FloatArray],
    calculation: Probe,
) -> ScopeProbe:
    """Fit, and choose the bounds on real lookups."""
    rows = np.stack([states[each.text] for each in train])
    weights, bias = fit_probe(rows, [each.scope for each in train])
    unbounded = ScopeProbe(weights, bias, {}, calculation)
    bounds = fit.choose_bounds(predict(unbounded, bounding, states), most_taken())
    return ScopeProbe(weights, bias, bounds, calculation)


def fitted_calculation(
    calculated: Sequence[str],
    others: Sequence[str],
    states: Mapping[str, FloatArray],
    owner: Owner,
) -> Probe:
    """Fit whether the answer to a question is calculated."""
    rows = np.stack([states[text] for text in (*calculated, *others)])
    weights, bias = fit_calculation(rows, [at < len(calculated) for at in range(len(rows))])
    return Probe(weights, bias, owner)


def taken_for_calculated(
    name: str, probe: Probe, states: Mapping[str, FloatArray], questions: Sequence[str]
) -> Figure:
    """Return the share of questions whose answer is taken for a calculated one."""
    odds = np.stack([states[text] for text in questions]) @ probe.weights + probe.bias
    return mean(name, [float(each >= 0) for each in odds])


def predict(
    probe: ScopeProbe, asked: Sequence[ScopedQuestion], states: Mapping[str, FloatArray]
) -> FloatArray:
    """Return the probabilities of questions, [N, C]."""
    texts = [each.text for each in asked]
    words = fit.predict(load_shipped_weights(), texts)
    return probe.predict(np.stack([states[text] for text in texts]), words)


def card(generator: Generator, result: Sequence[Figure]) -> str:
    """Return the card of the probe."""
    table = "\n".join((HEADER, *(figure.row for figure in result)))
    return f"""---
license: apache-2.0
base_model: {generator.name}
tags: [retrieval-augmented-generation, linear-probe]
---
# What a question asks of the documents, a probe for {generator.name}

Multinomial logistic regression on the hidden states of a closed-book prompt's last token, half and
three quarters of the way up: the probability that a question asks for one fact, a list, a count, an
aggregate, whether something exists, a comparison, the version in force, a fact two hops away, or a
whole document.

{table}

Fitted by `make scope-probe` in `lab` on the train half of `lab/benchmarks/scope/asked.jsonl`, on
questions from templates, and on the train halves of public sets of questions. The figures are of
the probe and the regression over words together. Files of the model: `{generator.fingerprint}`.
"""


if __name__ == "__main__":
    main()
