"""``expertrag llm pack``: pack a model for the engine; the lab adds what changes models."""

from __future__ import annotations

from pathlib import Path

import click

from expertrag.cli.extensions import ExtensibleGroup
from expertrag.cli.options import flags_of, out_folder
from expertrag.cli.progress import progress

flag = flags_of("LLM")


@click.group(cls=ExtensibleGroup, extensions="llm")
def llm() -> None:
    """Convert language models, and change their experts."""


@llm.command()
@click.argument("model")
@flag(
    "--dtype",
    type=click.Choice(["int4", "int8", "mxfp4", "bfloat16", "float32"]),
    required=True,
    help="Data type of the packed weights; mxfp4 leaves experts that are stored in it as they are, "
    "and the rest in bfloat16.",
)
@out_folder("EXPERTRAG_LLM_OUT", "FOLDER")
def pack(model: str, dtype: str, out: Path) -> None:
    """Pack MODEL for the CPU engine.

    MODEL is a folder, GGUF file, hub id or package model.

    Use FOLDER as --generator. Its weights are memory-mapped: nothing is converted at startup, and
    several servers share one copy in memory.
    """
    from expertrag import models
    from expertrag.llm.load.packing import pack_folder

    with progress() as report:
        pack_folder(models.resolve(model), dtype, out, report)
    click.echo(f"wrote {out}")
