"""``expertrag serve``: the gRPC server over one store."""

from __future__ import annotations

import click

from expertrag.cli.options import configured, index_of
from expertrag.config import Config


@click.command()
@configured("index", "model", "gate", "service", "audit", "log")
def serve(config: Config) -> None:
    """Serve a store over gRPC until SIGTERM or Ctrl-C; running calls end first.

    Listens at once; calls are taken when the models are loaded (see the health service).
    """
    import asyncio

    from expertrag import logs
    from expertrag.assemble import open_pipeline
    from expertrag.generation.loading import quiet
    from expertrag.pipeline import Pipeline
    from expertrag.service import serve as run
    from expertrag_index.index import Index

    logs.configure(config.log)
    Index.open(index_of(config)).close()  # a wrong store is told at once, not after the models

    def load_pipeline() -> Pipeline:
        with quiet():  # a bar of a library has no place between the lines of a log
            return open_pipeline(config)

    asyncio.run(run(config.service, load_pipeline))
