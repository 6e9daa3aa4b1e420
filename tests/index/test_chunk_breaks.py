"""Where chunks of real files end: pages and code of this project, as the loaders write them."""

from __future__ import annotations

import re
from itertools import islice, pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from expertrag_index.build.chunk import Chunker, CountTokens
from expertrag_index.loaders import load
from expertrag_index.types import Chunk, Document, LoadFailure

ROOT = Path(__file__).parents[2]
FILES = {"docs/reference": 20, "index/expertrag_index": 40}
"""Folders of this project, and how many of their files are read."""
BUDGET = 128


def code_blocks(text: str) -> list[tuple[int, int]]:
    """Ranges of fenced code, as another reader of Markdown sees them."""
    starts = [0, *(match.end() for match in re.finditer("\n", text)), len(text)]
    tokens = MarkdownIt("commonmark").parse(text)
    return [
        (starts[token.map[0]], starts[token.map[1]] - 1)
        for token in tokens
        if token.type == "fence" and token.map and token.level == 0
    ]


@pytest.mark.parametrize("folder", FILES)
def test_rows_and_code_are_cut_only_if_they_do_not_fit(
    folder: str, count_word_pieces: CountTokens
) -> None:
    chunker = Chunker(BUDGET, count_word_pieces)
    failures: list[LoadFailure] = []
    seen = 0
    for document in islice(load([ROOT / folder], on_failure=failures.append), FILES[folder]):
        blocks = code_blocks(document.text)
        chunks = chunker.split(document)
        assert max(count_word_pieces([chunk.embedding_text for chunk in chunks])) <= BUDGET
        for before, after in pairwise(chunks):
            seen += 1
            block = next((each for each in blocks if each[0] < before.end < each[1]), None)
            if block is not None:
                assert not fits(document.text[slice(*block)], before, count_word_pieces)
            gap = document.text[before.end : after.start]
            line = line_at(document, before.end)
            if "\n" not in gap and (block is not None or line.count(" | ") > 1):
                assert not fits(line, before, count_word_pieces), line
    assert seen > 200


def fits(text: str, chunk: Chunk, count: CountTokens) -> bool:
    """Whether a text fits a chunk below the title that such a chunk has."""
    title = f"{chunk.title}\n" if chunk.title else ""
    longest = max(count([title])[0], BUDGET // 4 + 2)  # those of other chunks may be longer
    return count([text])[0] - 2 + longest <= BUDGET


def line_at(document: Document, position: int) -> str:
    start = document.text.rfind("\n", 0, position) + 1
    end = document.text.find("\n", position)
    return document.text[start : end if end >= 0 else len(document.text)]
