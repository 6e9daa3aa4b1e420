"""A tiny Llama with a short tokenizer, a reader of it, and a data set to read in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from file_helper import change_json
from short_tokenizer import write_short_tokenizer
from store_helper import build
from transformers import LlamaConfig, LlamaForCausalLM

from expertrag.api.types import Sampling
from expertrag.llm import prompt
from expertrag.llm.adapters.bundle import AdapterSettings, Bundle
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.base import Generator, Message
from expertrag.llm.convert.dense import load_dense
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.fingerprint import fingerprint
from expertrag_index.types import Document
from expertrag_lab.adapter_bundles import save_bundle
from expertrag_lab.adapters import adapt
from expertrag_lab.train.reader.material import material
from expertrag_lab.train.reader.recipe import FULL, ReaderRecipe
from expertrag_lab.train.reader.report import ReaderReport
from expertrag_lab.train.reader.train import train_reader
from expertrag_retriever.encoder import SentenceTransformerEmbedder

NAMES = ("Ada", "Boris", "Clara", "David", "Edith", "Felix", "Greta", "Henry", "Irene", "Jacob")
TOWNS = ("Aberdeen", "Bergen", "Cadiz", "Dresden", "Esbjerg", "Florence", "Ghent", "Haarlem")

WORDS = 4096
"""Those of the tiny models' tokenizer."""

BIRTHS_RECIPE = replace(
    FULL, passages=2, row_tokens=600, rows=2, epochs=4, evaluations=2, dev_questions=2, watched=2
)
TINY: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "tie_word_embeddings": True,
}
"""Configuration of tiny models with a short tokenizer, but for their layers."""


def write_llama(folder: Path, tokenizer_from: Path) -> Path:
    """Write a model with random weights that bfloat16 can hold."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**TINY, num_hidden_layers=2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((parameter * 4).bfloat16())
    model.save_pretrained(folder)
    return write_short_tokenizer(tokenizer_from, folder, WORDS)


def write_tiny_reader(folder: Path, tokenizer_from: Path) -> Path:
    """Write the same model, marked as a reader of our prompts."""
    write_llama(folder, tokenizer_from)
    change_json(folder / "config.json", reader_prompts=prompt.fingerprint())
    return folder


def write_reader(
    folder: Path,
    base: Path,
    *,
    seed: int = 0,
    domains: tuple[str, ...] = ("legal",),
    parallel: bool = False,
) -> Path:
    """Write a bundle of random adapters, with experts for domains, of a base with these files."""
    dense = load_dense(base)
    settings = AdapterSettings(domains, rank=2, domain_rank=1, parallel=parallel)
    weights = {
        name: torch.randn_like(value) * 0.1
        for name, value in adapt(dense.model, settings, seed).parameters.items()
    }
    report = ReaderReport(
        base=dense.name,
        fingerprint=fingerprint(base),
        start="",
        prompts=prompt.fingerprint(),
        recipe=FULL,
        command="none",
        sets=(),
        points=(),
        steps=0,
        tokens=0,
        seconds=0.0,
    )
    folder.mkdir(parents=True)
    save_bundle(settings, weights, asdict(report), "# A reader\n", folder)
    return folder


def next_logits(generator: Generator, ids: list[int], domain: str) -> torch.Tensor:
    """Return the logits after a prompt, of a model on our engine."""
    assert isinstance(generator, TransformersGenerator)
    network = generator._network
    assert isinstance(network, NativeNetwork)
    text = network.new_cache(network.make_policy(domain))
    try:
        return network.forward(ids, text).logits
    finally:
        network.free(text)


def write_birth_store(
    folder: Path, embedder: SentenceTransformerEmbedder, more: Sequence[Document] = ()
) -> Path:
    """Build a store of 80 documents with a date each, and of ``more``."""
    people = [f"{name} {town[:3]}son" for name in NAMES for town in TOWNS]
    documents = [
        Document(
            f"d{number}",
            f"{person} was born in {TOWNS[number % len(TOWNS)]} in {1800 + number}. "
            f"{person} painted ships.",
            person,
        )
        for number, person in enumerate(people)
    ]
    build(folder, embedder, [*documents, *more])
    return folder


def write_births(folder: Path) -> Path:
    """Write 80 documents with a question each, every fourth unanswerable, and two splits."""
    (folder / "qrels").mkdir(parents=True)
    corpus, queries = [], []
    judgements = {"train": ["query-id\tcorpus-id\tscore"], "test": ["query-id\tcorpus-id\tscore"]}
    people = [f"{name} {town[:3]}son" for name in NAMES for town in TOWNS]
    for number, person in enumerate(people):
        town = TOWNS[number % len(TOWNS)]
        split = "test" if number >= 70 else "train"
        text = f"{person} was born in {town} in {1800 + number}. {person} painted ships."
        corpus.append({"_id": f"d{number}", "title": person, "text": text})
        answers = [] if number % 4 == 3 else [town]
        metadata = {"split": split} | ({} if answers else {"near_doc": f"d{number}"})
        asked = "die" if not answers else "come from: where was the painter born"
        query = {"_id": f"q{number}", "text": f"Where did {person} {asked}?", "answers": answers}
        queries.append({**query, "metadata": metadata})
        if answers:
            judgements[split].append(f"q{number}\td{number}\t1")
    queries.append({**queries[72], "_id": "again", "metadata": {"split": "train"}})
    judgements["train"].append("again\td72\t1")
    for name, records in (("corpus", corpus), ("queries", queries)):
        lines = "".join(f"{json.dumps(record)}\n" for record in records)
        (folder / f"{name}.jsonl").write_text(lines)
    for split, judged in judgements.items():
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(judged) + "\n")
    return folder


def train_births(
    base: Path,
    dataset: Path,
    out: Path,
    recipe: ReaderRecipe = BIRTHS_RECIPE,
    domains: Sequence[str] = ("encyclopedia", "legal"),
    start: Bundle | None = None,
) -> ReaderReport:
    """Train on one set in the names of some domains."""
    sets = [
        replace(material(dataset, domain, recipe), name=f"births {domain}") for domain in domains
    ]
    return train_reader(sets, str(base), recipe, out, lambda *_: None, command="test", start=start)


def said(
    model: Generator,
    asked: Sequence[Message],
    domain: str | None,
    *,
    from_passages: bool = False,
) -> list[tuple[str, float]]:
    """Tokens of an answer, with their log probabilities."""
    sampling = Sampling(max_tokens=12, logprobs=1)
    policy = model.make_policy(sampling, domain)
    opened = model.begin(asked, sampling, policy=policy, from_passages=from_passages)
    with closing(opened) as session:
        return [(item.text, item.logprob) for delta in session.deltas() for item in delta.logprobs]
