"""Questions of a log become a data set that ``eval record`` takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from audit_fixtures import WriteLog, make_entry

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.api.types import Feedback, GateMode
from expertrag.audit.questions import collect_corrected, to_label
from expertrag.audit.reading import read_log
from expertrag_lab.data.annotations import check_texts, open_dataset, split_answers
from expertrag_lab.data.datasets import load_dataset


def test_questions_are_distinct_and_in_random_order(write_log: WriteLog) -> None:
    entries = [
        make_entry(1, 0.9, question="Sure?"),
        make_entry(2, 0.45, question="Close?"),
        make_entry(3, 0.7, question="Middling?"),
        make_entry(4, 0.52, question="  sure? "),
        make_entry(5, 0.5),
        make_entry(6, None, mode=GateMode.ALWAYS, question="Forced?"),
    ]
    found = to_label(read_log(write_log(entries)))
    assert {question.text for question in found} == {"  sure? ", "Close?", "Middling?"}
    more = [*entries, *(make_entry(n, n / 50, question=f"Number {n}?") for n in range(7, 47))]
    order = [question.text for question in to_label(read_log(write_log(more)))]
    assert [text for text in order if text in {q.text for q in found}] == [q.text for q in found]
    numbers = [text for text in order if text.startswith("Number")]
    assert numbers != sorted(numbers, key=lambda text: int(text[7:-1]))  # nor by p_benefit


def test_answers_from_feedback(write_log: WriteLog) -> None:
    entries = [
        make_entry(1, question="How many?"),
        make_entry(2),
        make_entry(3, question="how  many?"),
        make_entry(4),
    ]
    said = [
        Feedback(entries[0].id, correct_answer="four"),
        Feedback(entries[1].id, correct_answer="Rome", query="Where?"),
        Feedback(entries[2].id, correct_answer="4 "),
        Feedback(entries[3].id, correct_answer="of nothing known"),
        Feedback("f" * 32, helpful=True, query="What for?"),
    ]
    found = collect_corrected(read_log(write_log(entries, said)))
    assert [(item.text, item.answers) for item in found] == [
        ("how  many?", ("four", "4")),
        ("Where?", ("Rome",)),
    ]


def test_a_log_without_texts_is_rejected(write_log: WriteLog) -> None:
    with pytest.raises(InvalidArgument, match=r"audit\.texts = true"):
        check_texts(read_log(write_log([make_entry(1)])))
    said = [Feedback(make_entry(1).id, correct_answer="Rome", query="Where?")]
    check_texts(read_log(write_log([make_entry(1)], said)))


def test_a_data_set_is_continued(tmp_path: Path, write_log: WriteLog) -> None:
    log = read_log(write_log([make_entry(1, question="Où?"), make_entry(2, 0.9, question="When?")]))
    where, when = to_label(log)
    folder = tmp_path / "mine"
    with open_dataset(folder) as dataset:
        assert where not in dataset
        dataset.add(where, ("à Paris", "Paris"), "annotate")
        assert where in dataset
        with pytest.raises(Conflict, match="another run is writing"), open_dataset(folder):
            pass
    with (folder / "queries.jsonl").open("a") as file:
        file.write('{"_id": "torn')  # killed here
    with open_dataset(folder) as dataset:
        assert (where in dataset, when in dataset, len(dataset)) == (True, False, 1)
        dataset.add(when, ("now",), "feedback")
    loaded = load_dataset(folder)
    assert {query.text: query.answers for query in loaded.queries} == {
        "Où?": ("à Paris", "Paris"),
        "When?": ("now",),
    }
    assert loaded.questions_only


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl.gz", "qrels"])
def test_a_data_set_of_documents_is_rejected(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InvalidArgument, match=f"holds {name}"), open_dataset(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_damaged_data_set_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text('{"_id": "x"}\n')
    with pytest.raises(InvalidArgument, match="line 1 has no text"), open_dataset(tmp_path):
        pass
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InvalidArgument, match="is not a folder"), open_dataset(file):
        pass


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("Rome\n", ("Rome",)),
        (" Rome | the city of Rome |Rome | ", ("Rome", "the city of Rome |Rome")),
        ("a|b", ("a|b",)),
        ("x | x", ("x",)),
        (" | \n", ()),
        ("\n", ()),
    ],
)
def test_typed_answers(line: str, answers: tuple[str, ...]) -> None:
    assert split_answers(line) == answers
