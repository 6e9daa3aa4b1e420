"""Find what a text mentions: names, code, and the other noun phrases of a question.

There is no tagger: the words that cannot be part of a noun phrase are listed, and what stands
between them is one. The lists are English.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from expertrag.conversation.words import FUNCTION_WORDS, RELATIONS, VERBS

_WORD = re.compile(r"--?[A-Za-z]\w*(?:-\w+)*|[\w$@/~][\w.+#@/\\:$'-]*\w|\w", re.UNICODE)

_JOINS = frozenset(("of", "de", "von", "van", "der", "la", "le", "du", "del", "v", "vs"))
_AFTER_JOIN = re.compile(r"\.?\s+(?:the\s+)?(?:[A-Z]|\d)")
_CODE = re.compile(r"--?\w|.*[_\\/]|.*\w\.\w|.*\w\(|[a-z]+[A-Z]|\S*\d[A-Za-z]|[A-Z]+\d")
_ARTICLE = re.compile(r"\b(a|an|the)\s+$", re.IGNORECASE)
_PREDICATE = re.compile(
    r"good|better|best|bad|worse|important|available|possible|healthy|common|popular|similar|safe"
    r"|necessary|true|free|likely|dangerous|serious|famous|able|responsible",
    re.IGNORECASE,
)
_AGENT = re.compile(r"\b(?:i|you|we|they|he|she)\s+$", re.IGNORECASE)
_PARTICIPLE = re.compile(r"[a-z]{3,}(?<!e)ed")
_DATE = re.compile(
    r"(?:\d{1,2}\s+)?(?:January|February|March|April|May|June|July|August|September|October|November"
    r"|December)(?:\s+\d+)*|\d{4}"
)
_DO = re.compile(
    r"\b(?:do|does|did)\s+(?:(?:a|an|the)\s+)?(?:[\w-]+\s+(?:and|or)\s+(?:(?:a|an|the)\s+)?)?$",
    re.IGNORECASE,
)
_NEXT = re.compile(r"\s+([\w'-]+)")
_DETERMINERS = frozenset(("a", "an", "the", "its", "their", "all", "each", "this", "these"))
_OF = re.compile(r"\s+of\s+(?:(?:the|an?)\s+)?", re.IGNORECASE)
_QUOTED = re.compile(r"[\"“`]([^\"”`]{2,80})[\"”`]")


MOST_CHARACTERS = 500
"""Characters of a text that are read; a longer message is not a follow-up."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A noun phrase of a text, ``text[start:end]``.

    ``named``: whether it is a name, a quotation or code, and so points to one thing.
    ``article``: the article before it, or "".
    """

    phrase: str
    start: int
    end: int
    named: bool
    article: str = ""

    @property
    def text(self) -> str:
        """The phrase with its article, as inside a sentence."""
        return f"{self.article.lower()} {self.phrase}".lstrip()

    @property
    def plural(self) -> bool:
        """Whether its last word has the form of a plural."""
        last = self.phrase.partition(" of ")[0].rsplit(maxsplit=1)[-1]
        if _is_name_word(last):  # "the Normans", but "Windows"
            return last.endswith("s") and self.article.lower() == "the"
        return last.endswith("s") and not last.endswith(("ss", "us", "is", "'s", "ics"))

    @property
    def is_date(self) -> bool:
        """Whether it is a date, such as "June 2027": what is asked about happened then."""
        return _DATE.fullmatch(self.phrase) is not None

    @property
    def relational(self) -> bool:
        """Whether it is of something else, such as "symptoms"."""
        return not self.named and self.phrase.split()[-1].lower() in RELATIONS

    @property
    def person(self) -> bool:
        """Whether it has the form of a person's name: two to four capitalised words."""
        words = self.phrase.split()
        return self.named and 2 <= len(words) <= 4 and all(map(_is_name_word, words))


def mentions(text: str) -> list[Mention]:
    """Return the mentions of a text, in its order; only its first ``MOST_CHARACTERS`` are read."""
    text = text[:MOST_CHARACTERS]
    quoted = [Mention(m.group(1), m.start(1), m.end(1), True) for m in _QUOTED.finditer(text)]
    items: list[Mention] = list(quoted)
    run: list[re.Match[str]] = []
    for word in _WORD.finditer(text):
        if any(item.start <= word.start() < item.end for item in quoted):
            run = _close(text, run, items)
        elif _joins(text, run, word):
            run.append(word)
        else:
            run = _close(text, run, items)
            if not _is_function(word, text):
                run = [word]
    _close(text, run, items)
    return _join(text, sorted(items, key=lambda item: item.start))


