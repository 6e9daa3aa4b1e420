"""``expertrag serve``: the gRPC server over one or several stores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.api.errors import InvalidArgument, MissingExtra
from expertrag.api.types import GateMode
from expertrag.cli.answering import ANSWERING
from expertrag.cli.options import flag, index_of, with_config
from expertrag.config import ENV_PREFIX, Config
from expertrag_common.extras import install_command

if TYPE_CHECKING:
    from expertrag.answer.collections import Collections
    from expertrag.serving.http import HttpServer


_FLAGS = (
    "index",
    "model.embedder",
    "model.generator",
    "model.reader",
    "model.probe",
    "model.reranker",
    "model.dtype",
    "model.device",
    "model.cache_mib",
    "gate.mode",
    "gate.bundle",
    "gate.target_rate",
    "service.address",
    "service.http_address",
    "service.http_host",
    "service.max_concurrency",
    "service.queue_depth",
    "service.drain_s",
    "service.metrics_port",
    "service.metrics_host",
    "service.allow_writes",
    "collections.folder",
    "replica.follow",
    "replica.push",
    "auth",
    "tls",
    "audit",
    "log.level",
)
"""Settings with a flag: what to serve, where, to whom, and how much."""
_SETTABLE = (*ANSWERING, "service", "collections", "replica", "quota", "log")


@click.command()
@with_config(*_FLAGS, settable=_SETTABLE)
@flag(
    "named",
    "--collection",
    multiple=True,
    metavar="NAME[:MODE]=PATH",
    env=f"{ENV_PREFIX}COLLECTION",
    help="Another store to serve, repeatable; TENANT/NAME=PATH for the callers of a tenant. MODE, "
    "such as strict, is for requests that name none. Unset: the mode of --mode.",
)
@flag(
    "loaded",
    "--adapter",
    multiple=True,
    metavar="NAME=FOLDER",
    env=f"{ENV_PREFIX}SERVE_ADAPTER",
    help="An adapter (LoRA) that requests may name, repeatable; adds to model.adapters.",
)
def serve(config: Config, named: tuple[str, ...], loaded: tuple[str, ...]) -> None:
    """Serve document stores over gRPC until SIGTERM or Ctrl-C.

    Running calls finish first. With --http-address also over HTTP: OpenAI's API, MCP and the
    console.

    Listens at once, and accepts calls when the models are loaded (see the health service). Beyond
    loopback it needs --tls-cert and --tls-key, or --insecure.
    """
    import asyncio

    from expertrag.runtime import logs, memory
    from expertrag.serving.run import serve as run
    from expertrag_index.store.opening import check_published

    config = _with_adapters(config, loaded)
    memory.share()
    logs.configure(config.log)
    stores, modes = _stores(named)
    checked = [*stores.values()]
    if config.index or not (stores or config.collections.folder):
        checked.append(index_of(config))
    for store in checked:  # fail on a bad store before loading the models
        if store.exists() or not (config.replica.follow and store == Path(config.index)):
            check_published(store)

    @memory.loading()
    def load_collections() -> Collections:
        # imports torch, which is slow: listen first
        from expertrag.answer.assemble import open_collections

        return open_collections(config, stores, modes)

    asyncio.run(run(config, load_collections, _http(config)))


def _with_adapters(config: Config, items: Iterable[str]) -> Config:
    """Add ``NAME=FOLDER`` items to the adapters of a configuration."""
    adapters = ",".join(filter(None, (config.model.adapters, *items)))
    return replace(config, model=replace(config.model, adapters=adapters))


def _http(config: Config) -> HttpServer | None:
    """Return the HTTP server, if there is to be one."""
    if not config.service.http_address:
        return None
    try:
        from expertrag.serving.web import http_server
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"--http-address needs the package {error.name}; "
            f"run: {install_command('server', 'http')}",
            reason="MISSING_EXTRA",
        ) from error
    return http_server(config)


def _stores(items: Iterable[str]) -> tuple[dict[str, Path], dict[str, GateMode]]:
    """Return the stores by their names, and the modes of those that have one."""
    stores: dict[str, Path] = {}
    modes: dict[str, GateMode] = {}
    for item in items:
        name, mode, path = _store(item)
        if name in stores:
            raise InvalidArgument(
                f"collection: {name!r} is named twice: {stores[name]} and {path}; give each a name "
                "of its own",
                metadata={"field": "collection"},
            )
        stores[name] = path
        if mode:
            modes[name] = mode
    return stores, modes


def _store(item: str) -> tuple[str, GateMode | None, Path]:
    """Return the name, the mode and the path of ``NAME=PATH`` or ``NAME:MODE=PATH``."""
    key, equals, path = item.partition("=")
    name, colon, mode = key.partition(":")
    if not (name and equals and path):
        raise InvalidArgument(
            f"collection: {item!r} is not NAME=PATH", metadata={"field": "collection"}
        )
    if colon and mode not in list(GateMode):
        raise InvalidArgument(
            f"collection: {item!r} has no mode {mode!r}; choose one of {', '.join(GateMode)}",
            metadata={"field": "collection"},
        )
    return name, GateMode(mode) if colon else None, Path(path)
