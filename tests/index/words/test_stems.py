"""Stems of languages other than English."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import snowballstemmer

from expertrag_index.words.language import FUNCTION_WORDS
from expertrag_index.words.patterns import SCRIPTS
from expertrag_index.words.stems import LANGUAGES, marker, stem_in


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("de", ["frist", "fristen"]),
        ("fr", ["contrat", "contrats"]),
        ("es", ["contrato", "contratos"]),
        ("ro", ["contract", "contracte"]),
        ("tr", ["ev", "evler"]),
        ("ru", ["договор", "договоры", "договоров"]),
        ("el", ["συμβολαιο", "συμβολαια"]),
    ],
)
def test_forms_of_a_word_have_one_stem(language: str, words: list[str]) -> None:
    assert len({stem_in(language, word) for word in words}) == 1


def test_languages() -> None:
    assert set(LANGUAGES) <= FUNCTION_WORDS.keys(), "their texts must be recognised"
    assert not set(LANGUAGES) & SCRIPTS.keys()
    assert stem_in("en", "notes") == stem_in("", "notes") == stem_in("vi", "notes") == ""
    assert marker("de") == "de/"
    assert all(stem_in(language, "x") for language in (*LANGUAGES, "ar", "el", "hi", "ru"))


def test_threads_get_what_one_gets() -> None:
    words = [f"{start}ungen" for start in ("leist", "zahl", "rechn", "ordn", "mein", "kündig")] * 50
    alone = snowballstemmer.stemmer("german").stemWords(words)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda word: stem_in("de", word), words)) == alone
