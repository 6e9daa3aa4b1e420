"""State shared by the operations of all doors: the collections, the workers and the metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from expertrag.answer.collections import DEFAULT, tenant_of, unknown_collection
from expertrag.api.errors import Unavailable
from expertrag.audit import Asker
from expertrag.auth import Scope
from expertrag.config import ServiceConfig
from expertrag.runtime.stop import Stop
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.idempotency import Responses
from expertrag.serving.core.metrics import Metrics
from expertrag.serving.core.quotas import Quotas
from expertrag.serving.core.replication import Replication
from expertrag.serving.core.workers import CallKind, Workers

if TYPE_CHECKING:
    from expertrag.answer.collections import Collections
    from expertrag.answer.pipeline import Pipeline

T = TypeVar("T")
Opener: TypeAlias = "Callable[[], AbstractContextManager[Pipeline]]"


@dataclass(slots=True)
class Runtime:
    """Shared state of one server; ``loaded`` is None until the models are loaded."""

    config: ServiceConfig
    metrics: Metrics
    workers: Workers
    quotas: Quotas
    loaded: Collections | None = None
    replication: Replication | None = None
    responses: Responses = field(default_factory=Responses)

    @property
    def collections(self) -> Collections:
        """The collections.

        :raises Unavailable: while the models are loading.
        """
        if self.loaded is None:
            raise Unavailable(
                "the models are still loading; try again in a moment", reason="LOADING"
            )
        return self.loaded

    def opener(self, context: CallContext) -> Opener:
        """Return what opens the collection of a call, in a worker thread.

        :raises Unavailable: while the models are loading.
        :raises NotFound: the caller may not name it.
        """
        collections, caller, key = self.collections, context.caller, key_of(context)
        asked_by = Asker(caller.identity, "" if key == DEFAULT else key)
        mode = caller.mode or collections.mode_of(key)

        @contextmanager
        def open_pipeline() -> Iterator[Pipeline]:
            with collections.use(key) as pipeline:
                yield pipeline.serving(caller.access, asked_by, mode)

        return open_pipeline

    async def run(
        self, kind: CallKind, context: CallContext, work: Callable[[Pipeline, Stop], T]
    ) -> T:
        """Run ``work`` on the collection of a call in a worker thread.

        Raises as ``opener`` and ``Workers.run`` do.
        """
        open_pipeline = self.opener(context)

        def on_pipeline(stop: Stop) -> T:
            with open_pipeline() as pipeline:
                return work(pipeline, stop)

        return await self.workers.run(kind, context, on_pipeline, tenant_of(key_of(context)))


def key_of(context: CallContext) -> str:
    """Return the key of the collection that a call names.

    A caller with a tenant names this tenant's collections only. One without a tenant names
    collections of no tenant. With the scope ADMIN, it names the collections of every tenant as
    ``TENANT/NAME``.

    :raises NotFound: the caller may not name it; the same error as for one that does not exist.
    """
    name, caller = context.collection or DEFAULT, context.caller
    if "/" in name and (caller.access.tenant or Scope.ADMIN not in caller.scopes):
        raise unknown_collection(name)
    return f"{caller.access.tenant}/{name}" if caller.access.tenant else name
