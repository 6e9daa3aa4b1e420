"""``expertrag llm prune`` and ``merge``: models with fewer experts, by their use or their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from expertrag.api.errors import InvalidArgument
from expertrag.cli.options import flags_of, json_flag, out_folder
from expertrag.cli.output import size
from expertrag.cli.progress import progress
from expertrag_lab.cli.options import seed_flag
from expertrag_lab.cli.output import print_made

if TYPE_CHECKING:
    from expertrag_lab.surgery.changes.named_experts import NamedPrune
    from expertrag_lab.surgery.changes.record import ChangedMixture
    from expertrag_lab.surgery.mixture import Mixture
    from expertrag_lab.surgery.profiling.importance import ExpertProfile

flag = flags_of("LLM")

METHODS = ("easy-ep", "premoe", "reap", "frequency", "random")
DENOMINATORS = ("auto", "keep", "renormalise")
"""Choices, copied from the surgery, whose import is heavy; a test checks that they agree."""


def _share_or_number(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> float | int | None:
    if text is None:
        return None
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a share, such as 0.5, nor a number of experts, such as 8"
        ) from None


profile_flag = flag(
    "profile_folder",
    "--profile",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Profile of MODEL, from `expertrag llm profile`.",
)
domain_flag = flag(
    "domains",
    "--domain",
    multiple=True,
    metavar="NAME",
    help="Domain of the profile whose use of the experts counts; repeatable. Unset: all.",
)
denominators_flag = flag(
    "--denominators",
    type=click.Choice(DENOMINATORS),
    default="auto",
    help="Where weights are a softmax over all experts: keep scales the experts that stay, so that "
    "their weights are on average what they were; renormalise leaves the router alone. auto: keep, "
    "but renormalise for merged experts, unless a token uses one.",
)


@click.command()
@click.argument("model")
@flag(
    "profile_folder",
    "--profile",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Profile of MODEL, from `expertrag llm profile`. Unset: the experts have names, and the "
    "experts of each --domain stay.",
)
@flag(
    "--keep",
    metavar="SHARE|NUMBER",
    callback=_share_or_number,
    help="Routed experts to keep in each layer, by --profile: a share such as 0.5, or a number "
    "such as 8.",
)
@flag(
    "--method",
    type=click.Choice(METHODS),
    default="easy-ep",
    help="Measure of an expert's importance.",
)
@flag(
    "domains",
    "--domain",
    multiple=True,
    metavar="NAME",
    help="Domain of the profile whose use of the experts counts [unset: all]; without --profile, "
    "name of an expert that stays. Repeatable.",
)
@denominators_flag
@seed_flag("EXPERTRAG_LLM_SEED", "Seed of the method random.")
@flag("--force", is_flag=True, help="Also drop super experts, if the method says so.")
@out_folder("EXPERTRAG_LLM_OUT", "MODEL")
@json_flag
def prune(
    model: str,
    profile_folder: Path | None,
    keep: float | int | None,
    method: str,
    domains: tuple[str, ...],
    denominators: str,
    seed: int,
    force: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Drop the experts of MODEL that matter least to the traffic of a profile, or by their names.

    With --profile, MODEL is a mixture whose routers choose experts by token: folder or hub id of a
    checkpoint of transformers. The result is also one, and loads with `--generator`. Super experts,
    null experts and shared ones stay. `expertrag llm verify` compares both models.

    Without, MODEL is a reader with an expert for each domain. It is given as its bundle, a model
    that it is attached to, or what `llm export` made of it. The experts of each --domain stay, with
    "shared" and "base", and answer as before; "shared" answers questions of other domains.
    """
    if profile_folder is None:
        _prune_named(model, domains, keep, out, as_json)
        return
    if keep is None:
        raise InvalidArgument("keep: say how many experts stay: add --keep 0.5")
    from expertrag_lab.surgery.changes.denominators import Denominators
    from expertrag_lab.surgery.changes.prune import prune as drop
    from expertrag_lab.surgery.changes.record import write_changed
    from expertrag_lab.surgery.profiling.importance import Method

    with progress() as report:
        profile, before = _load(model, profile_folder)
        changed = drop(
            before,
            profile,
            keep=keep,
            method=Method(method),
            domains=domains,
            denominators=Denominators(denominators),
            seed=seed,
            force=force,
            progress=report,
        )
        made = write_changed(changed, before, out, report)
    print_made(made, out, as_json, _lines(made))


