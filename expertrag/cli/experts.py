"""``expertrag experts``: mixtures of experts from dense models, and readers merged into them."""

from __future__ import annotations

from pathlib import Path

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.options import flag, json_flag, out_folder
from expertrag.cli.output import emit_json

model_out = out_folder("EXPERTRAG_EXPERTS_OUT", "MODEL")


@click.group()
def experts() -> None:
    """Make mixtures of experts for `--generator`."""


@experts.command()
@click.argument("base")
@flag(
    "--experts",
    "names",
    env="EXPERTRAG_EXPERTS_NAMES",
    required=True,
    metavar="NAME,…",
    help="Names of the experts, such as general,biomedicine,legal.",
)
@flag(
    "--per-token",
    env="EXPERTRAG_EXPERTS_PER_TOKEN",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Experts that a token passes through.",
)
@model_out
@json_flag
def upcycle(base: str, names: str, per_token: int, out: Path, as_json: bool) -> None:
    """Copy the feed-forward networks of BASE into equal experts of a Mixtral-format mixture.

    BASE is a Llama- or Mistral-type model: package model, folder or hub id. The mixture gives its
    logits, whichever experts are chosen, until they are trained apart.
    """
    from expertrag import models
    from expertrag.llm.convert.upcycle import upcycle as write

    found = tuple(name.strip() for name in names.split(","))
    write(
        models.resolve(base),
        out,
        num_experts=len(found),
        experts_per_token=per_token,
        names=found,
    )
    _told(out, found, as_json)


@experts.command("merge-adapters")
@click.argument("base")
@click.argument("bundle", type=click.Path(path_type=Path))
@flag(
    "--domain",
    env="EXPERTRAG_EXPERTS_DOMAIN",
    help="Write this expert alone, as a plain Llama-type model; 'general' has the shared updates.",
)
@out_folder(
    "EXPERTRAG_EXPERTS_OUT", "MODEL", "Folder to make, or a file to make whose name ends in .gguf."
)
@flag(
    "--dtype",
    env="EXPERTRAG_EXPERTS_DTYPE",
    type=click.Choice(["bfloat16", "float16"]),
    default="bfloat16",
    show_default=True,
    help="Of the matrices of a .gguf file; a folder is in bfloat16.",
)
@json_flag
def merge_adapters(
    base: str, bundle: Path, domain: str | None, out: Path, dtype: str, as_json: bool
) -> None:
    """Add the updates of a reader to the weights of its BASE.

    BUNDLE was made by `expertrag train reader`. Without --domain, the result is a Mixtral-format
    mixture with an expert for general questions and one for each domain. It loads by `--generator`
    and in any tool that reads such checkpoints.

    As a .gguf file, one expert alone runs in llama.cpp and what is built on it; of a mixture,
    llama.cpp would choose experts at random.
    """
    from expertrag import models

    path = models.resolve(base)
    if out.suffix == ".gguf":
        from expertrag.llm.convert.gguf import merge_gguf

        names = merge_gguf(path, bundle, out, domain=domain, dtype=dtype)
    else:
        from expertrag.llm.convert.merge import merge

        if dtype != "bfloat16":
            raise InvalidArgument(
                f"a folder is written in bfloat16: name a file that ends in .gguf for {dtype}"
            )
        names = merge(path, bundle, out, domain=domain)
    _told(out, names, as_json)


def _told(out: Path, names: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        emit_json({"model": out, "experts": names})
        return
    click.echo(f"experts  {', '.join(names)}")
    click.echo(f"wrote {out}")
