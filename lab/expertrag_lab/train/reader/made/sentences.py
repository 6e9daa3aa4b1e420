"""Select the sentences of a text that questions can be made from."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertrag.grounding.wording import wording
from expertrag_index.words.sentences import spans

FEWEST_WORDS, MOST_WORDS = 8, 30

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_NO_PROSE = re.compile(r"[{}<>|;=#→\\…?!]|::|--|\.\.|\b[A-Z]\.$|\b\d+(?:\.\d+)+\b|https?:|\(\s*\)")
_POINTS = re.compile(
    r"\b(?:see|following|previous|preceding|next|former|latter|aforementioned|described|earlier|"
    r"later|likewise|similarly|respectively|i\.e|e\.g|etc|example|this|these|those|such|here|"
    r"above-mentioned|same|other|another)\b|\b(?:above|below)[.,)]|\bthe (?:above|below)\b"
    r"|\b(?:section|chapter|table|figure|appendix) (?-i:[A-Z\d])|\b(?:in|of) the table\b",
    re.IGNORECASE,
)
_NO_SUBJECT_WORDS = """
    it this that these those they he she we you i there here one ones such some others both each
    either neither its their his her our your my who which what when where why how if while
    although though because since as after before once unless until whereas and or but so nor yet
    then thus hence also however therefore moreover furthermore instead otherwise finally first
    second third next last only note not no in on at by for from with without within under over
    through during to of per upon about against between among despite except unlike like besides
    additionally consequently currently generally typically normally usually often sometimes
    rarely occasionally conversely alternatively specifically basically actually obviously clearly
    simply do please use see be make let ensure try avoid consider another even just rather many
    most more all any every several few much less suppose immediately given
"""
_NO_SUBJECT = frozenset(_NO_SUBJECT_WORDS.split())
_LABEL = re.compile(r"(?:caution|note|tip|warning|important|remark|hint)\b", re.IGNORECASE)
_PRONOUNS = re.compile(
    r"\b(?:it|its|they|their|them|he|she|his|him|her|we|our|us|i|my|me|you|your)\b", re.IGNORECASE
)


def prose(text: str) -> Iterator[str]:
    """Yield the self-contained sentences: complete, of some length, without references elsewhere.

    Skips lines of code and tables, and sentences that begin with a pronoun, a preposition, or a
    word that links them to the previous sentence.
    """
    text = _FENCE.sub("\n\n", text)
    for start, end in spans(text):
        sentence = " ".join(text[start:end].split())
        if stands_alone(sentence):
            yield sentence


def stands_alone(sentence: str) -> bool:
    """Whether a sentence is self-contained prose."""
    words = sentence.split()
    return (
        FEWEST_WORDS <= len(words) <= MOST_WORDS
        and sentence.endswith(".")
        and (sentence[0].isupper() or sentence[0].isdigit() or _is_identifier(words[0]))
        and words[0].strip(",").lower() not in _NO_SUBJECT
        and not _LABEL.match(sentence)
        and not _NO_PROSE.search(sentence)
        and not _POINTS.search(sentence)
        and sentence.count("(") == sentence.count(")")
        and sentence.count('"') % 2 == 0
        and sentence.count("`") % 2 == 0
        and ":" not in sentence
        and _mostly_words(words)
    )


def has_pronoun(text: str) -> bool:
    """Whether a text contains a pronoun, which may refer to something elsewhere."""
    return bool(_PRONOUNS.search(text))


def content_words(text: str) -> int:
    """Count the distinct content words of a text."""
    return len(wording(text).words)


def _is_identifier(word: str) -> bool:
    return any(mark in word for mark in "_`") or (word[:1].islower() and not word.isalpha())


def _mostly_words(words: list[str]) -> bool:
    """Whether a line is prose rather than a table or code joined into one line."""
    plain = sum(word.strip("(),.'\"").replace("-", "").isalpha() for word in words)
    lower = sum(word.strip("(),.'\"")[:1].islower() for word in words)
    capitals = sum(len(word) > 1 and word.isupper() for word in words)
    return plain >= 0.7 * len(words) and lower >= 0.5 * len(words) and capitals <= 3
