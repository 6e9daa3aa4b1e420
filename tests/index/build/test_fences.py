from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from expertrag_index.build.fences import fences


def blocks(text: str) -> list[str]:
    return [text[start:end] for start, end in fences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n```sh\n# x\n```\nb", ["```sh\n# x\n```"]),
        ("~~~\n```\n~~~\n```\nc\n```", ["~~~\n```\n~~~", "```\nc\n```"]),
        ("````\n```\n````", ["````\n```\n````"]),
        ("```\na\n```python\nb\n```", ["```\na\n```python\nb\n```"]),
        ("- item\n\n  ```\n  a\n  ```  \n", ["```\n  a\n  ```"]),
        ("```inline``` code\n# Heading", []),
        ("```\nnever closed\n\n", ["```\nnever closed"]),
        ("no fence, `` ` `` at all", []),
    ],
)
def test_finds_the_blocks_of_code(text: str, expected: list[str]) -> None:
    assert blocks(text) == expected


LINES = st.sampled_from(["```", "````", "~~~", "~~~~~", "```py", "``` a`b", "~~~ x", "text", ""])


@given(st.lists(LINES, max_size=12))
def test_finds_what_an_independent_parser_finds(lines: list[str]) -> None:
    tokens = MarkdownIt("commonmark").parse("\n".join(lines))
    expected = [token.map[0] for token in tokens if token.type == "fence" and token.map]
    text = "\n".join(lines)
    assert [text.count("\n", 0, start) for start, _ in fences(text)] == expected
