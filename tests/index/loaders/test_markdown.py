"""Markdown: code is verbatim, what a reader sees is kept, marks and targets are dropped."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index.conftest import parsed, text_of

from expertrag_index.loaders.markdown import readable

NASTY = (
    "<br>", "<!-- x -->", "a[0][1]", "2**n + 3**n", "![x](y)", "[a](b) [c][d]", "[d]: http://e",
    "# no heading", "f(**kw)", "<img alt=z>", "x  y", "--- |", "&amp; \\* _e_", "> quoted",
    "- item",
)  # fmt: skip


def shown(text: str) -> str:
    return readable(text)[1].strip("\n")


@pytest.mark.parametrize("code", NASTY)
@pytest.mark.parametrize(
    "form",
    ["`{}`", "a `` {} `` b", "[`{}`](url)", "**`{}`**", "```\n{}\n```", "~~~ sh\n{}\n~~~",
     "Text:\n\n    {}\n\nText.", "\t{}", "- item\n\n      {}\n", "1. item\n\n   ```\n   {}\n   ```",
     "> ```\n> {}\n> ```", "- a\n  - b\n\n        {}"],
)  # fmt: skip
def test_code_is_verbatim(form: str, code: str) -> None:
    assert code in shown(form.format(code))


@pytest.mark.parametrize(
    "line",
    [
        "[^1]: A note.", "[WARN]: disk full", "[10:32]: he said", "[Ann]: hello",
        "a[0][1] = b[2][3]",
        "2**n + 3**n", "Vec<T> and <placeholder>", "see [1][2] and [x]", r"\[not\](a link)",
        "[10:32]: ok [Ann]", "<!-- never closed", "a <!- b -->", "[a]: b c", "`` ` `` and `",
    ],
)  # fmt: skip
def test_text_that_looks_like_markup_is_kept(line: str) -> None:
    assert shown(f"Text.\n\n{line}\n") == f"Text.\n\n{line}"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        # README.md of httpx 0.28.1: a centred picture in a link
        ('<p align="center">\n  <a href="https://x/"><img src="a.png" alt=\'HTTPX\'></a>\n</p>',
         "HTTPX"),
        # CODE_OF_CONDUCT.md of Scrapy 2.19.0: addresses by their labels
        ("See [the FAQ][FAQ] and [v2.1][].\n\n[FAQ]: https://x/faq\n[v2.1]: https://x/2/1 'T'",
         "See the FAQ and v2.1."),
        # ISSUE_TEMPLATE.md of foundation-emails: what its author is told
        ("<!-- Before you\n\nsubmit -->\nHow can we\n<!--- two --><!-- more -->reproduce it?",
         "How can we\nreproduce it?"),
        ("A [link\nover lines](https://x/a_(b) \"Title\") and ![an image](<a b.png>).",
         "A link\nover lines and an image."),
        ("[![build](b.svg)](https://ci) **bold** <https://x>", "build bold https://x"),
        ("Text <!-- hidden `code` --> more.", "Text  more."),
    ],
)  # fmt: skip
def test_marks_targets_and_comments_are_dropped(text: str, kept: str) -> None:
    assert shown(text).strip() == kept


def test_a_rule_below_code_does_not_make_a_title_of_it() -> None:
    heading, text = readable("```\nx\n```\n---\n\nTitle with `code`\n===\n")
    assert (heading, text) == ("Title with `code`", "```\nx\n```\n---\n\n# Title with `code`\n\n")


WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=4, max_size=9)
CODE = st.lists(st.sampled_from(NASTY) | WORDS, min_size=1, max_size=4).map(" ".join)


@st.composite
def block(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A block of Markdown, and the texts that its reader sees."""
    word, other, code = draw(WORDS), draw(WORDS), draw(CODE)
    return draw(
        st.sampled_from(
            [
                (f"A {word} `{code}` and **{other}**.", [word, f"`{code}`", other]),
                (f"{word}\n===", [word]),
                (f"## {word} [{other}](https://x/{word})", [word, other]),
                (f"```\n{code}\n\n{code}\n```", [f"{code}\n\n{code}"]),
                (f"{word}:\n\n    {code}\n\n    {code}\n", [word, f"    {code}\n\n    {code}"]),
                (f"- {word}\n\n      {code}\n\n- {other}", [word, code, other]),
                (f"| {word} | `{code}` |\n|---|---|\n| {other} | 1 |", [word, f"`{code}`", other]),
                (f"![{word}](x.png) <img src=x alt='{other}'>", [word, other]),
                (f"<!-- {word} -->\n{other}", [other]),
                (f"[^{word}]: {other}", [f"[^{word}]: {other}"]),
                (f"[{word}]: {other} {other}", [f"[{word}]: {other} {other}"]),
                (f"[{word}]: https://x/y", []),
                (f"<details><summary>{word}</summary>{other}</details>", [word, other]),
                (f"> {word}\n> {other}", [word, other]),
            ]
        )
    )


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(block(), min_size=1, max_size=6))
def test_what_a_reader_sees_is_kept_in_order(
    tmp_path: Path, blocks: list[tuple[str, list[str]]]
) -> None:
    documents, _ = parsed(tmp_path / "a.md", "\n\n".join(text for text, _ in blocks))
    text = documents[0].text if documents else ""
    at = 0
    for visible in (each for _, texts in blocks for each in texts):
        at = text.find(visible.strip("\n"), at)
        assert at >= 0, visible


@pytest.mark.parametrize(
    "unit", ["`", "``a`", "- ", "    a\n\n", "<!-- `", "```\n", "[a]: b\n", "<!---->", "<img "]
)
def test_unclosed_code_takes_linear_time(unit: str) -> None:
    started = time.process_time()
    readable("Text " + unit * (400_000 // len(unit)))
    assert time.process_time() - started < 5


def test_a_packed_file_is_read(tmp_path: Path) -> None:
    (document,), failures = parsed(tmp_path / "a.md.gz", gzip.compress(b"Some **text**."))
    assert (document.title, document.text, failures) == ("a", "Some text.", [])
    assert text_of(tmp_path / "a.markdown", "[a](b)") == "a"
