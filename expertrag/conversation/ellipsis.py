"""Ask the last question again of something else: "What about Normandy?", "No, the 2023 one"."""

from __future__ import annotations

import re
from dataclasses import replace

from expertrag.conversation.mentions import Mention, mentions
from expertrag.conversation.subject import Subject

_ELLIPSIS = re.compile(
    r"(?:(?:and|but|or|so|then|ok|okay)\b,?\s+)*(?:(?:and|or|but)\b|(?:what|how) about\b"
    r"|same (?:question )?for\b)\s*(?P<rest>.+?)[\s?.!]*$",
    re.IGNORECASE | re.DOTALL,
)
_CORRECTION = re.compile(
    r"(?:(?:(?:no|sorry|oh|wait|actually)\b[,.]?\s+)+(?:i\s+meant?\s+|rather\s+)?|i\s+meant?\s+)"
    r"(?P<rest>.+?)(?:,?\s+not\b[^,]*)?[\s?.!]*$",
    re.IGNORECASE | re.DOTALL,
)
_PHRASE = re.compile(
    r"(?P<rest>(?:in|per|with|without|for|on|at|from|to|as|during|under)\s+(?:[^\s?]+\s*){1,3})[\s?.!]*$",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"(?:(?:in|on|at|for|to|from|of|by|with|during|until|since)\s+)?"
    r"(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|has|have|had|can"
    r"|could|will|would|should|may|must|tell|give|show|list|name|describe|explain|compare|define"
    r"|if|i|we|you|it|that|this|there|thanks|problem|need|worries)\b",
    re.IGNORECASE,
)
_ONE = re.compile(
    r"(?:(?:in|on|at|for|of|from|with)\s+)?(?:the\s+)?ones?\s+"
    r"(?=(?:in|on|at|for|to|from|of|by|with)\s)",
    re.IGNORECASE,
)
_THE_ONE = re.compile(
    r"(?:(?:in|on|at|for|of|from|with)\s+)?(?:the\s+)?(\S+)\s+ones?$", re.IGNORECASE
)
_OTHER_ONE = re.compile(r"\bother(?:s|\s+ones?)?$", re.IGNORECASE)
_PREPOSITION = re.compile(
    r"(in|on|at|for|to|from|of|by|with|without|during|under|as|per)\s+", re.IGNORECASE
)
_DETERMINER = re.compile(r"(all|every|each|any|which|my|your|our|another|one|two|\d+)\s", re.I)
_OF = frozenset(("of", "for", "with", "by"))
"""Prepositions of the thing itself: "and for X" asks of X, "and in 1990" of another time."""
_AT_PLACE = r"(?:in|at|to)"
_ARTICLE = re.compile(r"(?:the|a|an)\s+", re.IGNORECASE)
_BEFORE_NOUN = r"(?:(?:the|an?|my|our|your)\s+)?"
_ORDINAL = r"first|second|third|fourth|fifth|last"
_SHAPED = re.compile(rf"(?:(?:for|in|on)\s+)?(?:the\s+)?({_ORDINAL}|\S*\d\S*)$", re.IGNORECASE)
_TOKEN = re.compile(rf"(?<![\w-])(?:{_ORDINAL}|[\w-]*\d[\w-]*)(?![\w-])", re.IGNORECASE)
_ALIKE = re.compile(r"[A-Z\d]|\bothers?\b")
"""Of a phrase that stands for a name: "the S1", "the other models"."""
_NAME = re.compile(r"(?<=[\w,] )[A-Z][\w-]+")
_COUNTS = r"\d+|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_COUNT = re.compile(
    rf"(?P<before>with|for|in|of|at|after)\s+(?P<count>{_COUNTS})$",
    re.IGNORECASE,
)
_SHIFT = re.compile(
    r"(?:(?:a|an|one|the)\s+(?P<unit>year|month|quarter|week|day)\s+(?P<way>earlier|before|ago|later"
    r"|after)|(?:in\s+)?the\s+(?P<order>previous|following|next)\s+(?P<period>year|month|quarter|week"
    r"|day))$",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?<![\w-])(?:19|20)\d\d(?![\w-])")
_LATER = frozenset(("later", "after", "following", "next"))


def ask_again(question: str, subject: Subject) -> str:
    """Return the last question of a conversation, asked of what ``question`` names instead.

    "" if the question is not of that form.
    """
    text = question.strip()
    match = _ELLIPSIS.match(text) or _CORRECTION.match(text) or _PHRASE.match(text)
    if match is None or _ASKS.match(match["rest"]) or _OTHER_ONE.search(match["rest"]):
        return ""
    last, rest = subject.question, _in_sentence(_ONE.sub("", match["rest"]))
    if swapped := _with_token(last, rest) or _with_count(last, rest) or _shift_time(last, rest):
        return swapped
    if preposition := _PREPOSITION.match(rest):
        word = preposition.group(1)
        if word.lower() not in _OF or re.search(rf"\b{word}\b", last, re.IGNORECASE):
            return _with_phrase(last, rest, word)
        rest = rest[preposition.end() :]
    if alike := _with_determiner(last, rest):
        return alike
    old = _replaceable(last, rest, subject.focus)
    if old is None:
        return f"{last.rstrip(' ?.!')}: {rest}?"
    has_article = old.article and _ARTICLE.match(rest)
    start = old.start - len(old.article) - 1 if has_article else old.start
    return last[:start] + rest + last[old.end :]


def _in_sentence(phrase: str) -> str:
    """Return a phrase without the capital letter of the beginning of a message."""
    opening = _PREPOSITION.match(phrase) or _ARTICLE.match(phrase)
    return phrase[0].lower() + phrase[1:] if opening else phrase


