"""Plain texts and logs: every line is kept, and only underlined titles are headings."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index.conftest import parsed, text_of

from expertrag_index.build.sections import sections
from expertrag_index.loaders.registry import suffix_of

LOG = """# tail -f app.log
2024-05-01 10:32:07 INFO [main] started
## a comment
[WARN]: disk full
# apt-get install sluice
2**32 <br> <!-- x --> `a`
"""


@pytest.mark.parametrize("name", ["a.txt", "a.log", "README", "LICENSE-MIT", "changelog.Debian"])
def test_a_line_that_begins_with_a_hash_is_not_a_heading(tmp_path: Path, name: str) -> None:
    text = text_of(tmp_path / name, LOG)
    assert text.replace("\n #", "\n#").strip() == LOG.strip()
    assert [section.heading for section in sections(text)] == [""]


def test_underlined_titles_are_headings(tmp_path: Path) -> None:
    (document,), _ = parsed(tmp_path / "a.txt", f"The title\n=========\n\n# root\n\n{'x ' * 99}\n")
    assert document.title == "The title"
    assert document.text.startswith("# The title\n\n\n # root")


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.text("ab# `-=~.:[]<>*_\t", max_size=12), max_size=8))
def test_every_word_of_a_text_is_kept(tmp_path: Path, lines: list[str]) -> None:
    documents, failures = parsed(tmp_path / "a.txt", "\n".join(lines) + "\nz")
    assert failures == []
    words = "".join(each for each in "".join(lines) if each in "ab")
    assert "".join(each for each in documents[0].text if each in "ab") == words


@pytest.mark.parametrize("name", ["a.txt.gz", "a.log.gz", "README.gz", "changelog.Debian.gz"])
def test_packed_texts_are_read(tmp_path: Path, name: str) -> None:
    packed = gzip.compress(b"First.\n") + gzip.compress(b"Second.\n")  # as log rotation appends
    assert text_of(tmp_path / name, packed) == "First.\nSecond."


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.TXT", ".txt"), ("a.b.csv.gz", ".csv.gz"), ("a.gz", ".gz"),
        ("archive.tar.gz", ".tar.gz"), ("README", ".txt"), ("readme.md", ".md"),
        ("LICENSE.Apache-2.0", ".txt"), ("readme.png", ".png"), ("COPYING.LESSER", ".txt"),
        ("copyright", ".txt"), ("news-2024", ".txt"), ("newsletter", ""),
        ("changelog.gz", ".txt.gz"), ("changelog.Debian.gz", ".txt.gz"), ("ls.1", ".1"),
        ("ls.1.gz", ".1.gz"), ("license.exe", ".exe"), (".hidden", ""), ("", ""), ("a.", "."),
        ("TODO.docx", ".docx"),
    ],
)  # fmt: skip
def test_the_type_of_a_name(name: str, suffix: str) -> None:
    assert suffix_of(name) == suffix
