"""State shared by all servicers: the loaded pipeline, the workers and the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from expertrag.api.errors import Unavailable
from expertrag.config import ServiceConfig
from expertrag.service.metrics import Metrics
from expertrag.service.workers import Workers

if TYPE_CHECKING:
    from expertrag.answer.pipeline import Pipeline


@dataclass(slots=True)
class Runtime:
    """Shared state of one server; ``loaded`` is None until the models are loaded."""

    config: ServiceConfig
    metrics: Metrics
    workers: Workers
    loaded: Pipeline | None = None

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline.

        :raises Unavailable: while it is loading.
        """
        if self.loaded is None:
            raise Unavailable(
                "the models are still loading; try again in a moment", reason="LOADING"
            )
        return self.loaded


class Servicer:
    """Base class of all servicers."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
