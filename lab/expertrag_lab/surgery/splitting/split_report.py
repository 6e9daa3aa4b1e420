"""What was split: into which experts, at what loss, and what its pre-gate expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expertrag_lab.surgery.changes.record import MixtureSize
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.splitting.layer_split import LayerSplit
from expertrag_lab.surgery.splitting.split_sizes import SplitSizes
from expertrag_lab.surgery.splitting.split_texts import SplitTexts


@dataclass(frozen=True, slots=True)
class SplitLoss:
    """Losses on held-out prompts with their answers, nats a token.

    :param dense: of the dense model.
    :param all_experts: of the mixture, if every token uses all experts.
    :param chosen_experts: of the mixture as it is.
    """

    dense: float
    all_experts: float
    chosen_experts: float
    prompts: int
    tokens: int


@dataclass(frozen=True, slots=True)
class PreGateRecall:
    """Share of the experts that routers choose for held-out tokens which were expected.

    As many are expected as a token uses.

    :param parameters: of the pre-gate.
    :param pre_gate: share of those that it expects.
    :param frequent: share of those that most tokens use in a layer.
    """

    parameters: int
    pre_gate: float
    frequent: float


@dataclass(frozen=True, slots=True)
class KeptShares:
    """Share of the contributions of a layer's routed experts that a token's experts have.

    :param router: if the router chooses them.
    :param best: if the largest are chosen.
    :param frequent: if every token uses the same, those that are the largest most often.
    """

    router: float
    best: float
    frequent: float


@dataclass(frozen=True, slots=True)
class SplitReport:
    """What was split.

    :param source: fingerprint of the dense model.
    :param width: neurons of an expert.
    :param layers: kept shares of each.
    :param domains: number of prompts by domain, those held out included.
    :param skipped: prompts that do not fit the model's context.
    :param pre_gate: None if none was trained.
    """

    model: str
    source: str
    sizes: SplitSizes
    width: int
    size: MixtureSize
    layers: tuple[KeptShares, ...]
    domains: Mapping[str, int]
    skipped: int
    loss: SplitLoss
    pre_gate: PreGateRecall | None

    @classmethod
    def of(
        cls,
        mixture: Mixture,
        source: str,
        sizes: SplitSizes,
        layers: Sequence[LayerSplit],
        texts: SplitTexts,
        loss: SplitLoss,
        pre_gate: PreGateRecall | None,
    ) -> SplitReport:
        """Report on a mixture that was made of these parts."""
        return cls(
            mixture.name,
            source,
            sizes,
            layers[0].routed.shape[1],
            MixtureSize.of(mixture),
            tuple(KeptShares(*layer.kept.tolist()) for layer in layers),
            texts.domains,
            texts.skipped,
            loss,
            pre_gate,
        )
