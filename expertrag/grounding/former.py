"""Values that a passage calls former: "12 ovens instead of 20", "24 steps (before: 16)".

A small model often gives the former value, because it stands close to what the question asks for.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from expertrag.grounding.coverage import kind_of
from expertrag.grounding.evidence import Evidence
from expertrag.grounding.versions import PassagePair, asks_for_older
from expertrag.grounding.wording import Content, Wording, is_about, is_value, wording
from expertrag_index.words.sentences import spans

_CHANGED = (
    r"(?:rais|lower|increas|reduc|mov|postpon|chang|extend|shorten|correct)ed|cut|brought forward"
    r"|erhöht|gesenkt|verlängert|verkürzt|verschoben|geändert"
)
_ASKED = r"wanted|asked for|proposed|offered|requested|demanded|suggested"
_AGREED = r"agreed|settled|decided|approved|accepted"
_FORMER = re.compile(
    r"\b(?:instead of|rather than|up from|down from|in place of|statt|anstatt|anstelle von)\s+"
    r"(?P<named>[^,;:()\n]{1,60})"
    r"|\((?:before|previously|formerly|until now|old|was|vorher|bisher|früher|zuvor)\b"
    r"(?P<aside>[^()\n]{1,60})\)"
    rf"|\b(?:{_CHANGED})\b[^.;\n]{{0,60}}?\b(?:from|von)\s(?P<start>[^;()\n]{{1,40}}?)\s(?:to|auf)\s"
    rf"|\b(?:{_ASKED})\s(?P<asked>[^;()\n]{{1,40}}?),?\s[^.;\n]{{0,40}}?\b(?:{_AGREED})\b"
    r"|\b(?:replac|supersed|ersetz)\w*\b[^.()\n]{0,60}\((?P<replaced>[^()\n]+)\)",
    re.IGNORECASE,
)

_LONGEST_QUOTE = 120  # characters


def calls_former(text: str) -> bool:
    """Return whether a text may call a value former."""
    return _FORMER.search(text) is not None


def find_former_value(
    answer: Wording, evidence: Evidence, outdated: Sequence[PassagePair] = ()
) -> FormerValue | None:
    """Return a value of an answer that a passage calls former; None if none is.

    It is also former if only the earlier one of a pair of passages has it. The same sentence, or
    one next to it, has a value of the same kind that is in force, and is about the question. An
    answer that has this value as well reports the change. None if the question asks for former
    values.
    """
    asked = evidence.question
    values = sorted(answer.values - asked.holds)
    if not values or asks_for_older(evidence.question_text):
        return None
    changes = [*_changes_about(evidence), *_changes_between(outdated, asked)]
    for change, value in itertools.product(changes, values):
        if change.replaces(value, answer, asked):
            return FormerValue(answer.written.get(value, value), change.sentence)
    return None


@dataclass(frozen=True, slots=True)
class FormerValue:
    """A former value as an answer writes it, and the sentence that calls it former."""

    value: str
    sentence: str


@dataclass(frozen=True, slots=True)
class _Change:
    """What a text calls former, what else it says, and the sentence."""

    former: Wording
    current: Wording
    sentence: str

    def replaces(self, value: str, answer: Wording, question: Content) -> bool:
        """Return whether a value of an answer is former, and another one is in force."""
        if answer.has_value(value, self.current) or not answer.has_value(value, self.former):
            return False
        in_force = {
            word
            for word in self.current.holds - question.holds
            if is_value(word) and kind_of(word) == kind_of(value)
        }
        return bool(in_force) and in_force.isdisjoint(answer.holds)


def _changes_about(evidence: Evidence) -> Iterator[_Change]:
    """Yield the changes that sentences about the question state."""
    for number, some in enumerate(evidence.spans):
        for span in some:
            if is_about(span.content, evidence.question):
                yield from _changes(evidence.text_of(number, span))


def _changes_between(outdated: Sequence[PassagePair], asked: Wording) -> Iterator[_Change]:
    """Yield what later passages say instead of earlier ones, in their sentences about a question.

    A sentence without a word of the question may continue one, so the whole passage counts.
    """
    for earlier, later in outdated:
        sentences = [later.text[start:end] for start, end in spans(later.text)]
        valued = [sentence for sentence in sentences if wording(sentence).values]
        if valued:
            best = max(valued, key=lambda one: len(wording(one).holds & asked.words))
            quote = " ".join(best.split())[:_LONGEST_QUOTE]
            yield _Change(wording(earlier.text), wording(later.text), quote)


def _changes(text: str) -> Iterator[_Change]:
    matches = list(_FORMER.finditer(text))
    if not matches:
        return
    windows = [match.span(match.lastgroup or 0) for match in matches]
    starts = [0, *(end for _, end in windows)]
    ends = [*(start for start, _ in windows), len(text)]
    current = wording("".join(text[a:b] for a, b in zip(starts, ends, strict=True)))
    for start, end in windows:
        yield _Change(wording(text[start:end]), current, _sentence(text, start))


def _sentence(text: str, place: int) -> str:
    """Return the sentence at a place, without its beginning if it is long."""
    said = next((text[a:b] for a, b in spans(text) if a <= place < b), text)
    said = " ".join(said.split())
    return said if len(said) <= _LONGEST_QUOTE else f"…{said[-_LONGEST_QUOTE:].partition(' ')[2]}"
