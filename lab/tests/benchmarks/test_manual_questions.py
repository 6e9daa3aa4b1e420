"""How-to questions about manuals: answers with the program and its options are right."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from manual_questions import is_right, questions

TEXT = (
    "Archiving utility. - Create an archive from files: `{0} -c -f path/to/target.tar path` "
    "- List the contents of an archive: `{0} --list`"
)


def test_questions_are_of_examples_with_options(tmp_path: Path) -> None:
    folder = tmp_path / "demo_docs"
    folder.mkdir()
    names = [f"tldr/common/archiver{number}" for number in range(9)]
    pages = [
        {"_id": name, "text": TEXT.format(name.rpartition("/")[2])}
        for name in [*names, "tldr/common/curl", "tldr/windows/dir"]
    ]
    lines = "".join(json.dumps(page) + "\n" for page in pages)
    (folder / "tldr.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    asked = questions(tmp_path, 20)
    assert {item.id for item in asked} == {*names}  # curl is asked about in the test of mixed
    assert len(questions(tmp_path, 5)) == 5
    for item in asked:
        program = item.id.rpartition("/")[2]
        assert item.words in ((program, "-c", "-f"), (program, "--list"))
        assert item.text.startswith(("How do I create an archive", "How do I list the contents"))
    assert 0 < sum(" with archiver" in item.text for item in asked) < len(asked)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Use `tar -x -f path`.", True),
        ("tar -f path -x", True),
        ("Use `unrar -x -f path`.", False),
        ("Use `tar -xf path`.", False),
        ("Use `tar`.", False),
    ],
)
def test_an_answer_has_the_program_and_its_options(answer: str, right: bool) -> None:
    assert is_right(answer, ("tar", "-x", "-f")) is right
