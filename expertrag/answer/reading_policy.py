"""How a pipeline reads questions, and what its language model replies from passages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expertrag.answer.scope_probe import ScopeProbe
    from expertrag.llm.base import Generator
    from expertrag.llm.confidence import Confidence
    from expertrag.llm.probe import Probe


@dataclass(frozen=True, slots=True)
class ReadingPolicy:
    """How questions and replies are read; see :func:`expertrag.answer.assemble.reading_of`.

    ``reader``: whether answers from passages are parsed as a ``prompt.Reply``. ``strict_from``:
    doubt at which STRICT withholds an answer. ``probe``: hash of the probe that computes the
    doubt; empty if there is none. ``internal``: probe of internal questions, which only the
    asker's own documents can answer. ``scope``: probe of what a question asks of the documents;
    without it, words tell. ``confidence``: weights of the probability that an answer from
    documents is right. ``best_first``: whether a question for a few words reads passages in
    portions, best first. ``canonical``: whether questions are read in their canonical form
    (``expertrag.answer.canonical``).
    """

    reader: bool = False
    strict_from: float = 0.5
    probe: str = ""
    internal: Probe | None = None
    scope: ScopeProbe | None = None
    confidence: Confidence | None = None
    best_first: bool = False
    canonical: bool = False

    @classmethod
    def of(cls, generator: Generator) -> ReadingPolicy:
        """Return what follows from a model alone; of a model on a server, nothing does."""
        model = generator.white_box
        return cls(model.reader, model.strict_from, model.probe) if model else cls()
