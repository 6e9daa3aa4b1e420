"""Noun phrases of questions, without a tagger."""

from __future__ import annotations

import pytest

from expertrag.conversation.mentions import mentions


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("What is a physician's assistant?", ["physician's assistant"]),
        ("What did Plessy v. Ferguson establish?", ["Plessy v. Ferguson"]),
        ("What was the Securities Act of 1933?", ["Securities Act of 1933"]),
        (
            "Who signed the Charter of the European Union?",
            ["Charter of the European Union"],
        ),
        (
            "Which file holds the client authentication rules?",
            ["file", "client authentication rules"],
        ),
        ("What does --force do in git push?", ["--force", "git push"]),
        ("Can I run Windows software in it?", ["Windows software"]),
        ("How do I limit the depth?", ["depth"]),
        ('What does "point in time" mean?', ["point in time"]),
        ("What is the default port of PostgreSQL?", ["default port of PostgreSQL"]),
        ("What are the symptoms of asthma?", ["symptoms", "asthma"]),
        ("Which berth is reserved for tugs?", ["berth", "tugs"]),
        ("What is the speed of a seed?", ["speed of a seed"]),
        ("Why?", []),
        ("Is it good?", []),
    ],
)
def test_phrases(text: str, phrases: list[str]) -> None:
    found = mentions(text)
    assert [item.phrase for item in found] == phrases
    assert all(text[item.start : item.end] == item.phrase for item in found)


def test_names_and_code_are_named() -> None:
    assert [item.named for item in mentions("Does pg_hba.conf on Windows list hosts?")] == [
        True,
        True,
        False,
    ]
    (file,) = mentions("pg_hba.conf")
    assert file.named


@pytest.mark.parametrize(
    ("text", "plural"),
    [
        ("Tell me about lipids.", True),
        ("Tell me about the Normans.", True),
        ("Tell me about Windows.", False),
        ("What is an analysis?", False),
        ("What is a bus?", False),
    ],
)
def test_plurals(text: str, plural: bool) -> None:
    assert mentions(text)[-1].plural is plural


def test_articles_and_persons() -> None:
    (item,) = mentions("What was the neolithic revolution?")
    assert (item.article, item.text) == ("the", "the neolithic revolution")
    assert [item.person for item in mentions("Did Steven Spielberg direct Jaws?")] == [True, False]
