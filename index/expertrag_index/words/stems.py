"""Stems of languages other than English, by Snowball's algorithms (snowballstemmer)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

from expertrag_index.words.patterns import SCRIPTS

_ALGORITHMS: Mapping[str, str] = {
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nl": "dutch",
    "pt": "portuguese",
    "ro": "romanian",
    "sv": "swedish",
    "tr": "turkish",
    "ru": "russian",
    "el": "greek",
    "ar": "arabic",
    "hi": "hindi",
}

LANGUAGES = tuple(code for code in _ALGORITHMS if code not in SCRIPTS)
"""Languages in Latin letters that have stems: the language of the text tells which."""

_lock = threading.Lock()


def stem_in(language: str, word: str) -> str:
    """Return the stem of a folded word; empty for a language without stems. Thread-safe."""
    if language not in _ALGORITHMS:
        return ""
    with _lock:  # a stemmer keeps the word in itself
        stem: str = _stemmer(_ALGORITHMS[language]).stemWord(word)
    return stem


def marker(language: str) -> str:
    """Return the term of all chunks in a language that has a vocabulary of its own."""
    return f"{language}/"


@cache
def _stemmer(algorithm: str) -> Any:
    import snowballstemmer  # 30 languages: only where a text is in another than English

    return snowballstemmer.stemmer(algorithm)
