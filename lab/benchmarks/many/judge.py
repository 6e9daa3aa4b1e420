"""When an answer to a question about a folder is right.

Names are compared as sequences of words, as in ``office_questions``. An item of a list counts if
its name stands in the text or in the table. A number is right if it is what the text claims (see
``stated.claims``), or stands in a table of one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from many import stated
from many.answer import Given
from many.question import (
    AGGREGATE,
    COMPARE,
    COUNT,
    DOCUMENT,
    EXISTS,
    LATEST,
    LIST,
    Forms,
    Question,
)
from office_questions import VERSION, OfficeQuestion, first, gives_wrong, is_right, words

ENOUGH = 0.7
"""Share of the key facts that a summary must have."""

_YES, _NO = {"yes", "ja"}, {"no", "nein"}
_NONE = {"0", "no", "none", "nobody", "kein", "keine", "keinen", "keiner", "niemand"}
_NOT = {"not", "never", "nicht", "nie"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How good an answer is.

    ``share``: F1 of a list's items, or the share of a document's key facts. ``cited``: the share of
    the key facts that stand in a sentence with a citation. ``stale``: it gives an older value.
    """

    right: bool
    share: float | None = None
    cited: float | None = None
    stale: bool = False


def judge(question: Question, given: Given) -> Verdict:
    """Judge an answer."""
    if question.kind == LIST:
        return _list(question, given)
    if question.kind == DOCUMENT:
        return _document(question, given)
    if given.abstained or given.error:
        return Verdict(False)
    if question.kind == LATEST:
        return _latest(question, given)
    if question.kind == EXISTS:
        return Verdict(_says(question, given) == question.verdict)
    if question.kind in (COUNT, AGGREGATE) and question.numbers:
        return Verdict(all(_states(question, number, given) for number in question.numbers))
    if question.kind in (AGGREGATE, COMPARE) and question.universe:
        return Verdict(_points_at(question, given))
    said = given.everything
    return Verdict(all(first(said, forms) is not None for forms in question.needed))


def named(forms: Iterable[Forms], text: str) -> set[Forms]:
    """Return the items that a text names."""
    said = words(text)
    places: dict[str, list[int]] = {}
    for place, word in enumerate(said):
        places.setdefault(word, []).append(place)
    return {item for item in forms if any(_stands(form, said, places) for form in item)}


def _stands(form: str, said: Sequence[str], places: dict[str, list[int]]) -> bool:
    wanted = words(form)
    starts = places.get(wanted[0], ()) if wanted else ()
    return any(said[place : place + len(wanted)] == wanted for place in starts)


def _list(question: Question, given: Given) -> Verdict:
    if given.error or given.abstained:
        return Verdict(False, 0.0)
    needed = set(question.needed)
    every = {*question.universe, *needed} - (named(question.universe, question.text) - needed)
    said = named(every, given.text)
    if not given.rows:
        score = _f1(said, needed)
    else:  # other columns may name other things: the manager of each person
        columns = ["\n".join(map(str, column)) for column in zip(*given.rows, strict=True)]
        score = max(_f1(named(every, column) | (said & needed), needed) for column in columns)
    return Verdict(score == 1.0, score)


def _f1(hits: set[Forms], needed: set[Forms]) -> float:
    return 2 * len(hits & needed) / (len(hits) + len(needed))


def _document(question: Question, given: Given) -> Verdict:
    facts = set(question.needed)
    if given.error or given.abstained:
        return Verdict(False, 0.0, 0.0)
    covered = _facts(facts, given.text)
    cited = _facts(facts, "\n".join(given.cited_texts))
    share = len(covered) / len(facts)
    return Verdict(share >= ENOUGH, share, len(cited & covered) / len(facts))


def _facts(facts: set[Forms], text: str) -> set[Forms]:
    """Return the facts that a text has; longer words may have an ending."""
    plain = text.lower()
    return named(facts, text) | {
        forms for forms in facts if any(len(form) > 4 and form.lower() in plain for form in forms)
    }


def _latest(question: Question, given: Given) -> Verdict:
    item = OfficeQuestion(
        question.id, question.text, VERSION, "", question.needed[0], wrong=question.stale
    )
    right = is_right(item, given.text, abstained=False)
    return Verdict(right, stale=gives_wrong(item, given.text))


def _says(question: Question, given: Given) -> bool | None:
    said = words(given.text)
    if said and said[0] in _YES | _NO:
        return said[0] in _YES
    head = set(words(given.text.partition(". ")[0]))
    cells = [number.values for value in chain(*given.rows) for number in stated.cell(value)]
    if _NONE & head or (len(given.rows) == 1 and cells == [(0.0,)]):
        return False
    if given.rows or named(question.needed, given.text):
        return True
    if _NOT & head:
        return False
    counted = stated.claims(given.text, question.text)
    return counted[0].values[0] > 0 if counted else None


def _states(question: Question, number: float, given: Given) -> bool:
    if len(question.numbers) > 1:
        every = stated.numbers(given.text)
        every += [item for value in chain(*given.rows) for item in stated.cell(value)]
        return any(item.equals(number, rounded=False) for item in every)
    claims = list(stated.claims(given.text, question.text))
    if question.kind == COUNT:
        claims = claims[:2]
    if len(given.rows) == 1:
        claims += [item for value in given.rows[0] for item in stated.cell(value)]
    claims = claims or stated.numbers(given.text)[:1]  # a number of the question may be right
    return any(item.equals(number, rounded=question.rounded) for item in claims)


def _points_at(question: Question, given: Given) -> bool:
    """Whether it names the needed one most often, or first; else the table has it first."""
    right = question.needed[0]
    for text in (given.text, " ".join(map(str, given.rows[0])) if given.rows else ""):
        order = [(-_times(forms, text), first(text, forms), forms) for forms in question.universe]
        here = sorted((times, place, forms) for times, place, forms in order if place is not None)
        if here:
            best = here[0] if question.kind == COMPARE else min(here, key=lambda item: item[1])
            return best[2] == right or bool(set(best[2]) & set(right))
    return False


def _times(forms: Forms, text: str) -> int:
    said = words(text)
    return max(
        sum(said[place : place + len(form)] == form for place in range(len(said)))
        for form in map(words, forms)
    )
