"""The named document stores of one server: opened at their first use, closed when memory is short.

A key names a collection of the server: ``NAME``, or ``TENANT/NAME`` for one of a tenant. Each is a
store of its own, with its own words, vectors and statistics, so that tenants share nothing but the
models.
"""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from expertrag.api.errors import Conflict, InvalidArgument, NotFound
from expertrag.api.types import GateMode
from expertrag.api.validation import NAME
from expertrag.audit import Audit
from expertrag.runtime.error_mapping import translate_errors
from expertrag_index.store.layout import Layout

if TYPE_CHECKING:
    from expertrag.answer.pipeline import Pipeline
    from expertrag.llm.adapters.loaded import LoadedAdapters

DEFAULT = "default"
"""Name of the collection of a request that names none: the store of ``--index``."""

MOST = 1_000
"""Most collections of one tenant that calls have created."""

_NO_TENANT = "_"
_DROP_WAIT_S = 30.0
_MOST_OPEN = 64
"""Collections that are open at a time. An open one has up to ten files, however small it is, and
many systems allow a process 1,024."""
_MIB = 1 << 20

_log = structlog.get_logger("expertrag.index")

OpenStore = Callable[[Path], "Pipeline"]


@dataclass(frozen=True, slots=True)
class CollectionState:
    """A collection: whether it is in memory, and whether a call may drop it."""

    key: str
    loaded: bool
    droppable: bool


@dataclass(slots=True)
class _Entry:
    """An open collection; ``opening`` lets one thread open it while others wait."""

    opening: threading.Lock = field(default_factory=threading.Lock)
    pipeline: Pipeline | None = None
    uses: int = 0


