"""A server in a process of its own, run by ``served``: ``served_child.py SETTINGS``.

SETTINGS is JSON: sections of the configuration, and the model. For every line on its standard
input it writes one with the state of its slots, queue and worker threads.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import gc
import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from serving_fixtures import PacedGenerator

from expertrag.answer import assemble
from expertrag.answer.collections import Collections
from expertrag.config import (
    AuthConfig,
    CollectionsConfig,
    Config,
    LogConfig,
    ModelConfig,
    ReplicaConfig,
    ServiceConfig,
)
from expertrag.runtime import logs, memory
from expertrag.serving.run import serve
from expertrag.serving.server import Server

PACED = "paced"
_IDLE = concurrent.futures.thread.__file__


class PacedModels(assemble.Models):
    """The models of a server whose language model counts, at the speed of the settings."""

    def __init__(self, config: Config, paced: PacedGenerator) -> None:
        super().__init__(config)
        self._generator = paced


def main() -> None:
    """Serve until a signal."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    config = Config(
        index=settings["index"],
        model=ModelConfig(embedder="all-minilm-l6-v2", generator=settings["generator"]),
        service=ServiceConfig(**settings["service"]),
        collections=CollectionsConfig(folder=settings["collections"]),
        auth=AuthConfig(**settings["auth"]),
        replica=ReplicaConfig(**settings["replica"]),
        log=LogConfig(level=settings["log"], format="json"),
    )
    memory.share()
    logs.configure(config.log)
    paced = PacedGenerator(settings["step_s"], settings["words"])
    servers: list[Server] = []
    threading.Thread(target=_tell, args=(servers, paced), daemon=True).start()

    @memory.loading()
    def load() -> Collections:
        # ``serve`` keeps it to itself, and the collector does not list what has been loaded
        servers.extend(item for item in gc.get_objects() if type(item) is Server)
        if settings["generator"] == PACED:
            models: assemble.Models = PacedModels(config, paced)
        else:
            models = assemble.Models(config)
        return _open(models, config)

    asyncio.run(serve(config, load))


def _open(models: assemble.Models, config: Config) -> Collections:
    collections = Collections(
        models.pipeline,
        {"default": Path(config.index)},
        folder=Path(config.collections.folder) if config.collections.folder else None,
        create_store=models.create_store,
        audit=models.audit,
    )
    with collections.use("default"):
        return collections


def _tell(servers: Sequence[Server], paced: PacedGenerator) -> None:
    for _ in sys.stdin:
        state: dict[str, Any] = {
            "running": sum(server.running for server in servers),
            "waiting": sum(server.waiting for server in servers),
            "sessions": paced.open_sessions,
            "busy": sum(map(_is_busy, sys._current_frames().items())),
        }
        print(json.dumps(state), flush=True)


def _is_busy(frame: tuple[int, FrameType]) -> bool:
    """Whether a thread is one of the workers, and has work."""
    number, top = frame
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return names.get(number, "").startswith("expertrag-work") and top.f_code.co_filename != _IDLE


if __name__ == "__main__":
    main()
