"""Input and output types of the question makers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage cut from a store's chunk; it becomes a document of the data set."""

    id: str
    document_id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Made:
    """A question about a piece. ``sentence``: the answer is a whole sentence, else a short span."""

    question: str
    answer: str
    piece: Piece
    maker: str
    sentence: bool = False


@dataclass(frozen=True, slots=True)
class MadeReport:
    """Number of pieces, of kept questions by maker, and of dropped questions by reason."""

    name: str
    pieces: int
    kept: Mapping[str, int]
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def questions(self) -> int:
        """Total number of kept questions."""
        return sum(self.kept.values())

    def summary(self) -> str:
        """Summarize the report in one line."""
        kept, dropped = (
            ", ".join(f"{count:,} {what}" for what, count in some.items() if count) or "none"
            for some in (self.kept, self.dropped)
        )
        return (
            f"{self.name}: {self.questions:,} questions of {self.pieces:,} passages ({kept}); "
            f"dropped: {dropped}"
        )
