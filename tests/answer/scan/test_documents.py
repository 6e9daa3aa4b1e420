"""Which documents of a family a scan reads, and in which order."""

from __future__ import annotations

from scan_samples import OpenContext

from expertrag.answer.context import AnswerContext
from expertrag.answer.scan.documents import choose_documents

CONTRACTS = [f"contracts/contract-{number}.txt" for number in (1, 2, 3, 4)]
QUESTION = "Which contracts end in 2026?"


def _ids(context: AnswerContext, limit: int = 100) -> list[str]:
    return [info.id for info in choose_documents(context, limit).documents]


def test_all_documents_of_a_family_are_read(ask: OpenContext) -> None:
    chosen = choose_documents(ask(QUESTION), 100)
    assert sorted(info.id for info in chosen.documents) == CONTRACTS
    assert (chosen.left_out, chosen.family) == (0, "all of contracts")
    assert chosen.passages["contracts/contract-4.txt"][0].text.startswith("Dieser Vertrag")


def test_those_that_match_best_stand_first_and_a_limit_leaves_the_others_out(
    ask: OpenContext,
) -> None:
    context = ask("Which contract runs for two years and costs USD 900?")
    assert _ids(context)[0] == "contracts/contract-3.txt"
    chosen = choose_documents(context, 1)
    assert [info.id for info in chosen.documents] == ["contracts/contract-3.txt"]
    assert chosen.left_out == 3


def test_labels_and_the_filter_apply(ask: OpenContext) -> None:
    board = frozenset({"board"})
    assert sorted(_ids(ask(QUESTION, labels=board))) == [*CONTRACTS, "contracts/contract-5.txt"]
    filtered = ask(QUESTION, labels=board, filter={"year": {"$gte": 2024}})
    assert sorted(_ids(filtered)) == ["contracts/contract-4.txt", "contracts/contract-5.txt"]