def _with_token(question: str, phrase: str) -> str:
    """Put "2024" in the place of "2023", "E24" of "E15", "second" of "first"; "" if none fits.

    Of "the Utrecht one", the name alone is put in the place of a name.
    """
    one = _THE_ONE.match(phrase)
    shaped = _SHAPED.match(one[1] if one else phrase)
    if shaped:
        tokens = [
            item for item in _TOKEN.finditer(question) if _shape(item[0]) == _shape(shaped[1])
        ]
    else:
        tokens = list(_NAME.finditer(question)) if one and one[1][0].isupper() else []
    if not tokens:
        return ""
    new = shaped[1] if shaped else one[1] if one else ""
    return question[: tokens[-1].start()] + new + question[tokens[-1].end() :]


def _with_count(question: str, phrase: str) -> str:
    """Put "with three" in the place of "with 2" or "with two"; "" if the question has none."""
    count = _COUNT.match(phrase)
    if count is None:
        return ""
    old = re.compile(rf"\b({count['before']}\s+)(?:{_COUNTS})\b", re.IGNORECASE)
    numbers = [*old.finditer(question)]
    if not numbers:
        return ""
    last = numbers[-1]
    return question[: last.start()] + last[1] + count["count"] + question[last.end() :]


def _shift_time(question: str, phrase: str) -> str:
    """Ask a question of another time: of 2024 for "a year earlier" than 2025; "" if it is none."""
    shift = _SHIFT.match(phrase)
    if shift is None:
        return ""
    years = [*_YEAR.finditer(question)]
    if len(years) != 1 or "year" not in (shift["unit"], shift["period"]):
        return f"{question.rstrip(' ?.!')}, {phrase}?"
    later = (shift["way"] or shift["order"]).lower() in _LATER
    year = int(years[0][0]) + (1 if later else -1)
    return question[: years[0].start()] + str(year) + question[years[0].end() :]


def _shape(token: str) -> str:
    """Return what tokens of one kind share: "E15" and "E24", "first" and "second"."""
    return re.sub(r"\d", "0", token.upper()) if any(map(str.isdigit, token)) else "ordinal"


def _with_determiner(question: str, phrase: str) -> str:
    """Put "all tables" in the place of "all databases"; "" if the question has none."""
    word = _DETERMINER.match(phrase)
    if word is None:
        return ""
    before = re.compile(rf"\b{word[1]}\s+$", re.IGNORECASE)
    for item in reversed(mentions(question)):
        if determiner := before.search(question[: item.start]):
            return question[: determiner.start()] + phrase + question[item.end :]
    return ""


def _with_phrase(question: str, phrase: str, preposition: str) -> str:
    """Put "in the US" in the place of "in the UK" or "at the London office", or at the end."""
    phrases = mentions(question)
    words = [preposition]
    if _is_named(phrase) and re.fullmatch(_AT_PLACE, preposition, re.IGNORECASE):
        words.append(_AT_PLACE)
    for word in words:
        starts = {
            match.end(): match.start()
            for match in re.finditer(rf"\b{word}\s+{_BEFORE_NOUN}", question, re.IGNORECASE)
        }
        for item in reversed(phrases):
            old = _widen(item, phrases)
            if old.start in starts and _is_named(old.phrase) is _is_named(phrase):
                return question[: starts[old.start]] + phrase + question[old.end :]
            if owner := _owner(question, old, words, phrase):
                return owner
    return f"{question.rstrip(' ?.!')} {phrase}?"


def _owner(question: str, old: Mention, words: list[str], phrase: str) -> str:
    """Put "of Hollin" in the place of "of Vellmore" in "the liability cap of Vellmore"."""
    within = question[old.start : old.end]
    for match in re.finditer(rf"\b{words[-1]}\s+", within, re.IGNORECASE):
        if _is_named(within[match.end() :]) is _is_named(phrase):
            return question[: old.start + match.start()] + phrase + question[old.end :]
    return ""


def _is_named(phrase: str) -> bool:
    return re.search(r"[A-Z\d]", phrase) is not None


def _replaceable(question: str, phrase: str, focus: Mention | None) -> Mention | None:
    """Return the mention of a question in whose place something else is asked about."""
    phrases = mentions(question)
    words = set(phrase.lower().split()) - {"the", "a", "an"}
    common = [] if _ALIKE.search(phrase) else [item for item in phrases if not item.named]
    choices = (
        [item for item in phrases if words & set(item.phrase.lower().split())],
        [item for item in common if not item.relational],
        [item for item in phrases if focus is not None and item.phrase == focus.phrase],
        [item for item in phrases if item.named],
        phrases,
    )
    chosen = next((items[-1] for items in choices if items), None)
    return None if chosen is None else _narrow(_widen(chosen, phrases), words)


def _widen(chosen: Mention, phrases: list[Mention]) -> Mention:
    """Return "project Heron" for "project" before a name, "4 May" for "4"."""
    after = next((item for item in phrases if item.start == chosen.end + 1), None)
    if after is None or not after.named or chosen.named:
        return chosen
    return replace(chosen, phrase=f"{chosen.phrase} {after.phrase}", end=after.end)


def _narrow(chosen: Mention, words: set[str]) -> Mention:
    """Return the part of "goals of the sales team" that is replaced: the team, or the goals."""
    head, of, owner = chosen.phrase.partition(" of ")
    if not of or head[0].isupper():
        return chosen
    if words & set(head.lower().split()):
        return replace(chosen, phrase=head, end=chosen.start + len(head))
    article = _ARTICLE.match(owner)
    start = chosen.end - len(owner) + (article.end() if article else 0)
    written = article.group().strip() if article else ""
    return replace(chosen, phrase=owner, start=start, article=written)
