"""``expertrag serve``: the gRPC server over one store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from expertrag.cli.options import configured, index_of
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag.answer.pipeline import Pipeline


@click.command()
@configured("index", "model", "gate", "service", "audit", "log")
def serve(config: Config) -> None:
    """Serve a store over gRPC until SIGTERM or Ctrl-C.

    Running calls finish first.

    Listens at once, and accepts calls when the models are loaded (see the health service).
    """
    import asyncio

    from expertrag.runtime import logs, memory
    from expertrag.service import serve as run
    from expertrag_index.index import Index

    memory.share()
    logs.configure(config.log)
    Index.open(index_of(config)).close()  # fail on a bad store before loading the models

    def load_pipeline() -> Pipeline:
        from expertrag.answer.assemble import (
            open_pipeline,  # imports torch, which is slow: listen first
        )

        pipeline = open_pipeline(config)
        memory.trim()
        return pipeline

    asyncio.run(run(config.service, load_pipeline))
