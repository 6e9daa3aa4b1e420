"""Ranking measures by their usual names, computed by ir_measures (MacAvaney et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from expertrag.api.errors import InvalidArgument

if TYPE_CHECKING:
    from ir_measures.measures import Measure

EXAMPLES = "nDCG@10, R@100, MRR@10, MAP, P@5, Success@5, Rprec"
MAX_CUT_OFF = 1000
"""Maximum number of passages that a store returns."""

_KNOWN = frozenset({"nDCG", "R", "RR", "AP", "P", "Success", "Rprec"})
"""Measures that need only relevant documents: BEIR sets seldom list documents judged irrelevant."""

Run = Mapping[str, Sequence[str]]
"""Query id to document ids, best first."""

Qrels = Mapping[str, Mapping[str, int]]
"""Query id to document id to grade."""


class Measures:
    """A selection of measures, under the names given by the caller."""

    def __init__(self, names: Sequence[str]) -> None:
        """Parse names such as ``nDCG@10``, ``MRR@10`` (which is RR@10) and ``MAP`` (AP).

        :raises InvalidArgument: a measure is unknown, or none is given.
        :raises MissingExtra: ir_measures is not installed.
        """
        self._measures = {name.strip(): _parse(name.strip()) for name in names}
        if not self._measures:
            raise InvalidArgument(f"no metric given; name some of {EXAMPLES}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names as given, in order."""
        return tuple(self._measures)

    @property
    def deepest(self) -> int:
        """Largest cut-off; 0 if there is none."""
        return max(int(item.params.get("cutoff", 0)) for item in self._measures.values())

    def per_query(self, qrels: Qrels, run: Run) -> dict[str, dict[str, float]]:
        """Value of every measure for every query of ``qrels``, by name and query id.

        A query without results has 0. Only the order of the run counts; ties stay as the search
        broke them.
        """
        import ir_measures

        judged = [
            ir_measures.Qrel(query, document, grade)
            for query, grades in qrels.items()
            for document, grade in grades.items()
        ]
        ranked = [
            ir_measures.ScoredDoc(query, document, float(-rank))
            for query, documents in run.items()
            for rank, document in enumerate(documents)
        ]
        measures = list(dict.fromkeys(self._measures.values()))
        scores = {
            (metric.measure, metric.query_id): float(metric.value)
            for metric in ir_measures.iter_calc(measures, judged, ranked)
        }
        return {
            name: {query: scores.get((measure, query), 0.0) for query in qrels}
            for name, measure in self._measures.items()
        }


def default_names(k: int) -> tuple[str, ...]:
    """Names of the measures that are reported by default."""
    return (f"nDCG@{k}", "R@100", f"MRR@{k}", "MAP")


def _parse(name: str) -> Measure:
    import ir_measures

    unknown = InvalidArgument(
        f"unknown metric {name!r}; name some of {EXAMPLES}, with cut-offs of 1 to {MAX_CUT_OFF}",
        reason="UNKNOWN_METRIC",
        metadata={"field": "metrics"},
    )
    try:
        measure: Any = ir_measures.parse_measure(name)
        measure.validate_params()
    except (NameError, ValueError, AssertionError):  # everything that these calls raise
        raise unknown from None
    if measure.NAME not in _KNOWN or not all(_usable(*item) for item in measure.params.items()):
        raise unknown
    parsed: Measure = measure
    return parsed


def _usable(parameter: str, value: object) -> bool:
    """Whether a parameter is a cut-off or a minimum grade, and in range."""
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return 1 <= value <= MAX_CUT_OFF if parameter == "cutoff" else parameter == "rel" and value > 0
