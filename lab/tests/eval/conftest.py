"""Fixtures: data sets written by tests, and a shared work folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from reader_samples import write_tiny_reader
from serving_fixtures import PacedGenerator

from expertrag.answer.pipeline import Pipeline
from expertrag.answer.pipeline_models import PipelineModels
from expertrag.config import load
from expertrag_index.types import silent
from expertrag_lab.eval.questions import Asked, questions
from expertrag_retriever.encoder import SentenceTransformerEmbedder

SQUAD = Path(__file__).parents[3] / "tests" / "data" / "squad_small"

MakeSet = Callable[..., Path]
WithModel = Callable[..., Asked]


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


@pytest.fixture(scope="session")
def asked(work: Path, smollm_path: Path) -> Iterator[Asked]:
    """Three questions, with the real embedder and a tiny random reader."""
    reader = write_tiny_reader(work / "reader", smollm_path)
    config = load(environ={}).config
    config = replace(config, model=replace(config.model, generator=str(reader)))
    yield from questions((SQUAD,), "test", 3, 0, config, work, silent)


@pytest.fixture
def with_model(asked: Asked, shipped: SentenceTransformerEmbedder) -> Iterator[WithModel]:
    """Gives the questions to another model."""
    with ExitStack() as opened:

        def made(model: PacedGenerator, given: Asked = asked) -> Asked:
            store = next((given.work / "stores").glob("squad_small-*"))
            pipeline = opened.enter_context(
                closing(Pipeline(store, PipelineModels(shipped, model, model.reading)))
            )
            inputs = {**given.opened.inputs, "generator": model.fingerprint}
            system = replace(given.opened, pipeline=pipeline, generator=model, inputs=inputs)
            return replace(given, opened=system)

        yield made
