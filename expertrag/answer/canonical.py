"""The canonical form of a question, so that another spelling or opening of it has the same answer.

P-Adapters (Newman, Choubey and Rajani 2022) map the embeddings of a prompt to the embeddings of a
canonical one. Their layer is trained for each language model. Here rules rewrite the text, which
the gate, the search and any model then see:

characters  typographic quotes, repeated spaces, invisible characters
opening     "Question:", "Hi, could you tell me", "I was wondering"
closing     ", please", "? Thanks in advance!", "??"
sentence    "what the capital is", "what's", the first letter, the question mark

The words that ask are kept, so a paraphrase in other words remains another question. The rules are
English; other languages, several lines, and code in backticks are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from expertrag_index.words.language import is_english

RULES = 2
"""Version of the rules; evaluations do not reuse answers to questions that others have read."""

MOST_CHARACTERS = 500
"""A longer question is a text with details, which are not to be rewritten."""

_CHARACTERS = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201b\u02bc", "'"),
        **dict.fromkeys("\u201c\u201d\u201f", '"'),
        **dict.fromkeys("\u00ad\u200b\u2060\ufeff"),  # soft hyphen, spaces without width
    }
)

_WH = r"(?:what|who|whom|whose|which|when|where|why|how)"
_BEFORE_WH = (
    r"(?:in|at|on|for|from|to|by|of|with|about|during|under|into|as|above|after|before|between"
    r"|since|until|through|over|without|within|against)"
)
_DETERMINER = r"(?:the|an?|this|that|these|those|my|our|your|his|her|its|their|any|some|all|no)"
_PRONOUN = r"(?:i|you|he|she|it|we|they|there)"
_ASKS = re.compile(rf"(?:{_BEFORE_WH} )?{_WH}(?:'?s|'re|'d)?\b", re.I)
# "Will Smith", "May 2019" and "Have a nice day" are not questions
_ASKS_DIRECTLY = re.compile(
    r"(?:is|are|was|were|do(?! not)|does|did|has|had|can|could|should|would"
    r"|isn't|aren't|wasn't|weren't|doesn't|didn't)\b"
    rf"|(?:will|shall|may|might|must|have|am) (?:{_PRONOUN}|{_DETERMINER})\b(?! nice)",
    re.I,
)

_MODAL = r"(?:can|could|would|will|may|might)"
_YOU = r"(?:you|anyone|anybody|someone|somebody)"
_I = r"(?:i|we)"
_TELL = r"(?:(?:tell|remind|inform|advise) (?:me|us)|let (?:me|us) know)"
_KNOW = r"(?:know|learn|find out|figure out|understand|hear|ask(?: you)?)"
_ADVERBS = r"(?: (?:please|kindly|possibly|perhaps|maybe|just|also|quickly|happen to|really),?)*"
_TELL_OR_KNOW = rf"{_ADVERBS} (?:{_TELL}|{_KNOW})"
_OPENINGS = (
    r"(?:hi|hello|hey|dear) \w+(?=[,.!])",
    r"(?:hi|hello|hey|good (?:morning|afternoon|evening|day)|excuse me|sorry|please|okay|ok|well"
    r"|so)(?: (?:there|all|everyone|everybody))?",
    r"(?:(?:i have|i've got|here is|here's) )?(?:(?:a|my|one|another|the) )?"
    r"(?:(?:quick|short|small|simple|next) )?question(?: is| for you)?",
    rf"{_MODAL} (?:{_YOU}|{_I}){_TELL_OR_KNOW}",
    rf"(?:please,?{_ADVERBS} )?{_TELL}",
    rf"do(?:es)? {_YOU}{_ADVERBS} (?:know|have (?:any|an) idea)",
    r"any idea",
    rf"{_I}(?:'d| would| am|'m)?{_ADVERBS} (?:like|love|want|wanted|need|needed|wish|trying|hoping"
    rf"|interested|curious)(?: to{_ADVERBS} {_KNOW}| in knowing)",
    rf"{_I} (?:do not|don't){_ADVERBS} know",
    rf"(?:{_I}(?: am|'m| was| were|'ve been| have been)?{_ADVERBS} )?(?:wonder|wondering|curious)"
    rf"(?: if {_YOU} (?:{_MODAL}{_TELL_OR_KNOW}|knows?|knew))?",
    rf"{_MODAL} you mind{_ADVERBS} (?:telling|reminding|informing) (?:me|us)",
    r"(?:is there any (?:chance|way)|(?:is|would) it (?:be )?possible)(?: that| for)?(?: you)?"
    rf"(?: {_MODAL}| to){_TELL_OR_KNOW}",
    rf"{_I}(?:'d| would) (?:appreciate it|be grateful) if you {_MODAL}{_TELL_OR_KNOW}",
)
_OPENING = re.compile(
    rf"(?:{'|'.join(_OPENINGS)})(?: ?(?P<mark>[:,;.!?\u2026\u2013\u2014-])+ *| +)", re.I
)
_LABEL = re.compile(r"(?:(?:my |the )?(?:question|query)|q) ?: ?(?=\S)", re.I)
_CLOSING = re.compile(
    r"(?: ?[,;.!?-]+ ?(?:please|pls|plz|(?:many )?thanks|thank you|thx|cheers)"
    r"(?: (?:in advance|a lot|so much|very much|for your help))?)+[ .!?]*$",
    re.I,
)
_ABBREVIATED = r"(?<!\.)(?<!\b[A-Z])(?<!\b[A-Z]\w)(?<!\b[A-Z]\w\w)(?<!\betc)"
_END = re.compile(rf"(?:[ ?]*\?[ ?!.]*| +\.?|{_ABBREVIATED}\.)$")
_QUOTED_END = re.compile(r"[?.!][\"')\]]$")
_SENTENCES = re.compile(r"[.!?] \S")
_INDIRECT = re.compile(
    rf"(what(?= {_DETERMINER} | (?-i:[A-Z]))"
    r"|(?:who|where|when|how)(?: (?:old|tall|big|large|long|far|high|deep))?)"
    r" (?!there |many |much )(.*\w[\"')\]]?) (is|are|was|were)([ .?!]*)",
    re.I,
)
_CONTRACTED = re.compile(
    r"\b(what|who|where|when|how|why)"
    rf"(?:'s (?!been\b|got\b|gone\b|become\b|made\b|\w+ed\b)|s (?={_DETERMINER} ))",
    re.I,
)
_DIRECT = re.compile(
    rf"(?:{_BEFORE_WH} )?{_WH}(?:'?s|'re|'d"
    r"| (?:is|are|was|were|do|does|did|has|have|had|can|could|should|would|will))\b",
    re.I,
)


def canonical(question: str) -> str:
    """Return the canonical form of a question; a canonical one is returned as it is."""
    if "\n" in question.strip() or "`" in question:
        return question
    text = " ".join(question.translate(_CHARACTERS).split())
    if not text or len(text) > MOST_CHARACTERS or is_english(text) is False:
        return text or question
    direct = _without_opening(text)
    if not (_ASKS.match(direct) or _ASKS_DIRECTLY.match(direct)):
        return direct
    return _sentence(_until_same(_CLOSING, _end_of, direct))


def _without_opening(text: str) -> str:
    """Drop labels, and polite words before a question.

    Polite words stay before a clause that cannot be written as a question with certainty: without
    them, "what write-ahead logging is" is not English.
    """
    while label := _LABEL.match(text):
        text = text[label.end() :]
    rest = text
    while opening := _OPENING.match(rest):
        rest = rest[opening.end() :]
        alone = opening["mark"] and (_ASKS.match(rest) or _ASKS_DIRECTLY.match(rest))
        if alone or _DIRECT.match(rest):
            text = rest
        elif clause := _INDIRECT.fullmatch(_until_same(_CLOSING, _end_of, rest)):
            text = f"{clause[1]} {clause[3]} {clause[2]}{clause[4]}"
    return text


def _end_of(closing: re.Match[str]) -> str:
    return "?" if "?" in closing[0] else ""


def _until_same(end: re.Pattern[str], by: Callable[[re.Match[str]], str], text: str) -> str:
    """Replace what ends a text, until nothing changes."""
    while (shorter := end.sub(by, text, count=1)) != text:
        text = shorter
    return text


def _sentence(text: str) -> str:
    """Write a question without contractions, with a capital first and a question mark last."""
    text = _CONTRACTED.sub(r"\1 is ", text)
    body = _until_same(_END, lambda _: "", text)
    ending = text[len(body) :].strip()
    if not (_QUOTED_END.search(body) or _SENTENCES.search(body)):
        ending = "?"
    return body[:1].upper() + body[1:] + ending
