"""``expertrag index create``: an empty store, for a server that documents are sent to."""

from __future__ import annotations

from pathlib import Path

import click

from expertrag.api.errors import Conflict
from expertrag.cli.index_writer import opener
from expertrag.cli.options import chunk_tokens_option, flag, store_argument, with_config
from expertrag.cli.progress import progress
from expertrag.config import Config


@click.command()
@store_argument
@flag(
    "--if-missing",
    is_flag=True,
    env="EXPERTRAG_CREATE_IF_MISSING",
    help="Do nothing if there is a store already.",
)
@chunk_tokens_option
@with_config("model.embedder", settable=("model.device",))
def create(store: Path, if_missing: bool, chunk_tokens: int | None, config: Config) -> None:
    """Create an empty store.

    Documents are added with `index add`, or sent to a server with --allow-writes.
    """
    from expertrag_index.build.settings import WriterSettings
    from expertrag_index.errors import StoreNotFoundError
    from expertrag_index.store.opening import check_published

    try:
        check_published(store)
    except StoreNotFoundError:
        settings = WriterSettings(chunk_tokens=chunk_tokens)
        with progress() as report, opener(store, config, report, settings=settings)() as writer:
            done = writer.build(())
        click.echo(f"{store}: an empty store, generation {done.generation}")
        return
    if not if_missing:
        raise Conflict(f"{store} is a store; choose another folder, or give --if-missing")
    click.echo(f"{store} is a store already")
