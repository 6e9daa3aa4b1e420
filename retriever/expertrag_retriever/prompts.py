"""Prompts of embedding models whose folders do not say them: by the family of the name.

A model's own prompts (``prompts`` in ``config_sentence_transformers.json``) come before the table.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)

_INSTRUCT = (
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
)
_REPRESENT_ZH = "为这个句子生成表示以用于检索相关文章\uff1a"
_REPRESENT = "Represent this sentence for searching relevant passages: "


@dataclass(frozen=True, slots=True)
class Prompts:
    """What is prepended to a query and to a document."""

    query: str = ""
    document: str = ""


@dataclass(frozen=True, slots=True)
class _Family:
    """Models whose name matches ``pattern``; ``source``: the model card that says their prompts."""

    pattern: str
    prompts: Prompts
    source: str


_FAMILIES = (
    _Family(
        r"e5-.*instruct|e5-mistral", Prompts(f"{_INSTRUCT} "), "intfloat/e5-mistral-7b-instruct"
    ),
    _Family(r"\be5\b", Prompts("query: ", "passage: "), "intfloat/e5-large-v2"),
    _Family(r"bge-(small|base|large)-en", Prompts(_REPRESENT), "BAAI/bge-large-en-v1.5"),
    _Family(
        r"bge-(small|base|large)-zh",
        Prompts(_REPRESENT_ZH),
        "BAAI/bge-large-zh-v1.5",
    ),
    _Family(r"bge-m3", Prompts(), "BAAI/bge-m3"),
    _Family(r"gte-qwen", Prompts(f"{_INSTRUCT} "), "Alibaba-NLP/gte-Qwen2-1.5B-instruct"),
    _Family(r"\bgte\b", Prompts(), "thenlper/gte-large"),
    _Family(r"qwen3-embedding", Prompts(_INSTRUCT), "Qwen/Qwen3-Embedding-0.6B"),
    _Family(
        r"embeddinggemma|embedding-gemma",
        Prompts("task: search result | query: ", "title: none | text: "),
        "google/embeddinggemma-300m",
    ),
    _Family(
        r"nomic-embed-text",
        Prompts("search_query: ", "search_document: "),
        "nomic-ai/nomic-embed-text-v1.5",
    ),
    _Family(
        r"arctic-embed-[lm]-v2|arctic-embed2",
        Prompts("query: "),
        "Snowflake/snowflake-arctic-embed-l-v2.0",
    ),
    _Family(r"arctic-embed", Prompts(_REPRESENT), "Snowflake/snowflake-arctic-embed-m"),
    _Family(r"mxbai-embed-large", Prompts(_REPRESENT), "mixedbread-ai/mxbai-embed-large-v1"),
    _Family(r"minilm|all-mpnet|distiluse", Prompts(), "sentence-transformers/all-MiniLM-L6-v2"),
    _Family(r"text-embedding-(3|ada)", Prompts(), "OpenAI's embeddings guide"),
    _Family(r"jina-embeddings-v2", Prompts(), "jinaai/jina-embeddings-v2-base-en"),
)
"""The first that matches decides; each name is searched in lower case."""


def prompts_of_family(name: str) -> Prompts | None:
    """Return the prompts of a model by its name, such as ``BAAI/bge-m3``; None if unknown."""
    lowered = name.lower().replace("_", "-")
    return next(
        (family.prompts for family in _FAMILIES if re.search(family.pattern, lowered)), None
    )


def missing_prompts(source: str, folder: Path) -> Prompts | None:
    """Return the prompts that the table has for a model, and its folder does not say.

    None if the folder says its own, or if the model needs none.

    :param source: the name that the user gave.
    """
    if _says_prompts(folder):
        return None
    for name in (Path(source).name if Path(source).is_dir() else source, _original_name(folder)):
        if (prompts := prompts_of_family(name)) is not None:
            return prompts if prompts != Prompts() else None
    return None


def add_prompts(model: Any, source: str, folder: Path) -> None:
    """Give a loaded model the prompts of its family, if its folder has none."""
    prompts = missing_prompts(source, folder)
    if prompts is not None:
        model.prompts = {"query": prompts.query, "document": prompts.document}


def warn_of_unknown(name: str) -> None:
    """Log that no prompts are known for a model."""
    _log.warning(
        "no prompts are known for the embedder %s: texts are embedded as they are; if it was "
        "trained with prefixes, results are worse",
        name,
    )


def _says_prompts(folder: Path) -> bool:
    """Whether a folder has a prompt; sentence-transformers writes empty ones for every model."""
    prompts = _read(folder / "config_sentence_transformers.json").get("prompts")
    return isinstance(prompts, dict) and any(prompts.values())


def _original_name(folder: Path) -> str:
    return str(_read(folder / "config.json").get("_name_or_path", ""))


def _read(path: Path) -> dict[str, object]:
    """Return the object in a JSON file; empty if there is none."""
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}
