"""An abstention is in the language of the question."""

from __future__ import annotations

import pytest

from expertrag.llm.abstentions import ABSTENTION, BY_LANGUAGE, abstention_of, is_abstention
from expertrag.llm.beginnings import BEGINNINGS
from expertrag_index.words.language import language_of_question


@pytest.mark.parametrize(
    ("question", "beginning"),
    [
        ("Wie viele Tage Urlaub habe ich?", "Die Dokumente enthalten keine Antwort"),
        ("Combien de jours de congés peut-on reporter ?", "Les documents ne contiennent pas"),
        ("北京在哪里?", "文档中没有"),
        ("Где находится офис?", "В документах нет ответа"),
        ("How many days do I have?", "The documents do not hold an answer"),
        ("kuinka monta päivää on lomaa ja koska se on", "The documents do not hold an answer"),
    ],
)
def test_abstentions(question: str, beginning: str) -> None:
    assert abstention_of(question).startswith(beginning)
    assert is_abstention(abstention_of(question))
    assert not is_abstention(question)


def test_each_language_of_answers_has_one() -> None:
    assert BY_LANGUAGE.keys() == BEGINNINGS.keys()
    for language, text in BY_LANGUAGE.items():
        assert language_of_question(text) in (language, ""), text
    assert language_of_question(ABSTENTION) in ("en", "")
