"""What a store is about, as its manifest keeps it: the yardstick for a query's signals."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from expertrag_index.types import FloatArray

if TYPE_CHECKING:
    from expertrag_index.manifest import JSON

QUANTILES = 21
_INT8_MAX = 127  # rounding to 8 bits moves a cosine by less than 0.003


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation of one signal over one kind of query."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """One signal for queries that the store is about and for those that it is not."""

    about: Spread
    unrelated: Spread
    min_deviation: float

    def evidence(self, value: float) -> float:
        """Log odds, in nats, that a query with this value is about the store.

        Two normal distributions of one (pooled) deviation, as in linear discriminant analysis, so
        that evidence only rises with the value. 0 when the store cannot tell the two kinds apart.
        """
        gap = self.about.mean - self.unrelated.mean
        if gap <= 0:
            return 0.0
        pooled = (self.about.deviation**2 + self.unrelated.deviation**2) / 2
        middle = (self.about.mean + self.unrelated.mean) / 2
        return (value - middle) * gap / max(pooled, self.min_deviation**2)


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """The calibration of a store.

    ``quantiles`` are of its pseudo-queries' similarity, rising; ``background`` [B, D] are the
    vectors of requests that need no documents, B = 0 where they are not known.
    """

    similarity: Contrast
    terms: Contrast
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


# Means over squad2, fiqa_small, tatqa, policyqa, cranfield and pubmedqa with all-MiniLM-L6-v2.
DEFAULT = Coverage(
    similarity=Contrast(Spread(0.48, 0.15), Spread(0.12, 0.08), min_deviation=0.05),
    terms=Contrast(Spread(0.75, 0.15), Spread(0.55, 0.25), min_deviation=0.10),
    quantiles=tuple(np.linspace(0.18, 0.78, QUANTILES).tolist()),
    background=np.empty((0, 0), np.float32),
)


def dump_coverage(coverage: Coverage) -> Mapping[str, JSON]:
    """Return a calibration as JSON; vectors as base64 of 8-bit integers, 25 kB for 48 of 384."""
    codes = np.round(coverage.background * _INT8_MAX).astype(np.int8)  # [B, D]
    return {
        "similarity": asdict(coverage.similarity),
        "terms": asdict(coverage.terms),
        "quantiles": list(coverage.quantiles),
        "background": base64.b64encode(codes.tobytes()).decode(),
    }


def read_coverage(calibration: Mapping[str, JSON], dimension: int) -> Coverage:
    """Read a manifest's ``calibration`` for vectors of length D; defaults where it has none."""
    stored = calibration.get("coverage")
    if not stored:
        return DEFAULT
    fields = cast("Mapping[str, JSON]", stored)
    codes = np.frombuffer(base64.b64decode(cast("str", fields["background"])), np.int8)
    return Coverage(
        similarity=_read_contrast(fields["similarity"]),
        terms=_read_contrast(fields["terms"]),
        quantiles=tuple(cast("Sequence[float]", fields["quantiles"])),
        background=codes.reshape(-1, dimension).astype(np.float32) / np.float32(_INT8_MAX),
    )


def _read_contrast(stored: JSON) -> Contrast:
    fields = cast("Mapping[str, Mapping[str, float]]", stored)
    return Contrast(
        about=Spread(**fields["about"]),
        unrelated=Spread(**fields["unrelated"]),
        min_deviation=cast("float", fields["min_deviation"]),
    )
