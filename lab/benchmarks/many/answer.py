"""An answer as served, with everything needed to judge it later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Given:
    """An answer; ``error`` if there is none.

    ``coverage`` has the fields of ``expertrag.Coverage``; None if the answer has none.
    ``cited_texts``: the sentences of the answer that have a citation.
    """

    id: str
    mode: str
    text: str = ""
    finish_reason: str = ""
    scope: str = ""
    action: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    query: str = ""
    coverage: Mapping[str, Cell] | None = None
    unsupported_reason: str = ""
    from_documents: bool = False
    support: float | None = None
    cited_texts: tuple[str, ...] = ()
    citations: int = 0
    passages: tuple[str, ...] = ()
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""

    @property
    def abstained(self) -> bool:
        """Whether the service said that it does not answer."""
        return self.finish_reason == "abstained"

    @property
    def complete(self) -> Cell:
        """Whether it says that it is complete; None if it does not say."""
        return self.coverage["complete"] if self.coverage else None

    @property
    def everything(self) -> str:
        """The text and the cells of the table."""
        cells = (str(value) for row in self.rows for value in row if value is not None)
        return "\n".join([self.text, *cells])

    @property
    def admits(self) -> bool:
        """Whether it does not claim to be complete."""
        return self.abstained or bool(self.error) or self.complete is not True

    @property
    def unwarned(self) -> bool:
        """Whether nothing says that it may be wrong or incomplete."""
        if self.abstained or self.error:
            return False
        if self.coverage:
            return self.complete is True
        return not self.unsupported_reason
