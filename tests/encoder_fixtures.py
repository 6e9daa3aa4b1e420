"""Fixtures of the retrieval tests: a small BEIR store, and tiny encoders that can have experts."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from store_helper import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentence_transformers import SentenceTransformer

    from expertrag_index import Index
    from expertrag_retriever import Searcher, SentenceTransformerEmbedder

Encoders = Callable[[str], "SentenceTransformer"]
SMALL_SET = Path(__file__).parent / "data" / "beir_small"


_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 30522,
    "pad_token_id": 0,
    "max_position_embeddings": 160,
}
KINDS = ("bert", "mpnet", "modernbert", "nomic_bert")


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="session")
def make_bundle(
    encoder_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Writes a bundle of random experts for the tiny BERT; an expert is the same in all bundles.

    A domain's texts hold its name in many words; a bundle of one domain has no router.
    """
    import torch

    from expertrag_lab.router.fit import fit_router
    from expertrag_lab.router.pooling import pool_states
    from expertrag_retriever.encoder import load_model
    from expertrag_retriever.experts.module import with_experts
    from expertrag_retriever.experts.settings import ExpertForm, ExpertSettings
    from expertrag_retriever.experts.storage import save_experts
    from expertrag_retriever.experts.surgery import expert_layers
    from expertrag_retriever.fingerprint import fingerprint_of

    base = str(encoder_folders["bert"])

    def make(*domains: str, form: str = "low_rank", size: float = 0.3) -> Path:
        model = load_model(base, "cpu").eval()
        settings = ExpertSettings(domains, ExpertForm(form), rank=4)
        module = with_experts(model, settings)
        for number, (_, layer) in enumerate(expert_layers(module.model)):
            for place, domain in enumerate(domains):
                torch.manual_seed(1000 * number + len(domain))
                layer.first.data[place] = torch.randn_like(layer.first[place]) / 6
                layer.second.data[place] += size * torch.randn_like(layer.second[place])
        if len(domains) > 1:
            texts = {domain: domain_texts(domain, 60) for domain in domains}
            module.router, _ = fit_router(texts, lambda some: pool_states(model, some))
        folder = tmp_path_factory.mktemp("bundle")
        about = {"base": {"name": base, "fingerprint": fingerprint_of(base)}}
        save_experts(module.model, settings, module.router, folder, about)
        return folder

    return make


@pytest.fixture(scope="session")
def load_bundle(encoder_folders: dict[str, Path]) -> Callable[[Path], SentenceTransformerEmbedder]:
    """Loads a bundle on the tiny BERT."""
    from expertrag_retriever.encoder import load_embedder

    return lambda folder: load_embedder(
        str(encoder_folders["bert"]), name=str(folder), device="cpu", experts=folder
    )


WORDS = {
    "trees": ("ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"),
    "metals": ("zinc", "iron", "lead", "tin", "gold", "silver", "copper", "nickel", "cobalt"),
    "weather": ("rain", "snow", "hail", "fog", "storm", "thunder", "wind", "frost", "drizzle"),
}


def domain_texts(domain: str, count: int, seed: int = 0) -> list[str]:
    """Distinct texts made of a domain's words."""
    rng = random.Random(f"{domain} {seed}")
    return [
        f"{' '.join(rng.choices(WORDS[domain], k=8))}. {' '.join(rng.choices(WORDS[domain], k=8))}"
        f" {number}."
        for number in range(count)
    ]


@pytest.fixture(scope="session")
def beir_index(
    tmp_path_factory: pytest.TempPathFactory, embedder: SentenceTransformerEmbedder
) -> Iterator[Index]:
    """150 sections of the Python documentation, with the fusion calibrated."""
    from expertrag_index import Index
    from expertrag_index.types import Document
    from expertrag_retriever import calibrate_fusion

    store = tmp_path_factory.mktemp("beir") / "store"
    documents = [
        Document(
            item["_id"],
            item["text"],
            item["title"],
            metadata={"part": item["_id"].split("/")[0]},
            source="beir_small",
        )
        for item in _lines(SMALL_SET / "corpus.jsonl.gz")
    ]
    build(
        store,
        embedder,
        documents,
        calibrate=lambda index: {"fusion": calibrate_fusion(index, embedder)},
    )
    with Index.open(store, embedder_fingerprint=embedder.fingerprint) as index:
        yield index


@pytest.fixture(scope="session")
def searcher(beir_index: Index, embedder: SentenceTransformerEmbedder) -> Searcher:
    from expertrag_retriever import Searcher

    return Searcher(beir_index, embedder)


@pytest.fixture(scope="session")
def judged_queries() -> list[tuple[str, set[str]]]:
    """Each test question with the ids of its relevant sections."""
    relevant: dict[str, set[str]] = {}
    for line in (SMALL_SET / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, _ = line.split("\t")
        relevant.setdefault(query, set()).add(document)
    texts = {item["_id"]: item["text"] for item in _lines(SMALL_SET / "queries.jsonl.gz")}
    return [(texts[query], documents) for query, documents in relevant.items()]


@pytest.fixture(scope="session")
def encoder_folders(minilm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each kind of encoder, with mean pooling."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    model_of: Any = AutoModel.from_config  # the library does not annotate it

    tokenizer = AutoTokenizer.from_pretrained(minilm_path)
    folders = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind)
        config: Any = AutoConfig.for_model(kind, **_SIZES)
        torch.manual_seed(0)
        model_of(config).save_pretrained(folder / "base")
        tokenizer.save_pretrained(folder / "base")
        transformer = Transformer(str(folder / "base"), max_seq_length=64)
        model = SentenceTransformer(modules=[transformer, Pooling(32)], device="cpu")
        model.save(str(folder / "model"))
        folders[kind] = folder / "model"
    return folders


@pytest.fixture
def encoder(encoder_folders: dict[str, Path]) -> Encoders:
    """Load an encoder of a kind, again for each test: installing experts changes it."""

    def load(kind: str) -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(encoder_folders[kind]), device="cpu").eval()

    return load
