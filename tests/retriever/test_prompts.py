"""Prompts of model families, and of folders that say their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from expertrag_retriever.prompts import Prompts, missing_prompts, prompts_of_family

E5 = Prompts("query: ", "passage: ")


@pytest.mark.parametrize(
    ("name", "query", "document"),
    [
        ("intfloat/e5-large-v2", "query: ", "passage: "),
        ("intfloat/multilingual-e5-base", "query: ", "passage: "),
        ("intfloat/multilingual-e5-large-instruct", "Instruct: ", ""),
        ("BAAI/bge-m3", "", ""),
        ("bge-small-en-v1.5", "Represent this sentence", ""),
        ("thenlper/gte-large", "", ""),
        ("Alibaba-NLP/gte-Qwen2-7B-instruct", "Instruct: ", ""),
        ("Qwen/Qwen3-Embedding-0.6B", "Instruct: ", ""),
        ("google/embeddinggemma-300m", "task: search result | query: ", "title: none | text: "),
        ("nomic-ai/nomic-embed-text-v1.5", "search_query: ", "search_document: "),
        ("Snowflake/snowflake-arctic-embed-l-v2.0", "query: ", ""),
        ("snowflake-arctic-embed:137m", "Represent this sentence", ""),
        ("text-embedding-3-small", "", ""),
        ("sentence-transformers/all-MiniLM-L6-v2", "", ""),
    ],
)
def test_families(name: str, query: str, document: str) -> None:
    prompts = prompts_of_family(name)
    assert prompts is not None
    assert prompts.query.startswith(query) and prompts.document == document
    assert bool(prompts.query) == bool(query)


def test_unknown_names() -> None:
    for name in ("our-own", "", "model-e55", "abge-m"):
        assert prompts_of_family(name) is None


def test_a_folder_that_says_its_own_prompts_keeps_them(tmp_path: Path) -> None:
    folder = tmp_path / "e5-tiny"
    folder.mkdir()
    assert missing_prompts(str(folder), folder) == E5
    about = folder / "config_sentence_transformers.json"
    about.write_text(json.dumps({"prompts": {"query": "", "document": ""}}))
    assert missing_prompts(str(folder), folder) == E5  # sentence-transformers writes these for all
    about.write_text(json.dumps({"prompts": {"query": "ask: "}}))
    assert missing_prompts(str(folder), folder) is None
    about.write_text("not JSON")
    assert missing_prompts(str(folder), folder) == E5


def test_the_original_name_counts_in_a_renamed_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"_name_or_path": "intfloat/e5-small"}))
    assert missing_prompts(str(tmp_path), tmp_path) == E5
    (tmp_path / "config.json").write_text(json.dumps({"_name_or_path": "BAAI/bge-m3"}))
    assert missing_prompts(str(tmp_path), tmp_path) is None
