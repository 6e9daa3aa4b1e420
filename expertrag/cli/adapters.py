"""``expertrag adapters``: load, unload and list the adapters (LoRA) of a server's model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from expertrag.cli.options import Command, json_flag, with_config
from expertrag.cli.output import note, print_found, printable, size
from expertrag.cli.server_options import ServerOptions, with_server
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag.api.adapters import AdapterInfo


@click.group()
def adapters() -> None:
    """Load, unload and list the adapters (LoRA) of a server's language model.

    A question names one with `ask --adapter NAME`. If the server has tokens, loading and unloading
    need one with the scope admin.
    """


def _of_a_server(command: Callable[..., None]) -> Command:
    """Pass a command the server that it is about, even if a store is configured."""
    aimed = with_server(collection=False)(command)

    @functools.wraps(aimed)
    def run(server: str | None, config: Config, **rest: Any) -> None:
        aimed(server=server or config.service.address, config=config, **rest)

    return with_config()(json_flag(run))


@click.command()
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@_of_a_server
def load(server: ServerOptions, name: str, folder: Path, as_json: bool) -> None:
    """Serve the adapter in FOLDER as NAME.

    FOLDER is one of the server's machine, as peft saves it: adapter_config.json and
    adapter_model.safetensors.
    """
    where = folder.absolute() if folder.exists() else folder  # the server has its own directory
    with server.open(ready=False) as client:
        loaded = client.load_adapter(name, str(where), **server.deadline)
    print_found(loaded, as_json, [f"loaded {_line(loaded)}"])


@click.command()
@click.argument("name")
@_of_a_server
def unload(server: ServerOptions, name: str, as_json: bool) -> None:
    """Refuse the adapter NAME to new questions; those that use it go on."""
    with server.open(ready=False) as client:
        client.unload_adapter(name, **server.deadline)
    print_found({"unloaded": name}, as_json, [f"unloaded {printable(name)}"])


@click.command("list")
@_of_a_server
def list_(server: ServerOptions, as_json: bool) -> None:
    """List the adapters that a question may name."""
    with server.open(ready=False) as client:
        adapters = client.adapters(**server.deadline)
    print_found(adapters, as_json, map(_line, adapters))
    if not adapters and not as_json:
        note("no adapters: load one with `expertrag adapters load NAME FOLDER`")


def _line(adapter: AdapterInfo) -> str:
    base = f", trained on {adapter.base}" if adapter.base else ""
    return printable(f"{adapter.name}: rank {adapter.rank}, {size(adapter.size_bytes)}{base}")


for each in (load, unload, list_):
    adapters.add_command(each)
