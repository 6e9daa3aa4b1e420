"""Make a follow-up question stand alone, by rule.

A follow-up leaves out what the conversation has named:

    anaphora     "When was it founded?"   the pronoun is replaced by what it means
    ellipsis     "What about Normandy?"   the last question is asked again, of something else
    bare         "Why?"                   the last question is put before it
    no subject   "What are the risks?"    the focus of the conversation is added in parentheses

Whether a question of the last form stands alone, and whether a pronoun means the likeliest thing,
is decided by evidence: with what it left out, a question is nearer to a passage than without; with
something that it is not about, it is further from all of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from expertrag.conversation.anaphora import Anaphor, Reference, first_anaphor
from expertrag.conversation.ellipsis import asked_again
from expertrag.conversation.mentions import Mention, mentions
from expertrag.conversation.subject import Subject
from expertrag.conversation.words import APOSTROPHE

Evidence = Callable[[str], float]
"""Log odds, in nats, that the documents are about a question."""

# Chosen on conversations made of the train splits of squad2, medquad, popqa and policyqa. Of
# follow-ups, 90 % gain more than -1.8 (anaphora) and 2.5 (no name); of questions that stand alone,
# 90 % gain less than 0.6 and 2.1, and 1.0 with a name.
PRONOUN_GAIN = -1.0
DESCRIBED_GAIN = 0.5
UNNAMED_GAIN = 2.5
NAMED_GAIN = 3.0
ABOUT_DOCUMENTS = 1.5
"""Evidence from which a question without a subject may get the one of the conversation. With a
subject of the documents, any question seems to be about them."""
LOSS = -5.0
"""Below ABOUT_DOCUMENTS, the least sum of a question's evidence and of what it has more, with the
subject, than the last question. Of questions about something else, .97 have less; of follow-ups,
.02."""

_MEANINGS = 3
_BARE_WORDS = 4

_LEADING = re.compile(r"^(?:(?:and|but|so|ok|okay|also|then|well|now)\b[,\s]+)+", re.IGNORECASE)
_DESCRIBES = re.compile(r"\b(?:this|these)\s+\w+\s+(?:\w+\s+)?(?:that|which|who|whose)\b", re.I)
_INTRODUCES = re.compile(
    r"(?:(?:please|can you|could you)\s+)?(?:(?:tell me|talk) about|describe|define|explain"
    r"|what(?:'s|\s+is|\s+are|\s+was|\s+were))\s+(?!the\b|some\b|its\b|their\b)"
    r"(?:an?\s+)?(?:[\w'-]+\s*){1,4}[\s?.!]*$",
    re.IGNORECASE,
)


class Form(StrEnum):
    """How a question depends on the conversation."""

    ALONE = "alone"
    ANAPHORA = "anaphora"
    ELLIPSIS = "ellipsis"
    BARE = "bare"
    NO_SUBJECT = "no subject"


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A way to make a question stand alone.

    ``least_gain``: nats of evidence that it must add over the question as asked.
    """

    question: str
    form: Form
    least_gain: float = -math.inf


def subject_of(turns: Sequence[tuple[str, str]], evidence: Evidence | None = None) -> Subject:
    """Read a conversation; return what it is about.

    Each follow-up is resolved against the turns before it, so the subject survives any number.

    :param turns: questions of the user with their answers, oldest first.
    :param evidence: decides whether the last one went on about the same subject.
    """
    subject = Subject()
    for place, (question, answer) in enumerate(turns, start=1):
        likely = _likely(question, subject)
        if evidence and place == len(turns) and likely.form is Form.NO_SUBJECT:
            likely = rewrite(question, subject, evidence)
        continues = likely.form in {Form.ANAPHORA, Form.NO_SUBJECT}
        subject = subject.after(likely.question, answer, continues=continues)
    return subject


