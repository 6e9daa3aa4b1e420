"""Value objects of data sets and rows. Importing this module loads only the standard library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

POOLED = "pooled"
"""Name of all sets together; reserved."""

JSON = None | bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A query or row excluded from all figures, and why. Always counted in the report.

    ``retry``: it failed, and the next run will try it again.
    """

    id: str
    reason: str
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Branch:
    """Actions and cost of one way of answering: closed book, or with retrieval.

    ``confidence`` in [0, 1] is the score to abstain by. Closed book, it is the mean p(top-1) of the
    first tokens. Open book, it is the share of the answer that the passages support; None if the
    back end reports neither. ``documents`` are the documents of the passages, best first; ``cited``
    the documents of the citations. ``evidence`` holds the signals of the passages
    (``evidence_signals``).
    ``sufficient``: whether a passage holds an accepted answer; None without accepted answers.
    """

    lm_calls: int = 0
    retrieval_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    confidence: float | None = None
    documents: tuple[str, ...] = ()
    cited: tuple[str, ...] = ()
    evidence: Mapping[str, float] = field(default_factory=dict)
    sufficient: bool | None = None
    relevant_support: float | None = None
    """Share in [0, 1] of the answer that the relevant documents support; None without any."""


@dataclass(frozen=True, slots=True)
class GateRecord:
    """The gate's prediction for a question, independent of how it was answered, and its cost.

    ``signals`` are as in ``GateDecision``. ``generator`` and ``embedder`` are the hashes of the
    language model and of the base embedder that computed them, "" if not recorded.
    ``stage_seconds`` has ``embed``, ``gate`` and ``prefill``; a closed-book answer reuses the
    prefill.
    """

    name: str
    p_benefit: float
    threshold: float
    signals: Mapping[str, float] = field(default_factory=dict)
    lm_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    generator: str = ""
    embedder: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What ``eval record`` records of a question in addition to the two answers."""

    never: Branch
    one_step: Branch
    gate: GateRecord


@dataclass(frozen=True, slots=True)
class Row:
    """A counterfactual row: one question, answered without and with retrieval.

    ``one_step`` is the answer from k passages, ``multi_step`` that after several searches; None if
    the rows lack it, as the rows of ``eval record`` do.

    ``answers`` are the accepted answers, any of which is right: empty if the corpus holds none,
    None if the data set has no short answers. ``relevant`` are ids of relevant documents.
    ``recorded`` is None for rows of other origin, such as AdaRAGUE's. ``needs_documents`` is False
    for a request that no document helps with (small talk, arithmetic). A gate may learn from it,
    although no answer to it can be scored.
    """

    id: str
    question: str
    answers: tuple[str, ...] | None
    never: str
    one_step: str
    multi_step: str | None = None
    relevant: tuple[str, ...] = ()
    recorded: Recorded | None = None
    needs_documents: bool = True


@dataclass(frozen=True, slots=True)
class RowSet:
    """The rows of one file. ``sha256`` is of the uncompressed bytes."""

    name: str
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    sha256: str
