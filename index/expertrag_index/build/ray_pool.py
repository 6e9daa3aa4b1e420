"""Embeds on Ray: every worker is an actor with a copy of the embedder, here or on a cluster.

The writer stays one process, which reads, chunks and stores; so a store has one manifest, and
quantizers are trained once. Ray restarts an actor that is lost, and sends its batches again.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from expertrag_index.build.embed_pool import Packed
from expertrag_index.build.ray_cluster import RayCluster
from expertrag_index.build.ray_worker import EmbedWorker, Failed, LoadEmbedder
from expertrag_index.errors import WorkerError
from expertrag_index.types import DocumentEmbedder, Progress, silent

RESTARTS = 3

_EACH = 2
"""Batches that a worker is sent: the second is there when the first is done."""

_AHEAD = 4  # batches of documents a worker, so that few wait for the slowest of them
_START_S = 300.0
_STALLED_S = 3600.0
_NOT_STARTED = "a worker cannot start: install the same expertrag[server,ray] on all its machines"
_LOST = (
    "a worker was lost again and again: it may lack memory; what is embedded is kept, and the same "
    "command goes on from there"
)


class RayPool:
    """Embeds with actors, which are started at the first batch; a context manager."""

    def __init__(
        self,
        load: LoadEmbedder,
        *,
        workers: int | None = None,
        address: str | None = None,
        gpus: bool = True,
        restarts: int = RESTARTS,
        progress: Progress = silent,
    ) -> None:
        """Describe the workers.

        :param load: loads a copy of the writer's embedder in a worker.
        :param workers: how many; None for as many as there are GPUs, or CPUs.
        :param address: of an existing cluster, HOST:PORT; None starts one on this machine.
        :param gpus: give every worker a GPU if there are any, else a CPU.
        :param restarts: how often each worker may be lost before the build ends.
        """
        self._cluster = RayCluster(address)
        self._load = load
        self._asked = workers
        self._gpus = gpus
        self._restarts = restarts
        self._progress = progress
        self._actors: list[Any] = []
        self._free: SimpleQueue[Any] = SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def ahead(self) -> int:
        """Batches of documents that the writer keeps in flight."""
        return _AHEAD * max(1, len(self._actors))

    def submit(
        self, embedder: DocumentEmbedder, texts: Sequence[str], expert: str
    ) -> Future[Packed]:
        """Begin to embed texts by one expert, with the workers' copies of ``embedder``.

        The future raises WorkerError if a worker fails, or is lost too often.

        :raises WorkerError: the workers cannot be started.
        """
        if self._threads is None:
            self._threads = self._start(embedder)
        return self._threads.submit(self._embed, embedder, texts, expert)

    def close(self) -> None:
        """End the workers, and the cluster if it was started for them."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._cluster.end(self._actors)
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None
        self._actors.clear()
        self._free = SimpleQueue()
        self._cluster.close()

    def _start(self, embedder: DocumentEmbedder) -> ThreadPoolExecutor:
        ray = self._cluster.open(gpus=self._gpus)
        count, each = self._cluster.share(self._asked, gpus=self._gpus)
        worker = ray.remote(EmbedWorker).options(
            **each, max_restarts=self._restarts, max_task_retries=-1
        )
        self._progress("start workers", 0, count)
        self._actors += [worker.remote(self._load) for _ in range(count)]
        checks = [actor.check.remote(embedder.name, embedder.fingerprint) for actor in self._actors]
        for done, check in enumerate(checks, 1):
            self._answer(check, _START_S, _NOT_STARTED)
            self._progress("start workers", done, count)
        for actor in self._actors * _EACH:
            self._free.put(actor)
        return ThreadPoolExecutor(count * _EACH, "ray")

    def _embed(self, embedder: DocumentEmbedder, texts: Sequence[str], expert: str) -> Packed:
        actor = self._free.get()
        try:
            call = actor.embed.remote(embedder.name, embedder.fingerprint, texts, expert)
            packed: Packed = self._answer(call, _STALLED_S, _LOST)
            return packed
        finally:
            self._free.put(actor)

    def _answer(self, call: Any, seconds: float, lost: str) -> Any:
        """Wait for a worker's answer, while Ray restarts workers that are lost."""
        answer = self._cluster.result(call, seconds, lost)
        if isinstance(answer, Failed):
            raise WorkerError(answer.reason)
        return answer
