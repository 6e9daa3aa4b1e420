"""Into how many experts a feed-forward network is split."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag.api.errors import InvalidArgument

_LEAST_ROUTED = 2
"""GLM-4-MoE's router scores groups by their two best experts, and there is one group."""
_MOST_PER_TOKEN = 64
"""Of the kernels' routers."""


@dataclass(frozen=True, slots=True)
class SplitSizes:
    """The experts of a layer, all of the same width.

    :param experts: shared ones included, as DeepSeekMoE counts them (Dai et al. 2024).
    :param shared: that every token uses.
    :param per_token: of the others, that a token uses.
    :raises InvalidArgument: the numbers do not fit together.
    """

    experts: int = 16
    shared: int = 4
    per_token: int = 8

    def __post_init__(self) -> None:
        given = f"--experts {self.experts} with --shared {self.shared}"
        if self.shared < 1 or self.routed < _LEAST_ROUTED:
            raise InvalidArgument(
                f"{given} is not possible: at least 1 is shared, and {_LEAST_ROUTED} others are "
                "chosen from"
            )
        most = min(self.routed, _MOST_PER_TOKEN)
        if not 1 <= self.per_token <= most:
            raise InvalidArgument(
                f"--per-token {self.per_token} is not possible: {given} leaves {self.routed} "
                f"experts that are not shared, of which a token can use 1 to {most}"
            )

    @classmethod
    def of(cls, inner: int, experts: int, shared: int, per_token: int) -> SplitSizes:
        """Return sizes for networks of ``inner`` neurons, checked before the other numbers.

        :raises InvalidArgument: the numbers do not fit together, or not the networks.
        """
        _width(inner, experts, shared)
        return cls(experts, shared, per_token)

    @property
    def routed(self) -> int:
        """Experts that are not shared."""
        return self.experts - self.shared

    @property
    def active(self) -> float:
        """Share of the neurons that a token uses."""
        return (self.shared + self.per_token) / self.experts

    def width(self, inner: int) -> int:
        """Return the neurons of an expert.

        :param inner: neurons of the dense network.
        :raises InvalidArgument: the experts would have different numbers of them.
        """
        return _width(inner, self.experts, self.shared)


def _width(inner: int, experts: int, shared: int) -> int:
    if inner % experts:
        near = [n for n in range(shared + _LEAST_ROUTED, 4 * experts) if not inner % n]
        near.sort(key=lambda n: (abs(n - experts), n))
        use = f"use {', '.join(map(str, sorted(near[:4])))}" if near else "lower --shared"
        raise InvalidArgument(
            f"--experts {experts}: {inner} neurons cannot be split into {experts} experts of the "
            f"same size; {use}"
        )
    return inner // experts
