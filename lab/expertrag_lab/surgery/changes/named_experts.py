"""Drop experts by their names: the experts of domains that a team does not ask about.

Where experts have names, a text has one of them, which the domain of its question selects. No other
is read, so those that stay answer as before, token for token. Questions of the domains that are
gone are answered by "shared", as questions of no domain are.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from expertrag.api.errors import InvalidArgument
from expertrag.llm.adapters.bundle import is_bundle, load_bundle
from expertrag.llm.base import BASE, SHARED, current_names
from expertrag.llm.convert.checkpoint import new_folder
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.loading import READER_FOLDER, ModelFiles, model_files
from expertrag_index.types import Progress, silent
from expertrag_lab.adapter_bundles import narrow_bundle, weights_bytes
from expertrag_lab.surgery.changes.denominators import Denominators
from expertrag_lab.surgery.changes.record import SurgeryStep, record_of, write_changed
from expertrag_lab.surgery.mixture import load_mixture

NAMES = "names"
"""The method of a :class:`SurgeryStep` that chose experts by their names."""
_PULLED = "card.json"  # says that a folder is a package model, which the copy is not


@dataclass(frozen=True, slots=True)
class NamedPrune:
    """What was written.

    :param model: its folder: a bundle, if a bundle was given, else a model.
    :param experts: names of those that stay.
    :param dropped: names of the others, whose questions "shared" answers.
    :param before: bytes of the weights of the reader, or of a whole mixture; so ``after``.
    """

    model: Path
    experts: tuple[str, ...]
    dropped: tuple[str, ...]
    before: int
    after: int


def prune_named(
    name: str, domains: Collection[str], out: Path, progress: Progress = silent
) -> NamedPrune:
    """Write a reader or mixture with the experts of some domains, "shared" and "base".

    :param name: a reader's bundle; a model with a reader attached, packed or not; or a checkpoint
        of a mixture whose experts have names, as ``expertrag llm export`` writes it.
    :param domains: names of experts, at least one; all of them leave the same weights.
    :param out: folder to create, of the same kind; it appears whole or not at all.
    :raises NotFound: there is no such model.
    :raises InvalidArgument: its experts have no names, or not these; or it is a packed mixture or
        a GGUF file, whose experts are rounded.
    :raises Conflict: ``out`` exists.
    :raises ServerError: the files are damaged.
    """
    if is_bundle(Path(name)):
        with new_folder(out) as scratch:
            return _narrow(Path(name), domains, scratch, out)
    files = model_files(name)
    if files.reader is None:
        return _of_mixture(name, files, domains, out, progress)
    with new_folder(out) as scratch:
        progress("copy model", 0, 1)
        left = shutil.ignore_patterns(READER_FOLDER, _PULLED)
        shutil.copytree(files.folder, scratch, ignore=left, dirs_exist_ok=True)
        (scratch / READER_FOLDER).mkdir()
        made = _narrow(files.reader, domains, scratch / READER_FOLDER, out)
        with (scratch / "README.md").open("a", encoding="utf-8") as card:
            card.write(f"\n{_describe(made.experts, made.dropped)}")
        progress("copy model", 1, 1)
    return made


def _narrow(bundle: Path, domains: Collection[str], scratch: Path, out: Path) -> NamedPrune:
    """Write a bundle with fewer domains into a folder, which will be, or be in, ``out``."""
    loaded = load_bundle(bundle)
    names = loaded.settings.experts
    kept = _keep(names, domains, "this reader")
    dropped = _without(names, kept)
    step = {
        "kind": "prune",
        "source": loaded.digest,
        "method": NAMES,
        "experts": kept,
        "dropped": dropped,
    }
    narrow_bundle(bundle, kept, step, _describe(kept, dropped), scratch)
    return NamedPrune(out, kept, dropped, weights_bytes(bundle), weights_bytes(scratch))


def _of_mixture(
    name: str, files: ModelFiles, domains: Collection[str], out: Path, progress: Progress
) -> NamedPrune:
    mixture = load_mixture(name)
    names = current_names(getattr(mixture.model.config, "expert_names", None) or ())
    if not names:
        raise InvalidArgument(
            f"the experts of {files.name} have no names: add --profile FOLDER, from `expertrag llm "
            "profile`, to choose those that matter to your prompts"
        )
    kept = _keep(names, domains, files.name)
    places = [names.index(item) for item in kept]
    own = tuple(item for item in kept if item not in (SHARED, BASE))
    every = [places] * len(mixture.layers)
    step = SurgeryStep(
        "prune", fingerprint(files.folder), NAMES, own, Denominators.RENORMALISE, every
    )
    experts = [
        {key: tensor.detach()[places] for key, tensor in layer.weights.items()}
        for layer in mixture.layers
    ]
    settings = {**record_of(mixture, step), "expert_names": list(kept)}
    made = write_changed(mixture.with_experts(experts, **settings), mixture, out, progress)
    return NamedPrune(out, kept, _without(names, kept), made.before.bytes, made.after.bytes)


def _keep(names: Sequence[str], domains: Collection[str], model: str) -> tuple[str, ...]:
    """Return the names of the experts that stay, in the order of ``names``."""
    known = f"{model} has the experts {', '.join(names)}"
    if unknown := [domain for domain in domains if domain not in names]:
        raise InvalidArgument(f"domain: no expert is called {', '.join(unknown)}; {known}")
    if not domains:
        raise InvalidArgument(f"domain: name those whose experts stay; {known}")
    if SHARED not in names:
        raise InvalidArgument(
            f"domain: {known}, and none called {SHARED}, which would answer questions of the "
            "domains that are dropped: export the reader with it, or upcycle the base with it"
        )
    return tuple(name for name in names if name in (SHARED, BASE, *domains))


def _without(names: Sequence[str], kept: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in kept)


def _describe(kept: Sequence[str], dropped: Sequence[str]) -> str:
    """Return the section of a card that says what was done."""
    return "\n".join(
        [
            "## Experts dropped",
            "",
            f"This reader was made from the one above by ExpertRAG (`expertrag llm prune`): of its "
            f"experts, {', '.join(kept)} stay, with the same weights. Questions of others "
            f"({', '.join(dropped) or 'none'}) are answered by {SHARED}.",
            "",
        ]
    )
