"""Detect refusals in a model's own words, such as "The passages do not mention it."."""

from __future__ import annotations

import re

from expertrag.answer.refusal_patterns import FIRST_WORDS, REFUSAL

_TEXTS = r"(?:passages?|documents?|texts?|context|excerpts?|sources?|question|information)"
_HELD = r"(?:mention|say|state|specif|provid|contain|includ|hold|give|answer|list|indicat|describ)"
_ENGLISH = re.compile(
    rf"""\W*(?:
      i(?:'m|\ am)\ (?:sorry|unable|not\ (?:able|sure))
    | i\ (?:do\ not|don't|cannot|can't|could\ not|couldn't)\ (?:know|find|answer|determine|tell)
    | (?:i\ apologi[sz]e|sorry|unfortunately)\b
    | not\ (?:(?:explicitly|directly|specifically)\ )?
      (?:mentioned|specified|stated|provided|given|found|available|listed|applicable|known
      |in\ the\ (?:following\ )?(?:{_TEXTS}|lists?))
    | (?:there\ is\ |the\ {_TEXTS}\ (?:has|have|contains?|provides?)\ )?
      no\ (?:\w+\ )?(?:information|mention|answer)\b
    | (?:(?:the|this|that|it|there)\ (?:[^.!?]{{0,80}}\ )?)?
      (?:is|are|was|were)(?:\ not|n't)\ (?:\w+ly\ )?
      (?:mentioned|specified|stated|provided|given|listed)\b
    | none\ of\ the\ {_TEXTS}\b
    | (?:the|these|this)\ (?:\w+\ )?{_TEXTS}(?:\ \w+)?
      \ (?:do|does|did)(?:\ not|n't)\ (?:\w+ly\ )?{_HELD}
    | (?:it|that|this|the\ answer)\ (?:cannot|can't|can\ not)\ be\ (?:determined|answered|found)
    | cannot\ be\ (?:determined|answered|found)
    | unknown\W*$ | unclear\W*$ | n/a\W*$
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_BEGINNINGS = """i i'm sorry unfortunately not there the no none these this it that is are cannot
    unknown unclear n/a"""
_FIRST_WORDS = FIRST_WORDS.union(_BEGINNINGS.split())
_EAST_ASIAN = re.compile(r"\W*[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]")
"""The beginning of a text in Chinese, Japanese or Korean, where the first word does not tell."""
_OVER = re.compile(r"[.!?](?:\s|$)|[。！？]|\n\s*\S|(?:\S+\s+){16}")


def refuses(text: str) -> bool:
    """Return whether the first sentence of a text says that there is no answer."""
    first = _first(text)
    return _ENGLISH.match(first) is not None or REFUSAL.match(first) is not None


def may_refuse(text: str) -> bool:
    """Return whether an unfinished text may become a refusal: its first sentence is not over."""
    words = text.lower().split()[:2] or [""]
    begun = words[0] in _FIRST_WORDS or _EAST_ASIAN.match(text) is not None
    begun = begun or any(known.startswith(" ".join(words)) for known in _FIRST_WORDS)
    return begun and _OVER.search(text.lstrip()) is None


def _first(text: str) -> str:
    text = text.lstrip()
    over = _OVER.search(text)
    return text[: over.end()] if over else text
