"""The model's turn begins in the language of the question."""

from __future__ import annotations

import pytest

from expertrag.llm.beginnings import BEGINNINGS, beginning_of
from expertrag.llm.prompt import INSTRUCT, PLAIN
from expertrag_index.words.language import language_of_question


@pytest.mark.parametrize(
    ("question", "beginning"),
    [
        ("Wie viele Tage Urlaub habe ich?", "Kurze Antwort:"),
        ("Wird Alkohol erstattet?", "Kurze Antwort:"),
        ("Warum wird Alkohol nicht erstattet?", "Antwort:"),
        ("Combien de jours de congés peut-on reporter ?", "Réponse courte :"),
        ("¿Cuántos días tengo?", "Respuesta corta:"),
        ("Quanti giorni di ferie ho?", "Risposta breve:"),
        ("北京在哪里?", "简短回答:"),
        ("なぜ東京ですか", "答え:"),
        ("Где находится офис?", "Краткий ответ:"),
        ("How many days do I have?", "Short answer:"),
        ("How do I claim expenses?", "Answer:"),
        ("man pages", "Short answer:"),
        ("Die Hard", "Short answer:"),
        ("kuinka monta päivää on lomaa ja koska se on", "Short answer:"),
    ],
)
def test_beginnings(question: str, beginning: str) -> None:
    assert INSTRUCT.beginning(question) == beginning
    assert PLAIN.beginning(question) == ""


@pytest.mark.parametrize("language", BEGINNINGS)
def test_beginnings_are_in_their_language(language: str) -> None:
    known = BEGINNINGS[language]
    assert known.short != known.long
    assert known.short[-1] == known.long[-1] == ":"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Ist Rauchen erlaubt?", "de"),
        ("hat trick", ""),
        ("hat trick?", "de"),
        ("Kan?", ""),
        ("", ""),
    ],
)
def test_the_first_word_of_a_question(text: str, language: str) -> None:
    assert language_of_question(text) == language
    assert beginning_of("") == ""
