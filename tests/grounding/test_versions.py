"""Versions of one document among passages: the newest one in force answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pytest

from expertrag.api.types import Passage
from expertrag.grounding.versions import newest_versions
from expertrag_index.types import MetadataValue

QUESTION = "How many days of annual leave do I get?"


def passage(
    name: str, text: str = "", metadata: Mapping[str, MetadataValue] | None = None
) -> Passage:
    text = text or f"Employees get 25 days of annual leave in each calendar year, says {name}."
    return Passage(
        name,
        0,
        text,
        0,
        len(text),
        1.0,
        source=f"/share/{name.partition('#')[0]}",
        metadata=metadata or {},
    )


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("hr/Archive/Leave Policy 2023.docx", "hr/Leave Policy 2025.docx"),
        ("hr/Leave Policy 2023.docx", "hr/Leave Policy 2025.pdf"),
        ("hr/Drafts/Leave Policy 2026 DRAFT v0.3.docx", "hr/Leave Policy 2025.docx"),
        ("hr/2023/leave.docx", "hr/leave.docx"),
        ("it/backup-policy-v2.md", "it/backup-policy-v3.md"),
        ("it/backup-policy-v9.md", "it/backup-policy-v10.md"),
        ("it/password-policy-2021.docx", "it/password-policy.docx"),
        ("hr/handbook (1).docx", "hr/handbook.docx"),
        ("it/old/rules-2023.md", "it/rules.md"),
        ("desk/refund.txt", "desk/refund_new.txt"),
        ("desk/Erstattung.txt", "desk/Erstattung neu.txt"),
    ],
)
def test_an_older_version_gives_its_rank_to_the_newest(older: str, newer: str) -> None:
    other = passage("other.md", "Nothing of this is about holidays.")
    result = newest_versions(QUESTION, [passage(older), other, passage(newer)])
    assert [each.document_id for each in result.in_force] == [newer, "other.md"]
    pairs = [(old.document_id, new.document_id) for old, new in result.replaced]
    assert pairs == [(older, newer)]


def test_metadata_orders_versions_whose_names_do_not() -> None:
    older = passage("hr/leave.docx", metadata={"modified": "2023-01-01"})
    newer = passage("hr/leave.pdf", metadata={"modified": "2025-01-01"})
    retired = passage("hr/leave.md", metadata={"modified": "2026-01-01", "status": "superseded"})
    result = newest_versions(QUESTION, [older, newer, retired])
    assert result.in_force == (newer,)
    assert result.replaced == ((older, newer), (retired, newer))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("minutes/2025-02-12 steering.docx", "minutes/2025-06-18 steering.docx"),
        ("reports/Q1-2025.pdf", "reports/Q2-2025.pdf"),
        ("plants/2024-05.md", "plants/2024-06.md"),
        ("hr/leave 2023.docx", "hr/travel 2025.docx"),
        ("esker/safety 2023.docx", "mirevale/safety 2025.docx"),
        ("2023.docx", "2025.docx"),
        ("staff-v2.csv#1", "staff-v2.csv#2"),
    ],
)
def test_documents_of_several_dates_or_subjects_are_no_versions(one: str, other: str) -> None:
    passages = (passage(one), passage(other))
    assert newest_versions(QUESTION, passages).in_force == passages


def test_passages_on_other_subjects_are_kept() -> None:
    older = passage("hr/leave 2023.docx", "A sabbatical needs six years of service.")
    newer = passage("hr/leave 2025.docx")
    assert newest_versions(QUESTION, [older, newer]).replaced == ()


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("it/backup-policy-v2.md", "it/backup-policy-v3.md"),
        ("it/Archive/backup policy 2022.md", "it/backup policy 2025.md"),
        ("it/backup policy DRAFT.md", "it/backup policy.md"),
    ],
)
def test_what_is_marked_as_older_is_replaced_whatever_its_words(older: str, newer: str) -> None:
    result = newest_versions(QUESTION, [passage(older, "At 23:30."), passage(newer, "Each night.")])
    assert [each.document_id for each in result.in_force] == [newer]


@pytest.mark.parametrize(
    "question",
    [
        "How many days of leave did the policy of 2023 give?",
        "What was the previous number of days of leave?",
        "How many days does the draft give?",
        "What has changed in the leave policy?",
    ],
)
def test_a_question_about_an_older_version_is_answered_from_it(question: str) -> None:
    older = passage("hr/Leave Policy 2023 draft.docx")
    newer = passage("hr/Leave Policy 2025.docx")
    assert older in newest_versions(question, [newer, older]).in_force


def test_documents_without_a_path_have_no_versions() -> None:
    texts = [Passage(name, 0, "Leave.", 0, 6, 1.0) for name in ("leave-2023", "leave-2025")]
    assert newest_versions(QUESTION, texts).in_force == tuple(texts)


def test_the_version_in_force_on_a_day_answers() -> None:
    old = passage("travel-policy-v1.md", "Effective: 1 January 2025\nEUR 40 a day.")
    new = passage("travel-policy-v2.md", "Effective: 1 January 2026\nEUR 50 a day.")
    future = passage("travel-policy-v3.md", "Gültig ab: 01.01.2099\nEUR 90 a day.")
    passages = [future, new, old]
    assert newest_versions(QUESTION, passages, date(2026, 5, 1)).in_force == (new,)
    assert newest_versions(QUESTION, passages, date(2025, 5, 1)).in_force == (old,)
    assert newest_versions(QUESTION, passages, date(2099, 1, 1)).in_force == (future,)
    assert future not in newest_versions(QUESTION, passages).in_force


def test_a_past_period_asks_for_the_version_of_its_time() -> None:
    old = passage("diving-rules.v2.md", "Three people.", {"effective": "2022-05-01"})
    new = passage("diving-rules.v2-1.md", "Four people.", {"effective": "2026-02-01"})
    assert newest_versions("How many people dive?", [old, new]).in_force == (new,)
    assert newest_versions("How many people dived in 2023?", [new, old]).in_force == (old,)


def test_a_german_name_marks_an_older_version() -> None:
    old, new = passage("Hygieneordnung alt.md"), passage("Hygieneordnung.md")
    assert newest_versions(QUESTION, [old, new]).in_force == (new,)


def test_the_latest_year_is_read_first_whatever_its_words() -> None:
    old = passage("travel/rules 2023.txt", "Use of your own car is paid back at £0.38 per mile.")
    middle = passage("travel/rules 2024.txt", "Whoever drives a car claims £0.42 for each mile.")
    new = passage("travel/rules 2025.docx", "Private cars get £0.47 a mile.")
    other = passage("travel/rules 2026.txt", "A hotel room costs no more than £125.")
    result = newest_versions("What do I get per mile with my car?", [old, other, middle, new])
    assert [each.document_id[13:17] for each in result.in_force] == [
        "2025",
        "2024",
        "2023",
        "2026",
    ]
    assert (old, new) in result.outdated
    assert all(later is not other for _, later in result.outdated)
    named = newest_versions("What did I get per mile with my car in 2023?", [new, old])
    assert named.outdated == ()
