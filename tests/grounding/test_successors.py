"""Passages of documents that may say the same at different times."""

from __future__ import annotations

import pytest

from expertrag.api.types import Passage
from expertrag.grounding.successors import Written, are_versions, find_successors, names_in
from expertrag.grounding.wording import wording

TODAY = "2025-10-15"


def passage(path: str, text: str) -> Passage:
    return Passage(path, 0, text, 0, len(text), 1.0, source=f"/share/{path}")


RULE = passage(
    "rules/laptops.txt", "Laptops (April 2022)\n\nA laptop is replaced after three years."
)
SUCCESSOR = passage(
    "rules/hardware.md",
    "20 June 2024. Replaces the note of April 2022.\n\nA laptop lasts four years.",
)
QUESTION = wording("After how many years do I get a new laptop?")


def test_a_document_that_names_the_day_of_another_one_may_follow_it() -> None:
    assert find_successors(RULE, [RULE, SUCCESSOR], QUESTION, TODAY) == [SUCCESSOR]
    assert find_successors(SUCCESSOR, [RULE, SUCCESSOR], QUESTION, TODAY) == [RULE]
    assert Written(SUCCESSOR, TODAY).changes(Written(RULE, TODAY))
    assert not Written(RULE, TODAY).changes(Written(SUCCESSOR, TODAY))


@pytest.mark.parametrize(
    "other",
    [
        passage("rules/phones.md", "20 June 2024. A phone lasts four years."),
        passage("rules/phones.md", "20 June 2024. Replaces the note of May 2021. Phones last."),
        passage("rules/laptops.csv#3", SUCCESSOR.text),
        passage("rules/laptops.md", "laptop | years\n--- | ---\nnote of April 2022, replaced | 4"),
    ],
)
def test_other_documents_and_rows_do_not_follow_it(other: Passage) -> None:
    assert find_successors(RULE, [other], QUESTION, TODAY) == []


def test_equal_texts_follow_each_other_by_their_dates_and_not_by_their_numbers() -> None:
    def lease(path: str, rent: int, head: str = "") -> Passage:
        return passage(
            path, f"{head}A shed on the quay. The rent of the year is £{rent}, from May."
        )

    asked = wording("What is the rent of the shed?")
    dated = [lease("leases/rent_2023.txt", 900), lease("leases/rent_2024-11.txt", 950)]
    numbered = [lease("leases/shed_03.txt", 900), lease("leases/shed_11.txt", 950)]
    effective = [
        lease(f"leases/rent-{n}.txt", 900 + n, f"Effective: 2024-0{n}-01\n\n") for n in (1, 2)
    ]
    for (one, other), follows in ((dated, True), (numbered, False), (effective, True)):
        assert bool(find_successors(one, [other], asked, TODAY)) is follows


def test_successors_have_the_same_names_of_the_question() -> None:
    asked = wording("What is the rent of Halden?")
    first = passage("leases/halden.txt", "March 2021. Halden pays a rent of £900.")
    change = "2 May 2024. The lease of March 2021 is amended: {} pays a rent of £950."
    same, other = (passage("leases/change.txt", change.format(name)) for name in ("Halden", "Orme"))
    assert names_in(first, asked) == {"halden"}
    assert find_successors(first, [other, same], asked, TODAY) == [same]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("diving", "diving_new", True),
        ("expense limits", "amendment to expense limits", True),
        ("travel_rules_2023", "travel_rules_2024", True),
        ("charter_halden_2025", "charter_halden_amendment_1", True),
        ("lease_flat_3", "lease_flat_4", False),
        ("incident-016", "incident-017", False),
        ("minutes_2025-01-14", "minutes_2025-02-14", False),
        ("2025", "rules_2025", False),
    ],
)
def test_the_names_of_versions(one: str, other: str, *, expected: bool) -> None:
    assert are_versions(one, other) is are_versions(other, one) is expected


@pytest.mark.parametrize(
    ("path", "text", "day"),
    [
        ("limits_2024-11.txt", "From 38 knots.", "2024-11"),
        ("limits.txt", "Limits, January 2024, signed on 3 February 2024", "2024-01"),
        ("limits.txt", "The limits of January 2024 are changed. 3 June 2025", "2025-06-03"),
        ("lease.txt", "1 March 2021 to 28 February 2026", "2021-03-01"),
        ("rules.txt", "Effective: 1 May 2024\n\nAs discussed in March 2023", "2024-05-01"),
        ("travel 2023.txt", "By train.", "2023"),
        ("travel.txt", "Travel rules, year 2025\n\nBy train since 2019.", "2025"),
        ("travel.txt", "By train.", ""),
    ],
)
def test_the_day_on_which_a_document_was_written(path: str, text: str, day: str) -> None:
    assert Written(passage(path, text), TODAY).day == day


def test_a_draft_and_what_takes_effect_later_rank_below_what_is_in_force() -> None:
    in_force = passage("rules/quiet_2024.txt", "From 10 pm.")
    draft = passage("rules/quiet_2025_DRAFT.txt", "From 9 pm.")
    later = passage("rules/quiet_2026.txt", "Effective: 1 January 2026\n\nFrom 8 pm.")
    ranks = [Written(one, TODAY).rank for one in (in_force, draft, later)]
    assert max(ranks) == ranks[0]
    assert Written(later, "2026-02-01").rank > Written(in_force, "2026-02-01").rank


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("rules 2025-03.txt", "rules 2024.txt", True),
        ("rules 2024.txt", "rules 2025-03.txt", False),
        ("rules 2025.txt", "rules 2025-03.txt", False),
        ("rules 2025-03.txt", "rules 2025.txt", False),
        ("rules 2025.txt", "rules.txt", False),
        ("rules.txt", "rules 2025 draft.txt", True),
    ],
)
def test_a_document_is_after_another_one_only_if_the_dates_say_so(
    one: str, other: str, *, expected: bool
) -> None:
    first, second = (Written(passage(path, "By train."), TODAY) for path in (one, other))
    assert first.is_after(second) is expected
