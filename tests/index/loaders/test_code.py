"""Source code: verbatim, in a section for each definition."""

from __future__ import annotations

from pathlib import Path

import pytest
from index.conftest import load_all, load_whole, text_of

from expertrag_index.build.sections import sections

BODY = "    x = 1  # a line that makes the section long enough to be one of its own\n" * 3
PYTHON = f'''"""A module."""

import os
{BODY}

# A comment at the margin is not a heading.
@cache
def first(a: int) -> int:
{BODY}    return a


class Second(Base):
    """Has methods."""
{BODY}
    # about the method
    async def third(self):
{BODY}
if __name__ == "__main__":
    first(1)
'''


def test_a_section_begins_at_each_definition_with_what_is_written_above_it(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(PYTHON)
    (document,) = load_whole(tmp_path / "a.py")
    assert (document.title, document.metadata) == ("a.py", {"programming_language": "python"})
    first, second, third = sections(document.text)[1:]
    assert first.heading == "def first(a: int) -> int"
    start = "## def first(a: int) -> int\n```python\n# A comment at the margin is not a heading.\n"
    assert document.text[first.start :].startswith(start + "@cache\ndef first")
    assert (second.heading, third.heading) == ("class Second(Base)", "async def third(self)")
    assert third.above == ("class Second(Base)",)
    assert "    # about the method\n    async def third" in document.text[third.start : third.end]


def test_every_line_is_kept_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(PYTHON)
    (document,) = load_whole(tmp_path / "a.py")
    kept = [
        line
        for line in document.text.split("\n")
        if line.strip() and not line.startswith(("## ", "### ", "```"))
    ]
    assert kept == [line for line in PYTHON.split("\n") if line.strip()]


def test_fences_in_the_code_do_not_end_the_block(tmp_path: Path) -> None:
    code = f'{BODY}def a():\n    """\n    ```\n# no heading\n    ```\n    """\n{BODY}'
    (tmp_path / "a.py").write_text(code)
    (document,) = load_whole(tmp_path / "a.py")
    assert [section.heading for section in sections(document.text)] == ["", "def a()"]
    assert document.text.endswith("\n````")


@pytest.mark.parametrize(
    ("name", "line", "found"),
    [
        ("a.js", "export default async function go(x) {", True),
        ("a.js", "export const go = async (x) => {", True),
        ("a.ts", "export interface Ship {", True),
        ("a.ts", "type Ship = {", True),
        ("a.js", "return go(x);", False),
        ("A.java", "public final class Ship extends Boat {", True),
        ("A.java", "    public static int weight(Ship ship) {", True),
        ("A.java", "        int weight = ship.weight();", False),
        ("a.go", "func (s *Ship) Weight() int {", True),
        ("a.rs", "pub(crate) async fn weight(ship: &Ship) -> u32 {", True),
        ("a.rs", "impl Boat for Ship {", True),
        ("a.c", "static int weight(const struct ship *ship)", True),
        ("a.c", "#include <stdio.h>", False),
        ("a.c", "int weight(void);", False),
        ("a.c", "struct ship {", True),
        ("a.cpp", "std::string Ship::name() const {", True),
        ("a.rb", "  def weight(ship)", True),
        ("a.sh", "weigh_ship() {", True),
        ("a.sh", "echo weigh", False),
        ("a.sql", "CREATE TABLE IF NOT EXISTS ships (", True),
        ("a.sql", "SELECT * FROM ships", False),
        ("a.ini", "key = [1]", False),
    ],
)
def test_definitions_of_languages(tmp_path: Path, name: str, line: str, found: bool) -> None:
    (tmp_path / name).write_text(f"first line\n{line}\n  last line\n")
    (document,) = load_whole(tmp_path / name)
    assert (f"## {line.strip().rstrip(' {(=:')}" in document.text) is found


@pytest.mark.parametrize(
    ("name", "line"),
    [("a.toml", "[tool.ruff]"), ("a.yaml", "services:"), ("a.ini", "[part]"), ("a.conf", "[part]")],
)
def test_a_setting_is_not_a_section(tmp_path: Path, name: str, line: str) -> None:
    """A file of a dozen lines is one block; in a long one, sections are as long as elsewhere."""
    short = f"first: 1\n{line}\n  a: 2\nlast: 3\n"
    assert "##" not in text_of(tmp_path / name, short)
    long = f"first: {'1' * 200}\n{line}\n  a: {'2' * 200}\nlast: 3\n"
    text = text_of(tmp_path / name, long)
    assert [section.heading for section in sections(text)][:2] == ["", line.rstrip(":")]


def test_a_comment_after_a_definition_is_no_part_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("class Ship(Boat):  # type: ignore[misc]\n    pass\n")
    (document,) = load_whole(tmp_path / "a.py")
    assert document.text.startswith("## class Ship(Boat)\n```python\nclass Ship(Boat):  # type")


def test_binary_content_with_such_a_name_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "video.ts").write_bytes(b"G@\0\x10\0\0\xb0" * 50)
    _, (failure,) = load_all(tmp_path)
    assert "binary content" in failure.reason


@pytest.mark.parametrize("unit", ["a ", "a(", "a,", "export ", "public ", "[", "create a ", "  "])
def test_a_hostile_line_takes_linear_time(tmp_path: Path, unit: str) -> None:
    for suffix in ("js", "java", "c", "sql", "rs", "ini", "php"):
        (tmp_path / f"a.{suffix}").write_text(unit * (500_000 // len(unit)) + "\nx")
    documents, failures = load_all(tmp_path, limit=2**20)
    assert (len(documents), failures) == (7, [])
