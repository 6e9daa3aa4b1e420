"""Front matter: title, domain and metadata, and text that is searched all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index.conftest import parsed, text_of

SUFFIXES = ("md", "txt", "rst")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_three_dots_end_it(tmp_path: Path, suffix: str) -> None:
    """As in the specification of CommonMark, of which a rule far below seemed to be the end."""
    lines = "---\ntitle: Spec\nversion: '0.30'\n...\n\nPreliminaries.\n\n---\n\nMore: {\n"
    (document,), failures = parsed(tmp_path / f"spec.{suffix}", lines)
    assert (document.title, document.metadata, failures) == ("Spec", {"version": "0.30"}, [])
    assert document.text.startswith("version: '0.30'\n\nPreliminaries.")
    assert document.text.endswith("More: {")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "text",
    [
        "---\nWarning: 220 V\n---\nPull the plug.",
        "---\nA paragraph.\n\n---\nAnother one.",
        "---\n- a list\n---\nText.",
        "---\nNote: see below\n\nA paragraph: of: prose.\n---\nText.",
        "---\nname: a\nbroken: [b\n---\nText.",
        "---\ntitle: Rules: a reminder\nkey: word\n---\nText.",
        "---\ntitle:\n  rendered: Inside\n---\nText.",
        "---\nkey: word\n# a comment\n---\nText.",
        "---\nopen: for ever\n\nText.",
        "---\n---\nText.",
        "---\n\n---\n\n---\nText.",
        f"---\nlong: {'x ' * 40_000}\n---\nText.",
        f"---\nnumber: 0x{'f' * 4_000}\n---\nText.",  # of more digits than Python writes
        f"---\n0x{'f' * 4_000}: name\n---\nText.",
    ],
)
def test_no_word_between_the_rules_is_lost(tmp_path: Path, suffix: str, text: str) -> None:
    (document,), _ = parsed(tmp_path / f"a.{suffix}", text)
    kept = f"{document.title}\n{document.text}"
    assert [word for word in text.split() if word.strip("-:[").strip() not in kept] == []


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("title: Rules: a reminder", "Rules: a reminder"),
        ('title: "a" b', 'a" b'),
        ("x: {{y}}", "a"),
    ],
)
def test_a_title_of_broken_yaml_is_the_title(tmp_path: Path, line: str, title: str) -> None:
    (document,), (notice,) = parsed(tmp_path / "a.md", f"---\n{line}\nz: {{{{y}}}}\n---\nText.")
    assert document.title == title
    assert notice.notice and notice.reason.startswith("broken front matter")


def test_the_fields_stand_below_the_first_heading(tmp_path: Path) -> None:
    text = "---\ndescription: About pumps.\ntitle: Pumps\ntags: [a, b]\n---\n\n# Guide\n\nText."
    assert text_of(tmp_path / "a.md", text) == (
        "# Guide\n\ndescription: About pumps.\ntags: [a, b]\n\nText."
    )


WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=9)
VALUES = st.recursive(
    WORDS | st.integers(0, 9999) | st.dates() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def test_a_nested_title_is_text(tmp_path: Path) -> None:
    text = text_of(tmp_path / "a.md", "---\ntitle: [[], {key: word}, [b, c, d]]\n---\nText.")
    assert "word" in text


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(WORDS | st.sampled_from(["title", "domain"]), VALUES, max_size=5),
    st.sampled_from(["---", "..."]),
    st.booleans(),
)
def test_what_yaml_writes_is_in_the_document(
    tmp_path: Path, fields: dict[str, object], end: str, flow: bool
) -> None:
    lines = yaml.safe_dump(fields, default_flow_style=flow, sort_keys=False, width=1_000)
    (document,), failures = parsed(tmp_path / "a.md", f"---\n{lines}{end}\nThe text.\n")
    assert failures == []
    assert document.text.endswith("The text.")
    kept = f"{document.title}\n{document.domain}\n{document.text}".lower()
    assert [word for word in _scalars(fields) if word not in kept] == []


def _scalars(value: object) -> list[str]:
    if isinstance(value, dict):
        return [word for inner in value.values() for word in _scalars(inner)]
    if isinstance(value, list):
        return [word for inner in value for word in _scalars(inner)]
    return [str(value).lower() if isinstance(value, bool) else str(value)]


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("2024", "2024"),
        ("1.5", "1.5"),
        ("2024-05-01", "2024-05-01"),
        ("on", "True"),
        ("null", "None"),
    ],
)
def test_a_field_that_yaml_does_not_name_by_a_text(tmp_path: Path, field: str, name: str) -> None:
    (document,), failures = parsed(tmp_path / "a.md", f"---\nkind: memo\n{field}: x\n---\nText.")
    assert failures == []
    assert document.metadata == {"kind": "memo", name: "x"}
