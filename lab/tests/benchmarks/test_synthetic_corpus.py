"""The corpus of ``bench_scale.py``: the same everywhere, with words and neighbours as in texts."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from synthetic_corpus import (
    DOCUMENTS,
    FILTERS,
    QUESTIONS,
    STOP_WORDS,
    entries,
    paragraphs_of,
    questions,
    read_questions,
    vocabulary,
    write,
)
from topic_embedder import DIMENSION, TopicEmbedder

from expertrag_index.build.chunk import Chunker
from expertrag_index.loaders.load import load
from expertrag_index.words.query_words import STOP_WORDS as OURS

CHUNKS = 3_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write(folder, CHUNKS, 100)
    return folder


def test_it_is_the_same_each_time(corpus: Path, tmp_path: Path) -> None:
    write(tmp_path, CHUNKS, 100)
    for name in (DOCUMENTS, QUESTIONS):
        assert (tmp_path / name).read_bytes() == (corpus / name).read_bytes()


def test_a_larger_corpus_begins_with_the_smaller_one() -> None:
    small, large = list(entries(1_000)), entries(10**9)  # drawn only as far as it is read
    assert small[:-1] == list(islice(large, len(small) - 1))
    assert sum(len(entry.paragraphs) for entry in small) == 1_000


def test_documents_from_elsewhere_are_others() -> None:
    (first,), (other,) = entries(1), entries(1, first=1 << 30)
    assert first.id != other.id
    assert first.paragraphs != other.paragraphs


def test_each_paragraph_is_a_chunk(corpus: Path) -> None:
    embedder = TopicEmbedder()
    chunker = Chunker(embedder.max_tokens, embedder.count_tokens)
    documents = load([corpus / DOCUMENTS], on_failure=lambda failure: pytest.fail(failure.reason))
    chunks = [(chunk.title, chunk.text) for each in documents for chunk in chunker.split(each)]
    assert chunks == [(record["title"], text) for record, text in paragraphs_of(corpus)]
    assert len(chunks) == CHUNKS


def test_words_have_the_frequencies_of_a_language(corpus: Path) -> None:
    texts = [set(text.lower().replace(".", "").split()) for _, text in paragraphs_of(corpus)]
    frequencies = Counter(word for words in texts for word in words)
    assert frequencies["the"] > 0.9 * CHUNKS
    common = [frequencies[word] for word in vocabulary()[90:110]]
    assert 0.02 * CHUNKS < float(np.mean(common)) < 0.1 * CHUNKS
    rare = sum(count == 1 for count in frequencies.values())
    assert rare > len(frequencies) / 4
    assert set(STOP_WORDS) - {"one"} <= OURS | {"will", "its", "their"}


def test_filters_admit_what_they_say() -> None:
    drawn = [entry.metadata for entry in entries(40_000)]
    for share, name in ((0.01, "1 %"), (0.1, "10 %"), (0.5, "50 %"), (1.0, "none")):
        wanted = FILTERS[name].items()
        admitted = sum(wanted <= metadata.items() for metadata in drawn)
        assert admitted == pytest.approx(share * len(drawn), rel=0.2)


def test_questions_are_near_their_documents(corpus: Path) -> None:
    asked, embedder = read_questions(corpus), TopicEmbedder()
    assert len({item.text for item in asked}) > 90
    rows = list(paragraphs_of(corpus))
    vectors = embedder.encode_documents([f"{record['title']}\n{text}" for record, text in rows])
    found = 0
    for item in asked:
        best = np.argsort(-(vectors @ embedder.encode_query(item.text)))[:10]
        found += item.document in {rows[at][0]["_id"] for at in best}
    assert 50 < found < 100, "neither noise nor the same vector"


@pytest.mark.parametrize("chunks", [1, 300, 20_000])
def test_questions_ask_about_documents_that_are_there(chunks: int) -> None:
    known = {entry.id for entry in entries(chunks)}
    assert {item.document for item in questions(chunks, 50)} <= known


def test_vectors_are_of_length_one_and_depend_on_the_text_alone() -> None:
    embedder, texts = TopicEmbedder(), ["Kabika lugusa. Of it.", "of it", "", "lugusa KABIKA?"]
    vectors = embedder.encode_documents(texts)
    assert vectors.shape == (4, DIMENSION)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[0], vectors[3], atol=1e-6)
    np.testing.assert_array_equal(vectors[1], TopicEmbedder().encode_query("of it"))
    by_expert = embedder.encode_queries_by_experts(texts, ["general", "other"])
    np.testing.assert_array_equal(by_expert[:, 1], vectors)
