"""Make a follow-up question stand alone, by rule.

A follow-up leaves out what the conversation has named:

    anaphora     "When was it founded?"   the pronoun is replaced by what it means
    ellipsis     "What about Normandy?"   the last question is asked again, of something else
    listed       "How old is the second?" the item of the last answer's list is named
    bare         "Why?"                   the last question is put before it
    no subject   "What are the risks?"    the focus of the conversation is added in parentheses

Evidence decides whether a question of the last form stands alone, and whether a pronoun means the
likeliest thing. With the words that it left out, a question is nearer to a passage than without
them. With the name of something else, it is further from all passages.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from expertrag.conversation.anaphora import Anaphor, Reference, first_anaphor
from expertrag.conversation.ellipsis import ask_again
from expertrag.conversation.listed import with_items
from expertrag.conversation.mentions import MOST_CHARACTERS, Mention, mentions
from expertrag.conversation.subject import Subject
from expertrag.conversation.words import APOSTROPHE

Evidence = Callable[[str], float]
"""Log odds, in nats, that the documents are about a question."""

ABOUT_DOCUMENTS = 1.5
"""Evidence from which a question is about the documents, whatever the conversation."""


@dataclass(frozen=True, slots=True)
class EvidenceThreshold:
    """Evidence that a rewriting must have, in nats, because the question may stand alone.

    ``gain``: over the question as asked. ``over_last``: over the last question. ``own``: if the
    question alone is not about the documents, its evidence plus the gain of its rewriting over the
    last question. With a subject of the documents, any question seems to be about them.
    """

    gain: float
    own: float
    over_last: float = -math.inf


# Chosen on conversations made of the train splits of squad2, medquad, popqa and policyqa, and of
# questions that their documents are not about.
PRONOUN = EvidenceThreshold(-1.0, own=-8.0)
DESCRIBED_PRONOUN = EvidenceThreshold(0.5, own=-5.0)
ASPECT = EvidenceThreshold(-1.0, own=-5.0)
ONE_NOUN = EvidenceThreshold(2.5, own=-5.0)
SEVERAL_NOUNS = EvidenceThreshold(2.5, own=-2.0)
NAMED = EvidenceThreshold(3.0, own=-2.0, over_last=-1.0)

MOST_EXCHANGES = 20
"""Questions with their answers that are read for the subject."""

_MEANINGS = 3
_BARE_WORDS = 4

_BARE = re.compile(
    r"(?:in|until|since|from|at|for|by|to|starting from|as of)\s+(?:what|which|how)"
    r"(?:\s+[^\s?]+){1,3}[\s?]*$|(?:which|why|how)(?:\s+[^\s?]+){1,2}[\s?]*$",
    re.IGNORECASE,
)
_LEADING = re.compile(r"^(?:(?:and|but|so|ok|okay|also|then|well|now)\b[,\s]+)+", re.IGNORECASE)
_DESCRIBES = re.compile(r"\b(?:this|these)\s+\w+\s+(?:\w+\s+)?(?:that|which|who|whose)\b", re.I)
_INTRODUCES = re.compile(
    r"(?:(?:please|can you|could you)\s+)?(?:(?:tell me|talk) about|describe|define|explain"
    r"|what(?:'s|\s+is|\s+are|\s+was|\s+were))\s+(?!the\b|some\b|its\b|their\b)"
    r"(?:an?\s+)?(?:[\w'-]+\s*){1,4}[\s?.!]*$",
    re.IGNORECASE,
)


class RewritingForm(StrEnum):
    """How a question depends on the conversation."""

    ALONE = "alone"
    ANAPHORA = "anaphora"
    ELLIPSIS = "ellipsis"
    LISTED = "listed"
    BARE = "bare"
    NO_SUBJECT = "no subject"


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A way to make a question stand alone.

    ``threshold``: of its evidence; None if the question cannot stand alone.
    """

    question: str
    form: RewritingForm
    threshold: EvidenceThreshold | None = None

    @property
    def open(self) -> bool:
        """Whether a language model that knows the conversation may read the question better.

        The last question asked of something else, the item of a list, and the person whom the last
        answer names are exact. A question that names something mostly stands alone.
        """
        return self.form is RewritingForm.BARE or self.threshold not in {None, NAMED}

    @property
    def likely(self) -> bool:
        """Whether it is right more often than not, without evidence."""
        return self.threshold is None or self.threshold.gain < 0


