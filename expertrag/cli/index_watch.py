"""``expertrag index watch``: keep a store in step with folders."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from expertrag.api.jsonable import to_json
from expertrag.cli.index_writer import opener
from expertrag.cli.options import flag, json_flag, store_argument
from expertrag.cli.output import note, printable
from expertrag.cli.progress import Relay
from expertrag.cli.reading import Limits, reading
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag_index.sources.folder import FolderSource
    from expertrag_index.sources.watch import WatchEvent

_LOCK_WAIT_S = 2.0  # short, as the watch itself waits, and can be stopped meanwhile


class _WatchOptions(TypedDict):
    """How ``index watch`` reads folders; ``settle_s`` in seconds."""

    settle_s: float
    adopt: bool


@click.command()
@store_argument
@click.argument(
    "folders",
    nargs=-1,
    required=True,
    metavar="FOLDER...",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@flag(
    "--settle-s",
    type=click.FloatRange(min=0.1),
    default=1.0,
    help="Seconds in which a file must not change before it is read.",
)
@flag(
    "--adopt",
    is_flag=True,
    help="Take over stored documents of another folder of the same name, as of one that was moved.",
)
@reading("model.embedder", settable=("model.device",))
@json_flag
def watch(
    store: Path,
    folders: tuple[Path, ...],
    limits: Limits,
    config: Config,
    as_json: bool,
    **options: Unpack[_WatchOptions],
) -> None:
    """Keep a store in step with folders until stopped.

    Files that are new, changed or deleted change the store; a running server follows. First the
    store, which is created if it is missing, is brought into step: a file of known size and time
    is not read again. Only documents that came from these folders are deleted.

    A file is read once it is no longer written; one that cannot be read is tried again, and its
    version from before is kept. A folder that is missing or empty, like an unmounted disk, keeps
    its documents. While another process writes to the store, the watch waits.

    Ctrl-C or SIGTERM ends it after the running write; a second one at once, which loses nothing.
    Status goes to stderr; with --json, also to stdout, as one JSON object a line.
    """
    from expertrag_index.sources.watch import FolderWatcher

    sources = _sources(store, folders, limits)
    relay = Relay()
    with until_signal() as stop, ExitStack() as bars:
        bars.enter_context(relay.show(in_bytes=("embed",)))  # of the first write, which may be long

        def tell(event: WatchEvent) -> None:
            if event.kind != "watching":
                bars.close()
            _show(event, as_json)

        watcher = FolderWatcher(
            store,
            sources,
            opener(store, config, relay, _LOCK_WAIT_S),
            tell=tell,
            stop=stop,
            settle_s=options["settle_s"],
        )
        if options["adopt"]:
            watcher.adopt()
        watcher.run()


def _sources(store: Path, folders: Sequence[Path], limits: Limits) -> list[FolderSource]:
    from expertrag_index.loaders import ReadLimits
    from expertrag_index.sources.folder import FolderSource

    rest = dict(limits)
    include, exclude = rest.pop("include"), rest.pop("exclude")
    read_limits = ReadLimits(**rest)
    return [
        FolderSource(folder, read_limits, include=include, exclude=exclude, store=store)
        for folder in dict.fromkeys(folders)
    ]


def _show(event: WatchEvent, as_json: bool) -> None:
    now = datetime.now().astimezone()
    note(f"{now:%H:%M:%S} {printable(event.message)}")
    if as_json:
        line = {"time": now.isoformat(timespec="milliseconds"), **to_json(event)}
        click.echo(json.dumps(line, ensure_ascii=False))


@contextmanager
def until_signal(
    told: str = "stopping after the running write; once more stops at once",
) -> Iterator[threading.Event]:
    """Yield an event that SIGINT or SIGTERM sets; a second signal ends the process at once.

    :param told: printed at the first one.
    """
    stop = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)  # the store survives this at any moment
        note(told)
        stop.set()

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
