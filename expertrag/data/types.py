"""Value objects of data sets and rows. Importing this module loads only the standard library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

POOLED = "pooled"
"""Name of all sets together; no set may have it."""

JSON = None | bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A query or row that no figure includes, and why. Always counted in the report.

    ``retry``: it failed, and the next run tries it again.
    """

    id: str
    reason: str
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Branch:
    """What one way of answering did and cost: closed book, or with retrieval.

    ``confidence`` in [0, 1] is what the answer can be abstained by: the mean p(top-1) of the first
    tokens closed book, the share of the answer that the passages support open book; None where the
    back end tells neither. ``documents`` are those of the passages, best first; ``cited`` those of
    the citations. ``evidence`` is what the passages tell of the question (``evidence_signals``);
    ``sufficient``: whether one of them holds an accepted answer, None without accepted answers.
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
    """What the gate said of a question, whichever way it was answered, and what that cost.

    ``signals`` are those of ``GateDecision``; ``generator`` and ``embedder`` are the hashes of the
    language model and of the base embedder that they were measured with, "" where not kept.
    ``stage_seconds`` has ``embed``, ``gate`` and ``prefill``, of which a closed-book answer uses
    the prefill again.
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
    """What ``eval record`` knows of a question beside the two answers."""

    never: Branch
    one_step: Branch
    gate: GateRecord
    ways: Mapping[str, Branch] = field(default_factory=dict)
    """Of the other ways of reading, by name (``READINGS``)."""


@dataclass(frozen=True, slots=True)
class Row:
    """A counterfactual row: one question, answered without and with retrieval.

    ``one_step`` is the answer from k passages, ``one_passage`` that from the best, ``multi_step``
    that after several searches; the last two are None where nobody asked for them.

    ``answers`` are the accepted ones, any of which is right: empty where the corpus holds no
    answer, None where the set has no short answers. ``relevant`` are ids of judged documents.
    ``recorded`` is None for rows of other origin, such as AdaRAGUE's. ``needs_documents`` is False
    for a request that no document helps with (small talk, arithmetic): a gate may learn from it,
    though no answer to it can be scored.
    """

    id: str
    question: str
    answers: tuple[str, ...] | None
    never: str
    one_step: str
    multi_step: str | None = None
    one_passage: str | None = None
    relevant: tuple[str, ...] = ()
    recorded: Recorded | None = None
    needs_documents: bool = True


@dataclass(frozen=True, slots=True)
class RowSet:
    """The rows of one file. ``sha256`` is of the rows' own bytes, unpacked."""

    name: str
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    sha256: str
