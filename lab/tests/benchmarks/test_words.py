"""The lint of words: what it reports, with its line, and what it leaves alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import words
from house_code import ROOT
from words_texts import Kind, markdown_texts, python_texts

LONG = "word " * words.MOST_WORDS + "word"

MODULE = f'''
"""A summary.

{LONG}.

``a``: {LONG}.

    x = {LONG}

:param b: {LONG}.

name   a list in columns, {LONG}
"""

# the lines of a comment
# and those of its block

HELP = option("", "one; {LONG}")
LIST = "{LONG}".split()


def _judged(name):
    raise InvalidArgument(
        f"{{name}}: is no list, too"
    )


class Index:
    @property
    def judged(self): ...

    def Embed(self): ...
'''

PAGE = f"""
# {LONG}

Text, {LONG}.

- an item
- {LONG} and
  its second line, beside it

| {LONG} |

```
{LONG}
```
"""


def _texts(source: str, kind: Kind) -> list[str]:
    return [text.value for text in python_texts(source) if text.kind is kind]


def _faults(tmp_path: Path, name: str, source: str) -> Iterator[tuple[int, str]]:
    path = tmp_path / name
    path.write_text(source, encoding="utf-8")
    for fault in words.check(path):
        assert fault.path == name
        yield fault.line, fault.message


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(words, "ROOT", tmp_path)
    return tmp_path


def test_every_rule_reports_the_line(root: Path) -> None:
    faults = sorted(_faults(root, "module.py", MODULE))
    assert [(line, message.rpartition(": ")[2][:15]) for line, message in faults] == [
        (4, "word word word "),
        (16, "name the noun a"),
        (18, "word word word "),
        (22, "name it by a ve"),
        (24, 'say "also"'),
        (24, 'say "is not a",'),
    ]


def test_prose_of_a_page_has_no_code_headings_and_tables(root: Path) -> None:
    assert sorted(line for line, _ in _faults(root, "page.md", PAGE)) == [4, 7, 8]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("The name is no list.", 1),
        ("They are no lists", 1),
        ("There is no list; if there are no lists, it is no longer one.", 0),
        ("the line of a refused request, that of another, those of all", 2),
        ("It ends, too.", 1),
        ("It is too long, too long by far", 0),
        ("next to it, beside it", 1),
        ("besides", 0),
        ("`that of` and ``is no list`` are code", 0),
    ],
)
def test_phrases(text: str, faults: int) -> None:
    (paragraph,) = markdown_texts(text)
    assert len(list(words.check_phrases(paragraph))) == faults


@pytest.mark.parametrize(
    ("sentence", "count"),
    [
        ("One, two - three.", 3),
        ("`one word` and ``another word``", 3),
        ("[a link](to/a page.md)", 2),
        ("+.5 % 2", 2),
    ],
)
def test_words_are_counted(sentence: str, count: int) -> None:
    assert words.count_words(sentence) == count


def test_a_semicolon_ends_a_sentence_of_a_message_only() -> None:
    half = "word " * 15
    assert _lengths(f'raise Fault("{half}; {half}")') == []
    assert _lengths(f'"""{half}; {half}"""') == [30]
    assert _lengths(f'"""{half}. Word {half}"""') == []


def test_each_name_of_a_list_is_checked_on_its_own() -> None:
    half = "word " * 15
    entry = f"    name: {half}\n        deeper {half}\n"
    assert _lengths(f'"""Summary.\n\n    a, b: {half}\n    c: {half}\n"""') == []
    assert _lengths(f'"""Summary.\n\n{entry}    c: {half}\n"""') == [32]


@pytest.mark.parametrize(
    "paragraph",
    [
        "    name: {half}\n    {half}\n",
        "    {half}\n    name: {half}\n",
        "    name: {half}\n    {half}\n    other: {half}\n",
        "    name: {half}\n        {half}\n",
    ],
)
def test_a_colon_alone_makes_no_list(paragraph: str) -> None:
    text = paragraph.format(half="word " * 15)
    (count,) = _lengths(f'"""Summary.\n\n{text}"""')
    assert count == len(text.split())


def _lengths(source: str) -> list[int]:
    return [
        int(message.split()[0])
        for text in python_texts(source)
        for _, message in words.check_length(text)
    ]


def test_messages_are_told_from_other_strings() -> None:
    source = """
raise X("a message")
problem = NotFound(f"no {name} here")
flag("--out", help="the help")
print("another string")
"""
    assert _texts(source, Kind.MESSAGE) == ["a message", "no X here", "the help"]
    assert _texts(source, Kind.PHRASES) == ["another string"]


@pytest.mark.parametrize("name", ["skipped", "ListSkipped"])
def test_public_names_stay(name: str) -> None:
    assert list(words.check_names(ast.parse(f"def {name}(): ..."))) == []


def test_generated_files_are_not_read() -> None:
    folders = [ROOT / folder for folder in words.GENERATED]
    paths = list(words.paths())
    assert len(paths) > 500
    assert not any(path.is_relative_to(folder) for path in paths for folder in folders)


def test_the_code_and_the_docs_have_no_faults() -> None:
    done = subprocess.run(
        [sys.executable, words.__file__], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("", 0)