def rewrite(question: str, subject: Subject, evidence: Evidence | None = None) -> Rewriting:
    """Return a question so that it stands alone; unchanged if it does.

    :param evidence: decides between the ways; None takes the likeliest of what cannot stand alone.
    """
    alone = Rewriting(question, Form.ALONE)
    found = rewritings(question, subject)
    if not found:
        return alone
    if evidence is None or found[0].least_gain == -math.inf:
        return found[0] if found[0].least_gain < 0 else alone
    as_asked = evidence(question)
    for item in found:
        gain = evidence(item.question) - as_asked
        if gain >= item.least_gain:
            elsewhere = item.form is Form.NO_SUBJECT and as_asked < ABOUT_DOCUMENTS
            if elsewhere and 2 * as_asked + gain - evidence(subject.question) < LOSS:
                return alone
            return item
    return alone


def rewritings(question: str, subject: Subject) -> list[Rewriting]:
    """Return the ways to make a question stand alone, the likeliest first."""
    if not subject.question:
        return []
    question = question.replace(APOSTROPHE, "'")
    if again := asked_again(question, subject):
        return [Rewriting(again, Form.ELLIPSIS)]
    asked = _LEADING.sub("", question).strip() or question
    found = mentions(asked)
    named = any(item.named for item in found)
    if resolved := _resolved(asked, subject):
        # "this song that ..." may be what the question itself describes
        describes = named or _DESCRIBES.search(asked) is not None
        gain = DESCRIBED_GAIN if describes else PRONOUN_GAIN
        return [Rewriting(item, Form.ANAPHORA, gain) for item in resolved]
    if subject.focus is None or subject.is_named_in(asked):
        return []
    if not found and len(asked.split()) <= _BARE_WORDS:
        return [Rewriting(f"{subject.question} {asked}", Form.BARE)]
    gain = NAMED_GAIN if named else UNNAMED_GAIN
    if found and all(item.relational for item in found):  # "What are the symptoms?"
        gain = PRONOUN_GAIN
    elif _INTRODUCES.match(asked):
        return []
    return [Rewriting(f"{asked} ({subject.focus.phrase})", Form.NO_SUBJECT, gain)]


def _likely(question: str, subject: Subject) -> Rewriting:
    """Return the likely rewriting of an earlier question, for which there is no evidence.

    A question without a name goes on about the same.
    """
    found = rewritings(question, subject)
    if found and found[0].least_gain < NAMED_GAIN:
        return found[0]
    return Rewriting(question, Form.ALONE)


def _resolved(question: str, subject: Subject) -> list[str]:
    """Replace the first reference to earlier turns by what it may mean; empty if there is none.

    Later ones then refer to the phrase in the question.
    """
    anaphor = first_anaphor(question)
    if anaphor is None:
        return []
    phrases = dict.fromkeys(_phrase(item, anaphor) for item in _meanings(anaphor, subject))
    before, after = question[: anaphor.start], question[anaphor.end :]
    return [f"{before}{phrase}{after}" for phrase in phrases][:_MEANINGS]


def _phrase(item: Mention, anaphor: Anaphor) -> str:
    """Return a mention in the form of the reference that it replaces."""
    if anaphor.possessive:
        return item.text + ("'" if item.text.endswith("s") else "'s")
    if anaphor.noun and anaphor.noun in item.phrase.lower() and not item.article:
        return f"the {item.phrase}"
    return item.text


def _meanings(anaphor: Anaphor, subject: Subject) -> list[Mention]:
    """Return what a reference may mean, the likeliest first."""
    recent = subject.recent
    likely = [item for item in recent if _fits(item, anaphor.reference)]
    if anaphor.noun:
        likely = [item for item in recent if anaphor.noun in item.phrase.lower()] + likely
    if anaphor.reference is Reference.THINGS:
        likely = [*(item for item in likely if not item.relational), *_both(recent), *likely]
    return [*likely, *([subject.focus] if subject.focus else [])]


def _fits(item: Mention, reference: Reference) -> bool:
    match reference:
        case Reference.PERSON:
            return item.person
        case Reference.THINGS:
            return item.plural
        case Reference.PLACE:
            return item.named
        case _:
            return not item.person and not item.plural


def _both(recent: Sequence[Mention]) -> list[Mention]:
    """Return the two things that were named last as one mention; empty unless there are two."""
    named = list(dict.fromkeys(item.text for item in recent if item.named))
    if len(named) < 2:
        return []
    phrase = f"{named[0]} and {named[1]}"
    return [Mention(phrase, 0, len(phrase), True)]
