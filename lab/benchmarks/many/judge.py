"""When an answer to a question about a folder is right.

Names are compared as sequences of words, as in ``office_questions``. An item of a list counts if
its name stands in the text or in the table. A number is right if it is what the text claims (see
``stated.claims``), or stands in a table of one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from office_questions import VERSION, OfficeQuestion, first, gives_wrong, is_right, words

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

ENOUGH = 0.7
"""Share of the key facts that a summary must have."""

_YES, _NO = {"yes", "ja"}, {"no", "nein"}
_NONE = {
    "no",
    "none",
    "not",
    "nobody",
    "never",
    "kein",
    "keine",
    "keinen",
    "keiner",
    "nicht",
    "nie",
}


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
    asked = named(question.universe, question.text) - needed
    hits = named({*question.universe, *needed} - asked, given.everything)
    right = len(hits & needed)
    score = 2 * right / (len(hits) + len(needed)) if needed else float(not hits)
    return Verdict(score == 1.0, score)


def _document(question: Question, given: Given) -> Verdict:
    facts = set(question.needed)
    if given.error or given.abstained:
        return Verdict(False, 0.0, 0.0)
    covered = named(facts, given.text) | {
        forms for forms in facts if any(form.lower() in given.text.lower() for form in forms)
    }
    cited = named(facts, "\n".join(given.cited_texts))
    share = len(covered) / len(facts)
    return Verdict(share >= ENOUGH, share, len(cited & covered) / len(facts))


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
    head = [sentence for sentence in given.text.split(". ") if sentence][:1]
    if head and (_NONE & set(words(head[0])) or "0" in words(head[0])):
        return False
    if given.rows or named(question.needed, given.text):
        return True
    counted = stated.claims(given.text, question.text)
    return counted[0].values[0] > 0 if counted else None


def _states(question: Question, number: float, given: Given) -> bool:
    claims = list(stated.claims(given.text, question.text))
    if question.kind == COUNT:
        claims = claims[:2]
    if len(given.rows) == 1:
        claims += [item for value in given.rows[0] for item in stated.cell(value)]
    if any(item.equals(number, rounded=question.rounded) for item in claims):
        return True
    return (
        not claims
        and any(  # a year, or a number of the question, as the answer
            item.equals(number, rounded=question.rounded) for item in stated.numbers(given.text)[:1]
        )
    )


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
