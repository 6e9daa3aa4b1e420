"""The questions of each data set, with the system under test that answers them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.api.errors import InvalidArgument
from expertrag.config import Config
from expertrag_lab.data.datasets import Dataset, Query, load_datasets, sample
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.manifest import ids_hash
from expertrag_lab.eval.serving import Opened, open_pipeline_for
from expertrag_lab.eval.stores import default_work

if TYPE_CHECKING:
    from expertrag_index.types import Progress


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions of one data set, with the open pipeline over its corpus."""

    dataset: Dataset
    queries: tuple[Query, ...]
    opened: Opened
    work: Path

    @property
    def inputs(self) -> dict[str, JSON]:
        """Everything that the answers depend on, for the manifest."""
        return {
            "dataset": self.dataset.name,
            "split": self.dataset.split,
            "queries": self.dataset.sha256,
            **self.opened.inputs,
        }

    def describe(self, ids: Iterable[str]) -> dict[str, JSON]:
        """Return the inputs, with a hash of the ids of the questions that were measured."""
        return {**self.inputs, "measured": ids_hash(ids)}


def questions(
    folders: Sequence[Path],
    split: str,
    limit: int | None,
    seed: int,
    config: Config,
    work: Path | None,
    progress: Progress,
) -> Iterator[Asked]:
    """Open the data sets one by one; all folders are read before a model is loaded.

    :raises ExpertRAGError: a data set, a model or the store cannot be used.
    """
    work = work or default_work()
    for dataset in load_datasets(folders, split):
        queries = sample(dataset.queries, limit, seed)
        with open_pipeline_for(dataset, config, work, progress) as opened:
            _check_store(dataset, opened)
            yield Asked(dataset, queries, opened, work)


def _check_store(dataset: Dataset, opened: Opened) -> None:
    """Reject a store of other documents: every figure based on judgements would be 0."""
    relevant = {document for grades in dataset.qrels.values() for document in grades}
    if relevant and not any(opened.passages((document,)) for document in relevant):
        raise InvalidArgument(
            f"the store contains none of the documents that {dataset.name} judges, such as "
            f"{min(relevant)}; name a store of its corpus with --index, or fix the ids in its "
            "judgements"
        )
