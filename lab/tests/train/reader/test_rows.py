"""Packed sequences: every group is whole, of one domain, and separate from the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from expertrag.llm.adapters.bundle import AdapterSettings
from expertrag.llm.base import SHARED
from expertrag.llm.convert.dense import load_dense
from expertrag.llm.load.chat import ChatTokenizer
from expertrag.llm.prompt import ABSTAINS, NOT_FOUND
from expertrag_lab.adapters import adapt
from expertrag_lab.train.reader.examples import ReaderExample
from expertrag_lab.train.reader.material import material
from expertrag_lab.train.reader.network import ReaderNetwork
from expertrag_lab.train.reader.recipe import FULL
from expertrag_lab.train.reader.rows import (
    Borders,
    PackedBranch,
    PackedRow,
    PromptGroup,
    encode,
    group,
    pack,
    plan,
)
from expertrag_retriever.types import Passage

GROUPS = [
    group(domain, [(range(20 + 3 * n, 20 + 3 * n + size), (300 + n, 2))])
    for n, (domain, size) in enumerate([("a", 9), ("b", 14), ("a", 5), ("a", 30), ("b", 3)])
]
FORKED = group("a", [((5, 6, 7, 8), (9, 2)), ((5, 6, 10), (11, 12, 2)), ((5, 6, 7, 8), (13, 2))])


def test_layout_of_a_row() -> None:
    row = PackedRow("a", (FORKED, group("a", [((9,), (4, 2))])))
    assert row.tokens == [5, 6, 7, 8, 9, 10, 11, 12, 7, 8, 13, 9, 4]
    assert row.positions == [0, 1, 2, 3, 4, 2, 3, 4, 2, 3, 4, 0, 1]
    assert row.borders == [Borders(0, 2, (5, 8, 11)), Borders(11, 0, (13,))]
    assert row.answering == [3, 4, 5, 6, 7, 9, 10, 11, 12]
    assert row.targets == [9, 2, 11, 12, 2, 13, 2, 4, 2]


def test_questions_about_the_same_passages_share_them(smollm_path: Path, dataset: Path) -> None:
    chat = ChatTokenizer(AutoTokenizer.from_pretrained(smollm_path))
    examples = material(dataset, "legal", replace(FULL, tempted=0.4)).examples
    groups = encode(examples, chat, 2)
    assert len(groups) < len(examples)
    texts = [
        (*item.shared, *branch.prompt, *branch.reply) for item in groups for branch in item.branches
    ]
    asked = [(*chat.encode(e.messages), *chat.encode_text(e.reply.text), 2) for e in examples]
    assert sorted(texts) == sorted(asked)


def test_rows_are_filled_up_to_their_size() -> None:
    rows = pack(GROUPS, 20)
    assert sorted(len(row.tokens) for row in rows) == [16, 19, 31]  # one is longer than a row
    assert all(item.domain == row.domain for row in rows for item in row.groups)
    assert sum(len(row.groups) for row in rows) == len(GROUPS)


def test_a_plan_contains_all_groups() -> None:
    steps = plan(GROUPS, row_tokens=40, rows=2, shared=0.5, seed=1)
    shown = [item for step in steps for row in step for item in row.groups]
    assert sorted(map(hash, shown)) == sorted(map(hash, GROUPS))
    assert SHARED in {row.domain for step in steps for row in step}
    assert steps == plan(GROUPS, row_tokens=40, rows=2, shared=0.5, seed=1)


@pytest.fixture(scope="module")
def network(tiny_llama: Path) -> ReaderNetwork:
    dense = load_dense(tiny_llama)
    adapters = adapt(dense.model, AdapterSettings(("a",)))
    return ReaderNetwork(dense.model, adapters, ChatTokenizer(dense.tokenizer))


def test_groups_do_not_attend_to_each_other(network: ReaderNetwork) -> None:
    first, second, third = (item for item in GROUPS if item.domain == "a")
    with torch.no_grad():
        apart = [network.loss(PackedRow("a", (item,))).total for item in (first, second, third)]
        packed = network.loss(PackedRow("a", (first, second, third))).total
        others = network.loss(PackedRow("a", (third, second, first))).total
    torch.testing.assert_close(sum(apart), packed)
    torch.testing.assert_close(packed, others)


def test_a_branch_equals_its_question_alone(network: ReaderNetwork) -> None:
    """A group's loss is the sum of its questions' losses, each with its complete prompt."""
    alone = [
        PromptGroup("a", (), (PackedBranch((*FORKED.shared, *branch.prompt), branch.reply),))
        for branch in FORKED.branches
    ]
    with torch.no_grad():
        apart = [network.loss(PackedRow("a", (item,))).total for item in alone]
        torch.testing.assert_close(sum(apart), network.loss(PackedRow("a", (FORKED,))).total)


def test_the_loss_matches_transformers(tiny_llama: Path, network: ReaderNetwork) -> None:
    """Only reply tokens count, and the last prompt token predicts the first of them."""
    [branch], shared = GROUPS[0].branches, GROUPS[0].shared
    model = load_dense(tiny_llama).model
    ids = torch.tensor([[*shared, *branch.prompt, *branch.reply]])
    asked = len(shared) + len(branch.prompt)
    labels = torch.tensor([[-100] * asked + list(branch.reply)])
    with torch.no_grad():
        expected = model(input_ids=ids, labels=labels).loss * len(branch.reply)
        torch.testing.assert_close(network.loss(PackedRow("a", (GROUPS[0],))).total, expected)


@pytest.mark.parametrize(("least", "abstains"), [(0.0, True), (1.0, False)])
def test_the_doubt_decides(
    least: float,
    abstains: bool,
    tiny_llama: Path,
    network: ReaderNetwork,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As served: abstain if the doubt reaches the threshold, whichever token is most likely."""
    monkeypatch.setattr("expertrag_lab.train.reader.network.ABSTAINS_FROM", least)
    shown = (Passage("ships", 0, "A painter of ships.", 0, 19, 1.0),)
    examples = [
        ReaderExample("set", "a", asked, shown, ABSTAINS) for asked in ("Who?", "What paints?")
    ]
    reported = network.answer(examples, "a")
    decode = load_dense(tiny_llama).tokenizer.decode
    first_token = str(decode(network.chat.encode_text(NOT_FOUND)[:1]))
    assert [item.reply.answer.startswith(first_token) for item in reported] == [abstains] * 2
    assert all(
        0 < item.doubt < 1 for item in reported
    )  # the model's own doubt, not the forced decision
