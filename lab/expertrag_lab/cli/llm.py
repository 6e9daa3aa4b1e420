"""``expertrag llm upcycle``, ``export`` and ``attach``."""

from __future__ import annotations

from pathlib import Path

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.options import flags_of, json_flag, out_folder
from expertrag_lab.cli.output import print_made

flag = flags_of("LLM")


@click.command()
@click.argument("base")
@flag(
    "--experts",
    "names",
    required=True,
    metavar="NAME,…",
    help="Names of the experts, such as shared,biomedicine,legal.",
)
@flag("--per-token", type=click.IntRange(min=1), default=1, help="Experts per token.")
@out_folder("EXPERTRAG_LLM_OUT", "MODEL")
@json_flag
def upcycle(base: str, names: str, per_token: int, out: Path, as_json: bool) -> None:
    """Convert BASE to a Mixtral-format mixture with identical experts.

    BASE is a Llama- or Mistral-type model: package model, folder or hub id. The experts are copies
    of its feed-forward networks: until they are trained, the mixture gives the logits of BASE,
    whichever experts are chosen.
    """
    from expertrag import models
    from expertrag.llm.convert.upcycle import upcycle as write

    experts = tuple(name.strip() for name in names.split(","))
    write(
        models.resolve(base),
        out,
        num_experts=len(experts),
        experts_per_token=per_token,
        names=experts,
    )
    _print_result(out, experts, as_json)


@click.command()
@click.argument("base")
@click.argument("bundle", type=click.Path(path_type=Path))
@flag(
    "--domain",
    help="Write only this expert, as a plain Llama-type model; 'shared' has no domain's updates.",
)
@out_folder("EXPERTRAG_LLM_OUT", "MODEL", "Folder or .gguf file to create; it must not exist.")
@flag(
    "--dtype",
    type=click.Choice(["bfloat16", "float16"]),
    default="bfloat16",
    help="Data type of the matrices of a .gguf file; a folder is always in bfloat16.",
)
@json_flag
def export(
    base: str, bundle: Path, domain: str | None, out: Path, dtype: str, as_json: bool
) -> None:
    """Write a reader as plain weights, for other tools.

    The updates of BUNDLE, from `expertrag train reader`, are added to the weights of its BASE.
    Without --domain, the result is a Mixtral-format mixture with one expert shared by all domains
    and one for each domain. It loads with `--generator` and in any tool that reads Mixtral
    checkpoints.

    A .gguf file of a single expert runs in llama.cpp and tools built on it; in a mixture, llama.cpp
    would choose experts at random.
    """
    from expertrag import models

    path = models.resolve(base)
    if out.suffix == ".gguf":
        from expertrag_lab.convert.gguf import export_gguf

        names = export_gguf(path, bundle, out, domain=domain, dtype=dtype)
    else:
        from expertrag_lab.convert.export import export as export_folder

        if dtype != "bfloat16":
            raise InvalidArgument(
                f"a folder is written in bfloat16; for {dtype}, give an --out that ends in .gguf"
            )
        names = export_folder(path, bundle, out, domain=domain)
    _print_result(out, names, as_json)


@click.command()
@click.argument("base")
@click.argument("bundle", type=click.Path(path_type=Path))
@out_folder("EXPERTRAG_LLM_OUT", "MODEL")
@json_flag
def attach(base: str, bundle: Path, out: Path, as_json: bool) -> None:
    """Attach a reader to its BASE, for our engine.

    BUNDLE comes from `expertrag train reader`. The result has the weights of BASE once, in
    bfloat16, and BUNDLE in a folder of it. It loads with `--generator`; all experts share the
    weights of BASE. `llm pack` packs both.
    """
    from expertrag import models
    from expertrag.llm.convert.attach import attach as attach_reader

    _print_result(out, attach_reader(models.resolve(base), bundle, out), as_json)


def _print_result(out: Path, names: tuple[str, ...], as_json: bool) -> None:
    print_made({"model": out, "experts": names}, out, as_json, [f"experts  {', '.join(names)}"])
