"""``expertrag index stats``: what a store holds, and how it is searched."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.cli.options import json_flag, store_argument
from expertrag.cli.output import print_found, printable, size

if TYPE_CHECKING:
    from expertrag.api.info import IndexStats
    from expertrag_index.types import Group
    from expertrag_retriever.rerank.estimate import RerankEstimate

_SHOWN_GROUPS = 20


@click.command()
@store_argument
@json_flag
def stats(store: Path, as_json: bool) -> None:
    """Describe the published generation of a store."""
    from expertrag.stores.served_index import describe
    from expertrag_index.store.index import Index
    from expertrag_retriever.rerank.estimate import RerankEstimate

    with Index.open(store) as opened:
        stats, groups = describe(opened), opened.groups()
        estimate = RerankEstimate.of(opened.manifest.calibration)
        engine, chunk_tokens = opened.manifest.engine, opened.manifest.chunk_tokens
    vectors = "faiss" if engine is None else engine.url
    length = f"up to {chunk_tokens:,} tokens" if chunk_tokens else "as long as the embedder reads"
    more = [f"vectors          {vectors}", f"chunk length     {length}"]
    lines = itertools.chain(_stats_lines(stats, groups), more, _estimate_lines(estimate))
    about = {**asdict(stats), "groups": groups, "vectors": vectors, "rerank": estimate}
    about["chunk_tokens"] = chunk_tokens
    print_found(about, as_json, lines)


def _stats_lines(stats: IndexStats, groups: Sequence[Group]) -> Iterator[str]:
    yield f"generation       {stats.generation} of {stats.created_at}"
    yield f"documents        {stats.documents:,} in {stats.chunks:,} chunks"
    yield f"embedder         {stats.embedder} ({stats.dimension} dimensions)"
    if stats.recall:
        yield f"recall@10        {stats.recall:.3f} against exact search"
    yield f"size             {size(stats.size_bytes)}"
    yield f"domains          {_counts(stats.domains)}"
    more = stats.metadata_field_count - len(stats.metadata_fields)
    others = f" and {more:,} more" if more else ""
    yield f"metadata fields  {', '.join(stats.metadata_fields) or 'none'}{others}"
    yield f"partitions       {_counts(stats.partitions)}"
    for group in groups[:_SHOWN_GROUPS]:
        seen = f", {group.share:.2f} of {group.documents:,} documents" if group.documents else ""
        yield printable(f"  {group.name}: {group.expert}{seen}")
    if len(groups) > _SHOWN_GROUPS:
        yield f"  and {len(groups) - _SHOWN_GROUPS:,} more groups; all with --json"
    if stats.degraded:
        yield f"degraded         {stats.degraded}"


def _estimate_lines(known: RerankEstimate | None) -> Iterator[str]:
    if known is not None:
        yield (
            f"reranker         {'on' if known.helps else 'off'} under auto: {known.reranker} "
            f"changes nDCG@10 from {known.search:.3f} to {known.reranked:.3f} on "
            f"{known.questions} questions made of the store"
        )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
