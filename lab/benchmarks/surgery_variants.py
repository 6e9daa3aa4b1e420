"""The mixtures that ``eval_surgery.py`` compares with the full one, each made in memory."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from expertrag_lab.surgery.changes.compress_low_rank import compress
from expertrag_lab.surgery.changes.merge_experts import merge_experts
from expertrag_lab.surgery.changes.prune import prune
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling.importance import ExpertProfile, Method

SHARES = (0.75, 0.5, 0.25)
MEASURED = (Method.EASY_EP, Method.PREMOE, Method.REAP, Method.FREQUENCY)
"""Methods that a profile decides."""
MIX = "mix"
FULL, SUPER, OTHERS = "full", "super", "others"
MERGED, COMPRESSED, BOTH = "merged", "compressed", "merged and compressed"

Make = Callable[[], Mixture]


@dataclass(frozen=True, slots=True)
class SurgeryBench:
    """The full mixture, its profile, and the seeds of what is random.

    :param draws: sets of experts that are dropped instead of the super experts.
    :param calibration: train sequences that low-rank experts are fitted to.
    """

    mixture: Mixture
    profile: ExpertProfile
    seeds: int
    draws: int
    calibration: Sequence[Sequence[int]]

    def variants(self) -> dict[str, Make]:
        """Return how each mixture is made, by its name; see :func:`pruned_name`."""
        made: dict[str, Make] = {FULL: lambda: self.mixture}
        made.update(self._pruned())
        made.update(self.smaller())
        for name, mask in self._dropped():
            made[name] = _later(silenced, self.mixture, mask)
        return made

    def pruned(self, share: float, method: Method, domain: str, seed: int = 0) -> Mixture:
        """Return a mixture with a share of the experts, by one domain's profile or by the mix."""
        domains = () if domain == MIX else (domain,)
        return prune(
            self.mixture, self.profile, keep=share, method=method, domains=domains, seed=seed
        )

    def merged(self, share: float) -> Mixture:
        """Return a mixture whose experts were merged into a share of them, by the mix."""
        return merge_experts(self.mixture, self.profile, groups=share)

    def compressed(self, share: float) -> Mixture:
        """Return a mixture with low-rank experts that have a share of the weights."""
        return compress(self.mixture, self.calibration, source="", size=share)

    def both(self, share: float) -> Mixture:
        """Return a mixture whose experts were merged, and then compressed, to a share in all."""
        half = math.sqrt(share)
        return compress(self.merged(half), self.calibration, source="", size=half)

    def smaller(self) -> dict[str, Make]:
        """Return how the mixtures are made that have as many weights as pruned ones, by name."""
        made = {}
        for share in SHARES:
            made[f"{MERGED} {share:g}"] = _later(self.merged, share)
            made[f"{COMPRESSED} {share:g}"] = _later(self.compressed, share)
        made[f"{BOTH} 0.25"] = _later(self.both, 0.25)  # half by each, in whole experts
        return made

    def _pruned(self) -> Iterator[tuple[str, Make]]:
        for share in SHARES:
            for method in MEASURED:
                for domain in (*self.profile.domains, MIX):
                    name = pruned_name(share, method, domain)
                    yield name, _later(self.pruned, share, method, domain, 0)
            for seed in range(self.seeds):
                name = pruned_name(share, Method.RANDOM, str(seed))
                yield name, _later(self.pruned, share, Method.RANDOM, MIX, seed)

    def _dropped(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the super experts (L, E), and as many others of each layer for every draw."""
        supers = self.profile.super_experts()
        if not supers.any():
            return
        yield SUPER, supers
        for draw in range(self.draws):
            yield f"{OTHERS} {draw}", as_many_others(supers, draw)


def _later(make: Callable[..., Mixture], *given: object) -> Make:
    return lambda: make(*given)


def pruned_name(share: float, method: Method, by: str) -> str:
    """Name a pruned mixture.

    :param by: the domain whose profile decided, ``mix``, or the seed of ``random``.
    """
    return f"{share:g} {method} {by}"


def as_many_others(chosen: torch.Tensor, seed: int) -> torch.Tensor:
    """Return as many random others of each layer as are chosen, (L, E)."""
    rng, found = random.Random(seed), torch.zeros_like(chosen)
    for layer, row in enumerate(chosen.tolist()):
        others = [expert for expert, taken in enumerate(row) if not taken]
        found[layer, rng.sample(others, sum(row))] = True
    return found


def silenced(mixture: Mixture, mask: torch.Tensor) -> Mixture:
    """Return a mixture in which some experts (L, E) compute nothing; routers still choose them."""
    weights: list[Mapping[str, torch.Tensor]] = []
    for layer, dropped in zip(mixture.layers, mask, strict=True):
        own = {name: tensor.detach() for name, tensor in layer.weights.items()}
        for name in [name for name in own if ".down_proj" in name]:
            own[name] = own[name].clone()
            own[name][dropped] = 0.0
        weights.append(own)
    return mixture.with_experts(weights)


def models_by(names: Sequence[str], share: float, method: Method) -> dict[str, str]:
    """Return the names of a share's and method's pruned mixtures by what decided."""
    start = pruned_name(share, method, "")
    return {name.removeprefix(start): name for name in names if name.startswith(start)}
