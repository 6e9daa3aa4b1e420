"""The embedder compared with plain sentence-transformers, and its errors for bad models."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from expertrag_index.types import FloatArray
from expertrag_retriever import SentenceTransformerEmbedder, load_embedder
from expertrag_retriever.encoder import token_batches
from expertrag_retriever.errors import DeviceError, EmbedderError
from expertrag_retriever.fingerprint import folder_fingerprint

TEXTS = [
    "",
    "one",
    "A fox jumps over the lazy dog.",
    "Longer than the model reads. " * 100,
    "日本語 العربية \U0001f469\u200d\U0001f680",
    "\x00\x07 control",
    *[f"sentence number {n} " * n for n in range(1, 40)],
]


@pytest.fixture
def model_copy(minilm_path: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "model"
    shutil.copytree(minilm_path, copy)
    return copy


def test_vectors_equal_plain_encode(
    embedder: SentenceTransformerEmbedder, minilm_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(minilm_path), device="cpu").encode(TEXTS)
    ours = embedder.encode_documents(TEXTS)
    assert ours.dtype == np.float32
    assert ours.shape == (len(TEXTS), embedder.dimension)
    assert (ours * plain).sum(axis=1).min() > 0.999
    assert np.abs(np.linalg.norm(ours, axis=1) - 1).max() < 1e-5


def test_empty_input(embedder: SentenceTransformerEmbedder) -> None:
    assert embedder.encode_documents([]).shape == (0, 384)
    assert embedder.encode_queries([]).shape == (0, 384)
    assert embedder.count_tokens([]) == []


def test_tokens_are_counted_without_truncation(embedder: SentenceTransformerEmbedder) -> None:
    assert embedder.count_tokens(["", "hello world", "word " * 1000]) == [2, 4, 1002]
    assert embedder.max_tokens == 256
    assert embedder.tokens_read(["", "hello world", "word " * 1000], "query") == [2, 4, 256]


def test_a_domain_does_not_change_the_vector_of_the_base(
    embedder: SentenceTransformerEmbedder,
) -> None:
    assert np.array_equal(
        embedder.encode_query("a question", "finance"), embedder.encode_query("a question")
    )


def test_threads_do_not_disturb_each_other(embedder: SentenceTransformerEmbedder) -> None:
    expected = embedder.encode_queries(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(lambda _: embedder.encode_queries(TEXTS), range(4)):
            assert (vectors * expected).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("lengths", [[], [1], [300, 1, 5000, 7, 256, 256, 2], list(range(1, 900))])
def test_token_batches_cover_every_row_once_within_the_budget(lengths: list[int]) -> None:
    batches = list(token_batches(lengths))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[row] for row in batch)
        assert len(batch) == 1 or len(batch) * longest <= 2048


def test_prompts_of_the_model_are_prepended(model_copy: Path) -> None:
    settings = model_copy / "config_sentence_transformers.json"
    settings.write_text('{"prompts": {"query": "query: ", "document": ""}}')
    prompted = load_embedder(str(model_copy))
    plain = prompted.encode_documents(["query: what is it"])[0]
    assert prompted.encode_query("what is it") @ plain > 0.9999
    assert prompted.tokens_read(["what is it"], "query") == [7]
    assert prompted.tokens_read(["what is it"], "document") == [5]


def test_fingerprint_follows_the_files(model_copy: Path, minilm_path: Path) -> None:
    before = folder_fingerprint(model_copy)
    assert before == folder_fingerprint(minilm_path)
    (model_copy / "README.md").write_text("other words")
    (model_copy / "card.json").write_text("{}")  # `models pull` records times in it
    assert folder_fingerprint(model_copy) == before
    weights = model_copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(1, 1))
    assert folder_fingerprint(model_copy) != before


def test_rejects_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=r"expertrag models pull all-minilm-l6-v2"):
        load_embedder(str(tmp_path / "absent"))


def test_an_unknown_name_while_offline() -> None:
    with pytest.raises(EmbedderError, match="cannot load embedder no/such-model") as caught:
        load_embedder("no/such-model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["truncate", "garbage", "remove", "settings"])
def test_rejects_a_damaged_model(model_copy: Path, damage: str) -> None:
    weights = model_copy / "model.safetensors"
    if damage == "truncate":
        os.truncate(weights, 1_000_000)
    elif damage == "garbage":
        weights.write_bytes(b"\xff" * 4096)
    elif damage == "remove":
        weights.unlink()
    else:
        (model_copy / "config.json").write_text("{")
    with pytest.raises(EmbedderError, match="check its name and files") as caught:
        load_embedder(str(model_copy))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["nonsense", "cuda:63"])
def test_rejects_an_unavailable_device(minilm_path: Path, device: str) -> None:
    with pytest.raises(DeviceError, match="use 'auto' or 'cpu'") as caught:
        load_embedder(str(minilm_path), device=device)
    assert "\n" not in str(caught.value)


def test_concurrent_queries_get_the_vectors_of_lone_ones(
    embedder: SentenceTransformerEmbedder,
) -> None:
    def encode(query: str) -> FloatArray:
        return embedder.encode_queries_by_experts([query], ["general"])  # [1, 1, D]

    queries = [f"how do I open {'a very old ' * (i % 5)}file {i}" for i in range(64)]
    alone = np.stack([encode(query) for query in queries])
    with ThreadPoolExecutor(16) as pool:
        together = np.stack(list(pool.map(encode, queries)))
    assert together.shape == alone.shape == (64, 1, 1, 384)
    assert (alone * together).sum(axis=-1).min() > 0.9999
    others = alone[:, 0, 0] @ together[:, 0, 0].T
    assert (others.argmax(axis=1) == np.arange(64)).all()  # nobody gets another's vector