def subject_of(turns: Sequence[tuple[str, str]], evidence: Evidence | None = None) -> Subject:
    """Read a conversation; return what it is about.

    Each follow-up is resolved against those before it, so the subject survives many of them.

    :param turns: questions of the user with their answers, oldest first; the last
        ``MOST_EXCHANGES`` are read.
    :param evidence: decides whether the last one went on about the same subject.
    """
    subject = Subject()
    recent = turns[-MOST_EXCHANGES:]
    for number, (question, answer) in enumerate(recent, start=1):
        likely = _likely(question, subject)
        if evidence and number == len(recent) and likely.form is RewritingForm.NO_SUBJECT:
            likely = rewrite(question, subject, evidence)
        continues = likely.form in {RewritingForm.ANAPHORA, RewritingForm.NO_SUBJECT}
        subject = subject.after(likely.question, answer, continues=continues)
    return subject


def rewrite(question: str, subject: Subject, evidence: Evidence | None = None) -> Rewriting:
    """Return a question so that it stands alone; unchanged if it does.

    :param evidence: decides between the ways; None takes the likeliest of what cannot stand alone.
    """
    alone = Rewriting(question, RewritingForm.ALONE)
    candidates = rewritings(question, subject)
    if not candidates:
        return alone
    if evidence is None or candidates[0].threshold is None:
        return candidates[0] if candidates[0].likely else alone
    reached = (item for item in candidates if _reaches(item, question, subject, evidence))
    return next(reached, alone)


def _reaches(item: Rewriting, question: str, subject: Subject, evidence: Evidence) -> bool:
    """Return whether a rewriting has the evidence that it must have."""
    threshold, own = item.threshold, evidence(question)
    if threshold is None:
        return True
    rewritten = evidence(item.question)
    if rewritten - own < threshold.gain:
        return False
    if own >= ABOUT_DOCUMENTS and threshold.over_last == -math.inf:
        return True
    over_last = rewritten - evidence(subject.question)
    return over_last >= threshold.over_last and (
        own >= ABOUT_DOCUMENTS or own + over_last >= threshold.own
    )


def rewritings(question: str, subject: Subject) -> list[Rewriting]:
    """Return the ways to make a question stand alone, the likeliest first."""
    if not subject.question or len(question) > MOST_CHARACTERS:
        return []
    question = question.replace(APOSTROPHE, "'")
    listed = with_items(question, subject.question, subject.listed)
    if again := ask_again(listed or question, subject):
        return [Rewriting(again, RewritingForm.ELLIPSIS)]
    if listed:
        return [Rewriting(_drop_opening(listed), RewritingForm.LISTED)]
    asked = _drop_opening(question)
    if resolved := _resolve(asked, subject):
        person = subject.answer if subject.answer and subject.answer.person else None
        if person and person.text in resolved[0]:  # whom the last answer is
            return [Rewriting(resolved[0], RewritingForm.ANAPHORA)]
        # "this song that ..." may be what the question itself describes
        named = any(item.named for item in mentions(asked))
        described = named or _DESCRIBES.search(asked) is not None
        threshold = DESCRIBED_PRONOUN if described else PRONOUN
        return [Rewriting(item, RewritingForm.ANAPHORA, threshold) for item in resolved]
    if subject.focus is None or subject.is_named_in(asked):
        return []
    return _without_subject(asked, subject.question, subject.focus)


def _without_subject(question: str, last: str, focus: Mention) -> list[Rewriting]:
    """Return the last question before a bare one, or the focus after a question without it."""
    phrases = mentions(question)
    if _BARE.match(question) or (not phrases and len(question.split()) <= _BARE_WORDS):
        return [Rewriting(f"{last} {question}", RewritingForm.BARE)]
    aspects = [item for item in phrases if item.relational]
    if phrases and len(aspects) == len(phrases):  # "What are the symptoms?"
        threshold = ASPECT
    elif _INTRODUCES.match(question):
        return []
    elif any(item.named for item in phrases):
        threshold = NAMED
    else:
        threshold = ONE_NOUN if len(phrases) - len(aspects) < 2 else SEVERAL_NOUNS
    return [Rewriting(f"{question} ({focus.phrase})", RewritingForm.NO_SUBJECT, threshold)]


def _drop_opening(question: str) -> str:
    """Return a question without "and" and the like before it."""
    asked = _LEADING.sub("", question).strip() or question
    return asked[0].upper() + asked[1:]


def _likely(question: str, subject: Subject) -> Rewriting:
    """Return the likely rewriting of an earlier question, for which there is no evidence.

    A question without a name goes on about the same.
    """
    candidates = rewritings(question, subject)
    if candidates and candidates[0].threshold != NAMED:
        return candidates[0]
    return Rewriting(question, RewritingForm.ALONE)


def _resolve(question: str, subject: Subject) -> list[str]:
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
