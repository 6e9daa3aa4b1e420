"""Fit what recognises the scope of a question: a fact, a list, a count, a comparison, a summary.

    python lab/benchmarks/fit_scope.py --data DATA --out FOLDER --json FILE

The questions of the train half come from templates over invented domains, in four languages and
with typing errors; from questions worded one by one, in six languages; and from public sets of
questions, which are lookups or have two hops. Figures are of two fits. The first has not seen the
templates and domains of the test half. The second, which ``--out`` writes, has seen all of them. It
is measured on questions written by hand, on the test half of the questions worded one by one, and
on the test halves of the public sets. The bounds limit the share of real lookups of the half
``choose`` that are taken for another scope.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import results_file
from reader_figures import HEADER, Figure
from scope_figures import (
    Accept,
    by_language,
    figures_of_asked,
    figures_of_real,
    figures_of_written,
    right_share,
)
from scope_questions import MATERIAL, asked_questions, real_questions

from expertrag.answer.scope import OTHERS, SCOPES, ScopeWeights
from expertrag_lab.train.scope import fit
from expertrag_lab.train.scope.generate import (
    Language,
    ScopedQuestion,
    generate,
    read_language,
    with_errors,
)
from expertrag_lab.train.scope.templates import HALVES
from expertrag_retriever.types import QuestionScope

LANGUAGES = {"en": 4000, "de": 2667, "fr": 1333, "es": 1333}
"""Train questions of each scope; lookups are twice as many."""
TESTED = {"en": 100, "de": 60, "fr": 25, "es": 25}
REAL_LOOKUPS = 12000
MISTYPED = 0.5
ASKED = 10
"""How often a question that was worded by itself is seen, each time with other typing errors."""
OPEN_SETS = ("squad2", "openqa", "tatqa")
"""Sets of lookups by which the bounds are chosen: their wording is not of templates."""
MOST_TAKEN = 0.005
MOST_DOCUMENTS = 0.002
"""Largest share of lookups taken for a whole document, whose points may not hold the answer."""
MOST_TWO_HOPS = MOST_LATEST = 0.015
"""Largest share of lookups taken for two hops or for the version in force, which costs time and not
the answer."""
CODE = (
    "expertrag/answer/scope.py",
    "expertrag/answer/scope_features.py",
    "lab/expertrag_lab/train/scope",
    "lab/benchmarks/scope_questions.py",
    "lab/benchmarks/scope_figures.py",
    "lab/benchmarks/fit_scope.py",
)


def main() -> None:
    """Fit twice, print the figures, and optionally write the bundle and JSON."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--out", type=Path, help="folder of the bundle to write")
    given = parser.parse_args()
    languages = [read_language(MATERIAL, name) for name in LANGUAGES]
    real = real_questions(given.data)
    bounding = [each for each in real["choose"] if each.kind in OPEN_SETS]
    unseen = fitted(questions(languages, HALVES[:1], real["train"]), bounding)
    shipped = fitted(questions(languages, HALVES, real["train"]), bounding)
    accept = partial(accepted, shipped)
    result = [
        *figures_of_unseen(partial(accepted, unseen), languages),
        *figures_of_asked(accept),
        *figures_of_written(accept),
        *figures_of_real(accept, real["test"]),
    ]
    print("\n".join((HEADER, *(figure.row for figure in result))))
    bounds = {scope.value: bound for scope, bound in shipped.bounds.items()}
    body = {"bounds": bounds, "figures": list(map(asdict, result))}
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        fit.save_scope(shipped, {"figures": body["figures"]}, card(result), given.out)
    results_file.write(given.json, body, CODE)


def questions(
    languages: Sequence[Language], halves: Sequence[str], real: Sequence[ScopedQuestion]
) -> list[ScopedQuestion]:
    """Return the train questions: generated ones of some halves, and real ones."""
    generated = [
        each
        for language in languages
        for each in generate(language, halves, _many(LANGUAGES[language.name]), seed=1)
    ]
    lookups = [each for each in real if each.scope is QuestionScope.LOOKUP]
    random.Random(1).shuffle(lookups)
    connected = [each for each in real if each.scope is not QuestionScope.LOOKUP]
    every = [*generated, *lookups[:REAL_LOOKUPS], *connected, *ASKED * asked_questions("train")]
    return list(with_errors(every, MISTYPED, seed=4))


def fitted(train: Sequence[ScopedQuestion], bounding: Sequence[ScopedQuestion]) -> ScopeWeights:
    """Fit, and choose the bounds on real lookups."""
    target = [SCOPES.index(each.scope) for each in train]
    weights = fit.fit(fit.matrix([each.text for each in train]), target)
    lookups = fit.predict(weights, [each.text for each in bounding])
    return weights._replace(bounds=fit.choose_bounds(lookups, most_taken()))


def most_taken() -> dict[QuestionScope, float]:
    """Return the largest share of lookups that may be taken for each scope."""
    most: dict[QuestionScope, float] = dict.fromkeys(OTHERS, MOST_TAKEN)
    most[QuestionScope.TWO_HOPS] = MOST_TWO_HOPS
    most[QuestionScope.LATEST] = MOST_LATEST
    most[QuestionScope.DOCUMENT] = MOST_DOCUMENTS
    return most


def accepted(weights: ScopeWeights, asked: Sequence[ScopedQuestion]) -> list[QuestionScope]:
    """Return the accepted scope of each question."""
    return fit.accept(fit.predict(weights, [each.text for each in asked]), weights.bounds)


def figures_of_unseen(accept: Accept, languages: Sequence[Language]) -> Iterator[Figure]:
    """Yield the figures on domains and templates that the fit has not seen."""
    tested = [
        each
        for language in languages
        for each in generate(language, HALVES[2:], _many(TESTED[language.name]), seed=3)
    ]
    yield from by_language("unseen templates and domains", accept, tested)
    mistyped = list(with_errors(tested, 1.0, seed=5))
    yield right_share("unseen templates and domains, typing errors", accept, mistyped)


def _many(count: int) -> dict[QuestionScope, int]:
    return {scope: 2 * count if scope is QuestionScope.LOOKUP else count for scope in SCOPES}


def card(result: Sequence[Figure]) -> str:
    """Return the card of the bundle."""
    table = "\n".join((HEADER, *(figure.row for figure in result)))
    return f"""---
license: apache-2.0
tags: [retrieval-augmented-generation, text-classification]
language: [en, de, fr, es]
---
# What a question asks of the documents

A multinomial logistic regression over hashed words and character n-grams: the probability that a
question asks for one fact, a list, a count, an aggregate, whether something exists, a comparison,
the version in force, a fact two hops away, or a whole document.

{table}

Fitted by `make scope` in `lab` on questions from the templates in `lab/benchmarks/scope` and on the
train halves of public sets of questions.
"""


if __name__ == "__main__":
    main()
