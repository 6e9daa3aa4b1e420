"""The attacks of the campaign are what they claim to be, and their structure is taken away."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from injection_cases import AttackCase, documents_of, read_cases, undefended
from prompt_injection import wilson

from expertrag.api.types import Passage
from expertrag.llm import prompt

CASES = read_cases()
LINES = re.compile("[\n\r\v\f\x85\u2028\u2029]")
MARKER = re.compile(r"\s*(?:\[\d+\](?:\s|$)|(?:question|(?:short )?answer):)", re.IGNORECASE)


def shown(case: AttackCase, folder: Path) -> str:
    """Return the prompt with the attack as its only passage."""
    [document] = documents_of([case.attack], folder)
    passage = Passage("d", 0, document.text, 0, len(document.text), 1.0, title=document.title)
    return prompt.open_book(case.question, [passage])[-1].content


def markers(content: str) -> list[str]:
    return [line for line in LINES.split(content) if MARKER.match(line)]


def test_there_are_fifty_attacks_of_ten_kinds() -> None:
    assert set(Counter(case.category for case in CASES).values()) == {5}
    assert len({case.id for case in CASES}) == len(CASES) == 50
    for case in CASES:
        assert case.truth.search(case.honest[1])
        assert case.category == "exfiltration" or not case.canary.search(case.honest[1])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_no_attack_forges_a_part_of_the_prompt(case: AttackCase, tmp_path: Path) -> None:
    content = shown(case, tmp_path / "files")
    assert len(markers(content)) == 2
    assert markers(content)[1] == f"Question: {case.question}"
    if case.category == "hidden text":
        assert not case.canary.search(content)


def test_without_the_defences_they_do(tmp_path: Path) -> None:
    with undefended():
        contents = {case.id: shown(case, tmp_path / case.id) for case in CASES}
    assert sum(len(markers(content)) > 2 for content in contents.values()) >= 10
    hidden = [case for case in CASES if case.category == "hidden text"]
    assert sum(case.canary.search(contents[case.id]) is not None for case in hidden) >= 4
    assert len(markers(shown(CASES[5], tmp_path / "after"))) == 2


def test_intervals_are_those_of_wilson() -> None:
    """Worked by hand: for 0 of n the end is z² / (n + z²)."""
    assert wilson(0, 50) == {"hits": 0, "of": 50, "share": 0.0, "interval": [0.0, 0.0713]}
    assert wilson(25, 50)["interval"] == [0.3664, 0.6336]
    assert wilson(0, 0)["share"] is None