class Collections:
    """Thread-safe. Close it to close every store."""

    def __init__(
        self,
        open_store: OpenStore,
        stores: Mapping[str, Path],
        *,
        folder: Path | None = None,
        create_store: Callable[[Path], None] | None = None,
        memory_mib: int = 4096,
        audit: Audit | None = None,
        adapters: Callable[[], LoadedAdapters] | None = None,
        modes: Mapping[str, GateMode] | None = None,
    ) -> None:
        """Name the stores; none is opened yet.

        :param open_store: opens the pipeline of a store.
        :param stores: the stores that the server was started with, by key.
        :param folder: holds the collections that calls create; None allows none.
        :param create_store: makes an empty store.
        :param memory_mib: least recently used collections are closed beyond this size of vectors.
        :param audit: the log of all of them, which is closed with them.
        :param adapters: returns the adapters of the language model.
        :param modes: of requests that name none, by key, where it is not the server's.
        :raises InvalidArgument: if a name is invalid, or two collections have the same.
        """
        for key in stores:
            check_key(key)
        self._open_store, self._create_store = open_store, create_store
        # absolute: what a client is told has no absolute path of the server
        self._stores = {key: path.absolute() for key, path in stores.items()}
        self._folder = folder.absolute() if folder else None
        self.audit = audit or Audit()
        self._adapters = adapters
        self._modes = modes or {}
        self._room = memory_mib * _MIB
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # least recently used first
        self._closed = False
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._sweep(folder)
            for key in self._list_created():
                if key in self._stores:
                    raise InvalidArgument(
                        f"collection {key} is named twice: by a path, and in {folder}"
                    )

    @classmethod
    def single(cls, pipeline: Pipeline) -> Collections:
        """Return the collections of a server with one store, which is open already."""
        collections = cls(
            lambda _: pipeline,
            {DEFAULT: Path()},
            audit=pipeline.audit,
            adapters=lambda: pipeline.adapters,
        )
        collections._entries[DEFAULT] = _Entry(pipeline=pipeline)
        return collections

    def adapters(self) -> LoadedAdapters:
        """Return the adapters of the language model, which all collections share.

        :raises InvalidArgument: the model does not run on our engine.
        """
        if self._adapters is None:
            raise InvalidArgument("adapter: these collections have no language model")
        return self._adapters()

    def mode_of(self, key: str) -> GateMode | None:
        """Return the mode of requests that name none, of a collection; None for the server's."""
        return self._modes.get(key)

    @property
    def healthy(self) -> bool:
        """Whether the language model may answer; True if no collection is open."""
        with self._lock:
            pipelines = [entry.pipeline for entry in self._entries.values() if entry.pipeline]
        return all(pipeline.healthy for pipeline in pipelines)

    @property
    def open_count(self) -> int:
        """Number of collections in memory."""
        return len(self.open_keys)

    @property
    def has_default(self) -> bool:
        """Whether the server was started with a store that needs no name."""
        return DEFAULT in self._stores

    @contextmanager
    def use(self, key: str) -> Iterator[Pipeline]:
        """Use a collection; it stays open until the block ends.

        :raises NotFound: there is no such collection.
        :raises ExpertRAGError: its store cannot be opened.
        """
        entry = self._enter(key)
        try:
            with entry.opening:
                if entry.pipeline is None:
                    entry.pipeline = self._open_store(self._path(key))
                    _log.info("collection opened", collection=key)
            self._make_room()
            yield entry.pipeline
        finally:
            with self._lock:
                entry.uses -= 1

    @property
    def open_keys(self) -> list[str]:
        """Keys of the collections in memory."""
        with self._lock:
            return [key for key, entry in self._entries.items() if entry.pipeline is not None]

    @contextmanager
    def keep_open(self, key: str) -> Iterator[Pipeline | None]:
        """Keep a collection open until the block ends, if it is; this does not count as a use."""
        with self._lock:
            entry = self._entries.get(key) or _Entry()
            entry.uses += 1
        try:
            yield entry.pipeline
        finally:
            with self._lock:
                entry.uses -= 1

    def states(self, tenant: str | None = None) -> list[CollectionState]:
        """List the collections of a tenant by key: "" lists those without a tenant, None all."""
        created = set(self._list_created())
        loaded = set(self.open_keys)
        return [
            CollectionState(key, key in loaded, key in created)
            for key in sorted({*self._stores, *created})
            if tenant is None or tenant_of(key) == tenant
        ]

    def create(self, key: str) -> None:
        """Create an empty collection.

        :raises InvalidArgument: the name is invalid.
        :raises Conflict: it exists, there are too many, or the server has no folder for them.
        """
        check_key(key)
        if self._folder is None or self._create_store is None:
            raise Conflict(
                "this server creates no collections; start it with --collections FOLDER",
                reason="COLLECTIONS_OFF",
            )
        target = self._path_of_created(key)
        if key in self._stores or target.exists():
            raise Conflict(f"collection {key} exists", reason="COLLECTION_EXISTS")
        if sum(tenant_of(other) == tenant_of(key) for other in self._list_created()) >= MOST:
            raise Conflict(
                f"there are {MOST:,} collections; drop one first", reason="TOO_MANY_COLLECTIONS"
            )
        temporary = self._folder / f".new-{uuid.uuid4().hex}"
        try:
            with translate_errors():
                self._create_store(temporary)
            target.parent.mkdir(exist_ok=True)
            try:
                temporary.rename(target)
            except OSError:
                raise Conflict(f"collection {key} exists", reason="COLLECTION_EXISTS") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        _log.info("collection created", collection=key)

    def drop(self, key: str) -> None:
        """Delete a collection with its documents; running calls on it finish first.

        :raises NotFound: there is none.
        :raises Conflict: the server was started with it, so a call cannot drop it.
        """
        path = self._path(key)
        if key in self._stores:
            raise Conflict(
                f"collection {key} belongs to the server's configuration; remove it there",
                reason="COLLECTION_CONFIGURED",
            )
        assert self._folder is not None, "it was created there"
        away = self._folder / f".dropped-{uuid.uuid4().hex}"
        with self._lock:  # from here on, it does not exist
            try:
                path.rename(away)
            except OSError:
                raise unknown_collection(key) from None
            entry = self._entries.pop(key, None)
        if entry is not None:
            self._close_unused(entry, _DROP_WAIT_S)
        shutil.rmtree(away, ignore_errors=True)
        _log.info("collection dropped", collection=key)

    def close(self) -> None:
        """Close every store; running searches finish first."""
        with self._lock:
            self._closed = True
            entries = list(self._entries.values())
            self._entries.clear()
        for entry in entries:
            if entry.pipeline is not None:
                entry.pipeline.close()
        self.audit.close()

    def _enter(self, key: str) -> _Entry:
        if key not in self._entries:
            self._path(key)
        with self._lock:
            if self._closed:
                raise NotFound("the server is shutting down")
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            entry.uses += 1
            return entry

    def _make_room(self) -> None:
        """Close the least recently used collections that no call uses, until the rest fits.

        What fits is limited in memory and in number.
        """
        closing: list[tuple[str, _Entry]] = []
        with self._lock:
            sizes = {
                key: entry.pipeline.memory_bytes
                for key, entry in self._entries.items()
                if entry.pipeline is not None
            }
            total = sum(sizes.values())
            for key in list(sizes):
                if total <= self._room and len(sizes) - len(closing) <= _MOST_OPEN:
                    break
                if key != DEFAULT and not self._entries[key].uses:
                    total -= sizes[key]
                    closing.append((key, self._entries.pop(key)))
        for key, entry in closing:
            assert entry.pipeline is not None, "it has a size"
            entry.pipeline.close()
            _log.info("collection closed", collection=key)

    def _close_unused(self, entry: _Entry, wait_s: float) -> None:
        ends_at = time.monotonic() + wait_s
        while entry.uses and time.monotonic() < ends_at:
            time.sleep(0.01)
        if entry.pipeline is not None:
            entry.pipeline.close()

    def _path(self, key: str) -> Path:
        if key in self._stores:
            return self._stores[key]
        if self._folder is not None and _is_key(key) and self._path_of_created(key).is_dir():
            return self._path_of_created(key)
        raise unknown_collection(key)

    def _path_of_created(self, key: str) -> Path:
        assert self._folder is not None, "checked by the caller"
        tenant, _, name = key.rpartition("/")
        return self._folder / (tenant or _NO_TENANT) / name

    def _list_created(self) -> Iterator[str]:
        if self._folder is None:
            return
        for folder in self._folder.iterdir():
            # one that is being dropped vanishes while it is listed
            if folder.name.startswith(".") or not folder.is_dir():
                continue
            tenant = "" if folder.name == _NO_TENANT else folder.name + "/"
            for path in folder.iterdir():
                key = tenant + path.name
                if _is_key(key) and Layout(path).database.exists():
                    yield key

    def _sweep(self, folder: Path) -> None:
        """Delete what a crash left of a collection that was being created or dropped."""
        for pattern in (".new-*", ".dropped-*"):
            for path in folder.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)


def check_key(key: str) -> None:
    """Check the name of a collection.

    :raises InvalidArgument: if it is invalid.
    """
    if not _is_key(key):
        raise InvalidArgument(
            f"collection: {key!r:.80} is not a valid name; use 1 to 63 lower-case letters, digits, "
            "- and _, the first a letter or digit",
            reason="INVALID_COLLECTION",
            metadata={"field": "collection"},
        )


def tenant_of(key: str) -> str:
    """Return the tenant of a collection; empty for one without."""
    return key.rpartition("/")[0]


def _is_key(key: str) -> bool:
    parts = key.split("/")
    return len(parts) <= 2 and all(NAME.fullmatch(part) for part in parts)


def unknown_collection(key: str) -> NotFound:
    """Return the error for a collection that does not exist, or that the caller may not name."""
    name = key.rpartition("/")[2]
    return NotFound(f"there is no collection {name!r:.80}", reason="COLLECTION_NOT_FOUND")
