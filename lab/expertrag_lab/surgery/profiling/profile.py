"""Profile the experts of a mixture: run the prompts of a team's traffic, and keep the sums.

The sums of a domain are written every few prompts, with the number of prompts in them. A killed run
continues there, and adds up the same numbers in the same order: its profile is the same, bit for
bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.llm.convert.checkpoint import new_folder
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.loading import model_files
from expertrag_common.durable import write_durably
from expertrag_index.types import Progress
from expertrag_lab.surgery.mixture import Mixture, load_mixture
from expertrag_lab.surgery.profiling.importance import ExpertProfile, ExpertUse
from expertrag_lab.surgery.profiling.observe import SELECTED_FROM, watching
from expertrag_lab.surgery.profiling.profile_folder import ProfileCard, save_profile
from expertrag_lab.surgery.profiling.served_model import ServedModel
from expertrag_lab.surgery.profiling.traffic import TrafficPrompt
from expertrag_lab.work_folder import work_folder

MOST_TOKENS = 64
"""Tokens of an answer, at most."""
_PART = 8  # prompts between two writes of the sums
_VERSION = 1  # of what is observed: sums of another version are not continued


@dataclass(frozen=True, slots=True)
class ProfiledDomain:
    """Prompts and tokens of a domain."""

    prompts: int
    tokens: int


@dataclass(frozen=True, slots=True)
class ProfileReport:
    """What was profiled.

    :param layers: numbers of the decoder layers with routed experts.
    :param super_experts: (layer, expert) of each.
    :param skipped: prompts that do not fit the model's context.
    """

    model: str
    fingerprint: str
    layers: tuple[int, ...]
    experts: int
    top_k: int
    domains: Mapping[str, ProfiledDomain]
    super_experts: tuple[tuple[int, int], ...]
    skipped: int


def profile_mixture(
    name: str,
    traffic: Sequence[TrafficPrompt],
    sources: Sequence[str],
    out: Path,
    progress: Progress,
    *,
    most_tokens: int = MOST_TOKENS,
) -> ProfileReport:
    """Write the profile of a mixture into the folder ``out``, which appears whole or not at all.

    :param name: folder or hub id of a checkpoint of transformers.
    :param sources: where the prompts come from, for the card.
    :param most_tokens: of an answer.
    :raises InvalidArgument: the model is not such a mixture, or no prompt fits its context.
    :raises ServerError: the model computes values that are NaN or infinite.
    :raises Conflict: ``out`` exists.
    :raises OutputTakenError: another run for ``out`` is under way.
    """
    if out.exists():
        raise Conflict(f"{out} exists; delete it or choose another folder")
    progress("profile: loading the model", 0, None)
    files, mixture = model_files(name), load_mixture(name)
    identity = fingerprint(files.folder, files.gguf)
    with work_folder(out) as work:
        known = work / f"profile-{_key(identity, traffic, most_tokens)}"
        known.mkdir(exist_ok=True)
        served = ServedModel(mixture, identity, most_tokens)
        seen = _observe(served, mixture, traffic, known, progress)
        used = {domain: sums for domain, sums in seen.items() if sums.prompts}
        profile = ExpertProfile(
            identity,
            tuple(layer.number for layer in mixture.layers),
            {domain: sums.use for domain, sums in used.items()},
        )
        card = ProfileCard(
            mixture.name,
            mixture.num_experts,
            mixture.null_experts,
            mixture.top_k,
            {domain: sums.prompts for domain, sums in used.items()},
            tuple(sources),
            SELECTED_FROM,
            most_tokens,
            sum(len(sums.skipped) for sums in seen.values()),
        )
        with new_folder(out) as scratch:
            save_profile(profile, card, scratch)
    return _report(profile, card)


@dataclass(slots=True)
class _Seen:
    """The sums of the first ``done`` prompts of a domain, and the ids of those left out."""

    use: ExpertUse
    done: int = 0
    skipped: list[str] = field(default_factory=list)

    @property
    def prompts(self) -> int:
        return self.done - len(self.skipped)

    def write(self, path: Path) -> None:
        from safetensors.torch import save

        tensors = {item.name: getattr(self.use, item.name) for item in fields(ExpertUse)}
        about = {"done": str(self.done), "skipped": json.dumps(self.skipped)}
        write_durably(path, save(tensors, about))

    @classmethod
    def read(cls, path: Path) -> _Seen:
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            about = file.metadata()
            tensors = {item.name: file.get_tensor(item.name).clone() for item in fields(ExpertUse)}
        return cls(ExpertUse(**tensors), int(about["done"]), json.loads(about["skipped"]))


def _observe(
    served: ServedModel,
    mixture: Mixture,
    traffic: Sequence[TrafficPrompt],
    known: Path,
    progress: Progress,
) -> dict[str, _Seen]:
    """Run the prompts of every domain; each has a file of sums in the folder ``known``.

    :raises InvalidArgument: no prompt fits the context.
    """
    by_domain: dict[str, list[TrafficPrompt]] = {}
    for item in traffic:
        by_domain.setdefault(item.domain, []).append(item)
    seen = {
        domain: _domain(served, mixture, domain, own, known / f"{place}.safetensors", progress)
        for place, (domain, own) in enumerate(by_domain.items())
    }
    if not any(sums.prompts for sums in seen.values()):
        raise InvalidArgument(
            f"no prompt fits the {served.context_tokens:,} tokens of {served.name}'s "
            "context: give prompts with shorter passages, or lower --most-tokens"
        )
    return seen


def _domain(
    served: ServedModel,
    mixture: Mixture,
    domain: str,
    traffic: Sequence[TrafficPrompt],
    path: Path,
    progress: Progress,
) -> _Seen:
    """Run the prompts of a domain that its file does not have yet."""
    empty = ExpertUse.none(len(mixture.layers), mixture.num_experts)
    seen = _Seen.read(path) if path.is_file() else _Seen(empty)
    stage = f"profile: {domain}"
    for item in traffic[seen.done :]:
        progress(stage, seen.done, len(traffic))
        try:
            tokens = served.tokens(item)
        except InvalidArgument:
            seen.skipped.append(item.prompt.id)
        else:
            with watching(mixture, seen.use):
                served.run(tokens, domain)
        seen.done += 1
        if seen.prompts and (not seen.done % _PART or seen.done == len(traffic)):
            seen.write(path)
    progress(stage, len(traffic), len(traffic))
    return seen


def _key(identity: str, traffic: Sequence[TrafficPrompt], most_tokens: int) -> str:
    """Hash everything that the sums depend on."""
    parts = [_VERSION, identity, most_tokens, SELECTED_FROM, [asdict(item) for item in traffic]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _report(profile: ExpertProfile, card: ProfileCard) -> ProfileReport:
    super_experts = profile.super_experts().nonzero().tolist()
    return ProfileReport(
        card.model,
        profile.model,
        tuple(profile.numbers),
        card.experts,
        card.top_k,
        {
            name: ProfiledDomain(card.prompts[name], int(use.tokens))
            for name, use in profile.domains.items()
        },
        tuple((profile.numbers[place], expert) for place, expert in super_experts),
        card.skipped,
    )
