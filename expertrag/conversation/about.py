"""Recognise messages about the conversation itself: thanks, or a change of the last answer.

They need no documents: the model answers them from the conversation. The patterns are English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from expertrag.conversation.words import APOSTROPHE, POLITE

_WORD = re.compile(r"[\w'-]+")
_MOST_CHARACTERS = 200  # of a message about the conversation
_PLEASE = r"(?:(?:can|could|would|will) you (?:please )?|please |i'd like you to )?"
_THAT = (
    r"(?:that|this|it|them|(?:your|the|that|this) (?:(?:last|previous|first|above) )?(?:answer"
    r"|reply|response|message|text|explanation|sentence|summary|list)|the above|what you said)"
)
_LANGUAGE = (
    r"(?:english|french|german|spanish|italian|portuguese|dutch|polish|russian|chinese|japanese"
    r"|korean|arabic|turkish|hindi|swedish|danish|norwegian|finnish|greek|czech|hungarian"
    r"|romanian|ukrainian|latin)"
)
_MANNER = (
    r"(?:(?:much |a (?:bit|little) |even )?(?:shorter|longer|simpler|clearer|briefer|more "
    r"(?:concise|formal|polite|detailed|readable|simply|briefly|clearly))|again|briefly|simply|concisely"
    r"|in (?:one|two|three|a few|fewer|\d+|simple|simpler|plain|other|short|your own|layman's)"
    r"(?: short)?(?: (?:words?|sentences?|lines?|paragraphs?|terms|english))?"
    rf"|(?:in|into|to) {_LANGUAGE}"
    r"|(?:as|into|in) (?:an? )?(?:(?:bulleted|numbered|short|simple) )?(?:list|table|bullets?"
    r"(?: points?)?|poem|haiku|email|json|markdown|sentence|paragraph|summary|steps))"
)
_REWRITES = (
    r"(?:rephrase|reword|rewrite|restate|paraphrase|shorten|simplify|condense|summari[sz]e"
    r"|translate|repeat|reformat|proofread)"
)
_WRITES = r"(?:make|keep|put|say|write|give|explain|format|phrase|turn|convert|show|express|answer)"
_END = r"(?: for me| to me)?(?: please)?(?: thanks)?"
_ASKS = r"(?:how|what|when|where|who|why|which|can|could|is|are|do|does|did|and|but|tell)\b"

_COURTESIES = [
    re.compile(pattern)
    for pattern in (
        # thanks, greetings and assent
        rf"(?:many )?(?:thanks|thank you|thx|cheers)(?: (?!{_ASKS})\S+){{0,8}}",
        r"(?:hi|hello|hey|good (?:morning|afternoon|evening|night)|bye|goodbye|see you)"
        r"(?: there| again| later)?",
        r"got it|i see|i understand|understood|(?:that )?makes sense|that helps(?: a lot)?"
        r"|never ?mind|no problem|sounds good|well done|good job|sure|exactly"
        r"|(?:that(?:'s| is) )?(?:just |exactly )?what i (?:needed|wanted|was looking for)",
        r"(?:that's|that is|that was|this is|it's)(?: very| really)? (?:all|great|helpful|useful"
        r"|perfect|good|clear|enough|fine|it|nice|interesting)(?: for now)?(?: thanks| thank you)?",
    )
]
_ABOUT = [
    *_COURTESIES,
    *map(
        re.compile,
        (
            # a change of the last answer
            rf"{_PLEASE}{_REWRITES}(?: {_THAT})?(?: {_MANNER})*{_END}",
            rf"{_PLEASE}{_WRITES} (?:me )?{_THAT}(?: to me)?(?: {_MANNER})+{_END}",
            rf"(?:same )?{_MANNER}(?: and {_MANNER})?{_END}|tl ?dr",
            # what was said
            r"what (?:did|have) (?:i|we|you) (?:just |already )?(?:say|said|ask|asked|talk|talked"
            r"|discuss|discussed|tell me|told me|mention|mentioned)(?: (?:about|first|last|before"
            r"|so far|earlier|just now|you))*",
            r"what (?:was|were|is) (?:my|your) (?:first|last|previous|original) (?:question|answer"
            r"|message|reply)s?",
            r"what(?:'s| is) my name|who am i|do you remember(?: \S+){0,6}",
        ),
    ),
]


def is_courtesy(message: str) -> bool:
    """Return whether a message only thanks, greets or assents, whatever was said before."""
    return _matches(message, _COURTESIES)


def is_about_conversation(message: str) -> bool:
    """Return whether a message of a conversation asks nothing of the documents.

    Meant for messages after the first: without an earlier answer there is nothing to change.
    """
    return _matches(message, _ABOUT)


def _matches(message: str, patterns: Sequence[re.Pattern[str]]) -> bool:
    if len(message) > _MOST_CHARACTERS:
        return False
    words = _WORD.findall(message.lower().replace(APOSTROPHE, "'"))
    start = next((i for i, word in enumerate(words) if word not in POLITE), len(words))
    if words and start == len(words):
        return True
    # "OK, thanks a lot" begins with polite words, and "thanks" is one of them
    texts = {" ".join(words[begin:]) for begin in range(start + 1)}
    return any(pattern.fullmatch(text) for pattern in patterns for text in texts)
