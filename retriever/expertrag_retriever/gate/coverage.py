"""The calibration of a store, as kept in its manifest: the reference for a query's signals."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from expertrag_index.types import FloatArray

if TYPE_CHECKING:
    from expertrag_index.store.manifest import JSON

QUANTILES = 21
BACKGROUND_WEIGHT = 0.5
"""AUC of nearness for train questions against everyday requests. Questions are of ten sets in one
store, as written, misspelled and as keywords. It is .958, .949, .941 with a weight of 0 and .987,
.985, .977 with .4. It is .989, .987, .981 with .5 and .991, .988, .984 with 1. Against open
questions about the world (as written): .961, .968, .967, .955.
"""
_INT8_MAX = 127  # rounding to 8 bits moves a cosine by less than 0.003


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation of one signal over one kind of query."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class SignalContrast:
    """One signal for queries that the store is about and for those that it is not."""

    about: Spread
    unrelated: Spread
    min_deviation: float

    def evidence(self, value: float) -> float:
        """Log odds, in nats, that a query with this value is about the store.

        Two normal distributions with one pooled deviation, as in linear discriminant analysis, so
        that the evidence never decreases with the value. 0 if the signal does not separate the two
        kinds of query.
        """
        gap = self.about.mean - self.unrelated.mean
        if gap <= 0:
            return 0.0
        pooled = (self.about.deviation**2 + self.unrelated.deviation**2) / 2
        middle = (self.about.mean + self.unrelated.mean) / 2
        return (value - middle) * gap / max(pooled, self.min_deviation**2)


@dataclass(frozen=True, slots=True, eq=False)
class TermCoverage:
    """The calibration of a store.

    ``nearness`` is the contrast of :func:`nearness`. ``quantiles`` of the similarity of its
    pseudo-queries ascend. ``background`` [B, D] are the vectors of requests that need no documents,
    B = 0 if they are not known.
    """

    nearness: SignalContrast
    terms: SignalContrast
    quantiles: tuple[float, ...]
    background: FloatArray

    def share_below(self, similarity: float) -> float:
        """Share in [0, 1] of the store's pseudo-queries that are less similar than this query."""
        levels = np.linspace(0.0, 1.0, len(self.quantiles))
        return float(np.interp(similarity, self.quantiles, levels))

    def background_similarity(self, vector: FloatArray) -> float:
        """Best cosine of a query's vector [D] with the background requests; -1 without any."""
        if not len(self.background):
            return -1.0
        return float((self.background @ vector).max())


# Nearness: means over squad2, hotpotqa, popqa, pubmedqa and tatqa with minilm-domains; the others:
# over squad2, fiqa_small, tatqa, policyqa, cranfield and pubmedqa with all-MiniLM-L6-v2.
DEFAULT = TermCoverage(
    nearness=SignalContrast(Spread(0.55, 0.13), Spread(0.13, 0.10), min_deviation=0.05),
    terms=SignalContrast(Spread(0.75, 0.15), Spread(0.55, 0.25), min_deviation=0.10),
    quantiles=tuple(np.linspace(0.18, 0.78, QUANTILES).tolist()),
    background=np.empty((0, 0), np.float32),
)


def nearness(similarity: float, background_similarity: float) -> float:
    """How much nearer a query is to the nearest chunk than to requests that need no documents.

    Example: a manual also contains numbers, but "7 plus 5" is nearer to "12 times 8".
    """
    return similarity - BACKGROUND_WEIGHT * max(background_similarity, 0.0)


def dump_coverage(coverage: TermCoverage) -> Mapping[str, JSON]:
    """Return a calibration as JSON; vectors as base64 of int8, 25 kB for 48 vectors of 384."""
    codes = np.round(coverage.background * _INT8_MAX).astype(np.int8)  # [B, D]
    return {
        "nearness": asdict(coverage.nearness),
        "terms": asdict(coverage.terms),
        "quantiles": list(coverage.quantiles),
        "background": base64.b64encode(codes.tobytes()).decode(),
    }


def read_coverage(calibration: Mapping[str, JSON], dimension: int) -> TermCoverage:
    """Read a manifest's ``calibration`` for vectors of length D; the defaults if it has none."""
    stored = calibration.get("coverage")
    if not stored:
        return DEFAULT
    fields = cast("Mapping[str, JSON]", stored)
    codes = np.frombuffer(base64.b64decode(cast("str", fields["background"])), np.int8)
    return TermCoverage(
        # a store built by an earlier version has only the similarities
        nearness=_read_contrast(fields["nearness"]) if "nearness" in fields else DEFAULT.nearness,
        terms=_read_contrast(fields["terms"]),
        quantiles=tuple(cast("Sequence[float]", fields["quantiles"])),
        background=codes.reshape(-1, dimension).astype(np.float32) / np.float32(_INT8_MAX),
    )


def _read_contrast(stored: JSON) -> SignalContrast:
    fields = cast("Mapping[str, Mapping[str, float]]", stored)
    return SignalContrast(
        about=Spread(**fields["about"]),
        unrelated=Spread(**fields["unrelated"]),
        min_deviation=cast("float", fields["min_deviation"]),
    )