@click.command()
@click.argument("model")
@profile_flag
@flag(
    "--groups",
    required=True,
    metavar="SHARE|NUMBER",
    callback=_share_or_number,
    help="Experts that each layer gets: a number such as 8, or a share such as 0.5.",
)
@domain_flag
@flag(
    "--per-token",
    type=click.IntRange(min=1),
    help="Experts per token. Unset: as many as before, or all that are left.",
)
@denominators_flag
@out_folder("EXPERTRAG_LLM_OUT", "MODEL")
@json_flag
def merge(
    model: str,
    profile_folder: Path,
    groups: float | int,
    domains: tuple[str, ...],
    per_token: int | None,
    denominators: str,
    out: Path,
    as_json: bool,
) -> None:
    """Merge experts of MODEL that its routers treat alike.

    MODEL is a mixture whose routers choose experts by token: folder or hub id of a checkpoint of
    transformers. The result is also one, and loads with `--generator`. The experts that most tokens
    use stay apart. Each of the others is averaged into the one of them whose router logits are most
    like its own (M-SMoE). `expertrag llm verify` compares both models.
    """
    from expertrag_lab.surgery.changes.denominators import Denominators
    from expertrag_lab.surgery.changes.merge_experts import merge_experts
    from expertrag_lab.surgery.changes.record import write_changed

    with progress() as report:
        profile, before = _load(model, profile_folder)
        changed = merge_experts(
            before,
            profile,
            groups=groups,
            domains=domains,
            per_token=per_token,
            denominators=Denominators(denominators),
            progress=report,
        )
        made = write_changed(changed, before, out, report)
    print_made(made, out, as_json, _lines(made))


def _prune_named(
    model: str, domains: tuple[str, ...], keep: float | int | None, out: Path, as_json: bool
) -> None:
    if keep is not None:
        raise InvalidArgument(
            "keep: a profile says which experts matter most: add --profile FOLDER, from `expertrag "
            "llm profile`"
        )
    from expertrag import models
    from expertrag_lab.surgery.changes.named_experts import prune_named

    shipped = models.reader_of(model)
    with progress() as report:
        source = str(shipped) if shipped else models.resolve(model)
        made = prune_named(source, domains, out, report)
    print_made(made, out, as_json, _pruning_lines(made))


def _pruning_lines(made: NamedPrune) -> Iterator[str]:
    yield f"experts  {', '.join(made.experts)}"
    if made.dropped:
        yield f"dropped  {', '.join(made.dropped)}; shared answers their questions"
    yield f"weights  {size(made.before)} -> {size(made.after)}"


def _load(model: str, profile_folder: Path) -> tuple[ExpertProfile, Mixture]:
    """Load a profile and its mixture.

    :raises Conflict: the profile is of other files.
    """
    from expertrag import models
    from expertrag.llm.fingerprint import fingerprint
    from expertrag.llm.load.loading import model_files
    from expertrag_lab.surgery.mixture import load_mixture
    from expertrag_lab.surgery.profiling.profile_folder import check_model, load_profile

    name = models.resolve(model)
    profile, files = load_profile(profile_folder), model_files(name)
    if not (files.is_packed or files.gguf):  # which are refused, whatever the profile says
        check_model(profile, fingerprint(files.folder))
    return profile, load_mixture(name)


def _lines(made: ChangedMixture) -> Iterator[str]:
    before, after = made.before, made.after
    yield f"experts of a layer  {before.experts} -> {after.experts}"
    yield f"experts per token   {before.experts_per_token} -> {after.experts_per_token}"
    yield f"parameters          {before.parameters:,} -> {after.parameters:,}"
    yield f"weights             {size(before.bytes)} -> {size(after.bytes)}"
