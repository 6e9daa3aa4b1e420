"""Rows: packing keeps every example whole, of one domain, and apart from its neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from expertrag.experts.dense import load_dense
from expertrag.generation.chat import ChatTokenizer
from expertrag.reader.adapters import AdapterSettings, adapt
from expertrag.reader.network import ReaderNetwork
from expertrag.reader.rows import Encoded, Row, pack, plan
from expertrag_retriever.experts.settings import GENERAL

EXAMPLES = [
    Encoded(domain, tuple(range(20 + 3 * n, 20 + 3 * n + size)), (300 + n, 2))
    for n, (domain, size) in enumerate([("a", 9), ("b", 14), ("a", 5), ("a", 30), ("b", 3)])
]


def test_a_row_lists_what_is_asked_and_answered() -> None:
    row = Row("a", (Encoded("a", (5, 6), (7, 8, 2)), Encoded("a", (9,), (4, 2))))
    assert row.tokens == [5, 6, 7, 8, 9, 4]
    assert row.positions == [0, 1, 2, 3, 0, 1]
    assert row.borders == [(0, 4), (4, 6)]
    assert row.answering == [1, 2, 3, 4, 5]
    assert row.targets == [7, 8, 2, 4, 2]


def test_rows_are_full_but_not_over() -> None:
    rows = pack(EXAMPLES, 20)
    assert sorted(len(row.tokens) for row in rows) == [16, 19, 31]  # one is longer than a row
    assert all(item.domain == row.domain for row in rows for item in row.examples)
    assert sum(len(row.examples) for row in rows) == len(EXAMPLES)


def test_every_epoch_has_all_examples() -> None:
    steps = plan(EXAMPLES, epochs=3, row_tokens=40, rows=2, general=0.5, seed=0)
    shown = [item for step in steps for row in step for item in row.examples]
    assert sorted(map(hash, shown)) == sorted(3 * list(map(hash, EXAMPLES)))
    assert GENERAL in {row.domain for step in steps for row in step}
    assert steps == plan(EXAMPLES, epochs=3, row_tokens=40, rows=2, general=0.5, seed=0)


@pytest.fixture(scope="module")
def network(tiny_llama: Path) -> ReaderNetwork:
    dense = load_dense(tiny_llama)
    adapters = adapt(dense.model, AdapterSettings(("a",)))
    return ReaderNetwork(dense.model, adapters, ChatTokenizer(dense.tokenizer))


def test_no_example_sees_its_neighbours(network: ReaderNetwork) -> None:
    first, second, third = (item for item in EXAMPLES if item.domain == "a")
    with torch.no_grad():
        apart = [network.loss(Row("a", (item,))).total for item in (first, second, third)]
        packed = network.loss(Row("a", (first, second, third))).total
        others = network.loss(Row("a", (third, second, first))).total
    torch.testing.assert_close(sum(apart), packed)
    torch.testing.assert_close(packed, others)


def test_the_loss_is_that_of_transformers(tiny_llama: Path, network: ReaderNetwork) -> None:
    """Of the reply tokens alone, and the last prompt token predicts the first of them."""
    item = EXAMPLES[0]
    model = load_dense(tiny_llama).model
    ids = torch.tensor([[*item.prompt, *item.reply]])
    labels = torch.tensor([[-100] * len(item.prompt) + list(item.reply)])
    with torch.no_grad():
        expected = model(input_ids=ids, labels=labels).loss * len(item.reply)
        torch.testing.assert_close(network.loss(Row("a", (item,))).total, expected)
