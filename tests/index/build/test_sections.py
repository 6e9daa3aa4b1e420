from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertrag_index.build.sections import sections

BODY = "Nobody reads a manual before something breaks, and then everybody wants one answer. " * 3


def named(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(section.heading, section.above) for section in sections(text)]


def test_a_section_is_a_heading_and_the_text_below_it() -> None:
    headings = ("# Handbook", "## Leave", "### Study leave", "## Gifts")
    text = "\n\n".join(f"{heading}\n\n{BODY}" for heading in headings)
    assert named(text) == [
        ("Handbook", ()),
        ("Leave", ("Handbook",)),
        ("Study leave", ("Handbook", "Leave")),
        ("Gifts", ("Handbook",)),
    ]
    assert [text[item.start :].split("\n")[0] for item in sections(text)][2] == "### Study leave"


@pytest.mark.parametrize(
    "text",
    ["", "  \n", "no heading", "#hashtag", "a # b", "####### seven", " # x", "# ###", "#\nx"],
)
def test_a_text_without_headings_is_one_section(text: str) -> None:
    assert sections(text) == [(0, len(text), "", ())]


def test_text_before_the_first_heading_is_a_section() -> None:
    assert named(f"{BODY}\n# Later\n{BODY}") == [("", ()), ("Later", ())]
    assert named(f"\n\n# First ##\n{BODY}") == [("First", ())]


def test_small_sections_absorb_the_following_but_not_a_higher_level() -> None:
    text = (
        "# Leave\n\n## Days\n\nOf these there are 27.\n\n## Sick\n\n"
        f"{BODY}\n\n### Note\n\nShort.\n\n# End\n\n{BODY}"
    )
    assert named(text) == [("Leave", ()), ("Note", ("Leave", "Sick")), ("End", ())]


def test_a_comment_in_code_is_not_a_heading() -> None:
    code = f"```sh\n# install\n{BODY}\n~~~\n# run\n{BODY}\n```"
    assert named(f"# Set-up\n\n{code}\n\n## After\n\n{BODY}") == [
        ("Set-up", ()),
        ("After", ("Set-up",)),
    ]
    inner = f"```\n{BODY}\n```sh\n# still code\n{BODY}\n```\n# Real\n{BODY}"
    assert named(inner) == [("", ()), ("Real", ())]
    longer = f"````\n```\n# quoted\n```\n````\n{BODY}\n# Real\n{BODY}"
    assert named(longer) == [("", ()), ("Real", ())]


@given(st.lists(st.sampled_from(["# A\n", "## B\n", "### C\n", "```\n", f"{BODY}\n", "x\n", "\n"])))
def test_sections_cover_the_text_in_order(lines: list[str]) -> None:
    text = "".join(lines)
    found = sections(text)
    assert [item.end for item in found][-1] == len(text)
    assert all(left.end == right.start for left, right in pairwise(found))
    assert not text[: found[0].start].strip()
    for item in found:
        assert item.heading in text[item.start : item.end]
        assert all(0 <= text.find(heading) < item.start for heading in item.above)
