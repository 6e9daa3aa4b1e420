"""Detect refusals in a model's own words, such as "The passages do not mention it."."""

from __future__ import annotations

import re

_TEXTS = r"(?:passages?|documents?|texts?|context|excerpts?|sources?|question|information)"
_HELD = r"(?:mention|say|state|specif|provid|contain|includ|hold|give|answer|list|indicat|describ)"
_REFUSAL = re.compile(
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
_FIRST_WORDS = frozenset(_BEGINNINGS.split())
_OVER = re.compile(r"[.!?](?:\s|$)|\n\s*\S|(?:\S+\s+){16}")


def refuses(text: str) -> bool:
    """Return whether the first sentence of a text says that there is no answer."""
    return _REFUSAL.match(_first(text)) is not None


def may_refuse(text: str) -> bool:
    """Return whether an unfinished text may become a refusal: its first sentence is not over."""
    first, *others = text.lower().split() or [""]
    begun = first in _FIRST_WORDS if others else any(w.startswith(first) for w in _FIRST_WORDS)
    return begun and _OVER.search(text.lstrip()) is None


def _first(text: str) -> str:
    text = text.lstrip()
    over = _OVER.search(text)
    return text[: over.end()] if over else text
