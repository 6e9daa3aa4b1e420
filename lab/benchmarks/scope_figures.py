"""Figures of what recognises the scope of a question, for ``fit_scope.py`` and its probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from reader_figures import Figure, mean
from scope_questions import asked_questions, written_questions

from expertrag.answer.scope import OTHERS, SCOPES
from expertrag_lab.train.scope.generate import ScopedQuestion
from expertrag_lab.train.scope.templates import HALVES
from expertrag_retriever.types import QuestionScope

Accept = Callable[[Sequence[ScopedQuestion]], list[QuestionScope]]
"""Returns the accepted scope of each question."""


def figures_of_asked(accept: Accept) -> Iterator[Figure]:
    """Yield the figures on the test half of the questions worded one by one."""
    asked = asked_questions("test")
    yield from by_language("asked, test", accept, asked)
    yield right_share(
        "asked, test, typing errors", accept, [each for each in asked if each.mistyped]
    )
    yield from by_scope("asked, test", accept, asked)


def figures_of_written(accept: Accept) -> Iterator[Figure]:
    """Yield the figures on the questions written by hand, the half ``choose`` and the test half."""
    for half in HALVES[1:]:
        written = written_questions(half)
        clean = [each for each in written if not each.mistyped]
        yield from by_language(f"written, {half}", accept, clean)
        mistyped = [each for each in written if each.mistyped]
        yield right_share(f"written, {half}, typing errors", accept, mistyped)
    everything = [each for half in HALVES[1:] for each in written_questions(half)]
    yield from by_scope("written", accept, everything)


def figures_of_real(accept: Accept, real: Sequence[ScopedQuestion]) -> Iterator[Figure]:
    """Yield the share of real lookups taken for another scope, and what is taken for two hops."""
    for kind in sorted({each.kind for each in real}):
        some = [each for each in real if each.kind == kind]
        accepted = accept(some)
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


def by_language(name: str, accept: Accept, asked: Sequence[ScopedQuestion]) -> Iterator[Figure]:
    """Yield the recognised share of questions, of all and by language."""
    yield right_share(name, accept, asked)
    for language in sorted({each.language for each in asked}):
        some = [each for each in asked if each.language == language]
        yield right_share(f"{name}, {language}", accept, some)


def by_scope(name: str, accept: Accept, asked: Sequence[ScopedQuestion]) -> Iterator[Figure]:
    """Yield recall and precision by scope."""
    accepted = accept(asked)
    for scope in SCOPES:
        right = [each.scope is scope for each in asked]
        taken = [each is scope for each in accepted]
        yield mean(f"{name}, recall of {scope}", _kept(taken, right))
        yield mean(f"{name}, precision of {scope}", _kept(right, taken))


def right_share(name: str, accept: Accept, asked: Sequence[ScopedQuestion]) -> Figure:
    """Return the recognised share of questions."""
    accepted = accept(asked)
    right = [float(each is other.scope) for each, other in zip(accepted, asked, strict=True)]
    return mean(name, right)


def _kept(values: Sequence[bool], kept: Sequence[bool]) -> list[float]:
    return [float(value) for value, keep in zip(values, kept, strict=True) if keep]
