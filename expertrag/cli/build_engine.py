"""Options of ``expertrag index build`` that say where texts are embedded."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from expertrag.api.errors import InvalidArgument, MissingExtra
from expertrag.cli.options import flag
from expertrag.config import ENV_PREFIX, ModelConfig
from expertrag_common.extras import install_command

if TYPE_CHECKING:
    from expertrag_index.build.embed_pool import EmbedPool
    from expertrag_index.types import Progress

LOCAL, RAY = "local", "ray"
PACKAGE = "ray"


@dataclass(frozen=True, slots=True)
class BuildEngine:
    """Where texts are embedded: in this process, or by workers on Ray."""

    name: str = LOCAL
    workers: int | None = None
    address: str | None = None


IN_PROCESS = BuildEngine()


def engine_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the engine, which the command gets as ``engine``."""

    @flag(
        "--engine",
        env=f"{ENV_PREFIX}BUILD_ENGINE",
        type=click.Choice([LOCAL, RAY]),
        default=LOCAL,
        help="Where texts are embedded: in this process, or by workers on Ray (extra 'ray').",
    )
    @flag(
        "--workers",
        env=f"{ENV_PREFIX}BUILD_WORKERS",
        type=click.IntRange(min=1),
        help="Workers on Ray, each with a GPU if there are any, else with a CPU; as many as there "
        "are if not given.",
    )
    @flag(
        "--ray-address",
        metavar="HOST:PORT",
        help="Ray cluster to use; without it the cluster of RAY_ADDRESS, or one of this machine.",
    )
    @functools.wraps(command)
    def run(
        *args: Any, engine: str, workers: int | None, ray_address: str | None, **options: Any
    ) -> None:
        command(*args, engine=_check_engine(engine, workers, ray_address), **options)

    return run


def _check_engine(name: str, workers: int | None, address: str | None) -> BuildEngine:
    if name == LOCAL:
        for option, value in (("--workers", workers), ("--ray-address", address)):
            if value is not None:
                raise InvalidArgument(f"{option} is for workers on Ray: add --engine ray")
    elif not find_spec(PACKAGE):
        raise MissingExtra(
            f"--engine ray needs the package ray; run: {install_command('server', 'ray')}",
            reason="MISSING_EXTRA",
        )
    return BuildEngine(name, workers, address or os.environ.get("RAY_ADDRESS"))


@contextmanager
def embed_pool(
    engine: BuildEngine, model: ModelConfig, store: Path, report: Progress
) -> Iterator[EmbedPool | None]:
    """Yield the workers of a build, which end with the block; None for this process."""
    if engine.name == LOCAL:
        yield None
        return
    from expertrag.stores.embedders import embedder_name, open_worker_embedder
    from expertrag_index.build.ray_pool import RayPool

    # Ray shows a worker its own GPU alone, whatever its number is
    device = model.device.partition(":")[0]
    named = replace(model, embedder=embedder_name(model, store), device=device)
    pool = RayPool(
        functools.partial(open_worker_embedder, named),
        workers=engine.workers,
        address=engine.address,
        gpus=model.device != "cpu",
        progress=report,
    )
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with pool:
            yield pool
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
