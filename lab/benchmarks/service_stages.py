"""Print the CPU milliseconds of each stage of a search, as JSON, measured in this process.

    python lab/benchmarks/service_stages.py STORE [CALLS]

``bench_service.py`` runs it with each installation. A stage is run alone, with questions that no
cache has seen.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from service_load import question

from expertrag.api.types import RetrieveRequest, RetrieveResult
from expertrag.config import ModelConfig
from expertrag.stores.embedders import open_embedder
from expertrag.stores.served_index import ServedIndex, View
from expertrag.v1 import retrieve_pb2
from expertrag.wire.common import message_of, request_of, value_of

TOGETHER = 16
K, CANDIDATES = 5, 100


def main() -> None:
    """Measure the stages in turns."""
    store, calls = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200
    embedder = open_embedder(ModelConfig(), store)
    served = ServedIndex(store, embedder)
    with served.lease() as view:
        stages = _stages(view)
        spent = dict.fromkeys(stages, 0.0)
        fresh = map(question, count())
        for number in range(-5, calls):  # the first five warm up
            for name, stage in stages.items():
                text = next(fresh)
                before = time.process_time()
                stage(text)
                spent[name] += time.process_time() - before if number >= 0 else 0.0
    served.close()
    per_call = {name: round(1e3 * seconds / calls, 3) for name, seconds in spent.items()}
    per_call[f"embed, of {TOGETHER} together"] = round(
        per_call[f"embed, of {TOGETHER} together"] / TOGETHER, 3
    )
    print(json.dumps(per_call))


def _stages(view: View) -> dict[str, Callable[[str], object]]:
    index, searcher, embedder = view.index, view.searcher, view.embedder
    experts = list(index.partitions())
    vectors = searcher.encode("what does vacuum do")
    keys = [hit.key for hit in index.search_dense(vectors, CANDIDATES)]
    found = searcher.search("what does vacuum do", k=K)
    result = RetrieveResult(found.passages, found.generation, found.vectors_scanned, 0.1)
    sent = RetrieveRequest("what does vacuum do", k=K)
    request = request_of(retrieve_pb2.RetrieveRequest, sent)
    return {
        "whole search": lambda question: searcher.search(question, k=K),
        "embed": lambda question: embedder.encode_queries_by_experts([question], experts),
        f"embed, of {TOGETHER} together": lambda question: embedder.encode_queries_by_experts(
            [f"{question} {more}" for more in range(TOGETHER)], experts
        ),
        "tokenise": lambda question: embedder.count_tokens([question]),
        "spelling": index.respell,
        "term statistics": index.term_statistics,
        "BM25 search": lambda question: index.search_lexical(question, CANDIDATES),
        "BM25 of the dense hits": lambda question: index.lexical_scores(question, keys),
        "dense search": lambda _: index.search_dense(vectors, CANDIDATES),
        "cosine of the BM25 hits": lambda _: index.dense_scores(vectors, keys),
        "read chunks": lambda _: index.chunks(keys[:K]),
        "protobuf": lambda _: (
            value_of(RetrieveRequest, request),
            message_of(retrieve_pb2.RetrieveResponse, result),
        ),
    }


if __name__ == "__main__":
    main()
