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
from pathlib import Path

import results_file
from reader_figures import HEADER, Figure, mean
from scope_questions import MATERIAL, asked_questions, real_questions, written_questions

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
MOST_TWO_HOPS = 0.015
"""Largest share of lookups taken for two hops, which costs time and not the answer."""
CODE = (
    "expertrag/answer/scope.py",
    "expertrag/answer/scope_features.py",
    "lab/expertrag_lab/train/scope",
    "lab/benchmarks/scope_questions.py",
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
    result = [
        *figures_of_unseen(unseen, languages),
        *figures_of_asked(shipped),
        *figures_of_written(shipped),
        *figures_of_real(shipped, real["test"]),
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
    most: dict[QuestionScope, float] = dict.fromkeys(OTHERS, MOST_TAKEN)
    most[QuestionScope.TWO_HOPS] = MOST_TWO_HOPS
    most[QuestionScope.DOCUMENT] = MOST_DOCUMENTS
    lookups = fit.predict(weights, [each.text for each in bounding])
    return weights._replace(bounds=fit.choose_bounds(lookups, most))


def figures_of_unseen(weights: ScopeWeights, languages: Sequence[Language]) -> Iterator[Figure]:
    """Yield the figures on domains and templates that the fit has not seen."""
    tested = [
        each
        for language in languages
        for each in generate(language, HALVES[2:], _many(TESTED[language.name]), seed=3)
    ]
    yield from _by_language("unseen templates and domains", weights, tested)
    mistyped = list(with_errors(tested, 1.0, seed=5))
    yield _right("unseen templates and domains, typing errors", weights, mistyped)


def figures_of_asked(weights: ScopeWeights) -> Iterator[Figure]:
    """Yield the figures on the test half of the questions worded one by one."""
    asked = asked_questions("test")
    yield from _by_language("asked, test", weights, asked)
    yield _right("asked, test, typing errors", weights, [each for each in asked if each.mistyped])
    yield from _by_scope("asked, test", weights, asked)


def figures_of_written(weights: ScopeWeights) -> Iterator[Figure]:
    """Yield the figures on the questions written by hand, the half ``choose`` and the test half."""
    for half in HALVES[1:]:
        written = written_questions(half)
        clean = [each for each in written if not each.mistyped]
        yield from _by_language(f"written, {half}", weights, clean)
        mistyped = [each for each in written if each.mistyped]
        yield _right(f"written, {half}, typing errors", weights, mistyped)
    everything = [each for half in HALVES[1:] for each in written_questions(half)]
    yield from _by_scope("written", weights, everything)


def figures_of_real(weights: ScopeWeights, real: Sequence[ScopedQuestion]) -> Iterator[Figure]:
    """Yield the share of real lookups taken for another scope, and what is taken for two hops."""
    for kind in sorted({each.kind for each in real}):
        some = [each for each in real if each.kind == kind]
        accepted = _accepted(weights, some)
        lookups = [each.scope is QuestionScope.LOOKUP for each in some]
        if not all(lookups):
            right = [each is other.scope for each, other in zip(accepted, some, strict=True)]
            yield mean(f"{kind}: recognised", list(map(float, right)))
            continue
        for scope in OTHERS:
            taken = [float(each is scope) for each in accepted]
            if any(taken):
                yield mean(f"{kind}: taken for {scope}", taken)
        taken = [float(each is not QuestionScope.LOOKUP) for each in accepted]
        yield mean(f"{kind}: taken for another scope", taken)


def _by_language(
    name: str, weights: ScopeWeights, asked: Sequence[ScopedQuestion]
) -> Iterator[Figure]:
    yield _right(name, weights, asked)
    for language in sorted({each.language for each in asked}):
        some = [each for each in asked if each.language == language]
        yield _right(f"{name}, {language}", weights, some)


def _by_scope(
    name: str, weights: ScopeWeights, asked: Sequence[ScopedQuestion]
) -> Iterator[Figure]:
    accepted = _accepted(weights, asked)
    for scope in SCOPES:
        right = [each.scope is scope for each in asked]
        taken = [each is scope for each in accepted]
        yield mean(f"{name}, recall of {scope}", _kept(taken, right))
        yield mean(f"{name}, precision of {scope}", _kept(right, taken))


def _right(name: str, weights: ScopeWeights, asked: Sequence[ScopedQuestion]) -> Figure:
    accepted = _accepted(weights, asked)
    right = [float(each is other.scope) for each, other in zip(accepted, asked, strict=True)]
    return mean(name, right)


def _accepted(weights: ScopeWeights, asked: Sequence[ScopedQuestion]) -> list[QuestionScope]:
    return fit.accept(fit.predict(weights, [each.text for each in asked]), weights.bounds)


def _kept(values: Sequence[bool], kept: Sequence[bool]) -> list[float]:
    return [float(value) for value, keep in zip(values, kept, strict=True) if keep]


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
