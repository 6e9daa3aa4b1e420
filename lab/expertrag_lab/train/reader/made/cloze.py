"""Cloze questions: ask for a span of a sentence (Lewis et al. 2019), in natural word order.

    SPAN VERB REST.              What VERB REST?              the span is the subject
    The NOUN SPAN VERB REST.     Which NOUN VERB REST?        the span names the subject
    SUBJECT is ... SPAN REST.    WH is SUBJECT ... REST?      an auxiliary is inverted
    SUBJECT VERBs ... SPAN REST. WH does SUBJECT VERB ...?    any other verb takes "does"
    SUBJECT VERBs REST.          What does SUBJECT VERB?      the answer is the whole rest
    SUBJECT is a NOUN REST.      What is SUBJECT?             the answer is the whole sentence

A sentence with none of these forms gives no question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertrag_index.words.query_words import STOP_WORDS
from expertrag_lab.train.reader.made.sentences import content_words, has_pronoun, prose
from expertrag_lab.train.reader.made.spans import AnswerKind, Span, spans_of
from expertrag_lab.train.reader.made.types import Made, Piece
from expertrag_lab.train.reader.made.verbs import (
    FINITE,
    Clause,
    base_form,
    clause,
    is_finite,
    lower,
    pronoun_for,
)

MAKER = "cloze"

_FEWEST_CONTENT_WORDS = 4  # per question: one with fewer fits many passages
_FEWEST_OF_PREDICATE = 5  # per question that does not name its subject
_MOST_BEFORE, _MOST_AFTER = 6, 8  # words between verb and span, and after the span
_MOST_BEFORE_STRANDED = 4
_NOUN_PHRASE = r"(?P<noun>[a-z][a-z-]+(?: [a-z][a-z-]+)?)"
_ADJECTIVE = re.compile(
    r"^(?:first|second|third)|(?:al|ive|ous|able|ible|ic|ful|less|ary|ed|(?<!sett)(?<!str)ing|ly|est|ern)$|^(?:new|old|own|main|whole|other|older|newer|later|former)$"
)
_NAMED_BEFORE = re.compile(rf"^(?:The|A|An) {_NOUN_PHRASE} $")
_NAMED_BEHIND = re.compile(
    rf"^ (?P<noun>[a-z][a-z-]+(?: [a-z][a-z-]+)??)(?P<rest> (?:{FINITE}) .+)"
)
_NAMED_OBJECT = re.compile(rf"(?:^|\s)(?:the|a|an) {_NOUN_PHRASE}$")
_ARTICLE = re.compile(r"^(?:The|A|An) $")
_SECOND_CLAUSE = re.compile(r",|[()\"]|\b(?:whereas|while|but|that|which)\b")
_WHEN = re.compile(r"(?:^|\s)(?:in|on|at)$")
_WHERE = re.compile(
    r"^(?:born|located|based|held|founded|situated|built|buried|established)\b[\w ]*\b(?:in|at)$"
)
_STRANDED = re.compile(
    r"\b(?:by|with|in|for|from|to|on|under|using|named|called|defined|specified|set|used)$"
)
_ENDS = re.compile(r"^(?:in|on|at|by|for|from|to|when|if|during|since|after|before|until)\b")
_NO_BEFORE_NUMBER = re.compile(
    r"(?:^|\s)(?:[A-Z]\w*|and|or|between|to|than|every|each|the|its|of)$"
)
_NO_AFTER_NUMBER = re.compile(r"^(?:or|to|is|are|was|were|has|have)\b|\band\b")
_SAID = re.compile(
    r"(?P<to>(?:access )?(?:to|of|for|from|with|on)(?= ))? ?"
    r"(?P<what>(?:the|a|an|all|any|one|whether|how|what) .+)"
)
_FEWEST_SAID, _MOST_SAID = 3, 16  # words of an answer
_FEWEST_OF_SUBJECT = 2  # content words of a subject
_DEFINES = re.compile(r"^(?:a|an|the) (?!most |best |default |only )")
_STATES = re.compile(r"^(?:not )?(?:a|an|the|one|two|also|only)\b")


def cloze(piece: Piece) -> Iterator[Made]:
    """Yield questions from each sentence: for the first span that fits a form, and "what"."""
    for sentence in (_without_title(item, piece.title) for item in prose(piece.text)):
        for span in spans_of(sentence):
            if question := ask(sentence, span, piece.text):
                yield Made(question, span.text, piece, MAKER)
                break
        question, said = ask_what(sentence, piece.text)
        if question:
            yield Made(question, said, piece, MAKER, sentence=said == sentence)


def _without_title(sentence: str, title: str) -> str:
    """Cut off a title that is run into the first sentence below it."""
    rest = sentence.removeprefix(f"{title} ")
    return rest if rest[:1].isupper() else sentence


def ask(sentence: str, span: Span, text: str) -> str:
    """Return a question for a span of a sentence of ``text``; empty if no form fits."""
    if span.kind in (AnswerKind.CODE, AnswerKind.NAME) and (question := _subject(sentence, span)):
        return question if content_words(question) >= _FEWEST_OF_PREDICATE else ""
    question = _object(sentence, span, text)
    return question if content_words(question) >= _FEWEST_CONTENT_WORDS else ""


def ask_what(sentence: str, text: str) -> tuple[str, str]:
    """Ask what a sentence of ``text`` says about its subject; empty if no form fits.

    :return: question and answer.
    """
    parts = clause(sentence)
    if parts is None or _SECOND_CLAUSE.search(parts.rest) or has_pronoun(sentence):
        return "", ""
    said = _SAID.match(parts.rest)
    if not said or not _FEWEST_SAID <= len(said["what"].split()) <= _MOST_SAID:
        return "", ""
    _, _, second = said["what"].partition(" and ")
    if any(map(is_finite, second.split())):
        return "", ""
    if content_words(parts.subject) < _FEWEST_OF_SUBJECT and not _is_name(parts.subject):
        return "", ""
    subject = lower(parts.subject, text)
    if not parts.auxiliary:
        question = f"What does {subject} {base_form(parts.verb)} {said['to'] or ''}"
        return f"{question.strip()}?", said["what"]
    defines = parts.states and _DEFINES.match(parts.rest) and not subject.startswith("the ")
    word = "Who" if pronoun_for(f"{parts.verb} {parts.rest}") == "Who" else "What"
    return (f"{word} {parts.verb} {subject}?", sentence) if defines else ("", "")


def _is_name(subject: str) -> bool:
    """Whether a subject is a name or code, optionally with an article."""
    names = [
        span.text for span in spans_of(subject) if span.kind in (AnswerKind.CODE, AnswerKind.NAME)
    ]
    return any(subject in (name, f"The {name}", f"the {name}") for name in names)


def _subject(sentence: str, span: Span) -> str:
    """Ask for the subject, which is the span or a noun that the span names."""
    before, after = sentence[: span.start], sentence[span.end :].rstrip(".")
    if _SECOND_CLAUSE.search(after) or has_pronoun(after):
        return ""
    if not before and _follows(after):
        if span.kind is AnswerKind.CODE:
            return f"What{after}?"
        return f"{pronoun_for(after)}{after}?" if " " in span.text else ""
    if (named := _NAMED_BEFORE.match(before)) and _follows(after):
        return _which(named["noun"], after)
    if _ARTICLE.match(before) and (named := _NAMED_BEHIND.match(after)):
        return _which(named["noun"], named["rest"]) if _follows(named["rest"]) else ""
    return ""


def _which(noun: str, rest: str) -> str:
    words = noun.split()
    fit = STOP_WORDS.isdisjoint(words) and not any(map(is_finite, words))
    return f"Which {noun}{rest}?" if fit and not _ADJECTIVE.search(noun) else ""


def _follows(after: str) -> bool:
    """Whether a verb follows the subject directly, with enough text after it."""
    words = after.split()
    return len(words) > 3 and is_finite(words[0])


def _object(sentence: str, span: Span, text: str) -> str:
    """Ask for a span after the verb."""
    parts = clause(sentence)
    if parts is None or span.start < parts.end or has_pronoun(parts.rest):
        return ""
    before = sentence[parts.end : span.start].strip()
    after = sentence[span.end :].strip().rstrip(".").strip()
    if (
        _SECOND_CLAUSE.search(f"{before} {after}")
        or len(before.split()) > _MOST_BEFORE
        or len(after.split()) > _MOST_AFTER
        or (parts.states and span.kind is not AnswerKind.NUMBER and _STATES.match(before))
    ):
        return ""
    word, before, after = _asking(span, before, after, parts)
    if not word:
        return ""
    subject = lower(parts.subject, text)
    verbs = f"does {subject} {base_form(parts.verb)}"
    if parts.auxiliary:
        verbs = f"{parts.verb} {subject}"
    return " ".join(f"{word} {verbs} {before} {after}".split()) + "?"


def _asking(span: Span, before: str, after: str, parts: Clause) -> tuple[str, str, str]:
    """Choose the question words and drop the words that they replace; empty if nothing fits."""
    if span.kind is AnswerKind.NUMBER:
        return _counting(span, before, after)
    nothing = "", before, after
    if after and not _ENDS.match(after):
        return nothing  # the span is part of a longer phrase
    if span.kind is AnswerKind.DATE:
        one_of_many = parts.subject.startswith(("A ", "An "))
        fits = _WHEN.search(before) and not one_of_many
        return ("When", _WHEN.sub("", before), after) if fits else nothing
    if span.kind is AnswerKind.NAME and parts.auxiliary and _WHERE.match(before):
        return "Where", before.rpartition(" ")[0], after
    return nothing if after else _naming(span, before)


def _counting(span: Span, before: str, after: str) -> tuple[str, str, str]:
    """Ask for a number."""
    if _NO_BEFORE_NUMBER.search(before) or _NO_AFTER_NUMBER.search(after) or " and " in before:
        return "", before, after
    if after.startswith("of "):
        return f"How many {span.unit} {after}", before, ""
    return f"How many {span.unit}", before, after


def _naming(span: Span, before: str) -> tuple[str, str, str]:
    """Ask for a name or code that ends its sentence."""
    if named := _NAMED_OBJECT.search(before):
        fits = not _ADJECTIVE.search(named["noun"])
        return f"Which {named['noun']}" if fits else "", before[: named.start()], ""
    if not _STRANDED.search(before) or len(before.split()) > _MOST_BEFORE_STRANDED:
        return "", before, ""
    who = span.kind is AnswerKind.NAME and before.endswith(" by")
    return "Who or what" if who else "What", before, ""