def _join(text: str, items: list[Mention]) -> list[Mention]:
    """Join "the default port" and "PostgreSQL" of "the default port of PostgreSQL".

    Not the nouns that only name an aspect: what has symptoms is asthma.
    """
    joined: list[Mention] = []
    for item in items:
        last = joined[-1] if joined else None
        if last and _OF.fullmatch(text[last.end : item.start]) and not last.relational:
            phrase = text[last.start : item.end]
            named = last.named or item.named
            joined[-1] = Mention(phrase, last.start, item.end, named, last.article)
        else:
            joined.append(item)
    return joined


def _joins(text: str, run: list[re.Match[str]], word: re.Match[str]) -> bool:
    """Return whether a word continues a noun phrase."""
    if not run:
        return False
    between = text[run[-1].end() : word.start()]
    if between.strip(" .") or not between:
        return False
    if _is_name(run[0], text):
        if word.group() in _JOINS:  # "Charter of Human Rights", "Securities Act of 1933"
            return _AFTER_JOIN.match(text, word.end()) is not None
        if run[-1].group() in {*_JOINS, "the"}:
            return True
        last = run[-1]
        return not _is_function(word, text) and (_is_name(last, text) or not _is_name(word, text))
    return not _is_function(word, text) and not _is_name(word, text)


def _close(text: str, run: list[re.Match[str]], items: list[Mention]) -> list[re.Match[str]]:
    """Add the noun phrase of these words; return the beginning of the next."""
    while len(run) > 1 and _is_predicate(run, text):
        run.pop()
    if run:
        start, end = run[0].start(), run[-1].end()
        phrase = text[start:end]
        named = any(_is_name(word, text) or _CODE.match(word.group()) for word in run)
        if phrase.endswith("'s"):
            end, phrase = end - 2, phrase[:-2]
        if not _PREDICATE.fullmatch(phrase) and not _PARTICIPLE.fullmatch(phrase):
            article = _ARTICLE.search(text[:start])
            items.append(Mention(phrase, start, end, named, article.group(1) if article else ""))
    return []


def _is_predicate(run: list[re.Match[str]], text: str) -> bool:
    """Return whether the last word is not of the phrase, as in "are roses pruned"."""
    last = run[-1].group()
    if _PREDICATE.fullmatch(last) or _PARTICIPLE.fullmatch(last):
        return True
    ends = not text[run[-1].end() :].strip(" ?.!")
    return ends and last.islower() and _DO.search(text, 0, run[0].start()) is not None


def is_function_word(word: str) -> bool:
    """Return whether a word cannot be part of a noun phrase."""
    return word.lower() in FUNCTION_WORDS


def is_verb(word: str) -> bool:
    """Return whether a word is one of the listed verbs."""
    return word.lower() in VERBS


def _is_function(word: re.Match[str], text: str) -> bool:
    lower = word.group().lower()
    if word.group() == "May" and word.start() > 0:  # the month
        return False
    if lower in FUNCTION_WORDS:
        return not (word.group().isupper() and len(lower) > 1 and word.start() > 0)
    if word.start() > 0 and word.group()[0].isupper():
        return False
    if is_verb(lower) or _AGENT.search(text, 0, word.start()):
        return True
    return is_verb(lower.removesuffix("s")) and _has_object(word, text)


def _has_object(word: re.Match[str], text: str) -> bool:
    """Return whether a noun phrase follows: "holds the rules", but not "authentication rules?"."""
    following = _NEXT.match(text, word.end())
    if following is None:
        return False
    lower = following[1].lower()
    return lower in _DETERMINERS or not (is_function_word(lower) or is_verb(lower))


def _is_name(word: re.Match[str], text: str) -> bool:
    """Return whether a word is capitalised, and not only because it begins a sentence."""
    if not _is_name_word(word.group()):
        return False
    before = text[: word.start()].rstrip()
    if before and before[-1] not in ".?!:":
        return True
    rest = _WORD.search(text, word.end())
    begins_name = rest is not None and _is_name_word(rest.group())
    return word.group().lower() not in FUNCTION_WORDS | VERBS and (
        begins_name or not word.group()[1:].islower() or len(text.split()) <= 3
    )


def _is_name_word(word: str) -> bool:
    return word[:1].isupper()
