"""What a shell offers for the value of an option, without a heavy import."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import click
from click.shell_completion import CompletionItem

from expertrag.api.errors import ExpertRAGError
from expertrag.config import TRAINING_FREE, load
from expertrag.models import REGISTRY, SHIPPED, SHIPPED_GATES, SHIPPED_RERANKERS

Completer = Callable[[click.Context, click.Parameter, str], "list[str] | list[CompletionItem[str]]"]
SERVER_TIMEOUT_S = 1.0
"""How long a shell waits for a server that is asked for the names of its collections."""


def a_file(
    _context: click.Context, _option: click.Parameter, begun: str
) -> list[CompletionItem[str]]:
    """Offer files and folders."""
    return [CompletionItem(begun, type="file")]


def a_folder(
    _context: click.Context, _option: click.Parameter, begun: str
) -> list[CompletionItem[str]]:
    """Offer folders."""
    return [CompletionItem(begun, type="dir")]


def a_word(*words: str) -> Completer:
    """Return a completer that offers words."""
    return lambda _context, _option, begun: _beginning(begun, words)


def a_file_or(*words: str) -> Completer:
    """Return a completer that offers words, and files and folders."""

    def offer(
        context: click.Context, option: click.Parameter, begun: str
    ) -> list[CompletionItem[str]]:
        # Files come first: bash's script drops what comes before them.
        return [*a_file(context, option, begun), *map(CompletionItem, _beginning(begun, words))]

    return offer


def a_collection(context: click.Context, _option: click.Parameter, begun: str) -> list[str]:
    """Offer the collections of the server that the options before it name."""
    from expertrag.cli.server_options import ServerOptions

    given = context.params
    try:
        config = load(given.get("config_file")).config
        address = given.get("server")
        if not address and (given.get("index") or config.index):
            return []  # a store in process has no collections, and opening it takes long
        server = ServerOptions(
            address, SERVER_TIMEOUT_S, config, given.get("token_file"), given.get("ca")
        )
        with server.open(ready=False) as client:
            collections = client.collections(**server.deadline)
    except ExpertRAGError:
        return []
    return _beginning(begun, (collection.name for collection in collections))


def _beginning(begun: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(begun)]


def _models(role: str) -> list[str]:
    return [name for name, model in REGISTRY.items() if model.role == role]


a_model = a_word(*REGISTRY)

OF_SETTINGS: Mapping[str, Completer] = {
    "index": a_folder,
    "model.embedder": a_file_or("auto", *SHIPPED, *_models("embedder")),
    "model.generator": a_file_or("auto", *_models("generator")),
    "model.reader": a_file_or("auto", "none"),
    "model.probe": a_file_or("auto", "none"),
    "model.reranker": a_file_or("auto", "on", "off", *SHIPPED_RERANKERS),
    "model.device": a_word("auto", "cpu", "cuda", "mps"),
    "gate.bundle": a_file_or("auto", TRAINING_FREE, *SHIPPED_GATES),
    "collections.folder": a_folder,
    "auth.tokens": a_file,
    "auth.jwt_keys": a_file,
    "tls.cert": a_file,
    "tls.key": a_file,
    "tls.client_ca": a_file,
    "audit.path": a_file,
}
"""Completers of settings, by key; choices complete themselves."""
