"""``expertrag experts``: build mixtures of experts from dense models, and merge readers."""

from __future__ import annotations

from pathlib import Path

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.options import flag, json_flag, out_folder
from expertrag.cli.output import emit_json

model_out = out_folder("EXPERTRAG_EXPERTS_OUT", "MODEL")


@click.group()
def experts() -> None:
    """Build mixture-of-experts models for `--generator`."""


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
    help="Experts per token.",
)
@model_out
@json_flag
def upcycle(base: str, names: str, per_token: int, out: Path, as_json: bool) -> None:
    """Convert BASE to a Mixtral-format mixture with identical experts.

    BASE is a Llama- or Mistral-type model: package model, folder or hub id. The experts are copies
    of its feed-forward networks: until they are trained, the mixture gives the logits of BASE,
    whichever experts are chosen.
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
    help="Write only this expert, as a plain Llama-type model; 'general' has the shared updates.",
)
@out_folder("EXPERTRAG_EXPERTS_OUT", "MODEL", "Folder or .gguf file to create; it must not exist.")
@flag(
    "--dtype",
    env="EXPERTRAG_EXPERTS_DTYPE",
    type=click.Choice(["bfloat16", "float16"]),
    default="bfloat16",
    show_default=True,
    help="Data type of the matrices of a .gguf file; a folder is always in bfloat16.",
)
@json_flag
def merge_adapters(
    base: str, bundle: Path, domain: str | None, out: Path, dtype: str, as_json: bool
) -> None:
    """Merge the low-rank updates of a reader into the weights of its BASE.

    BUNDLE comes from `expertrag train reader`. Without --domain, the result is a Mixtral-format
    mixture with one expert for general questions and one for each domain. It loads with
    `--generator` and in any tool that reads Mixtral checkpoints.

    A .gguf file of a single expert runs in llama.cpp and tools built on it; in a mixture, llama.cpp
    would choose experts at random.
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
                f"a folder is written in bfloat16; for {dtype}, give an --out that ends in .gguf"
            )
        names = merge(path, bundle, out, domain=domain)
    _told(out, names, as_json)


def _told(out: Path, names: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        emit_json({"model": out, "experts": names})
        return
    click.echo(f"experts  {', '.join(names)}")
    click.echo(f"wrote {out}")
