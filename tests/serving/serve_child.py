"""A server in its own process: ``serve_child.py ADDRESS [STORE EMBEDDER [URL]]``.

With the variable ``CHILD_HTTP`` it serves HTTP at that address, and takes documents.
Without a store it never ends loading; with a URL, the store is a copy that follows it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from serving_fixtures import PacedGenerator

from expertrag.config import Config, ReplicaConfig, ServiceConfig
from expertrag.serving.run import serve
from expertrag.serving.web import http_server

if TYPE_CHECKING:
    from expertrag.answer.collections import Collections

ANSWER_S = 1.5
WORDS = 50


def load() -> Collections:
    """Open the store, or never finish."""
    if len(sys.argv) < 4:
        time.sleep(3600)
    from expertrag.answer.collections import Collections
    from expertrag.answer.pipeline import Pipeline
    from expertrag.answer.pipeline_models import PipelineModels
    from expertrag_retriever.encoder import load_embedder

    model = PacedGenerator(step_s=ANSWER_S / WORDS, words=WORDS)
    models = PipelineModels(load_embedder(sys.argv[3]), model)
    pipeline = Pipeline(Path(sys.argv[2]), models)
    return Collections.single(pipeline)


if __name__ == "__main__":
    http_address = os.environ.get("CHILD_HTTP", "")
    service = ServiceConfig(
        address=sys.argv[1],
        drain_s=10.0,
        http_address=http_address,
        allow_writes=bool(http_address),
    )
    config = Config(service=service)
    if len(sys.argv) > 4:
        replica = ReplicaConfig(follow=sys.argv[4], every_s=0.1)
        config = Config(index=sys.argv[2], service=service, replica=replica)
    asyncio.run(serve(config, load, http_server(config) if http_address else None))
