"""Train a reranker on data sets: their queries, with the candidates of hybrid search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag import models
from expertrag.config import ModelConfig
from expertrag.runtime.error_mapping import translate_errors
from expertrag.stores.embedders import open_embedder
from expertrag_lab.data.named_sets import Data
from expertrag_lab.data.pairs import domain_sources
from expertrag_lab.embedder.data import prepare
from expertrag_lab.reranker.groups import GroupedSource, group_source
from expertrag_lab.reranker.train import RerankerReport, RerankRecipe, train_reranker
from expertrag_lab.work_folder import work_folder
from expertrag_retriever.experts.bundle import Base
from expertrag_retriever.fingerprint import folder_fingerprint

if TYPE_CHECKING:
    from expertrag_index.types import Progress


def train(
    data: Data, base: str, out: Path, recipe: RerankRecipe, command: str, progress: Progress
) -> RerankerReport:
    """Search with the base model for the queries of data sets, and train on what is found.

    Stores and checkpoints are kept in ``OUT.partial`` until done.

    :raises ExpertRAGError: if the data or the base cannot be used, or nothing is gained.
    """
    sources = domain_sources(data, seed=recipe.seed)
    embedder = open_embedder(replace(ModelConfig(), embedder=base), None)
    folder = Path(models.resolve(base))
    known = Base(base, folder_fingerprint(folder))
    with translate_errors(), work_folder(out) as work:
        grouped: list[GroupedSource] = []
        for domain, some in sources.items():
            pairs = prepare(domain, some, most_pairs=recipe.most_groups, seed=recipe.seed)
            for number, (own, held_out) in enumerate(
                zip(pairs.sources, pairs.held_out, strict=True)
            ):
                store = work / f"{known.fingerprint}-{domain}-{number}"

                def advance(done: int, total: int, name: str = own.name) -> None:
                    progress(f"{name}: searching", done, total)

                grouped.append(group_source(own, held_out, embedder, store, advance))
        return train_reranker(grouped, known, folder, recipe, out, work, progress, command)
