"""reStructuredText: code is verbatim, what Sphinx shows is kept, comments and targets are not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index.conftest import parsed, text_of

NASTY = (
    "2**32", "f(**kw, *args)", ".. a comment", ".. note:: x", "`a`_ b", ":role:`x <y>`", "|x|",
    "# a comment", "a::", r"\d+\ x", "x = {}", "**bold**", "Vec<T>", "!x", ">>> y",
)  # fmt: skip


@pytest.mark.parametrize("code", NASTY)
@pytest.mark.parametrize(
    "form",
    ["Text ``{}`` text.", "::\n\n    {}\n\nText.", "Text::\n\n    {}\n\n    end",
     "- item::\n\n    {}",
     ".. code-block:: python\n   :linenos:\n\n   {}\n", ".. code::\n\n   a\n\n   {}\n\nText.",
     ">>> {}\nText.", ".. note::\n\n   Text::\n\n       {}\n\n   Text.", ".. math::\n\n   {}\n"],
)  # fmt: skip
def test_code_is_verbatim(tmp_path: Path, form: str, code: str) -> None:
    assert code in text_of(tmp_path / "a.rst", form.format(code))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (".. [1] A note.\n   Its end.", "[1] A note.\n   Its end."),
        (".. [#f] A note.", "[#f] A note."),
        (".. [Knuth1984] A book.", "[Knuth1984] A book."),
        (".. versionadded:: 3.2\n   Text.", "New in version 3.2\n   Text."),
        (".. deprecated:: 3.1", "Deprecated since version 3.1"),
        (".. warning:: Hot.", "Warning: Hot."),
        (".. Note::\n\n   Text.", "Note:\n\n   Text."),
        ("A |x| b.\n\n.. |x| replace:: long\n   name", "A long name b."),
        ('.. csv-table:: Title\n   :header: "A", "B"\n   :widths: 1, 2\n\n   1, 2',
         'Title\n\nA | B\nA: 1 | B: 2'),
        (".. image:: a.png\n   :alt: A plan.\n   :width: 30", "A plan."),
        (".. figure:: a.png\n\n   A caption.", "A caption."),
        (".. code-block:: sh\n   :caption: The caption\n\n   ls", "The caption\n\n```sh\nls\n```"),
        (".. unknown:: words\n   :option: x\n\n   Text.", "words\n\n   Text."),
        ("..\n\n   Not a comment.", "Not a comment."),
        (".. _target:\n\n   Text.", "Text."),
        (":ref:`Title <target>` :func:`~a.b` :kbd:`<Esc>` :math:`2**n`", "Title a.b <Esc> 2**n"),
        ("`text <https://x>`__ and `name`_.", "text and name."),
        ("``x``\\ s and \\*args", "`x`s and *args"),
        (".. toctree::\n   :caption: Contents\n\n   The title <a/file>", "Contents\nThe title"),
        (".. rst:role:: index\n\n   Text.", "index\n\n   Text."),  # of Sphinx's own manual
        (".. module:: a.b\n   :synopsis: x", "a.b"),
    ],
)  # fmt: skip
def test_what_a_reader_sees_of_markup_is_kept(tmp_path: Path, text: str, kept: str) -> None:
    assert text_of(tmp_path / "a.rst", f"{text}\n").strip() == kept


@pytest.mark.parametrize(
    "markup",
    [
        # docs/api.rst of agate 1.14.2: names of files, not their titles
        ".. toctree::\n    :maxdepth: 1\n\n    gone/table\n    gone/tableset",
        # docs/index.rst of Jinja 3.1.6
        ".. rst-class:: gone-header",
        ".. image:: gone/jinja-logo.png\n    :align: center\n    :target: https://gone",
        # docs/dev/enthought-plan.rst of Docutils 0.23
        ".. _gone: https://gone/docutils.html\n",
        ".. This is gone\n   over lines.\n\n   And here.",
        ".. highlight:: gone",
        ".. contents:: :depth: gone",
        ".. |x| raw:: html\n\n   <gone>",
    ],
)
def test_comments_targets_and_names_of_files_are_dropped(tmp_path: Path, markup: str) -> None:
    assert text_of(tmp_path / "a.rst", f"Text.\n\n{markup}\n\nMore.\n") == "Text.\n\nMore."


def test_a_comment_in_code_is_no_heading_and_no_title(tmp_path: Path) -> None:
    (document,), _ = parsed(tmp_path / "a.rst", "# root\n\n::\n\n  # code\n\nTitle\n=====\n")
    assert document.title == "Title"
    assert document.text.startswith(" # root\n\n```\n# code\n```\n\n# Title")


WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=4, max_size=9)
CODE = st.lists(st.sampled_from(NASTY) | WORDS, min_size=1, max_size=4).map(" ".join)


@st.composite
def block(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A block of reST, and the texts that its reader sees."""
    word, other, code = draw(WORDS), draw(WORDS), draw(CODE)
    directive = f"my-{draw(WORDS)}"
    return draw(
        st.sampled_from(
            [
                (f"A {word} ``{code}`` and **{other}**.", [word, f"`{code}`", other]),
                (f"{word}\n{'=' * len(word)}", [word]),
                (
                    f"{word}::\n\n    {code}\n\n      {code}\n\n{other}",
                    [word, f"{code}\n\n  {code}", other],
                ),
                (f".. {directive}:: {word}\n\n   {other} `{code}`", [word, other]),
                (f".. warning::\n   {word}\n\n   {other}", ["Warning:", word, other]),
                (f".. code-block:: sh\n\n   {code}\n     {code}\n", [f"{code}\n  {code}"]),
                (f".. [{word}] {other}", [f"[{word}] {other}"]),
                (f".. image:: x.png\n   :alt: {word}", [word]),
                (f".. {word} {other}", []),
                (f".. _{word}: https://x", []),
                (f"- {word}\n\n  :{word}: {other}", [word, other]),
                (f":{directive}:`{word} <{other}>` `{other} <https://x>`_", [word, other]),
                (f"====  ====\n{word[:4]}  {other[:4]}\n====  ====", [word[:4], other[:4]]),
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
    documents, _ = parsed(tmp_path / "a.rst", "\n\n".join(text for text, _ in blocks))
    text = documents[0].text if documents else ""
    at = 0
    for visible in (each for _, texts in blocks for each in texts):
        at = text.find(visible, at)
        assert at >= 0, visible


@pytest.mark.parametrize(
    "unit", ["``a ", "`a <", ":a:`", "**a ", "|a ", "a::\n\n", ".. a\n", "  ::\n\n"]
)
def test_unclosed_markup_takes_linear_time(tmp_path: Path, unit: str) -> None:
    started = time.process_time()
    parsed(tmp_path / "a.rst", "Text " + unit * (200_000 // len(unit)))
    assert time.process_time() - started < 5
