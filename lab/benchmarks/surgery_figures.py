"""Figures of ``eval_surgery.py`` from the losses of all of its mixtures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from surgery_stats import Losses, by_domain, mean_of, others, own, rise
from surgery_texts import PromptLosses, Traffic
from surgery_variants import (
    COMPRESSED,
    FULL,
    MEASURED,
    MERGED,
    MIX,
    OTHERS,
    SHARES,
    SUPER,
    models_by,
)

from expertrag_lab.surgery.profiling.importance import Method

Measured = Mapping[str, Mapping[str, PromptLosses]]
"""Losses by mixture and domain."""
OWN, OTHER, RANDOM = "own", "other", "random"


class SurgeryFigures:
    """Compares mixtures with the full one."""

    def __init__(self, measured: Measured, traffic: Mapping[str, Traffic]) -> None:
        self._tokens = {name: _of(losses, "tokens", traffic) for name, losses in measured.items()}
        self._replies = {name: _of(losses, "replies", traffic) for name, losses in measured.items()}
        self._traffic = traffic

    def body(self) -> dict[str, Any]:
        """Return all figures as JSON; ``loss`` and ``replies`` are relative to the full model."""
        return {
            "full": self._full(),
            "kept": list(self._kept()),
            "gains": list(self._gains()),
            "super": self._super(),
            "smaller": {
                name: self._risen(self._tokens[name], self._replies[name])
                for name in self._tokens
                if name.startswith((MERGED, COMPRESSED))
            },
        }

    def _full(self) -> dict[str, Any]:
        found = {}
        for domain, item in self._traffic.items():
            tokens, replies = item.counts
            row: dict[str, float] = {"prompts": len(item.tokens), "tokens": tokens}
            row["loss"] = float(self._tokens[FULL][domain].sum()) / tokens
            if replies:
                row["reply_tokens"] = replies
                row["reply_loss"] = float(self._replies[FULL][domain].sum()) / replies
            found[domain] = row
        return found

    def _kept(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each share, method and kind of profile."""
        for share in SHARES:
            for method in MEASURED:
                sides = self._sides(share, method)
                for profile in (OWN, OTHER, MIX):
                    row = {"share": share, "method": str(method), "profile": profile}
                    yield {**row, **self._risen(*(side[profile] for side in sides))}
            names = models_by(list(self._tokens), share, Method.RANDOM).values()
            both = [mean_of([side[name] for name in names]) for side in self._both]
            row = {"share": share, "method": str(Method.RANDOM), "profile": RANDOM}
            full = self._tokens[FULL]
            each = [rise(full, full, self._tokens[name]).mean for name in names]
            yield {**row, **self._risen(*both), "seeds": [min(each), max(each), len(each)]}

    def _gains(self) -> Iterator[dict[str, Any]]:
        """Yield how much less own profiles lose than those of other domains and random choices."""
        full = self._tokens[FULL]
        for share in SHARES:
            names = models_by(list(self._tokens), share, Method.RANDOM).values()
            random = mean_of([self._tokens[name] for name in names])
            for method in MEASURED:
                side = self._sides(share, method)[0]
                yield {
                    "share": share,
                    "method": str(method),
                    OTHER: asdict(rise(full, side[OWN], side[OTHER])),
                    RANDOM: asdict(rise(full, side[OWN], random)),
                }

    def _sides(self, share: float, method: Method) -> list[dict[str, Losses]]:
        """Return the losses of all tokens, and of replies, by kind of profile."""
        names = models_by(list(self._tokens), share, method)
        mixed = names.pop(MIX)
        found = []
        for side in self._both:
            models = {domain: side[name] for domain, name in names.items()}
            found.append({OWN: own(models), OTHER: others(models), MIX: side[mixed]})
        return found

    def _super(self) -> dict[str, Any]:
        drawn = [name for name in self._tokens if name.startswith(f"{OTHERS} ")]
        if SUPER not in self._tokens:
            return {}
        full = self._tokens[FULL]
        each = [rise(full, full, self._tokens[name]).mean for name in drawn]
        both = [mean_of([side[name] for name in drawn]) for side in self._both]
        return {
            "dropped": self._risen(self._tokens[SUPER], self._replies[SUPER]),
            "others": {**self._risen(*both), "draws": [min(each), max(each), len(each)]},
        }

    def _risen(self, tokens: Losses, replies: Losses) -> dict[str, Any]:
        full, of_replies = self._tokens[FULL], self._replies[FULL]
        return {
            "loss": asdict(rise(full, full, tokens)),
            "replies": asdict(rise(of_replies, of_replies, replies)),
            "domains": by_domain(full, tokens),
        }

    @property
    def _both(self) -> tuple[Mapping[str, Losses], Mapping[str, Losses]]:
        return self._tokens, self._replies


def _of(losses: Mapping[str, PromptLosses], kind: str, traffic: Mapping[str, Traffic]) -> Losses:
    """Return one kind of losses of the domains that have it."""
    return {
        domain: np.asarray(getattr(item, kind))
        for domain, item in losses.items()
        if kind == "tokens" or any(traffic[domain].replies)
    }
