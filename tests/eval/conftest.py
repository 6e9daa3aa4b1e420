"""Fixtures: data sets written by tests, and a shared work folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

MakeSet = Callable[..., Path]


@pytest.fixture(scope="session")
def make_set(tmp_path_factory: pytest.TempPathFactory) -> MakeSet:
    """Write a data set in the BEIR layout: texts by id, grades by query and document id."""

    def make(
        corpus: Mapping[str, str],
        queries: Mapping[str, str],
        qrels: Mapping[str, Mapping[str, int]],
        name: str = "tiny",
    ) -> Path:
        folder = tmp_path_factory.mktemp("sets") / name
        (folder / "qrels").mkdir(parents=True)
        for file, texts in (("corpus", corpus), ("queries", queries)):
            lines = [json.dumps({"_id": key, "text": text}) for key, text in texts.items()]
            (folder / f"{file}.jsonl").write_text("\n".join(lines))
        rows = [f"{query}\t{doc}\t{n}" for query, of in qrels.items() for doc, n in of.items()]
        (folder / "qrels" / "test.tsv").write_text("\n".join(rows))
        return folder

    return make


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared work folder, so that the store of a data set is built once."""
    return tmp_path_factory.mktemp("work")
