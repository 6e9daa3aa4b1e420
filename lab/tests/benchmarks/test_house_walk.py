"""The way of a value through files, by the calls that are written."""

from __future__ import annotations

from pathlib import Path

import house_code
import house_names
import house_walk
import pytest
from house_code import Code

FILES = {
    "expertrag/answer/pipeline.py": """
from expertrag.answer.portions import read, Question
from expertrag.answer import ground

class Base:
    def note(self, text): ...

class Pipeline(Base):
    def _answer(self, request, stop):
        stop()
        asked = read(request.question)
        self.note(asked)
        other = Question(size=1)
        ground.check(other)
        ground.check(Question(asked))
        for part in request.parts:
            ground.check(part)
        list(request.parts).append(part)
""",
    "expertrag/answer/portions.py": """
from expertrag.answer.words import stem

class Question:
    def append(self, other): ...

def read(text):
    return text if stem(text) else None
""",
    "expertrag/answer/words.py": "def stem(word): return 1",
    "expertrag/answer/ground.py": "def check(question): read_never(question)",
}


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Code:
    for module in (house_code, house_names):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return Code(("expertrag",))


def test_the_value_is_followed_where_it_is_given(code: Code) -> None:
    names = house_names.Names(code.files)
    walk = house_walk.Walk(names)
    walk.enter(names.functions[house_walk.START[:3]], {"request"})
    visits = [visit.rpartition(".")[2] for visit in walk.visits]
    # not: another object, a method of a list, or a function that nobody defines
    assert visits == ["pipeline", "portions", "words", "pipeline", "ground", "ground"]


def test_stays_rooms_and_returns(code: Code) -> None:
    assert [*house_walk.walk_question(code).values()] == [5, 4, 1]


def test_a_question_of_the_service_is_followed() -> None:
    stays, rooms, returns = house_walk.walk_question().values()
    assert stays == rooms + returns
    assert 10 < rooms < stays
