"""A folder and questions that somebody else wrote."""

import json
from pathlib import Path

from many.external import external_folder

QUESTIONS = (
    {
        "id": "1",
        "kind": "list",
        "source": "table",
        "style": "short",
        "question": "unpaid suppliers?",
        "answer": {"items": [["Ropery Ltd", "Ropery"], ["Tarworks"]], "none_of": ["Sailmakers"]},
    },
    {
        "id": "2",
        "kind": "count",
        "source": "fields",
        "style": "plain",
        "question": "How many ships are there?",
        "answer": {"number": 4},
    },
    {
        "id": "3",
        "kind": "exists",
        "source": "prose",
        "style": "plain",
        "question": "Does anyone live in Ferry Street?",
        "answer": {"verdict": "no"},
    },
    {
        "id": "4",
        "kind": "latest",
        "source": "prose",
        "style": "plain",
        "question": "What is the fare now?",
        "answer": {"any_of": ["12.50"], "never": ["11.00"]},
    },
)


def test_files_and_questions_are_read(tmp_path: Path) -> None:
    (tmp_path / "files" / "ships").mkdir(parents=True)
    (tmp_path / "files" / "ships" / "one.md").write_text("# One")
    lines = "\n".join(map(json.dumps, QUESTIONS))
    (tmp_path / "questions.jsonl").write_text(f"{lines}\n")
    folder = external_folder(tmp_path)
    assert folder.write() == {"ships/one.md": b"# One"}
    unpaid, ships, lives, fare = folder.questions()
    assert unpaid.needed == (("Ropery Ltd", "Ropery"), ("Tarworks",))
    assert set(unpaid.universe) == {*unpaid.needed, ("Sailmakers",)}
    assert (ships.numbers, ships.scopes, ships.universe) == ((4.0,), ("count",), ())
    assert (lives.verdict, lives.needed) == (False, ())
    assert (fare.needed, fare.stale) == ((("12.50",),), ("11.00",))
    assert [item.split for item in folder.questions()] == ["choose", "test"] * 2
    assert len({item.id for item in folder.questions()}) == len(QUESTIONS)
