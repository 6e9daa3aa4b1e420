"""``expertrag mcp``: the MCP server of desktop applications and editors, over stdio."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from expertrag.cli.answering import ANSWERING
from expertrag.cli.exits import message_of
from expertrag.cli.options import Command, flags_of, list_typed, with_config
from expertrag.cli.output import note
from expertrag.cli.server_options import LOAD_TIMEOUT_S, PLACES, ServerOptions, with_server
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag.client import AsyncClient

flag = flags_of("MCP")


def _take_target(command: Command) -> Command:
    """Pass a command the server or the store that its TARGET names, before its other options."""

    @functools.wraps(command)
    def run(target: str | None, server: str | None, config: Config, **rest: Any) -> Any:
        if target is not None:
            from expertrag.client.target import parse_target

            if others := list_typed(PLACES):
                raise click.UsageError(f"TARGET and {others[0]} name two places to ask; keep one")
            named = parse_target(target)
            server = named if isinstance(named, str) else None
            if server is None:
                config = replace(config, index=str(named))
        return command(server=server, config=config, **rest)

    return run


@click.command()
@click.argument("target", required=False)
@with_config("index", "model.generator", "search.k", settable=(*ANSWERING, "log"))
@_take_target
@with_server("search.k")
@flag(
    "--allow-writes",
    is_flag=True,
    help="Offer the tools that add and delete documents. A server must also allow it.",
)
@flag(
    "--base-url",
    default="",
    metavar="URL",
    help="Where the console of the server is, such as http://localhost:8080: links to documents "
    "lead there. Unset: to the web pages that they are from.",
)
def mcp(server: ServerOptions, allow_writes: bool, base_url: str) -> None:
    """Serve documents over MCP on stdin and stdout.

    An application such as Claude Desktop or an editor starts this command. TARGET is the address
    of a server or the folder of a store, in place of --server or --index.
    """
    import asyncio
    import signal

    from expertrag.runtime import logs

    # Python cannot end a thread that reads stdin: Ctrl-C ends the process, which a store survives.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    logs.configure(server.config.log)
    if server.in_process:
        from expertrag_index.store.opening import check_published

        check_published(Path(server.config.index))  # fail now, not at the first call
    if sys.stdin.isatty():
        note("An application starts this command and speaks MCP to it; Ctrl-C ends it.")
    asyncio.run(_serve(server, writes=allow_writes, base_url=base_url))


async def _serve(options: ServerOptions, *, writes: bool, base_url: str) -> None:
    import asyncio

    from expertrag.serving.mcp import mcp_server, serve_stdio

    async with options.connect() as client:
        # Applications wait only seconds for the first answer: serve at once, and load meanwhile.
        loading = asyncio.create_task(_load(client)) if options.in_process else None
        server = mcp_server(
            lambda _: client,
            writes=writes,
            base_url_of=lambda _: base_url,
            k=options.config.search.k,
            timeout_s=options.timeout,
        )
        await serve_stdio(server)
        if loading is not None:
            loading.cancel()


async def _load(client: AsyncClient) -> None:
    """Load the models; an error is noted here, and is the answer to every call."""
    try:
        await client.wait_ready(LOAD_TIMEOUT_S)
    except Exception as error:
        note(f"error: {message_of(error)}")
