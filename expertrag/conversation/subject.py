"""What a conversation is about, as far as the next question may refer to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from expertrag.conversation.listed import are_named_in, items_of
from expertrag.conversation.mentions import Mention, mentions

_RECENT = 3  # mentions of earlier questions that a pronoun may still mean
_SHORT_ANSWER = 6  # words

_GRAMMATICAL_SUBJECT = re.compile(
    r"\b(?:is|are|was|were|do|does|did|can|could|will|would|should|has|have|had)\s+"
    r"(?:(?:a|an|the)\s+)?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a conversation is about.

    ``question``: the last question, as it stands alone; "" at the start. ``focus``: what the next
    pronoun most likely means. ``answer``: what the last answer named, if it was short. ``others``:
    further mentions, the latest first. ``listed``: the items of the last list, while
    they are asked about.
    """

    question: str = ""
    focus: Mention | None = None
    answer: Mention | None = None
    others: tuple[Mention, ...] = ()
    listed: tuple[str, ...] = ()

    @property
    def recent(self) -> list[Mention]:
        """Everything that a pronoun may mean, the likeliest first."""
        return [item for item in (self.answer, self.focus, *self.others) if item is not None]

    def is_named_in(self, question: str) -> bool:
        """Return whether a question has a word of the focus."""
        if self.focus is None:
            return False
        words = set(re.findall(r"\w{3,}", self.focus.phrase.lower()))
        return bool(words & set(re.findall(r"\w+", question.lower())))

    def after(self, question: str, answer: str, *, continues: bool) -> Subject:
        """Return the subject after a question and its answer.

        :param question: the question as it stands alone.
        :param continues: whether it goes on about the same focus, if it has it.
        """
        phrases = [item for item in mentions(question) if not item.is_date]
        focus = self._focus(question, phrases, continues=continues)
        others = [item for item in reversed(phrases) if item != focus]
        recent = (*others, *self.others[:_RECENT])
        listed = self.listed if any(are_named_in(question, self.listed)) else ()
        listed = items_of(question, answer) or listed
        return Subject(question, focus, _find_name(answer), recent, listed)

    def _focus(
        self, question: str, phrases: Sequence[Mention], *, continues: bool
    ) -> Mention | None:
        before = self.focus
        if before is not None:
            if continues and before.phrase.lower() in question.lower():
                return before
            known = set(before.phrase.lower().split())
            if any(set(item.phrase.lower().split()) <= known for item in phrases):
                return before
        if not phrases:
            return before
        weights = [
            _weight(question, item, position / len(phrases))
            for position, item in enumerate(phrases)
        ]
        return phrases[weights.index(max(weights))]


def _weight(question: str, item: Mention, position: float) -> float:
    """Rank the mentions of a question as its focus.

    :param place: 0 for the first mention, rising to 1.
    """
    words = item.phrase.lower().split()
    return (
        2.0 * item.named
        + 1.5 * bool(_GRAMMATICAL_SUBJECT.search(question[: item.start]))
        - 3.0 * item.relational
        - 1.0 * words[0].isdigit()
        + 0.25 * min(len(words), 4)
        + 0.5 * position
    )


def _find_name(answer: str) -> Mention | None:
    """Return what a short answer names; None for a long one, a number, yes or no."""
    text = answer.strip().rstrip(".")
    if not text or len(text.split()) > _SHORT_ANSWER or text[0].isdigit():
        return None
    if text.split()[0].strip(",").lower() in {"yes", "no"}:
        return None
    return next((item for item in mentions(text) if item.named and not item.is_date), None)
